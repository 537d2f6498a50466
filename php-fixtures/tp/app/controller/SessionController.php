<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** Counts the visits of one session, wherever they were answered (the members share session.save_path). */
final class SessionController extends Controller
{
    public function index(string $arg): void
    {
        session_start();
        $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
        fixture\send_json(['visits' => $_SESSION['visits'], 'member' => fixture\member()]);
    }

    public function reset(): void
    {
        session_start();
        session_destroy();
        fixture\send_json(['visits' => 0, 'member' => fixture\member()]);
    }
}
