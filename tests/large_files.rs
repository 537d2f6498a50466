//! Large files, which the kernel sends (sendfile): every byte is the file's, in its place, whoever reads how; and what became shorter
//! meanwhile is cut and never made up.

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use support::curl::curl;
use support::http::{Broken, Connection, Response};
use support::{Cornac, Root, Scratch, wait_until};

/// What goes out in one piece; half a piece and less is read, unless it is a piece's rest.
const PIECE: usize = 512 * 1024;
const READ: usize = 64 * 1024;

/// Every place has bytes of its own.
fn content(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (word, place) in bytes.chunks_mut(8).enumerate() {
        let word = (word as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        place.copy_from_slice(&word[..place.len()]);
    }
    bytes
}

fn serving(root: &Path, of_site: &str) -> Cornac {
    Cornac::serving(|listen| format!("[[sites]]\nlisten = [{listen:?}]\nroot = {root:?}\n{of_site}\n{FILES}"))
}

const FILES: &str = "[[sites.routes]]\nmatch = \"/\"\ntry_files = [\"$uri\", \"=404\"]\n";

fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

fn is(response: &Response, expected: &[u8], what: &str) {
    assert_eq!(response.body.len(), expected.len(), "{what}");
    assert!(response.body == expected, "{what}: other bytes");
}

#[test]
fn every_byte_comes_at_every_length_from_every_file_system() {
    let lengths =
        [READ - 1, READ, READ + 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7, 9_000_001];
    // What knows how to say that it would wait, and tmpfs, which does not.
    let here = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder");
    for folder in [here.path(), memory.path()] {
        for sendfile in [true, false] {
            let cornac = serving(folder, &format!("sendfile = {sendfile}"));
            let mut client = Connection::open(cornac.address());
            for len in lengths {
                let expected = content(len);
                fs::write(folder.join("a.bin"), &expected).expect("writes");
                is(&client.get("/a.bin"), &expected, &format!("{len} in {}", folder.display()));
            }
        }
    }
}

#[test]
fn replies_that_wait_for_each_other_stay_in_order() {
    let (large, small) = (content(3 * PIECE + 7), content(100));
    let root = Root::new().file("large.bin", &large).file("small.bin", &small);
    let cornac = serving(&root.path(), "");
    let mut client = Connection::open(cornac.address());
    let end = large.len() - 70_000;
    let mut asked = String::new();
    for _ in 0..3 {
        asked += &get("/large.bin", "");
        asked += &get("/small.bin", "");
        asked += "HEAD /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
        asked += &get("/large.bin", &format!("Range: bytes={end}-\r\n"));
        asked += &get("/large.bin", "Range: bytes=1-700000\r\n");
        asked += &get("/missing", "");
    }
    client.send(asked);
    for _ in 0..3 {
        is(&client.response(), &large, "whole");
        is(&client.response(), &small, "small");
        let head = client.try_response("HEAD").expect("a head");
        assert_eq!(head.header("content-length"), Some(large.len().to_string().as_str()));
        is(&client.response(), &large[end..], "its end");
        let part = client.response();
        assert_eq!(part.status, 206);
        is(&part, &large[1..=700_000], "a part");
        assert_eq!(client.response().status, 404);
    }
}

#[test]
fn several_ranges_come_with_the_lines_between_them() {
    let large = content(2 * PIECE);
    let root = Root::new().file("large.bin", &large);
    let cornac = serving(&root.path(), "");
    let mut client = Connection::open(cornac.address());
    client.send(get("/large.bin", "Range: bytes=0-299999,500000-799999\r\n"));
    let body = client.response().body;
    let boundary = body.windows(2).position(|line| line == b"\r\n").expect("a first line ends");
    let heads = body.windows(4).enumerate().filter(|(_, end)| end == b"\r\n\r\n").map(|(at, _)| at + 4);
    let parts: Vec<_> = heads.map(|from| &body[from..(from + 300_000).min(body.len())]).collect();
    assert!(
        boundary < 100 && parts.contains(&&large[..300_000]) && parts.contains(&&large[500_000..800_000])
    );
}

/// One that takes a few bytes now and then fills the server's socket again and again.
#[test]
fn a_slow_client_gets_every_byte_too() {
    let large = content(12_000_000);
    let root = Root::new().file("large.bin", &large);
    let cornac = serving(&root.path(), "");
    let client = Connection::open(cornac.address());
    socket2::SockRef::from(client.stream()).set_recv_buffer_size(32 * 1024).expect("a socket");
    let mut stream = client.stream();
    stream.write_all(get("/large.bin", "Connection: close\r\n").as_bytes()).expect("it reads");
    let (mut got, mut buffer, mut step) = (Vec::new(), vec![0; 100_000], 1);
    loop {
        let read = stream.read(&mut buffer[..step]).expect("it sends");
        if read == 0 {
            break;
        }
        got.extend_from_slice(&buffer[..read]);
        step = (step * 7 + 3) % 90_000 + 1;
        std::thread::yield_now();
    }
    let head = got.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    assert!(got[head..] == large, "{} bytes", got.len() - head);
}

#[test]
fn a_unix_socket_gets_every_byte() {
    let large = content(3 * PIECE + 1);
    let root = Root::new().file("large.bin", &large);
    let scratch = Scratch::new();
    let socket = scratch.join("s");
    let cornac = Cornac::serving(|listen| {
        let (root, socket) = (root.path(), format!("unix:{}", socket.display()));
        format!("[[sites]]\nlisten = [{listen:?}, {socket:?}]\nroot = {root:?}\n{FILES}")
    });
    // A port is open before all is ready; an answer comes behind that.
    assert_eq!(cornac.get("/large.bin").status, 200);
    let mut stream = UnixStream::connect(&socket).expect("it listens");
    stream.write_all(get("/large.bin", "Connection: close\r\n").as_bytes()).expect("it reads");
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("it sends");
    assert!(got.ends_with(&large) && got.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn behind_tls_and_over_http2_it_is_read() {
    let text: String = (0..200_000).map(|line| format!("{line:07} ")).collect();
    let root = Root::new().file("large.txt", &text);
    for (listen, url, args) in [
        ("", "http://localhost:PORT/large.txt", &["--http2-prior-knowledge"][..]),
        ("", "http://localhost:PORT/large.txt", &["--http1.1"]),
        ("tls = \"self-signed\"", "https://localhost:PORT/large.txt", &["-k", "--http1.1"]),
        ("tls = \"self-signed\"", "https://localhost:PORT/large.txt", &["-k", "--http2"]),
    ] {
        let cornac = Cornac::serving(|port| {
            let root = root.path();
            let at = format!("{{ address = {port:?}, http2 = true }}");
            format!("[[sites]]\nlisten = [{at}]\nroot = {root:?}\n{listen}\n{FILES}")
        });
        let curled = curl(cornac.address(), url, args);
        assert_eq!((curled.status, curled.error.as_str()), (200, ""), "{url} {args:?}");
        assert!(curled.body == text, "{url} {args:?}");
    }
}

/// A client that has the first bytes and reads on only after the file was changed. Both sockets together hold some 10 MB.
fn begun(cornac: &Cornac, target: &str) -> Connection {
    let mut client = Connection::open(cornac.address());
    client.send(get(target, ""));
    assert_eq!(client.stream().peek(&mut [0; 1]).expect("an answer"), 1);
    client
}

#[test]
fn a_file_that_becomes_shorter_meanwhile_is_cut_and_never_padded() {
    let large = content(64 << 20);
    for sendfile in [true, false] {
        let root = Root::new().file("large.bin", &large);
        let cornac = serving(&root.path(), &format!("sendfile = {sendfile}"));
        let mut client = begun(&cornac, "/large.bin");
        let file = File::options().write(true).open(root.join("large.bin")).expect("opens");
        file.set_len(20_000_000).expect("cuts");
        match client.try_response("GET") {
            Err(Broken::Truncated { so_far }) => {
                assert!(so_far.body.len() <= 20_000_000);
                assert!(large.starts_with(&so_far.body), "nothing else came");
            }
            other => panic!("{:?}", other.map(|response| response.body.len())),
        }
        cornac.wait_for_log("a reply was cut off");
        fs::write(root.join("large.bin"), &large[..PIECE]).expect("writes");
        is(&Connection::open(cornac.address()).get("/large.bin"), &large[..PIECE], "the next one");
    }
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_sent_as_it_was() {
    let (old, new) = (content(32 << 20), vec![b'n'; 32 << 20]);
    let root = Root::new().file("large.bin", &old).file("new.bin", &new);
    let cornac = serving(&root.path(), "");
    let mut client = begun(&cornac, "/large.bin");
    fs::rename(root.join("new.bin"), root.join("large.bin")).expect("renames");
    is(&client.response(), &old, "what was asked for");
    is(&client.get("/large.bin"), &new, "what is there now");
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing_open() {
    let root = Root::new().file("large.bin", content(64 << 20));
    let cornac = serving(&root.path(), "");
    let open = || {
        let folder = fs::read_dir(format!("/proc/{}/fd", cornac.pid())).expect("it runs");
        let links = folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.ends_with("large.bin")).count()
    };
    let clients: Vec<_> = (0..5).map(|_| begun(&cornac, "/large.bin")).collect();
    assert_eq!(open(), 5);
    drop(clients);
    assert!(wait_until(Duration::from_secs(10), || open() == 0), "{} are open", open());
}

#[test]
fn a_file_that_grows_or_has_holes_comes_at_the_length_that_it_had() {
    let root = Root::new();
    let file = File::create(root.join("sparse.bin")).expect("creates");
    file.set_len(3_000_000).expect("grows");
    file.write_all_at(b"in the middle", 1_500_000).expect("writes");
    let cornac = serving(&root.path(), "");
    let response = Connection::open(cornac.address()).get("/sparse.bin");
    let mut expected = vec![0; 3_000_000];
    expected[1_500_000..1_500_013].copy_from_slice(b"in the middle");
    is(&response, &expected, "holes are zeroes");
}
