//! HTTP/1.1 as clients rely on it: connections that are kept, answers in order and in time, whole bodies in both directions. What is
//! refused is in `http_refusals.rs`, files are in `static_files.rs`, php's replies in `replies.rs`, large bodies in `bodies.rs`.

mod support;

use std::fs;

use serde_json::json;
use support::http::{self, BodyReader, Broken, Connection};
use support::{Cornac, Fpm, Root, big_bytes, fixtures};

fn thinkphp(fpm: &Fpm) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {:?}\npreset = \"thinkphp\"\n",
            fpm.server(),
            fixtures("tp/public")
        )
    })
}

#[test]
fn a_connection_is_kept_until_the_client_asks_to_close() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    let mut connection = Connection::open(cornac.address());
    for target in
        ["/json", "/style.css", "/nowhere", "/status/404", "/big/100000", "/.env", "/uploads", "/json"]
    {
        connection.get(target);
    }
    connection.send("GET /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(connection.response().header("connection"), Some("close"));
    assert!(matches!(connection.head(), Err(Broken::Closed)));
}

#[test]
fn a_1_0_client_gets_a_reply_that_ends_with_the_connection() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    for target in ["/big/200000", "/style.css", "/json"] {
        let mut connection = Connection::open(cornac.address());
        connection.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        let response = connection.response();
        assert_eq!((response.status, response.header("transfer-encoding")), (200, None), "{target}");
        if target.starts_with("/big") {
            assert!(response.body == big_bytes(200_000));
        }
        assert!(matches!(connection.head(), Err(Broken::Closed)), "{target}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    let targets = [
        "/sleep/120",
        "/robots.txt",
        "/status/404",
        "/index.php/sleep/1",
        "/.env",
        "/big/70000",
        "/sleep/40",
    ];
    let mut connection = Connection::open(cornac.address());
    let requests: String =
        targets.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    connection.send(format!("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst{requests}"));
    assert_eq!(connection.response().json()["body"]["length"], 5);
    let answers: Vec<_> = targets.iter().map(|_| connection.response()).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!(matches!(statuses.as_slice(), [200, 200, 404, 200, 403 | 404, 200, 200]), "{statuses:?}");
    assert_eq!(answers[0].json()["slept_ms"], 120);
    assert!(answers[1].body == fs::read(fixtures("tp/public/robots.txt")).unwrap());
    assert_eq!(answers[3].json()["slept_ms"], 1);
    assert!(answers[5].body == big_bytes(70_000));
    assert_eq!(answers[6].json()["slept_ms"], 40);
}

#[test]
fn head_is_get_without_the_body() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    let mut connection = Connection::open(cornac.address());
    for target in
        ["/big/100000?length=1", "/big/100000", "/style.css", "/status/404", "/none.php", "/uploads"]
    {
        connection.send(format!("HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = connection.try_response("HEAD").unwrap();
        let get = connection.get(target);
        assert_eq!(head.status, get.status, "{target}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{target}");
        if !get.body.is_empty() && head.header("content-length").is_some() {
            assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{target}");
        }
    }
    assert_eq!(connection.get("/json").status, 200, "the connection is where it should be");
}

#[test]
fn a_chunked_upload_reaches_php_with_its_length() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    // Below and above what is held in memory.
    for size in [0, 1, 1_000, 65_536, 300_000] {
        let bytes = big_bytes(size);
        let expected = cornac.get(&format!("/big/digest/bytes/{size}")).json();
        let mut connection = Connection::open(cornac.address());
        connection.send("PUT /index.php/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (n, piece) in bytes.chunks(7_001).enumerate() {
            let extension = if n == 0 { ";name=\"value\"" } else { "" };
            connection.send(format!("{:X}{extension}\r\n", piece.len()));
            connection.send(piece);
            connection.send("\r\n");
        }
        connection.send("0\r\nX-Trailer: dropped\r\n\r\n");
        let seen = connection.response().json();
        assert_eq!(seen["content_length"], size.to_string(), "CONTENT_LENGTH");
        assert_eq!(seen["body"], json!({ "length": size, "sha256": expected["sha256"] }));
    }
}

#[test]
fn a_sized_upload_arrives_whole_also_in_single_bytes() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    let size = 2_000_000;
    let expected = cornac.get(&format!("/big/digest/bytes/{size}")).json();
    let seen =
        http::request(cornac.address(), "POST", "/upload", &[("Content-Type", "x/y")], &big_bytes(size))
            .json();
    assert_eq!(seen["body"], json!({ "length": size, "sha256": expected["sha256"] }));
    assert_eq!((&seen["content_type"], &seen["content_length"]), (&json!("x/y"), &json!(size.to_string())));

    let mut connection = Connection::open(cornac.address());
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 11";
    for byte in format!("POST /upload HTTP/1.1\r\nHost: x\r\n{form}\r\n\r\na=1&b=2&c=3").bytes() {
        connection.send([byte]);
    }
    assert_eq!(connection.response().json()["post"], json!({ "a": "1", "b": "2", "c": "3" }));
    let ignored = http::request(cornac.address(), "PUT", "/upload/ignore", &[], &big_bytes(size)).json();
    assert_eq!(ignored["ignored"], size.to_string(), "an answer that does not wait for the body");
}

#[test]
fn a_reply_is_whole_with_and_without_a_length() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    let mut connection = Connection::open(cornac.address());
    for size in [0, 1, 65_535, 65_536, 1_234_567] {
        let unsized_one = connection.get(&format!("/big/{size}"));
        assert!(unsized_one.body == big_bytes(size), "{size}");
        let sized = connection.get(&format!("/big/{size}?length=1"));
        assert_eq!(sized.header("content-length"), Some(size.to_string().as_str()));
        assert!(sized.body == big_bytes(size), "{size}, sized");
    }
}

/// Prints a line, then waits until the test has seen it.
const GATE: &str = r#"<?php
$gate = getenv('COUNTER_DIR') . '/gate-' . $_GET['gate'];
header('Content-Type: text/plain');
isset($_GET['unbuffered']) && header('X-Accel-Buffering: no');
echo "first\n";
while (ob_get_level() > 0) { ob_end_flush(); }
flush();
for ($i = 0; $i < 1000 && !file_exists($gate); $i++) { usleep(10000); clearstatcache(); }
echo file_exists($gate) ? "second\n" : "nobody saw the first line\n";
"#;

#[test]
fn what_php_flushes_arrives_before_the_script_ends() {
    let (root, fpm) = (Root::new().file("gate.php", GATE), Fpm::start("a"));
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {:?}\npreset = \"plain\"\n",
            fpm.server(),
            root.path()
        )
    });
    for target in ["/gate.php?gate=1&unbuffered", "/gate.php?gate=2"] {
        let mut connection = Connection::open(cornac.address());
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let mut body = BodyReader::of(&connection.head().unwrap(), "GET").unwrap();
        assert_eq!(body.next(&mut connection).unwrap().unwrap(), b"first\n", "{target}");
        let gate = if target.contains("gate=1") { "gate-1" } else { "gate-2" };
        fs::write(fpm.counters().join(gate), "open").unwrap();
        assert_eq!(body.next(&mut connection).unwrap().unwrap(), b"second\n", "{target}");
        assert!(body.next(&mut connection).unwrap().is_none());
    }
}

#[test]
fn every_answer_has_a_date_and_says_who_answers() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    for target in ["/json", "/style.css", "/none.php", "/.env", "/uploads", "/status/500", "/../x"] {
        let response = cornac.get(target);
        let date = response.header("date").unwrap_or_else(|| panic!("{target}: {response:?}"));
        assert!(date.ends_with(" GMT") && date.len() == 29, "{target}: {date}");
        assert!(
            response.header("server").is_some_and(|server| server.starts_with("cornac")),
            "{target}: {response:?}"
        );
        assert_eq!(response.header_all("date").len(), 1, "{target}");
    }
}

#[test]
fn an_error_is_a_page_for_people_and_json_for_programs() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm);
    let get = |accept: &str| {
        http::request(cornac.address(), "GET", "/none.php/%3Cscript%3E", &[("Accept", accept)], b"")
    };
    let page = get("text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("404 Not Found") && !page.text().contains("<script>"), "{}", page.text());
    assert!(!page.text().contains("/tp/public"), "no path of the machine");
    let json = get("application/json");
    assert_eq!((json.status, json.header("content-type")), (404, Some("application/json")));
    assert_eq!(json.json()["status"], 404);
    // php's own error page is php's.
    assert!(cornac.get("/status/404").text().contains("status 404"));
}
