<?php
declare(strict_types=1);

namespace app\controller;

use app\Controller;
use fixture;

/**
 * `bytes` bytes that anybody can compute: 64 KiB blocks, each its number as 8 bytes (big-endian), then byte i of the
 * block is (i ^ (i >> 8)) & 255. The number makes a lost or swapped block visible. `length=1` declares Content-Length.
 */
final class BigController extends Controller
{
    private const BLOCK = 65536;

    public function index(string $arg): void
    {
        $bytes = $this->bytes($arg);
        header('Content-Type: application/octet-stream');
        $this->app->number('length', 0) && header("Content-Length: $bytes");
        while (ob_get_level() > 0) {
            ob_end_clean();
        }
        foreach ($this->blocks($bytes) as $block) {
            echo $block;
        }
    }

    /** The digest that the same bytes must have. */
    public function digest(): void
    {
        $bytes = $this->bytes('');
        $hash = hash_init('sha256');
        foreach ($this->blocks($bytes) as $block) {
            hash_update($hash, $block);
        }
        fixture\send_json(['bytes' => $bytes, 'sha256' => hash_final($hash)]);
    }

    private function bytes(string $arg): int
    {
        return max(0, ctype_digit($arg) ? (int) $arg : $this->app->number('bytes', 1_000_000));
    }

    private function blocks(int $bytes): \Generator
    {
        $tail = '';
        for ($i = 8; $i < self::BLOCK; $i++) {
            $tail .= chr(($i ^ ($i >> 8)) & 255);
        }
        for ($number = 0; $bytes > 0; $number++, $bytes -= self::BLOCK) {
            $block = pack('J', $number) . $tail;
            yield $bytes < self::BLOCK ? substr($block, 0, $bytes) : $block;
        }
    }
}
