//! What a client may make of the params and of the redirects: nothing but `HTTP_*` values. Looked at on the wire, because php
//! hides some of it.

mod support;

use std::sync::{Arc, Mutex};

use support::http::{self, Connection, Response};
use support::{Cornac, Fpm, Responder, Root};

/// The params that are the server's own.
const OWN: &[&str] = &[
    "QUERY_STRING",
    "REQUEST_METHOD",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "SCRIPT_NAME",
    "SCRIPT_FILENAME",
    "PATH_INFO",
    "REQUEST_URI",
    "DOCUMENT_URI",
    "DOCUMENT_ROOT",
    "SERVER_PROTOCOL",
    "REQUEST_SCHEME",
    "HTTPS",
    "GATEWAY_INTERFACE",
    "SERVER_SOFTWARE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "SERVER_ADDR",
    "SERVER_PORT",
    "SERVER_NAME",
    "REDIRECT_STATUS",
];

/// The params of one request, in order.
type Params = Vec<(Vec<u8>, Vec<u8>)>;

/// The rig's responder keeps the body of BEGIN_REQUEST in front of the params.
const BEGIN_REQUEST: usize = 8;

/// A backend that runs nothing and keeps what it was sent.
struct Wire {
    responder: Responder,
    seen: Arc<Mutex<Vec<Params>>>,
}

impl Wire {
    fn start() -> Self {
        let seen = Arc::new(Mutex::new(vec![]));
        let theirs = Arc::clone(&seen);
        let responder = Responder::start(move |call| {
            theirs
                .lock()
                .expect("no test panics while it holds this")
                .push(decode(&call.params[BEGIN_REQUEST..]));
            call.reply("Content-Type: text/plain\r\n\r\n");
            true
        });
        Self { responder, seen }
    }

    fn server(&self) -> String {
        self.responder.server()
    }

    /// The params of the requests since the last call.
    fn take(&self) -> Vec<Params> {
        std::mem::take(&mut self.seen.lock().expect("no test panics while it holds this"))
    }
}

/// FastCGI 1.0 §3.4.
fn decode(mut bytes: &[u8]) -> Params {
    let mut params = vec![];
    while !bytes.is_empty() {
        let (name, value) = (length(&mut bytes), length(&mut bytes));
        params.push((bytes[..name].to_vec(), bytes[name..name + value].to_vec()));
        bytes = &bytes[name + value..];
    }
    params
}

fn length(bytes: &mut &[u8]) -> usize {
    let (head, rest) = bytes.split_at(if bytes[0] & 0x80 == 0 { 1 } else { 4 });
    *bytes = rest;
    head.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)) & 0x7fff_ffff
}

fn root() -> Root {
    Root::new().script("index.php").script("info.php").file("dir/note.txt", "note\n")
}

fn cornac(root: &Root, server: &str, site: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{server:?}]\n[[sites]]\nlisten = [{listen:?}]\nnames = [\"shop.example\"]\nroot = {:?}\n{site}",
            root.path()
        )
    })
}

fn value<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    let found = params.iter().find(|(known, _)| known == name.as_bytes());
    found.map(|(_, value)| str::from_utf8(value).expect("UTF-8"))
}

/// Sends the lines with `GET target` and shows what went to the backend.
fn params_of(cornac: &Cornac, wire: &Wire, target: &str, lines: &[&str]) -> Params {
    let mut connection = Connection::open(cornac.address());
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    connection
        .send(format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{lines}\r\n"));
    let response = connection.response();
    assert_eq!(response.status, 200, "{target} {lines}: {response:?}");
    let mut requests = wire.take();
    assert_eq!(requests.len(), 1, "{target} {lines}");
    requests.remove(0)
}

#[test]
fn a_header_never_becomes_a_param_that_is_not_http_something() {
    let (root, wire) = (root(), Wire::start());
    let cornac = cornac(&root, &wire.server(), "preset = \"plain\"");
    let plainly = params_of(&cornac, &wire, "/info.php/p?q=1", &[]);
    let evil = [
        "Script-Filename: /etc/passwd",
        "Script-Name: /evil.php",
        "Path-Info: /evil",
        "Path-Translated: /evil",
        "Document-Root: /",
        "Document-Uri: /evil",
        "Query-String: evil=1",
        "Request-Method: EVIL",
        "Request-Uri: /evil",
        "Remote-Addr: 192.0.2.66",
        "Remote-User: root",
        "Auth-Type: Basic",
        "Server-Name: evil.example",
        "Https: on",
        "Redirect-Status: 404",
        "Redirect-Url: /evil",
        "Request-Body-File: /etc/passwd",
        "Gateway-Interface: EVIL",
        "Php-Value: auto_prepend_file=/etc/passwd",
        "Php-Admin-Value: open_basedir=/",
        "X-Forwarded-For: 192.0.2.66",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 443",
        "X-Real-Ip: 192.0.2.66",
        "Forwarded: for=192.0.2.66;proto=https",
        "Front-End-Https: on",
    ];
    let params = params_of(&cornac, &wire, "/info.php/p?q=1", &evil);
    for (name, bytes) in &params {
        let name = str::from_utf8(name).unwrap();
        assert!(name.starts_with("HTTP_") || OWN.contains(&name), "{name}={}", bytes.escape_ascii());
    }
    for name in OWN.iter().filter(|&&name| name != "REMOTE_PORT") {
        assert_eq!(value(&params, name), value(&plainly, name), "{name}");
    }
    assert_eq!(value(&params, "HTTP_SCRIPT_FILENAME"), Some("/etc/passwd"), "the header itself does arrive");
    assert_eq!(value(&params, "HTTP_X_FORWARDED_FOR"), Some("192.0.2.66"));
    assert_eq!(value(&params, "REMOTE_ADDR"), Some("127.0.0.1"));
}

#[test]
fn a_proxy_header_never_arrives() {
    let (root, wire) = (root(), Wire::start());
    let cornac = cornac(&root, &wire.server(), "preset = \"plain\"");
    for line in ["Proxy: http://evil/", "PROXY: http://evil/", "proxy: http://evil/", "Proxy:"] {
        let params = params_of(&cornac, &wire, "/info.php", &[line, "X-Seen: yes"]);
        assert_eq!(value(&params, "HTTP_PROXY"), None, "{line}");
        assert_eq!(value(&params, "HTTP_X_SEEN"), Some("yes"));
    }
    let params = params_of(&cornac, &wire, "/info.php", &["Proxy-Connection: keep-alive"]);
    assert_eq!(value(&params, "HTTP_PROXY_CONNECTION"), Some("keep-alive"), "a name of its own");
}

#[test]
fn what_only_a_front_end_may_say_never_arrives_from_a_client() {
    let (root, wire) = (root(), Wire::start());
    let said = "preset = \"plain\"\nparams = { HTTP_X_SENDFILE_TYPE = \"X-Accel-Redirect\" }";
    let cornac = cornac(&root, &wire.server(), said);
    for line in ["X-Sendfile-Type: X-Sendfile", "X-Accel-Mapping: /=/etc/", "X-ACCEL-Redirect: /x"] {
        let params = params_of(&cornac, &wire, "/info.php", &[line, "X-Accelerator: yes"]);
        assert_eq!(
            value(&params, "HTTP_X_SENDFILE_TYPE"),
            Some("X-Accel-Redirect"),
            "the operator's word: {line}"
        );
        assert_eq!(value(&params, "HTTP_X_ACCEL_MAPPING"), None, "{line}");
        assert_eq!(value(&params, "HTTP_X_ACCEL_REDIRECT"), None, "{line}");
        assert_eq!(value(&params, "HTTP_X_ACCELERATOR"), Some("yes"), "a name of its own");
    }
}

#[test]
fn names_that_would_alias_are_dropped() {
    let (root, wire) = (root(), Wire::start());
    let cornac = cornac(&root, &wire.server(), "preset = \"plain\"");
    for name in [
        "X_Real_IP",
        "x.real.ip",
        "Content_Length",
        "Content_Type",
        "HTTP_HOST",
        "X-Real_Ip",
        "Cookie_",
        "_",
        ".",
    ] {
        let params = params_of(&cornac, &wire, "/info.php", &[&format!("{name}: evil")]);
        let evil: Vec<_> = params.iter().filter(|(_, value)| value == b"evil").collect();
        assert!(evil.is_empty(), "{name}: {evil:?}");
    }
    let both = params_of(&cornac, &wire, "/info.php", &["X_Real_IP: evil", "X-Real-IP: good"]);
    assert_eq!(value(&both, "HTTP_X_REAL_IP"), Some("good"));
}

#[test]
fn no_param_is_sent_twice() {
    let (root, wire) = (root(), Wire::start());
    let cornac = cornac(&root, &wire.server(), "preset = \"plain\"");
    let lines = [
        "X-Twice: a",
        "Cookie: a=1",
        "x-twice: b",
        "Cookie: b=2",
        "Content-Type: text/x",
        "Accept: x",
        "Accept: y",
        "Authorization: a",
    ];
    let params = params_of(&cornac, &wire, "/info.php", &lines);
    let mut names: Vec<_> = params.iter().map(|(name, _)| name).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{params:?}");
    assert_eq!(value(&params, "HTTP_X_TWICE"), Some("a, b"));
    assert_eq!(value(&params, "HTTP_COOKIE"), Some("a=1; b=2"));
    assert_eq!(value(&params, "CONTENT_TYPE"), Some("text/x"));
}

#[test]
fn what_a_client_wrote_is_never_expanded() {
    let (root, wire) = (root(), Wire::start());
    let cornac = cornac(
        &root,
        &wire.server(),
        r#"
        params = { X_HEADER = "<$http_x_test>", X_ARG = "<$arg_a>", X_URI = "<$uri>", X_COOKIE = "<$cookie_c>" }
        preset = "plain"
        [[sites.routes]]
        match = "/r/"
        rewrite = [{ from = '^/r/(.*)$', to = '/info.php/$1?x=$1', flag = "last" }]
        [[sites.routes]]
        match = "= /say"
        return = { status = 200, body = "<$arg_a>" }
        [[sites.routes]]
        match = "/dir/"
        headers = { "X-Echo" = "<$arg_a>" }
        "#,
    );
    let lines = ["X-Test: $document_root${uri}$1", "Cookie: c=$remote_addr"];
    let params = params_of(&cornac, &wire, "/info.php/$args/$1?a=$document_root", &lines);
    assert_eq!(value(&params, "X_HEADER"), Some("<$document_root${uri}$1>"));
    assert_eq!(value(&params, "X_ARG"), Some("<$document_root>"));
    assert_eq!(value(&params, "X_URI"), Some("</info.php/$args/$1>"));
    assert_eq!(value(&params, "X_COOKIE"), Some("<$remote_addr>"));
    assert_eq!(value(&params, "HTTP_X_TEST"), Some("$document_root${uri}$1"));
    assert_eq!(value(&params, "PATH_INFO"), Some("/$args/$1"));

    let rewritten = params_of(&cornac, &wire, "/r/$document_root$args?$uri", &[]);
    assert_eq!(value(&rewritten, "PATH_INFO"), Some("/$document_root$args"));
    let query = value(&rewritten, "QUERY_STRING").unwrap().replace("%24", "$");
    assert_eq!(query, "x=$document_root$args&$uri");

    assert_eq!(cornac.get("/say?a=$document_root").text(), "<$document_root>");
    let file = cornac.get("/dir/note.txt?a=$document_root");
    assert_eq!((file.text(), file.header("x-echo")), ("note\n", Some("<$document_root>")));
}

/// Exactly one response, whose headers are ours.
fn only_answer(cornac: &Cornac, target: &str) -> Response {
    let mut connection = Connection::open(cornac.address());
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"));
    let response = connection.response();
    assert!(matches!(connection.head(), Err(http::Broken::Closed)), "{target}: two answers to one request");
    for (name, value) in &response.headers {
        assert!(
            !name.eq_ignore_ascii_case(b"x-evil") && !name.eq_ignore_ascii_case(b"set-cookie"),
            "{target}"
        );
        assert!(value.iter().all(|&byte| byte >= b' ' || byte == b'\t'), "{target}: {response:?}");
    }
    response
}

#[test]
fn a_newline_in_a_url_never_reaches_a_location() {
    let root = root().file("d\r\nX-Evil: 1/note.txt", "note\n").file("evil.example/note.txt", "note\n");
    let wire = Wire::start();
    let cornac = cornac(
        &root,
        &wire.server(),
        r#"
        preset = "plain"
        [[sites.routes]]
        match = "/go"
        return = { status = 302, url = "/to$uri" }
        [[sites.routes]]
        match = "/arg"
        return = { status = 301, url = "/to?$arg_a" }
        [[sites.routes]]
        match = "/old"
        rewrite = [{ from = '(?s)^/old/(.*)$', to = '/new/$1', flag = "redirect" }, { from = '(?s)^/older/(.*)$', to = 'http://x.example/$1?b=$1', flag = "permanent" }]
        [[sites.routes]]
        match = "/headers"
        headers = { "X-Uri" = "$uri", "X-Arg" = "$arg_a" }
        return = { status = 200, body = "fine" }
        "#,
    );
    for (target, status) in [
        ("/go/%0D%0AX-Evil:%201", 302),
        ("/go%0D%0A%0D%0A<html>", 302),
        ("/go/%0AX-Evil:%201", 302),
        ("/go/%0D", 302),
        ("/old/%0D%0AX-Evil:1", 302),
        ("/older/%0D%0ASet-Cookie:%20a=1", 301),
        ("/d%0D%0AX-Evil:%201", 301),
    ] {
        let target = target.replace('<', "%3C").replace('>', "%3E");
        let response = only_answer(&cornac, &target);
        assert_eq!(response.status, status, "{target}: {response:?}");
        let location = response.header("location").unwrap().to_ascii_uppercase();
        assert!(location.contains("%0A") || location.contains("%0D"), "{target}: {location}");
    }
    for target in ["/arg?a=%0D%0AX-Evil:%201", "/headers/%0D%0AX-Evil:%201", "/headers?a=%0D%0AX-Evil:%201"] {
        assert!(matches!(only_answer(&cornac, target).status, 200 | 301), "{target}");
    }
    assert_eq!(
        only_answer(&cornac, "//evil.example").header("location"),
        Some("/evil.example/"),
        "not another host's"
    );
    assert_eq!(only_answer(&cornac, "/old///evil.example/x").header("location"), Some("/new/evil.example/x"));
    assert_eq!(wire.take().len(), 0);
}

#[test]
fn php_fpm_s_own_pages_are_not_reachable_through_a_site() {
    let root = root();
    let fpm = Fpm::builder("a")
        .directive("pm.status_path", "/status.php")
        .directive("ping.path", "/ping.php")
        .start();
    // With cgi.fix_pathinfo = 0 php-fpm takes PATH_INFO for the path of its page, so that /index.php/fpm-status shows it behind any front
    // end: a pool with that setting needs pm.status_listen.
    let default = Fpm::start("b");
    for (fpm, pages) in [(&fpm, ["/status.php", "/ping.php"]), (&default, ["/fpm-status", "/fpm-ping"])] {
        for preset in ["plain", "thinkphp", "laravel", "wordpress"] {
            let cornac = cornac(&root, &fpm.server(), &format!("preset = {preset:?}"));
            for page in pages {
                let encoded = page.replace('s', "%73").replace('g', "%67");
                for target in [
                    page.to_owned(),
                    format!("{page}?full&json"),
                    format!("/{page}"),
                    format!("/index.php{page}"),
                    format!("/index.php/..{page}"),
                    format!("{page}/x"),
                    format!("/x/..{page}"),
                    encoded,
                    format!("http://shop.example{page}"),
                ] {
                    let response = cornac.get(&target);
                    let text = String::from_utf8_lossy(&response.body).into_owned();
                    assert!(
                        !text.contains("accepted conn") && !text.contains("pong"),
                        "{preset} {target}: {text}"
                    );
                    assert!(matches!(response.status, 200 | 403 | 404), "{preset} {target}: {response:?}");
                }
            }
        }
    }
}
