<?php
declare(strict_types=1);

namespace app;

abstract class Controller
{
    final public function __construct(protected readonly App $app)
    {
    }

    /** `$arg` is the second part of the path when it names no other action. */
    abstract public function index(string $arg): void;

    /** Sends on what was printed so far, through php's own buffers. */
    protected function flush(): void
    {
        while (ob_get_level() > 0) {
            ob_end_flush();
        }
        flush();
    }
}
