//! Members that are no php-fpm: whatever bytes come from them, the client gets an honest error or a sound reply, nobody gets
//! another's reply, and the server lives, in bounded time, memory and log.

mod support;

use std::time::{Duration, Instant};

use support::http::{self, Broken, Response};
use support::{Call, Cornac, Responder, Tp, record, reply};

const END_REQUEST: u8 = 3;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// What a member sends for a request with this id.
type Answer = Box<dyn Fn(u16) -> Vec<u8> + Send + Sync>;

fn quoted(server: &str) -> String {
    format!("\"{server}\"")
}

fn try_get(cornac: &Cornac, target: &str) -> Result<Response, Broken> {
    http::try_request(cornac.address(), "GET", target, &[], b"")
}

fn hostile() -> Vec<(&'static str, Answer)> {
    let cgi = b"Content-Type: text/plain\r\n\r\nbody";
    let twice = |id: u16| {
        [record(STDOUT, id, b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody"), end(id)].concat()
    };
    vec![
        ("garbage", Box::new(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_vec())),
        ("zeros", Box::new(|_| vec![0; 4096])),
        ("0xff", Box::new(|_| vec![0xff; 70_000])),
        (
            "another version",
            Box::new(move |id| [vec![2], record(STDOUT, id, cgi)[1..].to_vec(), end(id)].concat()),
        ),
        ("another id", Box::new(move |id| reply(id.wrapping_add(1).max(1), cgi))),
        ("id 0", Box::new(move |_| reply(0, cgi))),
        ("an unknown type", Box::new(move |id| [record(99, id, cgi), end(id)].concat())),
        ("an end and nothing else", Box::new(end)),
        ("a short end", Box::new(|id| record(END_REQUEST, id, &[0; 2]))),
        ("a long end", Box::new(|id| record(END_REQUEST, id, &[0; 600]))),
        ("an overloaded server", Box::new(|id| record(END_REQUEST, id, &[0, 0, 0, 0, 2, 0, 0, 0]))),
        ("no header line", Box::new(|id| [record(STDOUT, id, b"hello, world\n"), end(id)].concat())),
        (
            "a head without end",
            Box::new(|id| [record(STDOUT, id, b"Content-Type: text/plain"), end(id)].concat()),
        ),
        ("a bare CR", Box::new(|id| [record(STDOUT, id, b"X-A: a\rX-B: b\r\n\r\nbody"), end(id)].concat())),
        ("a NUL", Box::new(|id| [record(STDOUT, id, b"X-A: a\0b\r\n\r\nbody"), end(id)].concat())),
        (
            "a bad status",
            Box::new(|id| [record(STDOUT, id, b"Status: banana\r\n\r\nbody"), end(id)].concat()),
        ),
        ("two lengths", Box::new(twice)),
        (
            "a negative length",
            Box::new(|id| [record(STDOUT, id, b"Content-Length: -4\r\n\r\nbody"), end(id)].concat()),
        ),
        ("nothing at all", Box::new(|_| vec![])),
        ("one byte", Box::new(|_| vec![1])),
        ("half a header", Box::new(move |id| record(STDOUT, id, cgi)[..5].to_vec())),
        ("a record that is never filled", Box::new(|id| record(STDOUT, id, &[b'x'; 9])[..12].to_vec())),
        ("a reply without its end", Box::new(move |id| record(STDOUT, id, cgi))),
        ("half an end", Box::new(move |id| [record(STDOUT, id, cgi), end(id)[..11].to_vec()].concat())),
        (
            "an empty STDOUT for an end",
            Box::new(move |id| [record(STDOUT, id, cgi), record(STDOUT, id, b"")].concat()),
        ),
        ("the end of another request", Box::new(move |id| [record(STDOUT, id, cgi), end(id ^ 1)].concat())),
        ("an end before the reply", Box::new(move |id| [end(id), record(STDOUT, id, cgi)].concat())),
        ("the request back", Box::new(|id| [record(1, id, &[0, 1, 0, 0, 0, 0, 0, 0]), end(id)].concat())),
        ("an SSH server", Box::new(|_| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
        ("a TLS alert", Box::new(|_| vec![0x15, 3, 3, 0, 2, 2, 40])),
        ("status 0", Box::new(|id| printed(id, "Status: 0\r\n\r\nbody"))),
        ("status 101", Box::new(|id| printed(id, "Status: 101\r\nUpgrade: h2c\r\n\r\nbody"))),
        ("status 103", Box::new(|id| printed(id, "Status: 103\r\n\r\nStatus: 200\r\n\r\nbody"))),
        ("status 1000", Box::new(|id| printed(id, "Status: 1000\r\n\r\nbody"))),
        ("status 2e2", Box::new(|id| printed(id, "Status: 2e2\r\n\r\nbody"))),
        ("a name with a space", Box::new(|id| printed(id, "Set Cookie: a\r\n\r\nbody"))),
        ("no name", Box::new(|id| printed(id, ": a\r\n\r\nbody"))),
        ("a folded line", Box::new(|id| printed(id, "X-A: a\r\n b\r\n\r\nbody"))),
        ("a name that is none", Box::new(|id| printed(id, "X-\u{e4}: a\r\n\r\nbody"))),
        ("a bare CR that splits", Box::new(|id| printed(id, "X-A: a\rHTTP/1.1 200 OK\r\n\r\nbody"))),
        ("300 lines", Box::new(|id| printed(id, &format!("{}\r\nbody", "X-A: a\r\n".repeat(300))))),
        ("chunks of its own", Box::new(|id| printed(id, "Transfer-Encoding: chunked\r\n\r\nbody"))),
        ("a length that is too large", Box::new(|id| printed(id, "Content-Length: 9\r\n\r\nbody"))),
        (
            "a length beyond 64 bits",
            Box::new(|id| printed(id, "Content-Length: 18446744073709551620\r\n\r\nbody")),
        ),
        ("a length in hexadecimal", Box::new(|id| printed(id, "Content-Length: 0x4\r\n\r\nbody"))),
        (
            "a connection that is to be upgraded",
            Box::new(|id| printed(id, "Connection: upgrade\r\nUpgrade: x\r\n\r\nbody")),
        ),
        (
            "a whole HTTP reply",
            Box::new(|id| printed(id, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")),
        ),
        ("a status line that is none", Box::new(|id| printed(id, "HTTP/9 banana\r\n\r\nbody"))),
    ]
}

/// A whole reply of this text.
fn printed(id: u16, text: &str) -> Vec<u8> {
    reply(id, text.as_bytes())
}

fn end(id: u16) -> Vec<u8> {
    record(END_REQUEST, id, &[0; 8])
}

/// Odd, and nothing that a client could not be given.
const SOUND: &[&str] = &[
    "two lengths",
    "a negative length",
    "chunks of its own",
    "a length beyond 64 bits",
    "a length in hexadecimal",
    "a connection that is to be upgraded",
    "a whole HTTP reply",
];

#[test]
fn whatever_a_member_answers_the_client_gets_an_error_or_a_sound_reply_and_the_server_lives() {
    let hostile = hostile();
    let names: Vec<_> = hostile.iter().map(|&(what, _)| what).collect();
    assert!(names.len() >= 45, "{}", names.len());
    let member = Responder::start(move |call: &mut Call| {
        let asked = (0..hostile.len()).find(|number| call.param(&format!("number={number}.")));
        let (_, bytes) = &hostile[asked.expect("it is asked by number")];
        call.send(&bytes(call.id));
        false
    });
    let cornac = Tp::with_servers(vec![quoted(&member.server())])
        .pool("timeouts = { first_byte = \"2s\", between_reads = \"2s\" }")
        .start();
    for (number, what) in names.into_iter().enumerate() {
        let calls = member.calls();
        match try_get(&cornac, &format!("/json?number={number}.")) {
            Ok(response) if SOUND.contains(&what) => {
                assert_eq!((response.status, &response.body[..]), (200, &b"body"[..]), "{what}");
                let mut raw = response.headers.iter().flat_map(|(name, value)| name.iter().chain(value));
                assert!(raw.all(|&byte| byte >= b' '), "{what}: {response:?}");
            }
            other => {
                println!("{what}: {:?}", other.as_ref().map(|response| response.status));
                http::assert_never_a_clean_end(other);
            }
        }
        assert!(member.calls() > calls, "{what}: the member was not asked");
        assert_eq!(cornac.get("/robots.txt").status, 200, "{what}");
    }
    assert!(!cornac.log().contains("panicked"), "{}", cornac.log());
}

#[test]
fn a_head_without_end_is_refused_in_bounded_memory() {
    let member = Responder::start(|call: &mut Call| {
        let line = format!("X-Endless: {}\r\n", "x".repeat(60_000));
        for _ in 0..2_000 {
            call.send(&record(STDOUT, call.id, line.as_bytes()));
        }
        false
    });
    let cornac = Tp::with_servers(vec![quoted(&member.server())]).start();
    assert_eq!(cornac.get("/json").status, 502);
    assert_eq!(cornac.get("/robots.txt").status, 200);
    assert!(cornac.peak_rss_kib() < 64 * 1024, "{} KiB", cornac.peak_rss_kib());
}

#[test]
fn stderr_from_a_member_without_end_is_bounded_in_time_and_log() {
    let member = Responder::start(|call: &mut Call| {
        for _ in 0..500 {
            call.send(&record(STDERR, call.id, &[b'e'; 60_000]));
        }
        call.reply("Content-Type: text/plain\r\n\r\nat last");
        true
    });
    let cornac = Tp::with_servers(vec![quoted(&member.server())]).start();
    match try_get(&cornac, "/json") {
        Ok(response) if response.status == 200 => assert_eq!(response.text(), "at last"),
        other => http::assert_never_a_clean_end(other),
    }
    assert!(cornac.log().len() < 64_000, "{} bytes in the log", cornac.log().len());
    assert!(cornac.peak_rss_kib() < 64 * 1024, "{} KiB", cornac.peak_rss_kib());
}

/// nginx was seen to give such a reply to the next client (fpm-facts 4).
#[test]
fn a_second_reply_on_a_kept_connection_never_reaches_the_next_request() {
    let member = Responder::start(|call: &mut Call| {
        let own = format!(
            "Content-Type: text/plain\r\n\r\nanswer {} of connection {}",
            call.request, call.connection
        );
        let mut bytes = reply(call.id, own.as_bytes());
        bytes.extend(reply(call.id, b"Content-Type: text/plain\r\n\r\nLEAKED"));
        call.send(&bytes);
        true
    });
    let cornac = Tp::with_servers(vec![quoted(&member.server())])
        .pool("keepalive = { mode = \"on\", idle = 4, timeout = \"30s\" }")
        .start();
    for _ in 0..20 {
        let text = cornac.get("/json").text().to_owned();
        assert!(text.starts_with("answer 0 of connection"), "{text}");
    }
}

/// The second reply comes only after the next request is on its way: nothing but its id tells it apart.
#[test]
fn a_late_reply_with_an_old_id_is_not_taken_for_the_new_one() {
    let last = std::sync::Mutex::new(0);
    let member = Responder::start(move |call: &mut Call| {
        let mut last = last.lock().unwrap();
        if call.request > 0 {
            call.send(&reply(*last, b"Content-Type: text/plain\r\n\r\nLEAKED"));
        }
        *last = call.id;
        call.reply("Content-Type: text/plain\r\n\r\nown");
        true
    });
    let cornac = Tp::with_servers(vec![quoted(&member.server())])
        .pool("keepalive = { mode = \"on\", idle = 4, timeout = \"30s\" }")
        .start();
    for _ in 0..20 {
        match try_get(&cornac, "/json") {
            Ok(response) => {
                assert!(!response.body.windows(6).any(|window| window == b"LEAKED"), "{response:?}");
                assert!(matches!(response.status, 200 | 502), "{response:?}");
            }
            Err(broken) => panic!("{broken:?}"),
        }
    }
    assert!(member.connections() > 1, "the connection was not kept after that");
}

#[test]
fn a_member_that_never_answers_costs_no_more_than_its_timeout() {
    let member = Responder::start(|call: &mut Call| {
        call.peer_closes(Duration::from_secs(20));
        false
    });
    let cornac = Tp::with_servers(vec![quoted(&member.server())])
        .pool("timeouts = { first_byte = \"200ms\" }")
        .start();
    let asked = Instant::now();
    assert_eq!(cornac.get("/json").status, 504);
    assert!(asked.elapsed() < Duration::from_secs(10));
}

/// Nobody reads on where the client has all that it was promised; the worker is not given away for that.
#[test]
fn a_reply_that_goes_on_behind_its_end_does_not_hold_its_worker_for_ever() {
    for (head, body) in [
        ("Status: 204", ""),
        ("Content-Type: text/plain\r\nContent-Length: 0", ""),
        ("Content-Type: text/plain\r\nContent-Length: 4", "body"),
        ("Content-Type: text/plain\r\nX-Accel-Buffering: no\r\nContent-Length: 4", "body"),
    ] {
        let member = Responder::start(move |call: &mut Call| {
            if !call.param("/endless") {
                call.reply("Content-Type: text/plain\r\n\r\nnext");
                return true;
            }
            call.send(&record(STDOUT, call.id, format!("{head}\r\n\r\n").as_bytes()));
            while !call.peer_closes(Duration::from_millis(10)) {
                call.send(&record(STDOUT, call.id, b"body and more"));
            }
            false
        });
        let server = format!("{{ address = \"{}\", max_conns = 1 }}", member.server());
        let cornac = Tp::with_servers(vec![server]).pool("timeouts = { between_reads = \"200ms\" }").start();
        assert_eq!(cornac.get("/endless").text(), body, "{head}");
        assert_eq!(cornac.get("/json").text(), "next", "{head}");
    }
}
