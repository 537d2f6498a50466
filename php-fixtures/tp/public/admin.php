<?php
// A second entry beside index.php: /admin.php/user/list must come here, not to the front controller.
declare(strict_types=1);

require __DIR__ . '/../../shared/mirror.php';

fixture\send_json(fixture\mirror(['entry' => 'admin.php']));
