<?php
declare(strict_types=1);

require __DIR__ . '/../../shared/mirror.php';

spl_autoload_register(function (string $class): void {
    $file = __DIR__ . '/../' . strtr($class, '\\', '/') . '.php';
    is_file($file) && require $file;
});

app\App::run();
