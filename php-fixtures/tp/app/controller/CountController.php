<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** /count/NAME: appends one byte to that counter file, and says how long it is now. `ms` waits first. */
final class CountController extends Controller
{
    public function index(string $arg): void
    {
        $runs = fixture\count_run($arg === 'index' ? $this->app->text('name', 'runs') : $arg);
        usleep($this->app->number('ms', 0) * 1000);
        fixture\send_json(['runs' => $runs, 'member' => fixture\member()]);
    }
}
