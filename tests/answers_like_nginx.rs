//! The whole answer is the one that nginx gives: for the same configuration, files and php-fpm, the same bytes go to a real nginx and
//! to cornac, and what is compared is the status, the headers, the body, what php got, how often it ran, and what became of the
//! connection. Each difference is listed with its reason; one that is not listed fails, and so does one that is not seen any more.
//! Which params a script gets is in `params_like_nginx.rs`, what routes mean in `routes_like_nginx.rs`.

mod support;

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use support::compare::{Asked, Difference, HOST, compare_by};
use support::whole::whole;
use support::{Cornac, Fpm, Nginx, Root};

/// Every file's time: Tue, 02 Jan 2024 03:04:05 GMT, which is 65937d25 in an ETag.
const MODIFIED: Duration = Duration::from_secs(1_704_164_645);

/// Sends the header lines `h`, the status `s` and the body `b` that it is asked for.
const REPLY: &str = r"<?php
require 'MIRROR';
fixture\count_run('runs');
foreach ($_GET['h'] ?? [] as $line) { header($line, false); }
isset($_GET['s']) && http_response_code((int) $_GET['s']);
echo $_GET['b'] ?? 'body', str_repeat('x', (int) ($_GET['n'] ?? 0));
";

fn root() -> Root {
    let reply = REPLY.replace("MIRROR", &support::fixtures("shared/mirror.php").display().to_string());
    let root = Root::new()
        .file("ten.txt", "0123456789")
        .file("empty.txt", "")
        .file("big.bin", (0..300_000_u32).map(|n| n as u8).collect::<Vec<u8>>())
        .file("app.js", "plain javascript\n".repeat(100))
        .file("app.js.gz", "gzip bytes")
        .file("style.css", "body {}\n")
        .file("logo.svg", "<svg/>")
        .file("page.html", "<p>page\n")
        .file("no-extension", "bytes\n")
        .file("a b/note.txt", "a note\n")
        .file("100%/note.txt", "a note\n")
        .file("q?a/note.txt", "a note\n")
        .file("x#y/note.txt", "a note\n")
        .file("中文/note.txt", "a note\n")
        .file("html/index.html", "<p>index\n")
        .file("empty/note.txt", "a note\n")
        .file("assets/a.css", "a {}\n")
        .script("info.php")
        .script("dir/index.php")
        .file("reply.php", reply);
    set_times(&root.path());
    root
}

fn set_times(folder: &Path) {
    for entry in folder.read_dir().expect("a folder of ours").map(|entry| entry.expect("it is there").path())
    {
        if entry.is_dir() {
            set_times(&entry);
        }
        let time = SystemTime::UNIX_EPOCH + MODIFIED;
        File::open(&entry).and_then(|file| file.set_modified(time)).expect("a file of ours");
    }
}

const NGINX: &str = r"
    index index.php index.html; charset utf-8; charset_types text/css text/javascript text/plain;
    gzip_static on; gzip_vary on; absolute_redirect off; client_max_body_size 100k;
    location / { }
    location ~ [^/]\.php(/|$) {
        fastcgi_split_path_info ^(.+?\.php)(/.*)$;
        if (!-f $document_root$fastcgi_script_name) { return 404; }
        include fastcgi_params;
        fastcgi_param PATH_INFO $fastcgi_path_info;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass BACKEND;
    }
    location /assets/ { expires 30d; add_header X-Own own; }
    location /denied/ { deny all; }
    location = /text { default_type text/plain; return 200 'text'; }
    location = /teapot { default_type text/plain; return 418 'teapot'; }
    location = /gone { return 410; }
    location = /nothing { return 204; }
    location = /moved { return 301 /ten.txt; }
    location = /see { return 303 /ten.txt; }
    location = /kept { return 307 /ten.txt$is_args$args; }
    location = /hang-up { return 444; }
";

const CORNAC: &str = r#"
    preset = "plain"
    index = ["index.php", "index.html"]
    max_body = "100k"
    [[sites.routes]]
    match = "/assets/"
    expires = "30d"
    headers = { X-Own = "own" }
    [[sites.routes]]
    match = "/denied/"
    deny = ["all"]
    [[sites.routes]]
    match = "= /text"
    return = { status = 200, body = "text" }
    [[sites.routes]]
    match = "= /teapot"
    return = { status = 418, body = "teapot" }
    [[sites.routes]]
    match = "= /gone"
    return = { status = 410 }
    [[sites.routes]]
    match = "= /nothing"
    return = { status = 204 }
    [[sites.routes]]
    match = "= /moved"
    return = { status = 301, url = "/ten.txt" }
    [[sites.routes]]
    match = "= /see"
    return = { status = 303, url = "/ten.txt" }
    [[sites.routes]]
    match = "= /kept"
    return = { status = 307, url = "/ten.txt$is_args$args" }
    [[sites.routes]]
    match = "= /hang-up"
    return = { status = 444 }
"#;

/// Each set of lines with GET, to this target.
fn each(target: &str, lines: &[&[&str]]) -> Vec<Asked> {
    lines.iter().map(|lines| Asked::with("GET", target, lines)).collect()
}

fn methods() -> Vec<Asked> {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "TRACE"];
    let targets =
        ["/ten.txt", "/info.php", "/html/", "/html", "/missing.txt", "/missing.php", "/text", "/moved"];
    methods.iter().flat_map(|method| targets.map(|target| Asked::with(method, target, &[]))).collect()
}

fn conditions() -> Vec<Asked> {
    let lines: &[&[&str]] = &[
        &["If-None-Match: \"65937d25-a\""],
        &["If-None-Match: W/\"65937d25-a\""],
        &["If-None-Match: \"other\""],
        &["If-None-Match: \"other\", \"65937d25-a\""],
        &["If-None-Match: \"other\",W/\"65937d25-a\" , \"more\""],
        &["If-None-Match: *"],
        &["If-None-Match: 65937d25-a"],
        &["If-None-Match:"],
        &["If-None-Match: \"other\"", "If-None-Match: \"65937d25-a\""],
        &["If-Match: \"65937d25-a\""],
        &["If-Match: W/\"65937d25-a\""],
        &["If-Match: \"other\""],
        &["If-Match: \"other\", \"65937d25-a\""],
        &["If-Match: *"],
        &["If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
        &["If-Modified-Since: Mon, 01 Jan 2024 03:04:05 GMT"],
        &["If-Modified-Since: Wed, 03 Jan 2024 03:04:05 GMT"],
        &["If-Modified-Since: Tuesday, 02-Jan-24 03:04:05 GMT"],
        &["If-Modified-Since: Tue Jan  2 03:04:05 2024"],
        &["If-Modified-Since: yesterday"],
        &["If-Modified-Since: 0"],
        &["If-Unmodified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
        &["If-Unmodified-Since: Mon, 01 Jan 2024 03:04:05 GMT"],
        &["If-Unmodified-Since: Wed, 03 Jan 2024 03:04:05 GMT"],
        &["If-Unmodified-Since: yesterday"],
        &["If-None-Match: \"other\"", "If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
        &["If-None-Match: \"65937d25-a\"", "If-Modified-Since: Mon, 01 Jan 2024 03:04:05 GMT"],
        &["If-Match: \"65937d25-a\"", "If-None-Match: \"65937d25-a\""],
        &["If-Match: \"other\"", "If-None-Match: \"65937d25-a\""],
        &["If-None-Match: \"65937d25-a\"", "Range: bytes=0-1"],
        &["If-None-Match: \"other\"", "Range: bytes=0-1"],
        &["If-Match: \"other\"", "Range: bytes=0-1"],
    ];
    let head = Asked::with("HEAD", "/ten.txt", lines[0]);
    let post = Asked::with("POST", "/ten.txt", lines[0]);
    each("/ten.txt", lines).into_iter().chain([head, post]).chain(each("/info.php", &lines[..2])).collect()
}

fn ranges() -> Vec<Asked> {
    let values = [
        "bytes=0-0",
        "bytes=2-4",
        "bytes=7-",
        "bytes=-3",
        "bytes=0-",
        "bytes=-0",
        "bytes=-10",
        "bytes=-1000",
        "bytes=5-1000",
        "bytes=9-9",
        "bytes=10-",
        "bytes=10-20",
        "bytes=4-2",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes 0-1",
        "BYTES=0-1",
        "bytes = 0-1",
        "bytes= 0 - 1",
        "lines=1-2",
        "bytes=0-1,5-6",
        "bytes=0-1, 3-4 , 8-",
        "bytes=5-6,0-1",
        "bytes=0-1,20-30",
        "bytes=20-30,40-50",
        "bytes=0-5,3-7",
        "bytes=0-9,0-9",
        "bytes=0-0,-1",
        "bytes=,0-1",
        "bytes=0-1,",
        "bytes=0-1,x",
        "bytes=0-18446744073709551615",
        "bytes=-18446744073709551616",
        "bytes=18446744073709551616-",
    ];
    let small = values.map(|value| Asked::with("GET", "/ten.txt", &[&format!("Range: {value}")]));
    let more: &[(&str, &str, &[&str])] = &[
        ("HEAD", "/ten.txt", &["Range: bytes=2-4"]),
        ("HEAD", "/ten.txt", &["Range: bytes=0-1,5-6"]),
        ("HEAD", "/ten.txt", &["Range: bytes=10-"]),
        ("POST", "/ten.txt", &["Range: bytes=0-1"]),
        ("GET", "/ten.txt", &["Range: bytes=0-1", "Range: bytes=5-6"]),
        ("GET", "/empty.txt", &["Range: bytes=0-0"]),
        ("GET", "/empty.txt", &["Range: bytes=0-"]),
        ("GET", "/empty.txt", &["Range: bytes=-1"]),
        ("GET", "/big.bin", &["Range: bytes=100000-299998"]),
        ("GET", "/big.bin", &["Range: bytes=0-70000,100000-170000"]),
        ("GET", "/missing.txt", &["Range: bytes=0-1"]),
        ("GET", "/info.php", &["Range: bytes=0-1"]),
        ("GET", "/text", &["Range: bytes=0-1"]),
        ("GET", "/app.js", &["Range: bytes=0-3", "Accept-Encoding: gzip"]),
        ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: \"65937d25-a\""]),
        ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: W/\"65937d25-a\""]),
        ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: \"other\""]),
        ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: Tue, 02 Jan 2024 03:04:05 GMT"]),
        ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: Mon, 01 Jan 2024 03:04:05 GMT"]),
        ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: Wed, 03 Jan 2024 03:04:05 GMT"]),
        ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: nonsense"]),
        ("GET", "/ten.txt", &["Range: bytes=20-", "If-Range: \"other\""]),
        ("GET", "/ten.txt", &["If-Range: \"65937d25-a\""]),
    ];
    let more = more.iter().map(|(method, target, lines)| Asked::with(method, target, lines));
    small.into_iter().chain(more).collect()
}

fn places() -> Vec<Asked> {
    let targets = [
        "/style.css",
        "/logo.svg",
        "/page.html",
        "/no-extension",
        "/empty.txt",
        "/big.bin",
        "/app.js",
        "/html/",
        "/html",
        "/html?a=b",
        "/html/?a=b",
        "//html",
        "/h%74ml",
        "/./html",
        "/a%20b",
        "/a%20b?x=%20",
        "/100%25",
        "/q%3Fa",
        "/x%23y",
        "/%E4%B8%AD%E6%96%87",
        "/中文",
        "/empty",
        "/empty/",
        "/dir",
        "/dir/",
        "/dir/?x",
        "/dir/index.php/a",
        "/info.php/a%20b/c?d=e",
        "/info.php/",
        "/info.phpx",
        "/ten.txt/",
        "/ten.txt/a",
        "/ten.txt%20",
        "/TEN.txt",
        "/missing",
        "/missing/",
        "/assets/a.css",
        "/assets/none.css",
        "/assets/",
        "/assets",
        "/denied/",
        "/denied/a",
        "/denied/../ten.txt",
        "/html/../denied/a",
        "/text",
        "/text?x",
        "/teapot",
        "/gone",
        "/nothing",
        "/moved",
        "/see",
        "/kept?a=b",
        "/hang-up",
        "/../ten.txt",
        "/%zz",
        "/%00",
        "/a%00b",
    ];
    targets.map(Asked::get).into_iter().chain([Asked::with("HEAD", "/assets/a.css", &[])]).collect()
}

fn codings() -> Vec<Asked> {
    let accepted = [
        "gzip",
        "GZIP",
        "gzip, deflate",
        "deflate",
        "gzip;q=0",
        "gzip;q=0.5",
        "gzip;q=0.001",
        "gzip; q=1.000",
        "*",
        "*;q=0",
        "identity",
        "x-gzip",
        "",
    ];
    let accepted =
        accepted.map(|accept| Asked::with("GET", "/app.js", &[&format!("Accept-Encoding: {accept}")]));
    let others = [
        Asked::with("HEAD", "/app.js", &["Accept-Encoding: gzip"]),
        Asked::with("GET", "/ten.txt", &["Accept-Encoding: gzip"]),
        Asked::with("GET", "/app.js", &["Accept-Encoding: gzip", "If-None-Match: *"]),
        Asked::with("GET", "/info.php", &["Accept-Encoding: gzip", "Accept: application/json"]),
        Asked::with("GET", "/missing.txt", &["Accept: application/json"]),
    ];
    accepted.into_iter().chain(others).collect()
}

/// What php says, and what goes out.
fn replies() -> Vec<Asked> {
    let queries = [
        "",
        "b=",
        "n=100000",
        "s=204",
        "s=204&b=",
        "s=304",
        "s=201&h[]=Location:%20/new",
        "s=301&h[]=Location:%20/new",
        "h[]=Location:%20/new?a=%2541",
        "h[]=Location:%20http://other.example/",
        "s=400",
        "s=404",
        "s=404&b=",
        "s=500",
        "s=503&h[]=Retry-After:%205",
        "h[]=Status:%20418%20Teapot",
        "h[]=Content-Type:%20text/plain",
        "h[]=Content-Type:%20text/plain;charset=GBK",
        "h[]=Content-Type:%20application/json",
        "h[]=Content-Type:",
        "h[]=Content-Length:%204",
        "h[]=Set-Cookie:%20a=1&h[]=Set-Cookie:%20b=2;%20Path=/",
        "h[]=Link:%20%3C/a%3E&h[]=Link:%20%3C/b%3E",
        "h[]=Cache-Control:%20no-store&h[]=Expires:%200&h[]=Pragma:%20no-cache",
        "h[]=ETag:%20%22x%22&h[]=Last-Modified:%20Tue,%2002%20Jan%202024%2003:04:05%20GMT",
        "h[]=Content-Encoding:%20gzip",
        "h[]=Connection:%20close",
        "h[]=Connection:%20keep-alive&h[]=Keep-Alive:%20timeout=5",
        "h[]=Transfer-Encoding:%20chunked",
        "h[]=Upgrade:%20h2c",
        "h[]=Accept-Ranges:%20bytes",
        "h[]=Content-Range:%20bytes%200-3/4",
        "h[]=Vary:%20Cookie",
        "h[]=X-Own:%20%E4%B8%AD",
        "h[]=X-Own:",
        "h[]=X-Accel-Expires:%200",
        "h[]=X-Accel-Buffering:%20no",
        "h[]=Refresh:%205;url=/a",
        "h[]=WWW-Authenticate:%20Basic&s=401",
        "h[]=Content-Disposition:%20attachment",
    ];
    let gets = queries.map(|query| Asked::get(&format!("/reply.php?{query}")));
    let heads = ["", "n=100000", "h[]=Content-Length:%204", "s=404", "s=304", "h[]=Location:%20/new"]
        .map(|query| Asked::with("HEAD", &format!("/reply.php?{query}"), &[]));
    // nginx holds these against the headers of php's reply.
    let tagged =
        "/reply.php?h[]=ETag:%20%22x%22&h[]=Last-Modified:%20Tue,%2002%20Jan%202024%2003:04:05%20GMT";
    let conditional = each(
        tagged,
        &[
            &["If-None-Match: \"x\""],
            &["If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
            &["Range: bytes=0-1"],
        ],
    );
    gets.into_iter().chain(heads).chain(conditional).collect()
}

/// Bytes as they stand, and behind them what another request would be.
fn connections() -> Vec<Asked> {
    let next = "GET /ten.txt HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    let raw = |name: &str, bytes: String| Asked::raw(name, bytes + next);
    let line = |line: &str| raw(line, format!("{line}\r\nHost: shop.example\r\n\r\n"));
    let lines = [
        "GET /ten.txt HTTP/1.1",
        "GET /ten.txt HTTP/1.0",
        "GET /info.php HTTP/1.1",
        "GET /info.php HTTP/1.0",
        "GET /reply.php?n=100000 HTTP/1.1",
        "GET /reply.php?n=100000 HTTP/1.0",
        "HEAD /ten.txt HTTP/1.1",
        "HEAD /info.php HTTP/1.1",
        "HEAD /reply.php?n=9 HTTP/1.0",
        "GET /missing HTTP/1.1",
        "GET /missing HTTP/1.0",
        "GET /moved HTTP/1.1",
        "GET /nothing HTTP/1.1",
        "GET /reply.php?s=204 HTTP/1.1",
        "GET /reply.php?s=304 HTTP/1.1",
        "POST /ten.txt HTTP/1.1",
        "GET /%zz HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /ten.txt HTTP/1.2",
        "GET /ten.txt HTTP/2.0",
        "GET /ten.txt",
        "TRACE /ten.txt HTTP/1.1",
        "CONNECT shop.example:80 HTTP/1.1",
        "GET http://shop.example/ten.txt HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ];
    let with = |name: &str, line: &str, more: &str, body: &str| {
        raw(name, format!("{line}\r\nHost: shop.example\r\n{more}\r\n{body}"))
    };
    let get = "GET /ten.txt HTTP/1.1";
    let put = "PUT /info.php HTTP/1.1";
    let others = [
        with("1.0, kept", "GET /ten.txt HTTP/1.0", "Connection: keep-alive\r\n", ""),
        with("1.0 of php, kept", "GET /info.php HTTP/1.0", "Connection: keep-alive\r\n", ""),
        with(
            "1.0 of php with a length, kept",
            "GET /reply.php?h[]=Content-Length:%204 HTTP/1.0",
            "Connection: keep-alive\r\n",
            "",
        ),
        with("1.1, kept", get, "Connection: keep-alive\r\n", ""),
        with("close in capitals", get, "Connection: CLOSE\r\n", ""),
        with("close among others", get, "Connection: x, close\r\n", ""),
        with("a timeout asked for", get, "Keep-Alive: timeout=5, max=3\r\n", ""),
        with("upgrade", get, "Connection: Upgrade\r\nUpgrade: websocket\r\n", ""),
        with("a body for a file, with GET", get, "Content-Length: 4\r\n", "body"),
        with("a GET with a body to php", "GET /info.php HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body to php", put, "Content-Length: 4\r\n", "body"),
        with("an empty body to php", put, "Content-Length: 0\r\n", ""),
        with("chunks for php", put, "Transfer-Encoding: chunked\r\n", "2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n"),
        with("chunks in capitals", put, "Transfer-Encoding: CHUNKED\r\n", "4\r\nbody\r\n0\r\n\r\n"),
        with("chunks, none", put, "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        with(
            "chunks with a trailer",
            put,
            "Transfer-Encoding: chunked\r\nTrailer: X\r\n",
            "4\r\nbody\r\n0\r\nX: y\r\n\r\n",
        ),
        with("a body that is expected", put, "Content-Length: 4\r\nExpect: 100-continue\r\n", "body"),
        with("another expectation", put, "Content-Length: 4\r\nExpect: miracles\r\n", "body"),
        with("a body for a file", "POST /ten.txt HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body for nothing", "POST /missing HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body for what is denied", "POST /denied/a HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("a body for a redirect", "POST /moved HTTP/1.1", "Content-Length: 4\r\n", "body"),
        with("no colon", get, "nonsense\r\n", ""),
        with("a name with a space", get, "X Y: z\r\n", ""),
        with("a space before the colon", get, "X : z\r\n", ""),
        with("a folded line", get, "X: y\r\n z\r\n", ""),
        with("two lengths", put, "Content-Length: 4\r\nContent-Length: 5\r\n", "body"),
        with("the same length twice", put, "Content-Length: 4\r\nContent-Length: 4\r\n", "body"),
        with(
            "a length and chunks",
            put,
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "4\r\nbody\r\n0\r\n\r\n",
        ),
        with(
            "chunks of a 1.0 client",
            "PUT /info.php HTTP/1.0",
            "Transfer-Encoding: chunked\r\n",
            "4\r\nbody\r\n0\r\n\r\n",
        ),
        with("a coding that nobody knows", put, "Transfer-Encoding: br\r\n", "body"),
        with("two Hosts", get, "Host: other.example\r\n", ""),
        with("a header of 20,000 bytes", get, &format!("X: {}\r\n", "x".repeat(20_000)), ""),
        raw("no Host", "GET /ten.txt HTTP/1.1\r\n\r\n".to_owned()),
        raw("no Host in 1.0", "GET /ten.txt HTTP/1.0\r\n\r\n".to_owned()),
        raw("an empty Host", "GET /ten.txt HTTP/1.1\r\nHost:\r\n\r\n".to_owned()),
        raw("a Host that is none", "GET /ten.txt HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        raw("an empty line first", format!("\r\n{get}\r\nHost: shop.example\r\n\r\n")),
        raw(
            "a target of 9,000 bytes",
            format!("GET /ten.txt?{} HTTP/1.1\r\nHost: shop.example\r\n\r\n", "x".repeat(9_000)),
        ),
    ];
    lines.map(line).into_iter().chain(others).collect()
}

const fn row(
    on: &'static str,
    what: &'static str,
    nginx: &'static str,
    cornac: &'static str,
    why: &'static str,
) -> Difference {
    Difference { on, what, nginx, cornac, why }
}

/// Everywhere.
const EVERYWHERE: &[Difference] = &[
    row("*", "php: SERVER_SOFTWARE", "\"nginx/…", "\"cornac/…", "each says its own name"),
    row(
        "*",
        "php: HTTP_X_REQUEST_ID",
        "-",
        "\"…",
        "php's log can name the request that the access log names",
    ),
    row(
        "*",
        "vary",
        "-",
        "Accept-Encoding",
        "a compressed neighbour may come tomorrow: caches must know today",
    ),
    row(
        "*",
        "cache-control",
        "-",
        "no-store",
        "an error of the server's own is over when it is mended: nobody keeps it",
    ),
    row("*", "allow", "-", "GET, HEAD", "a 405 says what is allowed (RFC 9110 §15.5.6)"),
    row("*", "transfer-encoding", "chunked", "-", LENGTH),
    row("*", "content-length", "-", "…", LENGTH),
    row("*", "connection", "keep-alive", "-", UNSAID),
    row("*", "connection", "close", "-", UNSAID),
];

const LENGTH: &str = "a reply of php that is there to its end when its head goes out has a length";
const UNSAID: &str =
    "1.1 keeps a connection and 1.0 closes it unless somebody says otherwise (RFC 9112 §9.3)";
const LIST: &str = "lines of one name are one list (RFC 9110 §5.3)";
const TAGS_FIRST: &str = "where the client sent tags, dates do not count (RFC 9110 §13.2.2)";
const OVERFLOW: &str = "a number beyond 64 bits is beyond the end, not a mistake";
const STORED: &str = "a compressed neighbour is a file of its own: it has parts, and a tag of its own";
const ACCEPTED: &str = "`*` and `x-gzip` accept gzip (RFC 9110 §12.5.3, §8.4.1.3)";
const UNREAD: &str = "a body that nobody wants is not read: what is left of it would be the next request";
const CHUNKED: &str =
    "who reads Content-Length beside chunks sees another end: nothing may follow (RFC 9112 §6.1)";
const UNAMBIGUOUS: &str = "the request was refused, and where it ended is not in doubt";

const DIFFERENCES: &[Difference] = &[
    // Conditions, parts, codings.
    row("/ten.txt [If-None-Match: \"other\" | If-None-Match: \"65937d25-a\"]", "answer", "400", "304", LIST),
    row(
        "/ten.txt [If-Unmodified-Since: yesterday]",
        "answer",
        "412",
        "200",
        "a date that is none is ignored (RFC 9110 §13.1.4)",
    ),
    row(
        "/ten.txt [If-None-Match: \"65937d25-a\" | If-Modified-Since: Mon, 01 Jan 2024 03:04:05 GMT]",
        "answer",
        "200",
        "304",
        TAGS_FIRST,
    ),
    row(
        "/ten.txt [Range: bytes=,0-1]",
        "answer",
        "416",
        "206",
        "an empty element of a list is none (RFC 9110 §5.6.1.2)",
    ),
    row(
        "/ten.txt [Range: bytes=0-1,]",
        "answer",
        "416",
        "206",
        "an empty element of a list is none (RFC 9110 §5.6.1.2)",
    ),
    row("/ten.txt [Range: bytes=0-18446744073709551615]", "answer", "416", "206", OVERFLOW),
    row("/ten.txt [Range: bytes=-18446744073709551616]", "answer", "416", "206", OVERFLOW),
    row("/app.js [Range: bytes=0-3 | Accept-Encoding: gzip]", "answer", "200", "206", STORED),
    row("/app.js [Accept-Encoding: …", "accept-ranges", "-", "bytes", STORED),
    row("HEAD /app.js [Accept-Encoding: gzip]", "accept-ranges", "-", "bytes", STORED),
    row("/app.js [Accept-Encoding: …", "etag", "\"65937d25-a\"", "\"65937d25-a-gzip\"", STORED),
    row("HEAD /app.js [Accept-Encoding: gzip]", "etag", "\"65937d25-a\"", "\"65937d25-a-gzip\"", STORED),
    row("/app.js [Accept-Encoding: …", "etag", "\"65937d25-6a4\"", "\"65937d25-a-gzip\"", ACCEPTED),
    row("/app.js [Accept-Encoding: …", "content-encoding", "-", "gzip", ACCEPTED),
    row("/app.js [Accept-Encoding: …", "content-length", "1700", "10", ACCEPTED),
    row("/app.js [Accept-Encoding: …", "body", "1700 bytes, …", "gzip bytes", ACCEPTED),
    // php's headers.
    row(
        "/reply.php?h[]=Content-Type:",
        "content-type",
        "-",
        "",
        "what php says goes out as it is: this is an empty value",
    ),
    row(
        "/reply.php?h[]=Upgrade:%20h2c",
        "upgrade",
        "h2c",
        "-",
        "a header for the next hop goes no further (RFC 9110 §7.6.1)",
    ),
    // Connections.
    row("1.0 of php, kept", "connection", "close", "keep-alive", LENGTH),
    row("1.0 of php, kept", "the connection", "closes", "answers 200 to the next request", LENGTH),
    row("a body for …", "connection", "keep-alive", "close", UNREAD),
    row("a body for …", "the connection", "answers 200 to the next request", "closes", UNREAD),
    row("chunks…", "connection", "keep-alive", "close", CHUNKED),
    row("chunks…", "the connection", "answers 200 to the next request", "closes", CHUNKED),
    row(
        "TRACE /ten.txt HTTP/1.1",
        "the connection",
        "closes",
        "answers 200 to the next request",
        UNAMBIGUOUS,
    ),
    row("OPTIONS * HTTP/1.1", "the connection", "closes", "answers 200 to the next request", UNAMBIGUOUS),
    row(
        "a target of 9,000 bytes",
        "the connection",
        "closes",
        "answers 200 to the next request",
        UNAMBIGUOUS,
    ),
    // Heads.
    row("GET /ten.txt HTTP/1.2", "answer", "200", "400", "nobody knows what 1.2 will mean"),
    row("GET /ten.txt HTTP/2.0", "answer", "505", "400", "refused is refused"),
    row(
        "GET /ten.txt",
        "answer",
        "0, cut",
        "400",
        "HTTP/0.9 is not spoken: nginx sends the file without a head",
    ),
    row("CONNECT shop.example:80 HTTP/1.1", "answer", "400", "405", "a method that is known and not allowed"),
    row("no colon", "answer", "200", "400", "a line that is no header: nginx drops it"),
    row("the same length twice", "answer", "400", "200", "two that say the same are one (RFC 9110 §8.6)"),
    row("a length and chunks", "answer", "400", "200", CHUNKED),
    row("a coding that nobody knows", "answer", "501", "400", "refused is refused"),
    row(
        "a header of 20,000 bytes",
        "answer",
        "400",
        "200",
        "there is room for large cookies: all of a head may have 64 KB",
    ),
    row(
        "an empty Host",
        "answer",
        "400",
        "200",
        "it names nobody, as a 1.0 client without one: the first site answers",
    ),
];

#[test]
fn the_whole_answer_is_the_one_that_nginx_gives() {
    let (root, fpm) = (root(), Fpm::builder("a").ini("cgi.fix_pathinfo", 0).start());
    let nginx = Nginx::start(&format!(
        "server_name {HOST}; root {}; {}",
        root.path().display(),
        NGINX.replace("BACKEND", &fpm.server())
    ));
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nnames = [{HOST:?}]\nroot = {:?}\n{CORNAC}",
            fpm.server(),
            root.path()
        )
    });
    let all = [methods(), conditions(), ranges(), places(), codings(), replies(), connections()].concat();
    let different: HashSet<_> = all.iter().map(|asked| &asked.bytes).collect();
    assert!(different.len() >= 300, "{} of {}", different.len(), all.len());
    let meant = [EVERYWHERE, DIFFERENCES].concat();
    compare_by(|server, asked| whole(server, asked, &fpm), nginx.address(), cornac.address(), &all, &meant);
}
