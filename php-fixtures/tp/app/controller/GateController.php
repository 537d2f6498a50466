<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/**
 * /gate/NAME: counts NAME, then waits until the file NAME.open lies beside the counter, or 30 s. `first=TEXT` prints and
 * flushes that before it waits, so that the reply has begun; `unbuffered=1` asks the front end not to buffer; `body=1` reads
 * the request's body before it waits, and prints its length and FNV-1a digest; `then=memory` asks for more memory than it may have.
 */
final class GateController extends Controller
{
    public function index(string $arg): void
    {
        $open = fixture\counter_file($arg) . '.open';
        $this->app->number('unbuffered', 0) && header('X-Accel-Buffering: no');
        header('Content-Type: text/plain');
        if (($first = $this->app->text('first')) !== '') {
            echo $first;
            $this->flush();
        }
        fixture\count_run($arg);
        $this->app->number('body', 0) && $this->digest();
        for ($left = 30_000; $left > 0 && !file_exists($open); $left -= 2) {
            usleep(2_000);
            clearstatcache(true, $open);
        }
        $this->app->text('then') === 'memory' && str_repeat('x', 1 << 40);
        echo "through\n";
    }

    private function digest(): void
    {
        $hash = hash_init('fnv1a64');
        $length = hash_update_stream($hash, fopen('php://input', 'rb'));
        echo $length, ' ', hash_final($hash), "\n";
    }
}
