//! What php answers is what the client gets, or the client sees that it did not: never a broken reply that looks whole,
//! never somebody else's, and never what belongs in the log.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::http::{self, BodyReader, Broken, Connection, Response};
use support::{Cornac, Fpm, Tp, big_bytes, server, wait_until};

fn one_worker() -> (Fpm, Cornac) {
    let fpm = Fpm::builder("a").workers(1).start();
    let cornac = Tp::with_servers(vec![server(&fpm, "max_conns = 1")]).start();
    (fpm, cornac)
}

fn try_get(cornac: &Cornac, target: &str) -> Result<Response, Broken> {
    http::try_request(cornac.address(), "GET", target, &[], b"")
}

#[test]
fn a_reply_shorter_than_its_content_length_never_ends_cleanly() {
    let (_fpm, cornac) = one_worker();
    http::assert_never_a_clean_end(try_get(&cornac, "/exitmid?declared=10000&sent=1000"));
    http::assert_never_a_clean_end(try_get(&cornac, "/exitmid?declared=3000000&sent=2000000"));
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn a_reply_longer_than_its_content_length_does_not_reach_the_next_one() {
    let (_fpm, cornac) = one_worker();
    let mut client = Connection::open(cornac.address());
    client.send("GET /exitmid?declared=100&sent=1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    match client.try_response("GET") {
        Ok(response) if response.status == 200 => {
            assert_eq!(response.body, [b'm'; 100]);
            if !client.is_closed(Duration::from_millis(200)) {
                assert_eq!(client.get("/json").json()["ok"], true);
            }
        }
        other => http::assert_never_a_clean_end(other),
    }
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn a_worker_killed_in_mid_reply_aborts_the_clients_stream() {
    let (fpm, cornac) = one_worker();
    http::assert_never_a_clean_end(try_get(&cornac, "/fatal/halfway"));

    let mut client = Connection::open(cornac.address());
    client.send("GET /gate/half?first=the-first-half&unbuffered=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.head().expect("a head");
    let mut body = BodyReader::of(&head, "GET").unwrap();
    assert_eq!(body.next(&mut client).unwrap().unwrap(), b"the-first-half");
    assert!(wait_until(Duration::from_secs(5), || fpm.count("half") == 1));
    fpm.kill_worker();
    assert!(matches!(body.next(&mut client), Err(http::Stopped::Ended)), "a clean end of half a reply");
    assert_eq!(cornac.entry("/gate/half?first=the-first-half&unbuffered=1")["end"], "failed");
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn error_pages_of_the_application_reach_the_client_as_they_are() {
    let (_fpm, cornac) = one_worker();
    let error = cornac.get("/error");
    assert_eq!(error.status, 500);
    assert!(error.text().contains("thrown on purpose &lt;by&gt;"), "{}", error.text());
    for (target, status) in [("/fatal", 500), ("/fatal/memory", 500), ("/nowhere", 404)] {
        assert_eq!(cornac.get(target).status, status, "{target}");
    }
    for status in [200, 201, 400, 401, 403, 404, 410, 418, 422, 429, 500, 502, 503, 504, 599] {
        let reply = cornac.get(&format!("/status/{status}"));
        assert_eq!((reply.status, reply.text()), (status, format!("status {status}\n").as_str()));
    }
    assert!(!cornac.settled_log().contains("ejected"), "an error page is no failure of the member");
}

#[test]
fn a_status_that_no_http_reply_may_have_is_a_502() {
    let (_fpm, cornac) = one_worker();
    for status in [100, 101, 103, 199, 600, 1000] {
        let reply = cornac.get(&format!("/status/{status}"));
        assert_eq!((reply.status, reply.informational.len()), (502, 0), "{status}");
    }
}

#[test]
fn replies_without_a_body_leave_the_connection_usable() {
    let (_fpm, cornac) = one_worker();
    let mut client = Connection::open(cornac.address());
    for status in [204, 304] {
        let reply = client.get(&format!("/status/{status}"));
        assert_eq!((reply.status, reply.body.len()), (status, 0));
    }
    client.send("HEAD /big/100000?length=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.try_response("HEAD").unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some("100000")));
    assert_eq!(client.get("/json").json()["ok"], true);
}

#[test]
fn what_php_writes_to_stderr_is_in_the_log_with_the_requests_id_and_never_in_the_reply() {
    let (_fpm, cornac) = one_worker();
    let reply = cornac.get("/stderr?n=1");
    assert_eq!(reply.json(), json!({ "logged": true }));
    let id = cornac.entry("/stderr?n=1")["request_id"].as_str().expect("an id").to_owned();
    cornac.wait_for_log("fixture: first of two lines");
    cornac.wait_for_log("fixture: second");
    let log = cornac.settled_log();
    for text in ["a line by error_log()", "control characters", "first of two lines", "fixture: second"] {
        let line = log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}:\n{log}"));
        assert!(line.contains(&id), "{line:?} does not name the request {id}");
    }
    let raw = log.bytes().find(|&byte| (byte < b' ' && !matches!(byte, b'\n' | b'\t')) || byte == 0x7f);
    assert_eq!(raw, None, "a control character reached the log: {}", log.escape_debug());
}

#[test]
fn a_fatal_error_is_in_the_log_with_the_requests_id() {
    let (_fpm, cornac) = one_worker();
    assert_eq!(cornac.get("/fatal?n=1").status, 500);
    let id = cornac.entry("/fatal?n=1")["request_id"].as_str().expect("an id").to_owned();
    cornac.wait_for_log("no_such_function_in_the_fixture");
    let log = cornac.settled_log();
    let line = log.lines().find(|line| line.contains("no_such_function_in_the_fixture")).unwrap();
    assert!(line.contains(&id), "{line}");
}

#[test]
fn stderr_without_end_is_bounded_in_the_log() {
    let (_fpm, cornac) = one_worker();
    for target in ["/stderr/long?bytes=100000", "/stderr/long?bytes=3000000"] {
        let before = cornac.settled_log().len();
        assert_eq!(cornac.get(target).json(), json!({ "logged": true }));
        cornac.entry(target);
        let grown = cornac.settled_log().len() - before;
        assert!((1_000..32_000).contains(&grown), "{grown} bytes for {target}");
    }
}

#[test]
fn a_script_that_php_fpm_cannot_see_is_logged_with_its_path_and_the_remedy() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).site("backend_root = \"/nonexistent/app/public\"").start();
    let reply = cornac.get("/echo/a/b");
    assert_eq!(reply.status, 404);
    assert!(!reply.text().contains("/nonexistent"), "the path is nobody else's business");
    cornac.wait_for_log("Primary script unknown");
    let log = cornac.settled_log();
    let line = log.lines().find(|line| line.contains("Primary script unknown")).unwrap();
    assert!(line.contains("/nonexistent/app/public/index.php") && line.contains("backend_root"), "{line}");
    let id = cornac.entry("/echo/a/b")["request_id"].as_str().expect("an id").to_owned();
    assert!(line.contains(&id), "{line}");
}

#[test]
fn a_backend_root_maps_the_scripts_path_and_nothing_else() {
    let fpm = Fpm::start("a");
    let elsewhere = support::Scratch::new();
    let link = elsewhere.join("inside-the-container");
    std::os::unix::fs::symlink(support::fixtures("tp"), &link).expect("a symlink");
    let public = link.join("public").display().to_string();
    let cornac = Tp::over([&fpm]).site(&format!("backend_root = \"{public}\"")).start();
    let params = cornac.get("/echo/a/b").json()["params"].clone();
    assert_eq!(params["SCRIPT_FILENAME"], format!("{public}/index.php"));
    assert_eq!(params["DOCUMENT_ROOT"], public);
    assert_eq!((&params["SCRIPT_NAME"], &params["PATH_INFO"]), (&json!("/index.php"), &json!("/echo/a/b")));
    assert_eq!(cornac.get("/style.css").status, 200, "files come from root");
}

#[test]
fn headers_pass_unchanged_and_in_order() {
    let (_fpm, cornac) = one_worker();
    let reply = cornac.get("/headers?long=60000");
    let cookies =
        ["a=1; Path=/", "b=2; Path=/; HttpOnly", "c=3; Path=/; Expires=Thu, 01 Jan 2099 00:00:00 GMT"];
    assert_eq!(reply.header_all("set-cookie"), cookies);
    assert_eq!(
        reply.header_all("link"),
        ["</style.css>; rel=preload; as=style", "</app.js>; rel=preload; as=script"]
    );
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=gb18030"));
    assert_eq!(reply.header("x-long").map(str::len), Some(60_000));
    assert_eq!(reply.header("x-lower-case"), Some("kept"));
    assert_eq!(reply.header("x-fixture-member"), Some("a"));

    let location = cornac.get("/headers/location");
    let raw = location.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"location"));
    assert_eq!(raw.map(|(_, value)| value.as_slice()), Some("/中文/说明.txt?q=ä".as_bytes()));

    let many = cornac.get("/headers/many?count=90");
    assert_eq!((many.header("x-many-0"), many.header("x-many-89")), (Some("0"), Some("89")));
}

#[test]
fn headers_of_the_connection_stay_where_they_belong() {
    let (_fpm, cornac) = one_worker();
    let mut client = Connection::open(cornac.address());
    let reply = client.get("/headers/hop");
    assert_eq!((reply.text(), reply.header("x-kept")), ("hop\n", Some("yes")));
    for name in ["x-hop", "keep-alive", "upgrade"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_ne!(reply.header("connection"), Some("close, X-Hop"));
    assert_eq!(client.get("/json").status, 200, "php does not decide about the client's connection");
}

#[test]
fn what_php_compressed_is_not_compressed_again() {
    let (_fpm, cornac) = one_worker();
    let headers = [("Accept-Encoding", "gzip, br, zstd")];
    let reply = http::request(cornac.address(), "GET", "/headers/encoded", &headers, b"");
    assert_eq!(reply.header_all("content-encoding"), ["gzip"]);
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
    assert_eq!(reply.body[..2], [0x1f, 0x8b], "gzip's magic");
    assert!(reply.body.len() < 500, "{} bytes: it was unpacked", reply.body.len());
}

#[test]
fn a_location_without_a_status_is_a_302_and_one_with_keeps_its_own() {
    let (_fpm, cornac) = one_worker();
    for (target, status, location) in [
        ("/redirect", 302, "/index.php/json"),
        ("/redirect/relative", 302, "json?from=relative"),
        ("/redirect/absolute", 302, "https://example.org/elsewhere?a=1&b=%E4%B8%AD"),
        ("/redirect/status/code/301", 301, "/index.php/json"),
        ("/redirect/status/code/303", 303, "/index.php/json"),
        ("/redirect/status/code/308", 308, "/index.php/json"),
        ("/redirect/status/code/201", 201, "/index.php/json"),
    ] {
        let reply = cornac.get(target);
        assert_eq!((reply.status, reply.header("location")), (status, Some(location)), "{target}");
    }
}

#[test]
fn who_finishes_its_request_early_keeps_nobody_waiting_and_next_requests_are_answered() {
    for keepalive in ["auto", "on"] {
        let fpm = Fpm::builder("a").workers(1).start();
        let cornac = Tp::with_servers(vec![server(&fpm, "max_conns = 1")])
            .pool(&format!("keepalive = {{ mode = \"{keepalive}\" }}"))
            .start();
        for n in 0..3_u64 {
            let reply = cornac.get("/finish?ms=150&name=after");
            assert_eq!(reply.json()["finished"], true);
            assert_eq!(fpm.count("after"), n, "the reply waited for the script");
            let method = if n % 2 == 0 { "GET" } else { "POST" };
            assert_eq!(http::request(cornac.address(), method, "/json", &[], b"").status, 200);
            fpm.wait_for_count("after", n + 1);
        }
    }
}

#[test]
fn a_streamed_reply_is_passed_on_piece_by_piece() {
    let (fpm, cornac) = one_worker();
    let mut client = Connection::open(cornac.address());
    client.send("GET /gate/piece?first=one&unbuffered=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut body = BodyReader::of(&client.head().expect("a head before the script ends"), "GET").unwrap();
    assert_eq!(body.next(&mut client).unwrap().unwrap(), b"one");
    fpm.open_gate("piece");
    let mut rest = vec![];
    while let Some(piece) = body.next(&mut client).unwrap() {
        rest.extend(piece);
    }
    assert_eq!(rest, b"through\n");
}

#[test]
fn a_reader_that_stops_does_not_hold_the_worker() {
    const SIZE: usize = 5_000_000;
    let (_fpm, cornac) = one_worker();
    for target in [format!("/big/{SIZE}"), format!("/big/{SIZE}?length=1")] {
        let mut slow = Connection::open(cornac.address());
        slow.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = slow.head().expect("a head");
        let asked = Instant::now();
        assert_eq!(cornac.get("/json").status, 200);
        assert!(asked.elapsed() < Duration::from_secs(10), "the reader held the worker");

        let mut body = BodyReader::of(&head, "GET").unwrap();
        let mut got = vec![];
        while let Some(piece) = body.next(&mut slow).unwrap() {
            got.extend(piece);
        }
        assert!(got == big_bytes(SIZE), "{} bytes came, {SIZE} were sent", got.len());
    }
}
