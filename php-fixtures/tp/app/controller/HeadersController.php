<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;

/** Headers that a front end must pass on unchanged and in order. */
final class HeadersController extends Controller
{
    public function index(string $arg): void
    {
        header('Content-Type: text/plain; charset=gb18030');
        header('Set-Cookie: a=1; Path=/', false);
        header('Set-Cookie: b=2; Path=/; HttpOnly', false);
        header('Set-Cookie: c=3; Path=/; Expires=Thu, 01 Jan 2099 00:00:00 GMT', false);
        header('Link: </style.css>; rel=preload; as=style', false);
        header('Link: </app.js>; rel=preload; as=script', false);
        header('X-Empty:');
        header('X-Long: ' . str_repeat('v', $this->app->number('long', 6_000)));
        header('x-lower-case: kept');
        echo "headers\n";
    }

    /** A Location with raw UTF-8, as applications do send it. */
    public function location(): void
    {
        header('Location: /中文/说明.txt?q=ä', true, 302);
    }

    /** Headers that belong to the connection: never passed on. */
    public function hop(): void
    {
        header('Connection: close, X-Hop');
        header('X-Hop: gone');
        header('Keep-Alive: timeout=99');
        header('Transfer-Encoding: chunked');
        header('Upgrade: h2c');
        header('X-Kept: yes');
        echo "hop\n";
    }

    /** A body that php compressed itself. */
    public function encoded(): void
    {
        $body = gzencode(str_repeat("compressed by php\n", 500));
        header('Content-Type: text/plain');
        header('Content-Encoding: gzip');
        header('Content-Length: ' . strlen($body));
        echo $body;
    }

    /** Many headers: `count` of them. */
    public function many(): void
    {
        for ($i = 0, $n = $this->app->number('count', 200); $i < $n; $i++) {
            header("X-Many-$i: $i");
        }
        echo "many\n";
    }
}
