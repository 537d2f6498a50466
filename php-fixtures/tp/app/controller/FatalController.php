<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;

/** Ends that no application catches. */
final class FatalController extends Controller
{
    /** The constant of that name is pcntl's, which php-fpm does not have. */
    private const SIGKILL = 9;

    /** An Error nobody catches: php's own 500. */
    public function index(string $arg): void
    {
        no_such_function_in_the_fixture();
    }

    public function memory(): void
    {
        ini_set('memory_limit', '8M');
        $all = '';
        while (true) {
            $all .= str_repeat('x', 1_000_000);
        }
    }

    /** The worker dies before it said anything. */
    public function kill(): void
    {
        posix_kill(getmypid(), self::SIGKILL);
    }

    /** The worker dies after a flushed half: a truncated reply, without END_REQUEST (fact 3). */
    public function halfway(): void
    {
        header('Content-Type: text/plain');
        echo str_repeat("half of a reply\n", 1000);
        $this->flush();
        posix_kill(getmypid(), self::SIGKILL);
    }
}
