<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;

/** `chunks` lines, each flushed on its own, `ms` apart; `unbuffered=1` asks the front end not to buffer. */
final class StreamController extends Controller
{
    public function index(string $arg): void
    {
        header('Content-Type: text/plain; charset=utf-8');
        $this->app->number('unbuffered', 0) && header('X-Accel-Buffering: no');
        $ms = $this->app->number('ms', 100);
        $pad = str_repeat('-', max(0, $this->app->number('pad', 0)));
        for ($i = 1, $n = $this->app->number('chunks', 5); $i <= $n; $i++) {
            echo "chunk $i of $n $pad\n";
            $this->flush();
            $i < $n && usleep($ms * 1000);
        }
    }
}
