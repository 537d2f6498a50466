//! Files over HTTP: validators, conditional requests, ranges, compressed neighbours, types. What is decided for a file has its tests
//! in `src/files/`; here it is seen from outside.

mod support;

use support::http::{self, Response};
use support::{Cornac, Fpm, Nginx, Root};

fn root() -> Root {
    Root::new()
        .file("ten.txt", "0123456789")
        .file("empty.txt", "")
        .file("app.js", "plain javascript\n".repeat(100))
        .file("app.js.gz", "gzip bytes")
        .file("app.js.br", "brotli bytes")
        .file("app.js.zst", "zstd bytes")
        .file("style.css", "body {}\n")
        .file("logo.svg", "<svg/>")
        .file("data.json", "{}")
        .file("index.html", "<p>home\n")
        .file("no-extension", "bytes\n")
        .file("big.bin", vec![b'b'; 3_000_000])
}

fn serve(root: &Root) -> (Fpm, Cornac) {
    let fpm = Fpm::start("a");
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {:?}\npreset = \"plain\"\n",
            fpm.server(),
            root.path()
        )
    });
    (fpm, cornac)
}

fn ask(cornac: &Cornac, target: &str, headers: &[(&str, &str)]) -> Response {
    http::request(cornac.address(), "GET", target, headers, b"")
}

#[test]
fn a_file_comes_with_validators_and_is_not_sent_again_while_they_hold() {
    let root = root();
    let (_fpm, cornac) = serve(&root);
    let first = ask(&cornac, "/ten.txt", &[]);
    let (etag, modified) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    assert_eq!((first.status, first.text(), first.header("content-length")), (200, "0123456789", Some("10")));
    for (headers, status) in [
        (&[("If-None-Match", etag)][..], 304),
        (&[("If-None-Match", "\"other\"")], 200),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", &format!("\"a\", W/{etag}"))], 304),
        (&[("If-Modified-Since", modified)], 304),
        (&[("If-Modified-Since", "Thu, 01 Jan 1970 00:00:01 GMT")], 200),
        (&[("If-None-Match", "\"other\""), ("If-Modified-Since", modified)], 200),
        (&[("If-Match", etag)], 200),
        (&[("If-Match", "\"other\"")], 412),
        (&[("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:01 GMT")], 412),
    ] {
        let response = ask(&cornac, "/ten.txt", headers);
        assert_eq!(response.status, status, "{headers:?}");
        if status == 304 {
            // Who holds a weak one has it from a compressed reply.
            let weak = format!("W/{etag}");
            let named = if headers[0].1.ends_with(&weak) { weak.as_str() } else { etag };
            assert_eq!((response.header("etag"), response.body.len()), (Some(named), 0), "{headers:?}");
        }
    }
}

#[test]
fn a_part_of_a_file_is_sent_when_asked_for() {
    let root = root();
    let (_fpm, cornac) = serve(&root);
    let range = |value: &str| ask(&cornac, "/ten.txt", &[("Range", value)]);
    for (value, part, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=5-1000", "56789", "bytes 5-9/10"),
        ("bytes=-1000", "0123456789", "bytes 0-9/10"),
    ] {
        let response = range(value);
        assert_eq!((response.status, response.text()), (206, part), "{value}");
        assert_eq!(response.header("content-range"), Some(content_range), "{value}");
    }
    let beyond = range("bytes=10-");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    for nonsense in ["bytes=a-b", "lines=1-2"] {
        let status = range(nonsense).status;
        assert!(matches!(status, 200 | 416), "{nonsense}: {status}");
    }
    let several = range("bytes=0-1,5-6");
    assert_eq!(several.status, 206);
    let boundary =
        several.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(several.text().matches(&format!("--{boundary}")).count(), 3, "{}", several.text());
    assert!(several.text().contains("\r\n\r\n01\r\n") && several.text().contains("\r\n\r\n56\r\n"));

    let etag = ask(&cornac, "/ten.txt", &[]).header("etag").unwrap().to_owned();
    let if_range = |value: &str| ask(&cornac, "/ten.txt", &[("Range", "bytes=1-2"), ("If-Range", value)]);
    assert_eq!((if_range(&etag).status, if_range("\"old\"").status), (206, 200));
    let tail = ask(&cornac, "/big.bin", &[("Range", "bytes=1000000-2999998")]);
    assert_eq!(tail.body.len(), 1_999_999);
}

#[test]
fn a_thousand_ranges_are_not_a_thousand_files() {
    let root = root();
    let (_fpm, cornac) = serve(&root);
    let ranges: Vec<_> = (0..1_000).map(|n| format!("{n}-")).collect();
    let bomb = ask(&cornac, "/big.bin", &[("Range", &format!("bytes={}", ranges.join(",")))]);
    assert!(bomb.body.len() <= 3_000_000, "{} bytes of a file of 3,000,000", bomb.body.len());
}

#[test]
fn a_compressed_neighbour_is_sent_to_whom_it_suits() {
    let root = root();
    let (_fpm, cornac) = serve(&root);
    for (accept, coding, body) in [
        ("gzip", Some("gzip"), "gzip bytes"),
        ("gzip, deflate, br", Some("br"), "brotli bytes"),
        ("zstd", Some("zstd"), "zstd bytes"),
        ("br;q=0, gzip", Some("gzip"), "gzip bytes"),
        ("identity", None, "plain"),
        ("gzip;q=0", None, "plain"),
    ] {
        let response = ask(&cornac, "/app.js", &[("Accept-Encoding", accept)]);
        assert_eq!(response.header("content-encoding"), coding, "{accept}");
        assert!(response.text().starts_with(body), "{accept}");
        assert!(
            response.header("vary").is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding")),
            "{accept}"
        );
        assert!(response.header("content-type").unwrap().contains("javascript"), "{accept}");
    }
    let (plain, gzip) =
        (ask(&cornac, "/app.js", &[]), ask(&cornac, "/app.js", &[("Accept-Encoding", "gzip")]));
    assert_ne!(plain.header("etag"), gzip.header("etag"), "two representations");
    let again = [("Accept-Encoding", "gzip"), ("If-None-Match", gzip.header("etag").unwrap())];
    assert_eq!(ask(&cornac, "/app.js", &again).status, 304);
}

#[test]
fn a_file_s_type_is_what_its_name_says() {
    let root = root();
    let (_fpm, cornac) = serve(&root);
    for (target, expected) in [
        ("/ten.txt", "text/plain; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/logo.svg", "image/svg+xml"),
        ("/data.json", "application/json"),
        ("/no-extension", "application/octet-stream"),
    ] {
        let found = ask(&cornac, target, &[]).header("content-type").unwrap().to_owned();
        let same = found == expected || found == format!("{expected}; charset=utf-8");
        assert!(same, "{target}: {found}, expected {expected}");
    }
    assert_eq!(ask(&cornac, "/empty.txt", &[]).header("content-length"), Some("0"));
}

#[test]
fn only_get_and_head_read_a_file_as_with_nginx() {
    let root = root();
    let (_fpm, cornac) = serve(&root);
    let nginx = Nginx::start(&format!("root {};", root.path().display()));
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for target in ["/ten.txt", "/missing.txt"] {
            let [theirs, ours] =
                [nginx.address(), cornac.address()].map(|to| http::request(to, method, target, &[], b""));
            assert_eq!(theirs.status, ours.status, "{method} {target}");
            if ours.status == 405 {
                assert_eq!(
                    ours.header("allow").map(|allow| allow.contains("GET")),
                    Some(true),
                    "{method} {target}"
                );
            }
        }
    }
}

/// A file of noise, so that a coder cannot swallow it whole.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_sent_is_visibly_broken() {
    const SIZE: usize = 40_000_000;
    let root = root();
    let (_fpm, cornac) = serve(&root);
    for (name, accept, coding) in [("long.bin", "zstd", None), ("long.txt", "zstd", Some("zstd"))] {
        std::fs::write(root.join(name), noise(SIZE)).unwrap();
        let mut client = http::Connection::open(cornac.address());
        client.send(format!("GET /{name} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {accept}\r\n\r\n"));
        let head = client.head().expect("a head");
        assert_eq!((head.status, head.header("content-encoding")), (200, coding));
        std::fs::File::options().write(true).open(root.join(name)).unwrap().set_len(0).unwrap();
        let mut body = http::BodyReader::of(&head, "GET").expect("a body");
        let mut read = 0;
        let end = loop {
            match body.next(&mut client) {
                Ok(Some(piece)) => read += piece.len(),
                end => break end,
            }
        };
        assert!(matches!(end, Err(http::Stopped::Ended)), "{name}: {end:?} after {read} bytes");
        assert!(read < SIZE);
    }
}
