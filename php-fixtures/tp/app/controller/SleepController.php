<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** /sleep/200 or ?ms=200: answers after that many milliseconds, silent until then. */
final class SleepController extends Controller
{
    public function index(string $arg): void
    {
        $ms = ctype_digit($arg) ? (int) $arg : $this->app->number('ms', 100);
        usleep(min($ms, 600_000) * 1000);
        fixture\send_json(['slept_ms' => $ms, 'member' => fixture\member()]);
    }
}
