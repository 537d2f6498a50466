<?php
// Pretty permalinks: like WordPress, this reads REQUEST_URI and nothing else to find the page.
declare(strict_types=1);

require __DIR__ . '/../shared/mirror.php';

$path = explode('?', $_SERVER['REQUEST_URI'], 2)[0];
$slug = trim(preg_replace('#^/index\.php#', '', $path), '/');
fixture\send_json(fixture\mirror(['entry' => 'index.php', 'permalink' => fixture\printable(rawurldecode($slug))]));
