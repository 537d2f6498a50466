<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** The page a person sees first: which member answered. */
final class HomeController extends Controller
{
    public function index(string $arg): void
    {
        header('Content-Type: text/html; charset=utf-8');
        $member = htmlspecialchars(fixture\member());
        $pid = getmypid();
        echo <<<HTML
            <!doctype html>
            <html lang="en">
            <head>
              <meta charset="utf-8">
              <meta name="viewport" content="width=device-width, initial-scale=1">
              <title>php-fixtures</title>
              <link rel="icon" href="/logo.svg">
              <link rel="stylesheet" href="/style.css">
              <script src="/app.js" defer></script>
            </head>
            <body>
              <img src="/logo.svg" alt="" width="64" height="64">
              <h1>It works</h1>
              <p>Answered by pool member <strong id="member">$member</strong> (php-fpm worker $pid).</p>
              <p>Reload the page to see the others.</p>
              <ul>
                <li><a href="/index.php/echo/show/name/value?q=1">all params php received</a></li>
                <li><a href="/session">a session counter</a></li>
                <li><a href="/stream/index/chunks/10/ms/200/unbuffered/1">a streamed reply</a></li>
                <li><a href="/中文/说明.txt">a static file with a Chinese name</a></li>
                <li><a href="/error">an error page</a></li>
              </ul>
            </body>
            </html>

            HTML;
    }
}
