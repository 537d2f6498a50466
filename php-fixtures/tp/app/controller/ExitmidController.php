<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;

/** Declares `declared` bytes, prints `sent` of them and exits: a clean END_REQUEST after a body that is too short or too long. */
final class ExitmidController extends Controller
{
    public function index(string $arg): void
    {
        header('Content-Type: text/plain');
        header('Content-Length: ' . $this->app->number('declared', 10_000));
        echo str_repeat('m', $this->app->number('sent', 1_000));
        $this->flush();
        exit;
    }
}
