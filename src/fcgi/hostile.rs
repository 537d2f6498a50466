//! Replies that no php-fpm should send, by name: what each comes to, whole and byte by byte. None may panic, and none
//! leaves a connection for the next request unless it stands there.

use bytes::Bytes;

use super::wire::{END, Seen, cut, end, padded, record, see, stdout};
use super::{BodyRule, Closed, HeadError, ProtocolStatus, Reason, Verdict, Violation};

/// What a hostile reply must come to.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// 502 or an aborted stream, and the connection is closed.
    Refused(Violation),
    /// The same for a stream that just ends.
    Cut(Closed),
    /// Odd but harmless: complete with this body.
    Served(&'static [u8], Verdict),
}

use Fate::{Cut, Refused, Served};

fn bad_head(error: HeadError) -> Fate {
    Refused(Violation::BadHead(error))
}

const LEFTOVER: Verdict = Verdict::Discard(Reason::Leftover);

fn with_end(records: &[Vec<u8>]) -> Vec<u8> {
    [records.concat(), END.to_vec()].concat()
}

/// A reply's records with byte `at` set to `to`.
fn damaged(at: usize, to: u8) -> Vec<u8> {
    let mut reply = with_end(&[stdout(b"\nbody")]);
    reply[at] = to;
    reply
}

fn head(text: &str) -> Vec<u8> {
    with_end(&[stdout(text.as_bytes())])
}

/// Its name, the bytes, and what they come to.
type Row = (&'static str, Vec<u8>, Fate);

fn hostile_replies() -> Vec<Row> {
    [wrong_records(), ends(), streams_that_stop(), bad_heads(), odd_and_served()].concat()
}

/// Not FastCGI, or not ours.
#[rustfmt::skip]
fn wrong_records() -> Vec<Row> {
    vec![
        ("an HTTP server at the address", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Refused(Violation::Version(b'H'))),
        ("an SSH server at the address", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Refused(Violation::Version(b'S'))),
        ("zeros", vec![0; 64], Refused(Violation::Version(0))),
        ("ones", vec![0xff; 64], Refused(Violation::Version(0xff))),
        ("nothing", vec![], Cut(Closed::BeforeFirstByte)),
        ("one byte", vec![1], Cut(Closed::BeforeHead)),
        ("version 2", damaged(0, 2), Refused(Violation::Version(2))),
        ("version 0 in the second record", damaged(13, 0), Refused(Violation::Version(0))),
        ("request id 0", damaged(3, 0), Refused(Violation::Id { expected: 1, got: 0 })),
        ("another request's id", damaged(3, 2), Refused(Violation::Id { expected: 1, got: 2 })),
        ("another id that ends alike", damaged(2, 1), Refused(Violation::Id { expected: 1, got: 257 })),
        ("another request's end", damaged(16, 9), Refused(Violation::Id { expected: 1, got: 9 })),
        ("type 0", damaged(1, 0), Refused(Violation::Type(0))),
        ("BEGIN_REQUEST back", damaged(1, 1), Refused(Violation::Type(1))),
        ("STDIN back", damaged(1, 5), Refused(Violation::Type(5))),
        ("GET_VALUES_RESULT", damaged(1, 10), Refused(Violation::Type(10))),
        ("UNKNOWN_TYPE", damaged(1, 11), Refused(Violation::Type(11))),
        ("type 255", damaged(1, 255), Refused(Violation::Type(255))),
    ]
}

/// Of END_REQUEST, and behind it.
#[rustfmt::skip]
fn ends() -> Vec<Row> {
    vec![
        ("an END_REQUEST of 0 bytes", [stdout(b"\n"), record(3, b"")].concat(), Refused(Violation::EndRequestLength(0))),
        ("an END_REQUEST of 2 bytes", [stdout(b"\n"), record(3, b"ab")].concat(), Refused(Violation::EndRequestLength(2))),
        ("an END_REQUEST of 65,535 bytes", [stdout(b"\n"), record(3, &[0; 65_535])].concat(), Refused(Violation::EndRequestLength(65_535))),
        ("overloaded", end(0, 2), Refused(Violation::Refused(ProtocolStatus::Overloaded))),
        ("overloaded after a body", [stdout(b"\nbody"), end(0, 2)].concat(), Refused(Violation::Refused(ProtocolStatus::Overloaded))),
        ("cannot multiplex", end(0, 1), Refused(Violation::Refused(ProtocolStatus::CantMultiplex))),
        ("unknown role", end(0, 3), Refused(Violation::Refused(ProtocolStatus::UnknownRole))),
        ("protocol status 77", end(0, 77), Refused(Violation::Refused(ProtocolStatus::Unknown(77)))),
        ("an end and nothing else", END.to_vec(), Refused(Violation::EndWithoutHead { app_status: 0 })),
        ("an end within the head", [stdout(b"Content-Type: x/y\r\n"), end(255, 0)].concat(), Refused(Violation::EndWithoutHead { app_status: 255 })),
        ("an end after only STDERR", [record(7, b"died"), end(134, 0)].concat(), Refused(Violation::EndWithoutHead { app_status: 134 })),
        ("a padded end with junk in its reserved bytes", [stdout(b"\nok"), padded(3, &[0, 0, 0, 0, 0, 7, 7, 7], 255)].concat(), Served(b"ok", Verdict::Reuse)),
        ("two ends", with_end(&[stdout(b"\nok"), END.to_vec()]), Served(b"ok", LEFTOVER)),
        ("a second reply behind the first", with_end(&[stdout(b"\nmine"), END.to_vec(), stdout(b"\nyours")]), Served(b"mine", LEFTOVER)),
        ("one byte behind the end", [stdout(b"\nok"), END.to_vec(), vec![1]].concat(), Served(b"ok", LEFTOVER)),
        ("an end whose padding is cut", [stdout(b"\nok"), padded(3, &[0; 8], 9)[..20].to_vec()].concat(), Served(b"ok", LEFTOVER)),
    ]
}

/// The connection closes in the middle.
#[rustfmt::skip]
fn streams_that_stop() -> Vec<Row> {
    vec![
        ("a header that stops", stdout(b"\nbody")[..5].to_vec(), Cut(Closed::BeforeHead)),
        ("a head that stops", stdout(b"Content-Type: x"), Cut(Closed::BeforeHead)),
        ("a record that stops in its body", stdout(b"\nbody")[..11].to_vec(), Cut(Closed::Truncated)),
        ("no END_REQUEST", stdout(b"\nbody"), Cut(Closed::Truncated)),
        ("an empty STDOUT instead of END_REQUEST", [stdout(b"\nbody"), stdout(b"")].concat(), Cut(Closed::Truncated)),
        ("an END_REQUEST that stops", with_end(&[stdout(b"\nbody")])[..28].to_vec(), Cut(Closed::Truncated)),
        ("a record that is never filled", vec![1, 6, 0, 1, 0xff, 0xff, 0xff, 0, b'\n'], Cut(Closed::Truncated)),
    ]
}

/// What php-fpm's own heads never are.
#[rustfmt::skip]
fn bad_heads() -> Vec<Row> {
    let many_lines: String = (0..300).map(|i| format!("X-{i}: 1\n")).collect();
    let endless: Vec<Vec<u8>> = (0..5).map(|_| stdout(&[b'a'; 60_000])).collect();
    vec![
        ("no head at all", head("<html><body>hello</body></html>\n\n"), bad_head(HeadError::Name)),
        ("a head without an end", with_end(&endless), bad_head(HeadError::TooLarge)),
        ("300 header lines", head(&(many_lines + "\n")), bad_head(HeadError::TooManyLines)),
        ("status 1000", head("Status: 1000\n\n"), bad_head(HeadError::Status)),
        ("status 101", head("Status: 101 Switching Protocols\nUpgrade: h2c\n\n"), bad_head(HeadError::Status)),
        ("status 103", head("Status: 103 Early Hints\n\nStatus: 200\n\n"), bad_head(HeadError::Status)),
        ("status -1", head("Status: -1\n\n"), bad_head(HeadError::Status)),
        ("a status line of 099", head("HTTP/1.1 099 x\n\n"), bad_head(HeadError::Status)),
        ("a header name with a space", head("Set Cookie: a\n\n"), bad_head(HeadError::Name)),
        ("a space before the colon", head("Content-Length : 5\n\nhello"), bad_head(HeadError::Name)),
        ("a folded line", head("A: b\n c\n\n"), bad_head(HeadError::Name)),
        ("NUL in a value", head("A: b\0\n\n"), bad_head(HeadError::Value)),
        ("a bare carriage return in a value", head("A: b\rSet-Cookie: c\n\n"), bad_head(HeadError::Value)),
        ("a line that begins with a carriage return", head("A: b\r\n\rC: d\r\n\r\n"), bad_head(HeadError::LineEnd)),
        ("carriage returns for line ends", head("A: b\r\r\n\r\n"), bad_head(HeadError::Value)),
    ]
}

/// Allowed, and harmless.
#[rustfmt::skip]
fn odd_and_served() -> Vec<Row> {
    vec![
        ("an empty head", head("\r\n\r\nbody"), Served(b"\r\nbody", Verdict::Reuse)),
        ("empty STDOUT records everywhere", with_end(&[stdout(b""), stdout(b"\n"), stdout(b""), stdout(b"a"), stdout(b"")]), Served(b"a", Verdict::Reuse)),
        ("the head one byte a record", with_end(&b"A: b\r\n\r\nx".map(|byte| padded(6, &[byte], 7))), Served(b"x", Verdict::Reuse)),
        ("STDERR within the head", with_end(&[stdout(b"A: "), record(7, b"warning"), stdout(b"b\n\nx")]), Served(b"x", Verdict::Reuse)),
        ("a second head in the body", head("A: b\n\nStatus: 500\n\n"), Served(b"Status: 500\n\n", Verdict::Reuse)),
        ("more body than Content-Length", head("Content-Length: 2\n\nokHTTP/1.1 200 OK"), Served(b"ok", Verdict::Reuse)),
        ("two different Content-Lengths", head("Content-Length: 2\nContent-Length: 3\n\nfour"), Served(b"four", Verdict::Reuse)),
        ("chunked from php", head("Transfer-Encoding: chunked\n\n0\r\n\r\n"), Served(b"0\r\n\r\n", Verdict::Reuse)),
    ]
}

fn check(name: &str, seen: &Seen, fate: Fate) {
    match fate {
        Refused(violation) => {
            assert_eq!(seen.violation, Some(violation), "{name}");
            assert_eq!(seen.verdict, Some(Verdict::Discard(Reason::Violation(violation))), "{name}");
            assert!(seen.end.is_none(), "{name}");
        }
        Cut(closed) => {
            assert_eq!((seen.violation, seen.closed), (None, Some(closed)), "{name}");
            assert_eq!(seen.verdict, Some(Verdict::Discard(Reason::Unfinished)), "{name}");
            assert!(seen.end.is_none(), "{name}");
        }
        Served(body, verdict) => {
            assert_eq!((seen.violation, &seen.body[..]), (None, body), "{name}");
            assert_eq!((seen.verdict, seen.closed), (Some(verdict), Some(Closed::Clean)), "{name}");
            assert!(seen.end.is_some(), "{name}");
        }
    }
}

#[test]
fn each_hostile_reply_meets_its_fate_in_any_cut() {
    let replies = hostile_replies();
    assert!(replies.len() >= 60);
    for (name, reply, fate) in replies {
        let reply = Bytes::from(reply);
        for size in [usize::MAX, 1, 2, 7, 8, 9, 1000] {
            check(name, &see(BodyRule::Deliver, cut(reply.clone(), &[size])), fate);
        }
    }
}

#[test]
fn a_discarded_body_changes_no_fate() {
    for (name, reply, fate) in hostile_replies() {
        let fate = if let Served(_, verdict) = fate { Served(b"", verdict) } else { fate };
        check(name, &see(BodyRule::Discard, [Bytes::from(reply)]), fate);
    }
}
