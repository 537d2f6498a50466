<?php
// What php received, as JSON: the tests' looking glass. Used by all three roots.
declare(strict_types=1);

namespace fixture;

/** The name of the pool member that answers: env[FIXTURE_MEMBER] of the pool, else from php.ini, else the pid. */
function member(): string
{
    return (string) (getenv('FIXTURE_MEMBER') ?: get_cfg_var('FIXTURE_MEMBER') ?: 'pid ' . getmypid());
}

/** A string as JSON can carry it: itself when it is UTF-8, else {"hex": "…"}. */
function printable(mixed $value): mixed
{
    if (is_array($value)) {
        $out = [];
        foreach ($value as $key => $inner) {
            $key = (string) $key;
            $out[mb_check_encoding($key, 'UTF-8') ? $key : 'hex:' . bin2hex($key)] = printable($inner);
        }
        return $out;
    }
    if (is_string($value) && !mb_check_encoding($value, 'UTF-8')) {
        return ['hex' => bin2hex($value)];
    }
    return $value;
}

/** An array as a JSON object also when it is empty or a list. */
function object(array $value): object
{
    return (object) printable($value);
}

/**
 * The params as the front end sent them: $_SERVER without what php adds itself (PHP_SELF, times, argv, what cgi.fix_pathinfo
 * leaves) and without the environment of the pool. getenv() is not asked: it mixes both.
 */
function params(): array
{
    $own = ['PHP_SELF', 'REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'argv', 'argc', 'PHP_AUTH_USER', 'PHP_AUTH_PW',
        'PHP_AUTH_DIGEST', 'FCGI_ROLE', 'FIXTURE_MEMBER', 'COUNTER_DIR', 'USER', 'HOME', 'PATH'];
    $params = array_diff_key($_SERVER, array_flip($own));
    ksort($params, SORT_STRING);
    return $params;
}

/** Length and digest of the raw body, read as a stream: 100 MB must not need 100 MB. */
function body_digest(): array
{
    $body = fopen('php://input', 'rb');
    $hash = hash_init('sha256');
    $length = hash_update_stream($hash, $body);
    return ['length' => $length, 'sha256' => hash_final($hash)];
}

/** The uploaded files with their digests, instead of their temporary names. */
function files_digest(): array
{
    $out = [];
    foreach ($_FILES as $field => $file) {
        foreach ((array) $file['tmp_name'] as $i => $path) {
            $pick = fn (string $key) => is_array($file[$key]) ? $file[$key][$i] : $file[$key];
            $out[] = [
                'field' => $field,
                'name' => $pick('name'),
                'type' => $pick('type'),
                'error' => $pick('error'),
                'size' => $pick('size'),
                'sha256' => $pick('error') === UPLOAD_ERR_OK ? hash_file('sha256', $path) : null,
            ];
        }
    }
    return printable($out);
}

/** Everything of this request. `$more` says who prints it. */
function mirror(array $more = []): array
{
    return $more + [
        'member' => member(),
        'pid' => getmypid(),
        'script' => printable(basename((string) get_included_files()[0])),
        'method' => $_SERVER['REQUEST_METHOD'] ?? null,
        'params' => object(params()),
        'server' => object($_SERVER),
        'headers' => object(getallheaders()),
        'get' => object($_GET),
        'post' => object($_POST),
        'cookie' => object($_COOKIE),
        'files' => files_digest(),
        'body' => body_digest(),
    ];
}

function send_json(array $data, int $status = 200): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    header('X-Fixture-Member: ' . member());
    echo json_encode($data, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
}

/**
 * Appends one byte to the counter file NAME in env[COUNTER_DIR]: its size says how often a script ran, to somebody
 * who does not ask php. A single appended byte is atomic, so workers don't need a lock.
 */
function count_run(string $name): int
{
    $path = counter_file($name);
    file_put_contents($path, '.', FILE_APPEND);
    clearstatcache(true, $path);
    return (int) filesize($path);
}

/** Appends the id as a line to the counters' file `runs`: for many ids, of which none may be there twice. */
function log_run(string $id): void
{
    file_put_contents(counter_file('runs'), addcslashes($id, "\0..\37") . "\n", FILE_APPEND);
}

function counter_file(string $name): string
{
    if (!preg_match('/^[A-Za-z0-9_-]{1,64}$/', $name)) {
        throw new \InvalidArgumentException('a counter is named by letters, digits, _ and -');
    }
    $folder = getenv('COUNTER_DIR') ?: sys_get_temp_dir() . '/fixture-counters';
    is_dir($folder) || mkdir($folder, 0700, true);
    return "$folder/$name";
}
