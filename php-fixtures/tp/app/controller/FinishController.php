<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** Ends the request, goes on for `ms` and then appends to the counter `name`: the worker is busy though the reply ended. */
final class FinishController extends Controller
{
    public function index(string $arg): void
    {
        fixture\send_json(['finished' => true, 'pid' => getmypid()]);
        fastcgi_finish_request();
        usleep($this->app->number('ms', 500) * 1000);
        fixture\count_run($this->app->text('name', 'finish'));
    }
}
