<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/** Digests of what was uploaded: multipart fields and files, or the raw body. */
final class UploadController extends Controller
{
    public function index(string $arg): void
    {
        fixture\send_json([
            'method' => $_SERVER['REQUEST_METHOD'],
            'content_length' => $_SERVER['CONTENT_LENGTH'] ?? null,
            'content_type' => $_SERVER['CONTENT_TYPE'] ?? null,
            'post' => fixture\object($_POST),
            'files' => fixture\files_digest(),
            'body' => fixture\body_digest(),
        ]);
    }

    /** Answers at once and reads nothing: the reply is there before the body was sent (fact 5). */
    public function ignore(): void
    {
        fixture\send_json(['ignored' => $_SERVER['CONTENT_LENGTH'] ?? null]);
    }
}
