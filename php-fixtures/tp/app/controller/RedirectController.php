<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;

/** Location in its spellings; php makes 302 of a Location without a status. `to` takes another target. */
final class RedirectController extends Controller
{
    public function index(string $arg): void
    {
        header('Location: ' . $this->app->text('to', '/index.php/json'));
    }

    public function relative(): void
    {
        header('Location: ' . $this->app->text('to', 'json?from=relative'));
    }

    public function absolute(): void
    {
        header('Location: ' . $this->app->text('to', 'https://example.org/elsewhere?a=1&b=%E4%B8%AD'));
    }

    /** With an own status: 301, 303, 307, 308, or 201 as a Location without a redirect. */
    public function status(): void
    {
        header('Location: ' . $this->app->text('to', '/index.php/json'), true, $this->app->number('code', 301));
        echo "moved\n";
    }
}
