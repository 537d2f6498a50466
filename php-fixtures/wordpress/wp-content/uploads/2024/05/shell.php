<?php
// A script in the uploads folder: must never run.
require __DIR__ . '/../../../../../shared/mirror.php';

fixture\count_run('upload-shell');
echo 'SHELL RAN';
