<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;

/** /status/404 or ?code=404: any number, also those that no HTTP reply may have (1000, 101). */
final class StatusController extends Controller
{
    public function index(string $arg): void
    {
        $code = ctype_digit($arg) ? (int) $arg : $this->app->number('code', 200);
        http_response_code($code);
        header('Content-Type: text/plain');
        echo "status $code\n";
    }
}
