<?php
// A ThinkPHP-style front controller in small: /index.php/controller/action/k/v/… or ?s=/controller/action/k/v.
declare(strict_types=1);

namespace app;

use fixture;

final class App
{
    /** Parameters of the path (k/v pairs) under those of the query. */
    public readonly array $input;

    private function __construct(public readonly string $route)
    {
        $this->input = $_GET + $this->pairs();
    }

    public static function run(): void
    {
        $app = new self(self::route());
        header('X-Fixture-Member: ' . fixture\member());
        try {
            // Any request can be counted before it is served: ?count=NAME.
            isset($_GET['count']) && fixture\count_run((string) $_GET['count']);
            isset($_GET['run']) && fixture\log_run((string) $_GET['run']);
            $app->dispatch();
        } catch (\Exception $e) {
            // Only exceptions: an Error (undefined function, …) shall end the script as php itself does it.
            $app->page(500, 'Something went wrong', $e->getMessage());
        }
    }

    public function text(string $name, string $default = ''): string
    {
        $value = $this->input[$name] ?? $default;
        return is_string($value) ? $value : $default;
    }

    public function number(string $name, int $default): int
    {
        return (int) $this->text($name, (string) $default);
    }

    public function page(int $status, string $title, string $text): void
    {
        http_response_code($status);
        header('Content-Type: text/html; charset=utf-8');
        $title = htmlspecialchars($title);
        $text = htmlspecialchars($text);
        echo "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>$title</title>",
            "<link rel=\"stylesheet\" href=\"/style.css\"></head>\n<body><h1>$title</h1><p>$text</p></body>\n</html>\n";
    }

    private static function route(): string
    {
        $path = $_SERVER['PATH_INFO'] ?? '';
        return trim($path !== '' ? $path : (string) ($_GET['s'] ?? ''), '/');
    }

    /** What follows controller and action, read as k/v pairs. A last key without a value is dropped. */
    private function pairs(): array
    {
        $pairs = [];
        foreach (array_chunk(array_slice(explode('/', $this->route), 2), 2) as $pair) {
            isset($pair[1]) && $pairs[$pair[0]] = $pair[1];
        }
        return $pairs;
    }

    private function dispatch(): void
    {
        [$controller, $action] = explode('/', $this->route) + ['', 'index'];
        $controller = $controller === '' ? 'home' : $controller;
        $class = ctype_alpha($controller) ? 'app\\controller\\' . ucfirst(strtolower($controller)) . 'Controller' : '';
        if ($class === '' || !class_exists($class)) {
            $this->page(404, 'No such page', 'No controller for /' . mb_scrub($this->route));
            return;
        }
        $object = new $class($this);
        // An action that is not there is a parameter of index: /status/404, /sleep/200.
        $found = ctype_alpha($action) && is_callable([$object, $action]);
        $found ? $object->$action($action) : $object->index($action);
    }
}
