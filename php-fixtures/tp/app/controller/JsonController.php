<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

final class JsonController extends Controller
{
    public function index(string $arg): void
    {
        fixture\send_json(['ok' => true, 'member' => fixture\member(), 'pid' => getmypid()]);
    }
}
