<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;

/** An exception: the application's own 500 page. */
final class ErrorController extends Controller
{
    public function index(string $arg): void
    {
        throw new \RuntimeException('thrown on purpose <by> the fixture');
    }
}
