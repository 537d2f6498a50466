//! Who the client is behind proxies: headers and PROXY headers are believed from those whom the site trusts and from nobody else, on the
//! wire, in the access log, by access rules and for php.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use support::http::{Connection, Response};
use support::{Cornac, Fpm, Root, free_port};

const TRUSTS_US: &str = "trusted_proxies = [\"127.0.0.1\"]";
const TRUSTS_OTHERS: &str = "trusted_proxies = [\"10.0.0.0/8\", \"unix:\"]";
const TELL: &str = "$remote_addr|$remote_port|$scheme|$realip_remote_addr|$proxy_protocol_addr";

/// A site that tells what it takes a client for; `told` is in the table of its listener.
fn telling(site: &str, told: &str) -> Cornac {
    let root = env!("CARGO_MANIFEST_DIR");
    Cornac::serving(|listen| {
        format!(
            "[server]\naccess_log = {{ path = \"stdout\", format = \"json\" }}\n\
             [[sites]]\nroot = \"{root}\"\nlisten = [{{ address = \"{listen}\"{told} }}]\n{site}\n\
             [[sites.routes]]\nmatch = \"/\"\nreturn = {{ status = 200, body = \"{TELL}\" }}\n\
             [[sites.routes]]\nmatch = \"= /id\"\nreturn = {{ status = 200, body = \"$request_id\" }}\n\
             [[sites.routes]]\nmatch = \"= /README.md\"\nallow = [\"203.0.113.0/24\"]\ndeny = [\"all\"]\n"
        )
    })
}

fn ask(cornac: &Cornac, target: &str, lines: &[&str]) -> Response {
    let mut connection = Connection::open(cornac.address());
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n"));
    connection.response()
}

/// Address, scheme and the connection's own address, without the ports, which vary.
fn told(reply: &Response) -> (String, String, String) {
    let words: Vec<_> = reply.text().trim().split('|').map(str::to_owned).collect();
    (words[0].clone(), words[2].clone(), words[3].clone())
}

fn seen(address: &str, scheme: &str) -> (String, String, String) {
    (address.to_owned(), scheme.to_owned(), "127.0.0.1".to_owned())
}

const FORGED: [&str; 5] = [
    "X-Forwarded-For: 203.0.113.7",
    "X-Real-IP: 203.0.113.7",
    "Forwarded: for=203.0.113.7;proto=https",
    "X-Forwarded-Proto: https",
    "X-Request-Id: forged",
];

#[test]
fn a_trusted_proxy_says_who_the_client_is_and_how_it_came() {
    let cornac = telling(TRUSTS_US, "");
    let list = "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 127.0.0.1";
    assert_eq!(told(&ask(&cornac, "/a", &[list, "X-Forwarded-Proto: https"])), seen("203.0.113.7", "https"));
    assert_eq!(told(&ask(&cornac, "/b", &[])), seen("127.0.0.1", "http"));
    assert_eq!(told(&ask(&cornac, "/c", &["X-Forwarded-For: nonsense"])), seen("127.0.0.1", "http"));
    assert_eq!(cornac.entry("/a")["remote_addr"], "203.0.113.7");
    assert_eq!(ask(&cornac, "/README.md", &[list]).status, 200);
    assert_eq!(ask(&cornac, "/README.md", &["X-Forwarded-For: 203.0.113.7, 192.0.2.1"]).status, 403);
    assert_eq!(ask(&cornac, "/README.md", &[]).status, 403);
}

#[test]
fn nobody_else_is_believed_anything() {
    for site in [TRUSTS_OTHERS, ""] {
        let cornac = telling(site, "");
        assert_eq!(told(&ask(&cornac, "/a", &FORGED)), seen("127.0.0.1", "http"), "{site}");
        assert_eq!(cornac.entry("/a")["remote_addr"], "127.0.0.1");
        assert_eq!(ask(&cornac, "/README.md", &FORGED).status, 403);
        let id = ask(&cornac, "/id", &FORGED);
        assert_eq!(id.text().trim().len(), 32, "{site}: {id:?}");
        assert_eq!(cornac.entry("/id")["request_id"], id.text().trim());
    }
}

#[test]
fn the_header_is_the_one_that_the_site_names() {
    for (header, address) in
        [("Forwarded", "203.0.113.7"), ("X-Real-IP", "198.51.100.1"), ("CF-Connecting-IP", "127.0.0.1")]
    {
        let cornac = telling(&format!("{TRUSTS_US}\nreal_ip_header = \"{header}\""), "");
        let lines = ["Forwarded: for=203.0.113.7", "X-Real-IP: 198.51.100.1", "X-Forwarded-For: 6.6.6.6"];
        assert_eq!(told(&ask(&cornac, "/", &lines)), seen(address, "http"), "{header}");
    }
}

#[test]
fn a_request_s_name_is_taken_from_whom_the_site_trusts_if_it_is_harmless() {
    let cornac = telling(TRUSTS_US, "");
    let name = |line: &str| ask(&cornac, "/id", &[line]).text().trim().to_owned();
    assert_eq!(
        name("X-Request-Id: 7b0c5a0e-6f0c-4b7e-9d2f-1c1f3b9a7e55"),
        "7b0c5a0e-6f0c-4b7e-9d2f-1c1f3b9a7e55"
    );
    assert_eq!(cornac.entry("/id")["request_id"], "7b0c5a0e-6f0c-4b7e-9d2f-1c1f3b9a7e55");
    for bad in ["a b", "<script>", "a\"b", "", &"x".repeat(65)] {
        assert_eq!(name(&format!("X-Request-Id: {bad}")).len(), 32, "{bad}");
    }
}

#[test]
fn php_gets_the_client_the_scheme_and_the_names_of_request_and_trace() {
    let fpm = Fpm::start("a");
    let code = "<?php foreach (['REMOTE_ADDR', 'REMOTE_PORT', 'HTTPS', 'REQUEST_SCHEME', 'HTTP_X_REQUEST_ID', 'HTTP_TRACEPARENT'] as $n) \
                { echo $_SERVER[$n] ?? '-', '|'; }";
    let root = Root::new().file("who.php", code);
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {:?}\npreset = \"plain\"\n{TRUSTS_US}\n",
            fpm.server(),
            root.path()
        )
    });
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let lines = [
        "X-Forwarded-For: [2001:db8::7]:4711",
        "X-Forwarded-Proto: https",
        "X-Request-Id: abc-1",
        &format!("traceparent: {trace}"),
    ];
    assert_eq!(ask(&cornac, "/who.php", &lines).text(), format!("2001:db8::7|4711|on|https|abc-1|{trace}|"));
    let made = ask(&cornac, "/who.php", &[]);
    let words: Vec<_> = made.text().split('|').collect();
    assert_eq!((words[0], words[2], words[3], words[4].len()), ("127.0.0.1", "-", "http", 32));
}

/// All that comes back for these bytes until cornac closes.
fn sent(cornac: &Cornac, bytes: &[u8]) -> String {
    reply(open(cornac, bytes))
}

fn open(cornac: &Cornac, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(cornac.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
    // Whoever is refused is closed before all is read.
    drop(stream.write_all(bytes));
    stream
}

fn reply(mut stream: TcpStream) -> String {
    let mut reply = Vec::new();
    drop(stream.read_to_end(&mut reply));
    String::from_utf8_lossy(&reply).into_owned()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
const V1: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 4660 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xcb\x00\x71\x07\xc6\x33\x64\x01\x12\x34\x01\xbb\x04\x00\x00";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
const ANNOUNCED: &str = ", proxy_protocol = true";

#[test]
fn a_proxy_header_tells_the_client_in_both_versions_and_nobody_s_headers_do_beside_it() {
    let cornac = telling(TRUSTS_US, ANNOUNCED);
    for (header, expected) in [
        (V1, "203.0.113.7|4660|http|127.0.0.1|203.0.113.7"),
        (V2, "203.0.113.7|4660|http|127.0.0.1|203.0.113.7"),
        (LOCAL, "|http|127.0.0.1|"),
        (b"PROXY UNKNOWN\r\n", "|http|127.0.0.1|"),
    ] {
        let reply = sent(&cornac, &[header, GET].concat());
        assert!(
            reply.starts_with("HTTP/1.1 200 ") && reply.contains(expected),
            "{}: {reply}",
            header.escape_ascii()
        );
        assert!(!reply.contains("6.6.6.6"), "{reply}");
    }
}

#[test]
fn a_proxy_header_of_a_stranger_is_read_and_not_believed() {
    let cornac = telling(TRUSTS_OTHERS, ANNOUNCED);
    let reply = sent(&cornac, &[V1, GET].concat());
    assert!(reply.contains("127.0.0.1|") && reply.contains("|127.0.0.1|203.0.113.7"), "{reply}");
}

#[test]
fn without_the_header_there_is_no_answer_where_it_is_required() {
    let cornac = telling(TRUSTS_US, ANNOUNCED);
    for bytes in [GET, b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\x00\x05hello-hello-hello", b""] {
        let stream = open(&cornac, bytes);
        // It may be closed already.
        drop(stream.shutdown(Shutdown::Write));
        assert_eq!(reply(stream), "", "{}", bytes.escape_ascii());
    }
    cornac.wait_for_log("PROXY header");
}

#[test]
fn where_it_is_not_asked_for_it_is_no_request() {
    let cornac = telling(TRUSTS_US, "");
    let reply = sent(&cornac, &[V1, GET].concat());
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert!(!reply.contains("203.0.113.7"), "{reply}");
}

#[test]
fn a_reload_asks_for_the_header_from_then_on() {
    let port = free_port();
    let listen = port.to_string();
    let text = |told: &str| {
        format!(
            "[[sites]]\nlisten = [{{ address = \"{listen}\"{told} }}]\n{TRUSTS_US}\n\
             [[sites.routes]]\nmatch = \"/\"\nreturn = {{ status = 200, body = \"{TELL}\" }}\n"
        )
    };
    let cornac = Cornac::run(&text(""), vec![port]);
    assert!(sent(&cornac, GET).contains("6.6.6.6"));
    std::fs::write(cornac.config_file(), text(ANNOUNCED)).expect("writes");
    cornac.signal(support::Signal::HUP);
    cornac.wait_for_log("reload: ");
    assert!(sent(&cornac, &[V1, GET].concat()).contains("203.0.113.7|4660"));
}
