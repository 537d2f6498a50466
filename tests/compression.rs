//! Compressed replies: what is compressed and what is not, that every byte comes out as it went in, and that nothing waits in a
//! coder. Beside nginx's gzip where nginx does the same.

mod support;

use std::io::Read;
use std::os::unix::fs::symlink;

use support::http::{self, BodyReader, Connection, Response};
use support::{Cornac, Fpm, Nginx, Root};

/// Answers as it is asked: `size` bytes of text, header lines from `h[]`, and how `flush` cuts them.
const SAY: &str = r#"<?php
foreach ($_GET['h'] ?? [] as $line) { header($line, false); }
http_response_code((int) ($_GET['status'] ?? 200));
$text = '';
for ($i = 0; strlen($text) < (int) ($_GET['size'] ?? 5000); $i++) { $text .= "<p>line $i of it\n"; }
$text = substr($text, 0, (int) ($_GET['size'] ?? 5000));
if (isset($_GET['length'])) { header('Content-Length: ' . strlen($text)); }
while (ob_get_level() > 0) { ob_end_flush(); }
foreach (str_split($text, max(1, (int) ($_GET['cut'] ?? 100000000))) as $piece) {
    echo $piece;
    if (isset($_GET['cut'])) { flush(); }
}
"#;

/// Says one thing, and the other only when the file `gate` is there.
const GATE: &str = r#"<?php
if (isset($_GET['type'])) { header('Content-Type: ' . $_GET['type']); }
if (isset($_GET['unbuffered'])) { header('X-Accel-Buffering: no'); }
echo "data: first\n\n";
while (ob_get_level() > 0) { ob_end_flush(); }
flush();
while (!file_exists(__DIR__ . '/gate')) { clearstatcache(); usleep(2000); }
echo "data: second\n\n";
"#;

fn root() -> Root {
    Root::new().file("say.php", SAY).file("gate.php", GATE).file("page.html", text(20_000))
}

fn text(size: usize) -> Vec<u8> {
    (0..).flat_map(|line| format!("<p>line {line} of it\n").into_bytes()).take(size).collect()
}

fn serve(root: &Root, site: &str) -> (Fpm, Cornac) {
    let fpm = Fpm::builder("a").workers(2).start();
    let cornac = Cornac::serving(|listen| {
        format!(
            "[server]\naccess_log = {{ path = \"stdout\", format = \"json\" }}\n[pools.php]\nservers = [{:?}]\n\
             [[sites]]\nlisten = [{listen:?}]\nroot = {:?}\npreset = \"plain\"\n{site}\n",
            fpm.server(),
            root.path()
        )
    });
    (fpm, cornac)
}

fn ask(cornac: &Cornac, target: &str, headers: &[(&str, &str)]) -> Response {
    http::request(cornac.address(), "GET", target, headers, b"")
}

fn unpacked(coding: Option<&str>, packed: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut reader: Box<dyn Read + '_> = match coding {
        Some("gzip") => Box::new(flate2::read::GzDecoder::new(packed)),
        Some("br") => Box::new(brotli::Decompressor::new(packed, 4096)),
        Some("zstd") => Box::new(zstd::stream::read::Decoder::new(packed).expect("a decoder")),
        None => return packed.to_vec(),
        Some(other) => panic!("{other}"),
    };
    reader.read_to_end(&mut all).expect("whole and right");
    all
}

fn content(response: &Response) -> Vec<u8> {
    unpacked(response.header("content-encoding"), &response.body)
}

#[test]
fn every_byte_comes_out_as_it_went_in_whatever_the_size_and_the_cuts() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    for coding in ["gzip", "br", "zstd"] {
        for size in [1024, 8_191, 65_535, 65_536, 200_001, 3_000_000] {
            for more in ["", "&length=1", "&cut=20011", "&cut=65528"] {
                let target = format!("/say.php?size={size}{more}");
                let reply = ask(&cornac, &target, &[("Accept-Encoding", coding)]);
                assert_eq!(reply.header("content-encoding"), Some(coding), "{target}");
                assert_eq!(reply.header("content-length"), None, "{target}");
                assert!(reply.body.len() < size, "{target}: {} bytes", reply.body.len());
                assert!(content(&reply) == text(size), "{coding} {target}");
            }
        }
    }
}

#[test]
fn the_client_chooses_the_coding_and_may_refuse_them_all() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip;q=1, br;q=0.5", Some("gzip")),
        ("*", Some("zstd")),
        ("zstd;q=0, *", Some("br")),
        ("identity;q=0, gzip;q=0.1", Some("gzip")),
        ("identity, gzip;q=0.5", None),
        ("deflate", None),
        ("gzip;q=0", None),
        ("*;q=0", None),
        ("", None),
    ] {
        for target in ["/say.php", "/page.html"] {
            let reply = ask(&cornac, target, &[("Accept-Encoding", accept)]);
            assert_eq!(reply.header("content-encoding"), expected, "{target} {accept}");
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"), "{target} {accept}");
            assert!(content(&reply) == text(if target == "/say.php" { 5_000 } else { 20_000 }));
        }
    }
}

#[test]
fn what_must_not_be_compressed_is_not() {
    let root = root().file("small.html", text(1023)).file("photo.jpg", text(9_000));
    let (_fpm, cornac) = serve(&root, "");
    for (target, status, varies) in [
        ("/say.php?size=1023", 200, false),
        ("/say.php?h[]=Content-Type:image/png", 200, false),
        ("/say.php?h[]=Content-Type:text/event-stream", 200, false),
        ("/say.php?h[]=Content-Encoding:identity", 200, false),
        ("/say.php?h[]=Cache-Control:private,no-transform", 200, false),
        ("/say.php?status=204&size=0", 204, false),
        ("/say.php?status=206&h[]=Content-Range:bytes%200-4999/6000", 206, false),
        ("/small.html", 200, true),
        ("/photo.jpg", 200, false),
    ] {
        let reply = ask(&cornac, target, &[("Accept-Encoding", "gzip, br, zstd")]);
        assert_eq!(reply.status, status, "{target}");
        let coding = reply.header("content-encoding").filter(|coding| *coding != "identity");
        assert_eq!((coding, reply.header("vary").is_some()), (None, varies), "{target}");
    }
}

#[test]
fn a_compressed_reply_has_a_weak_tag_and_takes_no_ranges() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    let plain = ask(&cornac, "/page.html", &[]);
    let tag = plain.header("etag").expect("a tag").to_owned();
    assert_eq!(plain.header("accept-ranges"), Some("bytes"));
    let gzip = ("Accept-Encoding", "gzip");
    let packed = ask(&cornac, "/page.html", &[gzip]);
    let weak = packed.header("etag").expect("a tag").to_owned();
    assert_eq!((weak.as_str(), packed.header("accept-ranges")), (format!("W/{tag}").as_str(), None));

    let part = ask(&cornac, "/page.html", &[gzip, ("Range", "bytes=0-9")]);
    assert_eq!((part.status, part.header("content-encoding"), &*part.body), (206, None, &*text(10)));
    let old = ask(&cornac, "/page.html", &[gzip, ("Range", "bytes=0-9"), ("If-Range", &weak)]);
    assert_eq!((old.status, old.header("content-encoding")), (200, Some("gzip")), "a weak tag fits no part");

    for (held, expected) in [(&weak, &weak), (&tag, &tag)] {
        let reply = ask(&cornac, "/page.html", &[gzip, ("If-None-Match", held)]);
        assert_eq!((reply.status, reply.header("etag")), (304, Some(expected.as_str())));
        assert_eq!((reply.header("content-encoding"), reply.header("vary")), (None, Some("Accept-Encoding")));
    }
    let php = ask(&cornac, "/say.php?h[]=ETag:%22v1%22&h[]=Vary:Cookie", &[gzip]);
    assert_eq!(
        (php.header("etag"), php.header_all("vary")),
        (Some("W/\"v1\""), vec!["Cookie", "Accept-Encoding"])
    );
}

#[test]
fn head_is_told_what_get_would_be() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    let gzip = [("Accept-Encoding", "gzip")];
    for target in ["/page.html", "/say.php?length=1&h[]=ETag:%22v1%22"] {
        let (get, head) =
            (ask(&cornac, target, &gzip), http::request(cornac.address(), "HEAD", target, &gzip, b""));
        for name in ["content-encoding", "etag", "vary", "content-type", "accept-ranges"] {
            assert_eq!(head.header(name), get.header(name), "{target} {name}");
        }
        assert_eq!(head.header("content-length"), None, "{target}: it would be that of the plain text");
        assert!(head.body.is_empty());
    }
}

#[test]
fn an_old_client_gets_it_as_it_is() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    let mut client = Connection::open(cornac.address());
    client.send("GET /say.php?size=2000 HTTP/1.0\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    let reply = client.response();
    assert_eq!((reply.header("content-encoding"), reply.header("vary")), (None, Some("Accept-Encoding")));
    assert!(reply.body == text(2000));
}

/// The next piece of a reply, decoded as far as it can be.
fn first_event(cornac: &Cornac, target: &str, coding: &str) -> (Connection, BodyReader, Vec<u8>) {
    let mut client = Connection::open(cornac.address());
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n"));
    let head = client.head().expect("a head");
    let mut body = BodyReader::of(&head, "GET").expect("a body");
    let mut packed = Vec::new();
    loop {
        packed.extend(body.next(&mut client).expect("a piece").expect("not the end"));
        if readable(head.header("content-encoding"), &packed) == b"data: first\n\n" {
            return (client, body, packed);
        }
    }
}

fn readable(coding: Option<&str>, packed: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read + '_> = match coding {
        Some("gzip") => Box::new(flate2::read::GzDecoder::new(packed)),
        Some("br") => Box::new(brotli::Decompressor::new(packed, 4096)),
        Some("zstd") => Box::new(zstd::stream::read::Decoder::new(packed).expect("a decoder")),
        _ => return packed.to_vec(),
    };
    let (mut all, mut piece) = (Vec::new(), [0; 512]);
    while let Ok(read @ 1..) = reader.read(&mut piece) {
        all.extend_from_slice(&piece[..read]);
    }
    all
}

#[test]
fn what_php_flushes_arrives_while_the_script_still_runs() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "compression = { types = [\"text/*\", \"text/event-stream\"] }");
    for coding in ["gzip", "br", "zstd", "identity"] {
        for more in ["", "?unbuffered=1", "?type=text/event-stream", "?type=text/event-stream&unbuffered=1"] {
            // The script goes on only when the first of it has been read here.
            let (mut client, mut body, mut packed) =
                first_event(&cornac, &format!("/gate.php{more}"), coding);
            std::fs::write(root.join("gate"), "").expect("writes");
            while let Some(piece) = body.next(&mut client).expect("whole") {
                packed.extend(piece);
            }
            let coding = Some(coding).filter(|coding| *coding != "identity");
            assert_eq!(unpacked(coding, &packed), b"data: first\n\ndata: second\n\n", "{coding:?} {more}");
            std::fs::remove_file(root.join("gate")).expect("it is there");
        }
    }
}

#[test]
fn a_script_that_dies_in_the_middle_leaves_no_whole_looking_reply() {
    let root = root().file(
        "die.php",
        "<?php for ($i = 0; $i < 300000; $i++) { echo \"line $i\\n\"; } flush(); posix_kill(getmypid(), 9);",
    );
    let (_fpm, cornac) = serve(&root, "");
    for coding in ["gzip", "br", "zstd"] {
        let reply =
            http::try_request(cornac.address(), "GET", "/die.php", &[("Accept-Encoding", coding)], b"");
        http::assert_never_a_clean_end(reply);
    }
}

#[test]
fn a_changed_file_is_compressed_anew_however_it_was_changed() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    let show = |what: &str| {
        let reply = ask(&cornac, "/page.html", &[("Accept-Encoding", "zstd")]);
        assert_eq!(reply.header("content-encoding"), Some("zstd"), "{what}");
        content(&reply)
    };
    let page = root.join("page.html");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let set_back = |path: &std::path::Path| {
        let file = std::fs::File::options().append(true).open(path).expect("opens");
        file.set_modified(long_ago).expect("it is ours");
    };
    // Always the same length and the same time of modification: whoever looks only at those sends the old one.
    set_back(&page);
    for round in 0..3_u8 {
        let other = |letter: u8| vec![letter + round; 20_000];
        for _ in 0..2 {
            show("warm");
        }
        std::fs::write(&page, other(b'a')).expect("writes");
        set_back(&page);
        assert!(show("in place") == other(b'a'));

        std::fs::write(root.join("new"), other(b'k')).expect("writes");
        set_back(&root.join("new"));
        std::fs::rename(root.join("new"), &page).expect("renames");
        assert!(show("renamed over") == other(b'k'));

        std::fs::write(root.join("release"), other(b't')).expect("writes");
        std::fs::remove_file(&page).expect("removes");
        symlink("release", &page).expect("links");
        assert!(show("a link") == other(b't'));
        std::fs::remove_file(&page).expect("removes");
        assert_eq!(ask(&cornac, "/page.html", &[("Accept-Encoding", "zstd")]).status, 404);
        std::fs::write(&page, text(20_000)).expect("writes");
    }
}

#[test]
fn a_file_that_does_not_change_is_compressed_once() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    let packed = || ask(&cornac, "/page.html", &[("Accept-Encoding", "br")]);
    let is_kept = || packed().header("content-length").is_some();
    // Only when the clock of the file system has gone on since it was written.
    assert!(support::wait_until(std::time::Duration::from_secs(20), is_kept), "it is never kept");
    let kept = packed();
    assert!(content(&kept) == text(20_000));
    assert_eq!(kept.header("content-length"), Some(kept.body.len().to_string().as_str()));
    assert!(kept.header("etag").expect("a tag").starts_with("W/"));
}

#[test]
fn what_a_site_or_a_route_switches_off_is_off() {
    let root = root().file("app.js", text(9_000)).file("app.js.gz", "gzip bytes");
    let off = "[[sites.routes]]\nmatch = \"= /page.html\"\ncompression = false\n";
    let (_fpm, cornac) =
        serve(&root, &format!("compression = {{ algorithms = [\"gzip\"], min_size = 0 }}\n{off}"));
    let coding = |target: &str, accept: &str| {
        let reply = ask(&cornac, target, &[("Accept-Encoding", accept)]);
        (reply.header("content-encoding").map(str::to_owned), reply.header("vary").is_some())
    };
    assert_eq!(coding("/page.html", "gzip"), (None, false));
    assert_eq!(coding("/say.php?size=10", "gzip"), (Some("gzip".to_owned()), true));
    assert_eq!(coding("/say.php", "br, zstd"), (None, true));
    assert_eq!(ask(&cornac, "/app.js", &[("Accept-Encoding", "gzip")]).text(), "gzip bytes");
}

#[test]
fn the_log_counts_what_was_sent() {
    let root = root();
    let (_fpm, cornac) = serve(&root, "");
    let reply = ask(&cornac, "/say.php?size=50000", &[("Accept-Encoding", "gzip")]);
    assert!(reply.body.len() < 25_000);
    let entry = cornac.entry("/say.php?size=50000");
    assert_eq!((entry["bytes"].as_u64(), &entry["end"]), (Some(reply.body.len() as u64), &"complete".into()));
}

/// Header lines of one reply that compression may touch.
fn touched(reply: &Response) -> Vec<(&'static str, Option<String>)> {
    let names = ["content-encoding", "vary", "accept-ranges", "etag", "content-range"];
    names.map(|name| (name, reply.header(name).map(str::to_owned))).to_vec()
}

#[test]
fn gzip_is_negotiated_as_nginx_does() {
    let root = root().file("app.css", text(9_000));
    let (fpm, cornac) = serve(&root, "compression = { algorithms = [\"gzip\"] }");
    let nginx = Nginx::start(&format!(
        "root {}; gzip on; gzip_vary on; gzip_min_length 1024; gzip_types text/css text/plain;
         location ~ \\.php$ {{ include fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
                               fastcgi_pass {}; }}",
        root.path().display(),
        fpm.server(),
    ));
    let part = ("Range", "bytes=100-199");
    let (mut compared, mut parts) = (0, 0);
    for target in
        ["/page.html", "/app.css", "/say.php?length=1&h[]=ETag:%22v1%22", "/say.php?length=1&size=900"]
    {
        for accept in ["gzip", "gzip;q=0", "gzip;q=0.5", "br", "deflate, gzip", "*", "*;q=0", "", "GZIP"] {
            for more in [&[][..], &[part], &[("If-None-Match", "\"other\"")]] {
                let mut headers = vec![("Accept-Encoding", accept)];
                headers.extend_from_slice(more);
                let ours = ask(&cornac, target, &headers);
                let theirs = http::request(nginx.address(), "GET", target, &headers, b"");
                let what = format!("{target} {headers:?}");
                // nginx reads `*` as no coding at all; RFC 9110 §12.5.3 as any.
                if accept == "*" {
                    continue;
                }
                // nginx forgets that a part was asked for when it would compress; cornac sends the part, as it is.
                if (ours.status, theirs.status) == (206, 200) {
                    assert_eq!(
                        (theirs.header("content-encoding"), &*ours.body),
                        (Some("gzip"), &text(200)[100..])
                    );
                    parts += 1;
                    continue;
                }
                assert_eq!((ours.status, touched(&ours)), (theirs.status, touched(&theirs)), "{what}");
                assert!(content(&ours) == content(&theirs), "{what}");
                compared += 1;
            }
        }
    }
    // Two files, for four spellings of "gzip".
    assert_eq!((compared, parts), (88, 8));
}
