<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** Lines for the log, never for the client: through error_log() (FastCGI STDERR records) and php://stderr (php-fpm's own log). */
final class StderrController extends Controller
{
    public function index(string $arg): void
    {
        error_log('fixture: a line by error_log()');
        error_log("fixture: control characters \x1b[31mred\x1b[0m \x07 \x08 \x7f and a\ttab");
        error_log("fixture: first of two lines\nfixture: second\r of two lines");
        $stderr = fopen('php://stderr', 'wb');
        fwrite($stderr, "fixture: a line by php://stderr\n");
        fixture\send_json(['logged' => true]);
    }

    /** `bytes` bytes in one line: log lines must be bounded. */
    public function long(): void
    {
        error_log('fixture: ' . str_repeat('L', $this->app->number('bytes', 100_000)));
        fixture\send_json(['logged' => true]);
    }
}
