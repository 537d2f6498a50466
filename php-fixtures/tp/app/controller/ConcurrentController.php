<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** /concurrent/NAME?ms=5: says how many of these ran at once at most, this one included. Over before the reply ends. */
final class ConcurrentController extends Controller
{
    public function index(string $arg): void
    {
        [$now] = $this->change($arg, 1);
        usleep($this->app->number('ms', 5) * 1000);
        [, $most] = $this->change($arg, -1);
        fixture\send_json(['now' => $now, 'most' => $most, 'member' => fixture\member()]);
    }

    /** The file holds two numbers: how many run now, and the most so far. */
    private function change(string $name, int $by): array
    {
        $file = fopen(fixture\counter_file($name), 'c+b');
        flock($file, LOCK_EX);
        [$now, $most] = array_map('intval', explode(' ', (string) fgets($file))) + [0, 0];
        $now += $by;
        $most = max($most, $now);
        rewind($file);
        ftruncate($file, 0);
        fwrite($file, "$now $most");
        flock($file, LOCK_UN);
        return [$now, $most];
    }
}
