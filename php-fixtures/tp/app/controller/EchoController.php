<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** Everything php received, as JSON. */
final class EchoController extends Controller
{
    public function index(string $arg): void
    {
        fixture\send_json(fixture\mirror([
            'entry' => 'index.php',
            'route' => fixture\printable($this->app->route),
            'input' => fixture\object($this->app->input),
        ]));
    }
}
