//! Requests that are refused: the ambiguous, the malformed and the too large. Each is answered and the connection closed, and php ran
//! exactly as often as it should.

mod support;

use support::http::{self, Broken, Connection, Response};
use support::{Cornac, Fpm, fixtures};

fn thinkphp(fpm: &Fpm, site: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {:?}\npreset = \"thinkphp\"\n{site}",
            fpm.server(),
            fixtures("tp/public")
        )
    })
}

/// The only answer to these bytes; the connection must close behind it.
fn only_answer(cornac: &Cornac, name: &str, bytes: &[u8]) -> Response {
    let mut connection = Connection::open(cornac.address());
    connection.send(bytes);
    let first = connection.try_response("GET").unwrap_or_else(|broken| panic!("{name}: {broken:?}"));
    match connection.try_response("GET") {
        Err(Broken::Closed | Broken::Io(_)) => first,
        other => panic!("{name}: after {first:?} came {other:?}"),
    }
}

/// What follows an ambiguous message, for a server that believes it is over.
const SMUGGLED: &str = "GET /index.php/count/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_body_of_ambiguous_length_is_400_and_nothing_behind_it_is_a_request() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    let count = "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\n";
    let chunks = "0\r\n\r\n";
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5 5",
        "Content-Length: 0x5",
        "Content-Length: 5.0",
        "Content-Length: five",
        "Content-Length: ",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551617",
        "Content-Length: 5;",
        "Content-Length: 5,",
        "Content-Length: ,5",
        "Content-Length: 1e1",
        "Content-Length: \u{665}",
        "Content-Length: \x0b5",
        "Content-Length: 5\x00",
        "Content-Length: 5\r\nContent-Length: five",
        "Content-Length: five\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length:",
        "content-length: 5\r\nCONTENT-LENGTH: 6",
        "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6",
        "Content-Length: 9223372036854775808\r\nContent-Length: 0",
        "X: y\r\n Content-Length: 5",
        "X: y\rContent-Length: 5",
        "Content-Length\r\n: 5",
        "Content-Length:\r\n 5",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked foo",
        "Transfer-Encoding: chun\tked",
        "Transfer-Encoding: deflate",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Transfer-Encoding: xchunked\r\nContent-Length: 5",
        "Transfer-Encoding: \u{212a}chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding\x00: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\x00",
        "Transfer-Encoding : chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
    ] {
        let request = format!("{count}{lines}\r\n\r\n{chunks}{SMUGGLED}");
        let response = only_answer(&cornac, lines, request.as_bytes());
        assert!(matches!(response.status, 400 | 501), "{lines:?}: {response:?}");
        assert_eq!((fpm.count("outer"), fpm.count("smuggled")), (0, 0), "{lines:?}");
    }
}

/// RFC 9112 §6.1 and §6.3 would let a server take the chunks and ignore the length, and equal lengths for one. nginx takes neither.
#[test]
fn a_length_that_is_said_twice_is_400_though_nothing_contradicts_it() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    let count = "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\n";
    for (lines, body) in [
        ("Content-Length: 3\r\nContent-Length: 3", "abc"),
        ("content-length:3\r\nX: y\r\nCONTENT-LENGTH:  3", "abc"),
        ("Content-Length: 0\r\nContent-Length: 0", ""),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "3\r\nabc\r\n0\r\n\r\n"),
        ("Content-Length: 13\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ] {
        let request = format!("{count}{lines}\r\n\r\n{body}{SMUGGLED}");
        assert_eq!(only_answer(&cornac, lines, request.as_bytes()).status, 400, "{lines:?}");
        assert_eq!((fpm.count("outer"), fpm.count("smuggled")), (0, 0), "{lines:?}");
    }
}

/// RFC 9112 §2.2 would let a server take it for the end of a line, and nginx does: whoever stands in front of it may not.
#[test]
fn a_bare_lf_in_a_head_is_400_and_nothing_behind_it_is_a_request() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    let before = "GET /index.php/count/before HTTP/1.1\r\nHost: x\r\n\r\n";
    for (number, head) in [
        "GET /index.php/count/outer HTTP/1.1\nHost: x\n\n",
        "GET /index.php/count/outer HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
        "GET /index.php/count/outer HTTP/1.1\r\nHost: x\r\n\n",
        "\nGET /index.php/count/outer HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\nX: y\nContent-Length: 3\r\n\r\nabc",
        "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\nContent-Length: 3\n\r\nabc",
        "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\nabc",
        "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(only_answer(&cornac, head, format!("{head}{SMUGGLED}").as_bytes()).status, 400, "{head:?}");
        // Behind one that is sound, in the same packet: that one is answered.
        let mut connection = Connection::open(cornac.address());
        connection.send(format!("{before}{head}{SMUGGLED}"));
        assert_eq!(connection.response().status, 200, "{head:?}");
        assert_eq!(connection.response().status, 400, "{head:?}");
        let next = connection.try_response("GET");
        assert!(matches!(next, Err(Broken::Closed | Broken::Io(_))), "{head:?}: {next:?}");
        assert_eq!((fpm.count("outer"), fpm.count("smuggled")), (0, 0), "{head:?}");
        assert_eq!(fpm.count("before"), number as u64 + 1, "{head:?}");
    }
}

/// What looks like a head in a body is a body, and the request behind it is one.
#[test]
fn a_body_may_hold_what_a_head_may_not() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    let body = "GET / HTTP/1.1\nContent-Length: 3\r\nContent-Length: 3\r\n\n\r\n\r\n";
    let post = format!(
        "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::open(cornac.address());
    connection.send(format!("{post}{post}"));
    assert_eq!((connection.response().status, connection.response().status), (200, 200));
    connection.send(&post);
    assert_eq!((connection.response().status, fpm.count("outer")), (200, 3));
}

#[test]
fn a_chunk_that_is_none_ends_the_connection_before_php_runs() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    let head = "POST /index.php/count/outer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nno trailer\r\n\r\n",
        "3\r\nabc\r\n0\r\nX: a\nY: b\r\n\r\n",
        "3\r\nabc\r\n0\r\nX: a\rY: b\r\n\r\n",
        "3 abc\r\n0\r\n\r\n",
        "3\r\nabc\r\n\r\n0\r\n\r\n",
        "3\r\nabc\r\n0x0\r\n\r\n",
        "3\r\nabc\r\n-0\r\n\r\n",
        "3\r\rabc\r\n0\r\n\r\n",
        "3\x00\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n0\r\n\r\n",
    ] {
        let mut connection = Connection::open(cornac.address());
        connection.send(format!("{head}{body}{SMUGGLED}"));
        // Answered or just closed: never taken for a request.
        match connection.try_response("GET") {
            Ok(response) => assert_eq!(response.status, 400, "{body:?}: {response:?}"),
            Err(Broken::Closed | Broken::Io(_)) => {}
            Err(broken) => panic!("{body:?}: {broken:?}"),
        }
        let next = connection.try_response("GET");
        assert!(matches!(next, Err(Broken::Closed | Broken::Io(_))), "{body:?}: {next:?}");
        assert_eq!((fpm.count("outer"), fpm.count("smuggled")), (0, 0), "{body:?}");
    }
}

#[test]
fn a_head_that_is_none_is_400() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    for head in [
        "GET /count/outer HTTP/1.1\r\n\r\n",
        "GET http://a/count/outer HTTP/1.1\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET /count/outer HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET /count/outer HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /count/outer HTTP/1.1 x\r\nHost: a\r\n\r\n",
        "GET /count/outer http/1.1\r\nHost: a\r\n\r\n",
        "GET /count/outer\r\nHost: a\r\n\r\n",
        "GET /count/outer\r\n\r\n",
        "GET  /count/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /count/ou ter HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /count/outer%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /count/outer\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET count/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET /count/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "G{T /count/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a,b\r\nHost: c\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\\b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a:b:c\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a?b\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\tb\r\n\r\n",
        "GET /count/outer HTTP/0.9\r\nHost: a\r\n\r\n",
        "GET /count/outer HTTP/1\r\nHost: a\r\n\r\n",
        "GET /count/outer HTTP/1.1\rHost: a\r\n\r\n",
        "GET /count/outer\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/count/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\n\tX: y\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n",
        "GET /count/outer HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        "/count/outer HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        let response = only_answer(&cornac, head, format!("{head}{SMUGGLED}").as_bytes());
        assert!(matches!(response.status, 400 | 505), "{head:?}: {response:?}");
        assert_eq!((fpm.count("outer"), fpm.count("smuggled")), (0, 0), "{head:?}");
    }
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn connect_and_trace_are_refused() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    for (line, statuses) in [
        ("CONNECT a:80 HTTP/1.1", &[400, 405][..]),
        ("CONNECT /count/outer HTTP/1.1", &[400, 405]),
        ("TRACE /count/outer HTTP/1.1", &[405]),
    ] {
        let mut connection = Connection::open(cornac.address());
        connection.send(format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let response = connection.response();
        assert!(statuses.contains(&response.status), "{line}: {response:?}");
    }
    assert_eq!(fpm.count("outer"), 0);
}

#[test]
fn a_body_that_is_too_large_is_413_before_it_is_read() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "max_body = \"1k\"\n");
    let head = "POST /index.php/count/large HTTP/1.1\r\nHost: x\r\n";
    // Not one byte of the body is ever sent.
    for lines in
        ["Content-Length: 100000", "Content-Length: 100000\r\nExpect: 100-continue", "Content-Length: 1025"]
    {
        let response = only_answer(&cornac, lines, format!("{head}{lines}\r\n\r\n").as_bytes());
        assert_eq!((response.status, response.informational.len()), (413, 0), "{lines}");
    }
    // A chunked body has no length to begin with: refused as soon as it is too long, though it does not end.
    let chunk = format!("400\r\n{}\r\n1\r\nx\r\n", "x".repeat(1_024));
    let response = only_answer(
        &cornac,
        "chunked",
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}").as_bytes(),
    );
    assert_eq!(response.status, 413);
    assert_eq!(fpm.count("large"), 0);

    let body = "x".repeat(1_024);
    assert_eq!(
        http::request(cornac.address(), "POST", "/count/large", &[], body.as_bytes()).status,
        200,
        "1k is allowed"
    );
    assert_eq!(fpm.count("large"), 1);
}

#[test]
fn a_target_or_a_head_that_is_too_large_is_414_or_431() {
    let fpm = Fpm::start("a");
    let cornac = thinkphp(&fpm, "");
    let ask = |target: &str, lines: &str| {
        let mut connection = Connection::open(cornac.address());
        // The server may answer and close before it has all.
        let _ = connection.try_send(
            format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n").as_bytes(),
        );
        connection.try_response("GET").map(|response| response.status)
    };
    let path = |length: usize| format!("/json?{}", "x".repeat(length - 6));
    assert_eq!(ask(&path(8_000), "").unwrap(), 200);
    assert_eq!(ask(&path(9_000), "").unwrap(), 414);
    assert_eq!(ask(&path(60_000), "").unwrap(), 414);

    let many = |count: usize| (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>();
    assert_eq!(ask("/json", &many(90)).unwrap(), 200);
    assert_eq!(ask("/json", &many(300)).unwrap(), 431);
    let long = |length: usize| format!("X-Long: {}\r\n", "v".repeat(length));
    assert_eq!(ask("/json", &long(30_000)).unwrap(), 200);
    let too_long = ask("/json", &long(200_000));
    assert!(matches!(too_long, Ok(431) | Err(Broken::Closed | Broken::Io(_))), "{too_long:?}");
    assert_eq!(ask("/json", "").unwrap(), 200);
}
