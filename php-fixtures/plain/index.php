<?php
declare(strict_types=1);

require __DIR__ . '/../shared/mirror.php';

fixture\send_json(fixture\mirror(['entry' => 'index.php']));
