<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/**
 * /self/PATH asks its own site for /PATH (`method`, default GET) and prints what that answered. `gate=NAME` counts NAME and waits
 * first, until the file NAME.open lies beside the counter.
 */
final class SelfController extends Controller
{
    public function index(string $arg): void
    {
        if (($gate = $this->app->text('gate')) !== '') {
            fixture\count_run($gate);
            $open = fixture\counter_file($gate) . '.open';
            for ($left = 30_000; $left > 0 && !file_exists($open); $left -= 2) {
                usleep(2_000);
                clearstatcache(true, $open);
            }
        }
        $options = ['method' => $this->app->text('method', 'GET'), 'timeout' => 30, 'ignore_errors' => true];
        $inner = file_get_contents(
            "http://{$_SERVER['HTTP_HOST']}/$arg",
            context: stream_context_create(['http' => $options]),
        );
        header('Content-Type: text/plain');
        echo 'inner says: ', $inner === false ? 'nothing' : $inner;
    }
}
