//! Internal redirects: what a script orders with `X-Accel-Redirect`, and the pages of errors. Real php-fpm; the client looks at
//! what it got, and php's counters at how often it ran.

mod support;

use std::net::SocketAddr;

use support::http::{self, Connection, Response};
use support::{Cornac, Fpm, Root};

/// Orders what `to` says, with the headers of `add` and a body that nobody should see.
const ORDER: &str = r#"<?php
require getenv('FIXTURES') . '/shared/mirror.php';
fixture\count_run('orders');
foreach ((array) ($_GET['add'] ?? []) as $line) { header($line, false); }
isset($_GET['status']) && http_response_code((int) $_GET['status']);
header('X-Accel-Redirect: ' . ($_GET['to'] ?? '/private/report.txt'));
echo 'the body of the script';
if (isset($_GET['goes_on'])) { ob_get_level() && ob_end_flush(); flush(); wait(); echo str_repeat('x', 1 << 20); fixture\count_run('ended'); }

function wait(): void
{
    $open = fixture\counter_file('end') . '.open';
    for ($left = 30_000; $left > 0 && !file_exists($open); $left -= 2) { usleep(2_000); clearstatcache(true, $open); }
}
"#;

/// Orders itself.
const CIRCLE: &str = "<?php require getenv('FIXTURES') . '/shared/mirror.php'; fixture\\count_run('circles'); header('X-Accel-Redirect: /inner/circle.php');";

/// Fails as `status` says.
const FAIL: &str = r#"<?php
header('WWW-Authenticate: Basic realm="x"');
header('Content-Type: text/plain');
http_response_code((int) $_GET['status']);
echo 'the page of the script';
"#;

/// The page of an error.
const OOPS: &str = r#"<?php
require getenv('FIXTURES') . '/shared/mirror.php';
fixture\count_run('oops');
if (isset($_GET['own'])) { http_response_code((int) $_GET['own']); }
header('Content-Type: text/plain');
$names = ['REDIRECT_STATUS', 'REQUEST_METHOD', 'REQUEST_URI', 'QUERY_STRING', 'CONTENT_LENGTH'];
echo 'oops ', implode(' ', array_map(fn ($name) => $name . '=' . $_SERVER[$name], $names)), ' body=', file_get_contents('php://input');
"#;

const ROUTES: &str = r#"
[[sites.routes]]
match = "/private/"
internal = true
alias = "ROOT/../store/"

[[sites.routes]]
match = "^~ /inner/"
internal = true
fastcgi = true

[[sites.routes]]
match = "^~ /run/"
internal = true
rewrite = { from = '^/run/(.*)$', to = "/inner/$1", flag = "last" }

[[sites.routes]]
match = "@named"
return = { status = 200, body = "named $uri $args" }

[[sites.routes]]
match = "@oops"
fastcgi = true
script = "/inner/oops.php"

[[sites.routes]]
match = '~ ^/fail/'
fastcgi = true
script = "/fail.php"
intercept_errors = true
error_pages = { 404 = "/404.html", "401 500" = "@oops", 503 = "=200 /404.html", 418 = "= /inner/oops.php?own=203", 410 = "https://gone.example/?from=$uri" }

[[sites.routes]]
match = "= /sendfile.php"
fastcgi = true
x_sendfile = { "/app/storage" = "ROOT/../store" }

[[sites.routes]]
match = "/listed/"
autoindex = true

[[sites.routes]]
match = "/pages/"
error_pages = { 404 = "/404.html", 405 = "/404.html" }

[[sites.routes]]
match = "/shown/"
error_pages = { 404 = "= @oops" }

[[sites.routes]]
match = "/lost/"
error_pages = { 404 = "/lost/404.html" }

[[sites.routes]]
match = "= /limited.php"
fastcgi = true
max_body = 3
error_pages = { 413 = "/404.html" }

[[sites.routes]]
match = '~ \.php$'
fastcgi = true

[[sites.routes]]
match = "/"
"#;

struct Rig {
    fpm: Fpm,
    cornac: Cornac,
    _root: Root,
}

impl Rig {
    /// One worker: whoever holds it holds everybody.
    fn start() -> Self {
        let root = Root::new()
            .outside("store/report.txt", "0123456789")
            .outside("store/deep/100% sure.txt", "sure\n")
            .outside("store/source.php", "<?php // SOURCE")
            .file("hello.txt", "hello\n")
            .file("404.html", "<h1>our own page</h1>\n")
            .file("order.php", ORDER)
            .file("inner/order.php", ORDER)
            .file("fail.php", FAIL)
            .file(
                "sendfile.php",
                "<?php header('X-Sendfile: ' . $_GET['path']); header('Content-Type: application/x-own');",
            )
            .file("nosendfile.php", "<?php header('X-Sendfile: ' . $_GET['path']); echo 'own';")
            .file("listed/<b>.txt", "12345")
            .file("listed/sub/x", "")
            .file("listed/.hidden", "")
            .file("listed/old.php~", "")
            .file("listed/run.php", "")
            .file("inner/oops.php", OOPS)
            .file("inner/circle.php", CIRCLE)
            .script("limited.php")
            .script("info.php");
        let fpm = Fpm::builder("a").workers(1).env("FIXTURES", support::fixtures("").display()).start();
        let routes = ROUTES.replace("ROOT", &root.path().display().to_string());
        let cornac = Cornac::serving(|listen| {
            format!(
                "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {:?}\n{routes}",
                fpm.server(),
                root.path()
            )
        });
        Self { fpm, cornac, _root: root }
    }

    fn get(&self, target: &str) -> Response {
        self.cornac.get(target)
    }

    fn ask(&self, method: &str, target: &str, lines: &[&str]) -> Response {
        ask(self.cornac.address(), method, target, lines, "")
    }

    /// The order of a script, and what came of it.
    fn ordered(&self, to: &str) -> Response {
        let to: String = to.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.get(&format!("/order.php?to={to}"))
    }
}

fn ask(server: SocketAddr, method: &str, target: &str, lines: &[&str], body: &str) -> Response {
    let mut connection = Connection::open(server);
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    connection.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}{lines}\r\n{body}"
    ));
    connection.try_response(method).unwrap_or_else(|broken| panic!("{method} {target}: {broken:?}"))
}

#[test]
fn a_script_hands_a_file_over() {
    let rig = Rig::start();
    let file = rig.get("/order.php");
    assert_eq!((file.status, file.text()), (200, "0123456789"));
    assert_eq!(file.header("x-accel-redirect"), None);
    assert_eq!(file.header("content-length"), Some("10"));
    assert_eq!(
        file.header("content-type"),
        Some("text/html; charset=UTF-8"),
        "php says what it is, as with nginx"
    );
    let validators = ["etag", "last-modified"].map(|name| file.header(name).expect(name).to_owned());

    let target = "/order.php?add[]=Content-Type:+application/pdf&add[]=Content-Disposition:+attachment&add[]=Set-Cookie:+a=1\
                  &add[]=Set-Cookie:+b=2&add[]=Cache-Control:+private&add[]=ETag:+%22php%22&add[]=X-Own:+php&status=404";
    let kept = rig.get(target);
    assert_eq!((kept.status, kept.text()), (200, "0123456789"));
    for (name, expected) in [
        ("content-type", &["application/pdf"][..]),
        ("content-disposition", &["attachment"]),
        ("set-cookie", &["a=1", "b=2"]),
        ("cache-control", &["private"]),
        ("etag", &[&validators[0]]),
        ("x-own", &[]),
    ] {
        assert_eq!(kept.header_all(name), expected, "{name}");
    }

    let part = rig.ask("GET", "/order.php", &["Range: bytes=2-4"]);
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "234", Some("bytes 2-4/10")));
    let parts = rig.ask("GET", "/order.php", &["Range: bytes=0-0,2-2"]);
    assert!(parts.header("content-type").is_some_and(|media| media.starts_with("multipart/byteranges")));
    let same = rig.ask("GET", "/order.php", &[&format!("If-None-Match: {}", validators[0])]);
    assert_eq!((same.status, same.text(), same.header("content-type")), (304, "", None));
    let since = rig.ask("GET", "/order.php", &[&format!("If-Modified-Since: {}", validators[1])]);
    assert_eq!(since.status, 304);
    let beyond = rig.ask("GET", "/order.php", &["Range: bytes=20-"]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    let head = rig.ask("HEAD", "/order.php", &[]);
    assert_eq!((head.status, head.text(), head.header("content-length")), (200, "", Some("10")));
    let post = ask(rig.cornac.address(), "POST", "/order.php", &[], "a body");
    assert_eq!((post.status, post.text()), (200, "0123456789"), "a file is asked for with GET");
}

#[test]
fn an_order_may_lead_to_a_script_a_name_or_an_odd_file() {
    let rig = Rig::start();
    assert_eq!(rig.ordered("/private/deep/100%25%20sure.txt").text(), "sure\n");
    assert_eq!(rig.ordered("/private/deep/100% sure.txt").text(), "sure\n");
    assert_eq!(rig.ordered("//private//.//report.txt?x=/../").text(), "0123456789");
    assert_eq!(rig.ordered("@named").text(), "named /order.php to=%40%6e%61%6d%65%64");
    let script = rig.ordered("/run/oops.php?a=%41&own=202");
    assert_eq!(script.status, 202);
    assert!(script.text().starts_with("oops REDIRECT_STATUS=200 REQUEST_METHOD=GET"), "{}", script.text());
    assert!(script.text().ends_with("QUERY_STRING=a=%41&own=202 CONTENT_LENGTH= body="), "{}", script.text());
    let missing = rig.ordered("/private/missing.txt");
    assert_eq!((missing.status, missing.header("cache-control")), (404, Some("no-store")));
    assert_eq!(rig.ordered("/private/").status, 403);
}

#[test]
fn an_order_to_what_anybody_may_ask_for_is_refused_and_the_operator_is_told_what_to_write() {
    let rig = Rig::start();
    for to in ["/hello.txt", "/info.php", "/private/source.php", "/", "@nobody"] {
        let refused = rig.ordered(to);
        assert_eq!(refused.status, 500, "{to}: {refused:?}");
        assert!(
            !refused.text().contains("SOURCE") && !refused.text().contains("script"),
            "{to}: {refused:?}"
        );
    }
    assert_eq!(rig.fpm.count("runs"), 0, "no script was run for such an order");
    rig.cornac.wait_for_log(
        r#"X-Accel-Redirect to "/hello.txt" is refused: it leads to the route '/', which is not internal; a route for it needs internal = true"#,
    );
    rig.cornac.wait_for_log(r#"X-Accel-Redirect to "@nobody" is refused: no route has that name"#);
}

#[test]
fn an_order_never_leaves_the_folder_of_its_route() {
    let rig = Rig::start();
    let out = [
        "/private/../secret.txt",
        "/private/..",
        "/private/../",
        "/private/../../../../../etc/passwd",
        "/private/%2e%2e/secret.txt",
        "/private/.%2e/secret.txt",
        "/private/%2E./secret.txt",
        "/private%2f..%2fsecret.txt",
        "/private/deep/../../secret.txt",
        "/private/./../secret.txt",
        "/private//../secret.txt",
        "/private/%252e%252e/secret.txt",
        "/private/..%5csecret.txt",
        "/private/%00",
        "/private/report.txt%00.jpg",
        "/private/%c0%ae%c0%ae/secret.txt",
        "/privatesecret.txt",
        "/private../secret.txt",
        "/private/report.txt/",
        "/private/report.txt/../../secret.txt",
        "../secret.txt",
        "secret.txt",
        "",
        "?x",
        "http://elsewhere/private/report.txt",
        "/private",
    ];
    for to in out {
        let refused = rig.ordered(to);
        let text = refused.text();
        assert!(
            !text.contains("SECRET") && !text.contains("root:") && !text.contains("0123"),
            "{to}: {refused:?}"
        );
        assert!(matches!(refused.status, 404 | 500) || to.is_empty(), "{to}: {refused:?}");
    }
}

#[test]
fn a_client_cannot_order_anything() {
    let rig = Rig::start();
    let lines = ["X-Accel-Redirect: /private/report.txt", "X-Accel-Limit-Rate: 1", "X-Sendfile: /etc/passwd"];
    for target in ["/info.php", "/hello.txt", "/missing"] {
        let reply = rig.ask("GET", target, &lines);
        assert!(!reply.text().contains("0123456789"), "{target}: {reply:?}");
    }
    assert_eq!(rig.ask("GET", "/private/report.txt", &lines).status, 404);
    assert_eq!(rig.ask("GET", "/hello.txt", &lines).text(), "hello\n");
}

#[test]
fn scripts_that_order_each_other_in_a_circle_end_with_500() {
    let rig = Rig::start();
    assert_eq!(rig.ordered("/inner/circle.php").status, 500);
    assert_eq!(rig.fpm.count("circles"), 10, "and no later than nginx");
    rig.cornac.wait_for_log("more than 10 in a row");
}

#[test]
fn a_script_that_goes_on_behind_its_order_runs_to_its_end() {
    let rig = Rig::start();
    let file = rig.get("/order.php?goes_on=1");
    assert_eq!((file.status, file.text()), (200, "0123456789"), "the client does not wait for it");
    rig.fpm.open_gate("end");
    rig.fpm.wait_for_count("ended", 1);
    assert_eq!(rig.get("/order.php").status, 200, "and its worker serves others");
    assert_eq!(rig.fpm.count("orders"), 2);
}

#[test]
fn a_limited_reply_is_whole_and_holds_no_worker() {
    let rig = Rig::start();
    let mut slow = Connection::open(rig.cornac.address());
    slow.send("GET /order.php?add[]=X-Accel-Limit-Rate:+3 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = slow.head().expect("a head");
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
    // The rest takes three seconds; the only worker is free all the while.
    assert_eq!(rig.get("/info.php").status, 200);
    let mut body = http::BodyReader::of(&head, "GET").expect("a body");
    let mut pieces = Vec::new();
    while let Some(piece) = body.next(&mut slow).expect("the rest comes") {
        pieces.push(piece);
    }
    assert_eq!(pieces.concat(), b"0123456789");
    assert!(pieces.len() > 1, "all came at once");
    let charset = rig.get("/order.php?add[]=X-Accel-Charset:+gbk");
    assert_eq!(charset.header("content-type"), Some("text/html; charset=gbk"));
}

#[test]
fn an_error_has_the_page_that_the_route_names() {
    let rig = Rig::start();
    let page = rig.ask("GET", "/pages/missing", &["If-None-Match: *", "Range: bytes=0-1"]);
    assert_eq!((page.status, page.text()), (404, "<h1>our own page</h1>\n"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!((page.header("last-modified"), page.header("accept-ranges")), (None, None));
    let head = rig.ask("HEAD", "/pages/missing", &[]);
    assert_eq!((head.status, head.text(), head.header("content-length")), (404, "", Some("22")));
    let put = rig.ask("PUT", "/pages/missing", &[]);
    assert_eq!((put.status, put.text(), put.header("allow")), (405, page.text(), Some("GET, HEAD")));
    assert!(rig.get("/missing").text().contains("404 Not Found"), "others have the standard page");
    let large = ask(rig.cornac.address(), "POST", "/limited.php", &[], "four");
    assert_eq!((large.status, large.text(), large.header("connection")), (413, page.text(), Some("close")));
    assert_eq!(rig.fpm.count("runs"), 0);
}

#[test]
fn an_error_inside_an_error_page_gives_the_standard_page_of_the_first() {
    let rig = Rig::start();
    let lost = rig.get("/lost/x");
    assert_eq!(lost.status, 404);
    assert!(lost.text().contains("404 Not Found"), "{lost:?}");
    rig.cornac.wait_for_log("the error page for 404 is answered with 404 itself");
}

#[test]
fn a_script_s_errors_get_pages_when_the_route_says_so() {
    let rig = Rig::start();
    let missing = rig.get("/fail/?status=404");
    assert_eq!((missing.status, missing.text()), (404, "<h1>our own page</h1>\n"));
    assert_eq!(missing.header("www-authenticate"), None);
    let other = rig.get("/fail/?status=403");
    assert_eq!((other.status, other.text()), (403, "the page of the script"), "no page is named for it");
    let override_ = rig.get("/fail/?status=503");
    assert_eq!((override_.status, override_.text()), (200, "<h1>our own page</h1>\n"));
    let away = rig.get("/fail/?status=410");
    assert_eq!((away.status, away.header("location")), (302, Some("https://gone.example/?from=/fail/")));
    let challenge = rig.get("/fail/?status=401");
    assert_eq!((challenge.status, challenge.header("www-authenticate")), (401, Some("Basic realm=\"x\"")));
    let direct = rig.get("/fail.php?status=404");
    assert_eq!(
        (direct.status, direct.text()),
        (404, "the page of the script"),
        "not asked for, not intercepted"
    );
}

#[test]
fn a_script_may_be_the_page_and_knows_the_error() {
    let rig = Rig::start();
    let page = ask(rig.cornac.address(), "POST", "/fail/?status=500", &[], "a body");
    assert_eq!(page.status, 500);
    let expected = "oops REDIRECT_STATUS=500 REQUEST_METHOD=GET REQUEST_URI=/fail/?status=500 QUERY_STRING=status=500 CONTENT_LENGTH= body=";
    assert_eq!(page.text(), expected);
    let own = rig.get("/fail/?status=418");
    assert_eq!(own.status, 203, "its status is its own: {own:?}");
    let head = rig.ask("HEAD", "/fail/?status=500", &[]);
    assert_eq!((head.status, head.text()), (500, ""));

    // try_files by another name: what is no file goes to a script, with all that the client sent.
    let fallback = ask(rig.cornac.address(), "POST", "/shown/x?y=1", &[], "a body");
    let expected = "oops REDIRECT_STATUS=404 REQUEST_METHOD=POST REQUEST_URI=/shown/x?y=1 QUERY_STRING=y=1 CONTENT_LENGTH=6 body=a body";
    assert_eq!((fallback.status, fallback.text()), (200, expected));
}

#[test]
fn a_script_sends_a_file_by_its_path_from_the_route_s_folders_only() {
    let rig = Rig::start();
    let file = rig.get("/sendfile.php?path=/app/storage/report.txt");
    assert_eq!(
        (file.status, file.text(), file.header("content-type")),
        (200, "0123456789", Some("application/x-own"))
    );
    assert_eq!(file.header("x-sendfile"), None);
    let part = rig.ask("GET", "/sendfile.php?path=/app/storage/report.txt", &["Range: bytes=-2"]);
    assert_eq!((part.status, part.text()), (206, "89"));
    assert_eq!(rig.get("/sendfile.php?path=/app/storage/missing").status, 404);
    for path in [
        "/etc/passwd",
        "/app/storage/../secret.txt",
        "/app/storage/source.php",
        "report.txt",
        "",
        "/app/storage%00",
    ] {
        let refused = rig.get(&format!("/sendfile.php?path={path}"));
        assert!(refused.status >= 404 || path.is_empty() || path.ends_with("%00"), "{path}: {refused:?}");
        assert!(
            !["root:", "SECRET", "SOURCE"].iter().any(|text| refused.text().contains(text)),
            "{path}: {refused:?}"
        );
    }
    let nowhere = rig.get("/nosendfile.php?path=/app/storage/report.txt");
    assert_eq!((nowhere.status, nowhere.header("x-sendfile")), (500, None));
    rig.cornac.wait_for_log(
        r#"X-Sendfile to "/etc/passwd" is refused: it lies in no folder of the route's x_sendfile"#,
    );
}

#[test]
fn a_listing_shows_what_may_be_had() {
    let rig = Rig::start();
    let page = rig.get("/listed/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let links: Vec<_> =
        page.text().split("<a href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links, ["../", "sub/", "%3Cb%3E.txt", "run.php"]);
    assert!(
        page.text().contains("&lt;b&gt;.txt</a>") && page.text().contains("<td>5</td>"),
        "{}",
        page.text()
    );
    assert_eq!(rig.get("/listed/%3Cb%3E.txt").text(), "12345");
    let head = rig.ask("HEAD", "/listed/", &[]);
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(rig.get("/pages/").status, 404, "others are not listed");
}

#[test]
fn explain_shows_the_page_that_an_error_gets() {
    let rig = Rig::start();
    let config = rig.cornac.config_file();
    let explain = |target: &str| {
        let url = format!("http://x{target}");
        Cornac::command(&["explain", "-c", config.to_str().expect("UTF-8"), &url]).text
    };
    let page = explain("/pages/missing");
    assert!(page.contains("the page for 404 is /404.html"), "{page}");
    assert!(page.contains("/404.html\nand says 404"), "{page}");
    let own = explain("/shown/x");
    assert!(own.contains("the page for 404 is @oops") && own.contains("runs a script"), "{own}");
    assert!(!own.contains("and says"), "{own}");
    assert!(explain("/listed/").contains("lists the folder"));
}
