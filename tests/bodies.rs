//! Bodies, up and down: whole, in bounded memory, and with nothing left behind.

mod support;

use std::time::Duration;

use serde_json::json;
use support::http::{self, BodyReader, Connection, Response};
use support::{Cornac, Fpm, Scratch, Tp, big_bytes, server};

const MB_100: usize = 100 * 1024 * 1024;
/// What the whole process may ever have resident, in KiB.
const MOST_KIB: u64 = 64 * 1024;

/// The digest that php computes of the same bytes, without cornac's data path having carried them.
fn digest(cornac: &Cornac, size: usize) -> String {
    cornac.get(&format!("/big/digest/bytes/{size}")).json()["sha256"].as_str().expect("a digest").to_owned()
}

#[expect(clippy::print_stdout, reason = "the measurement is what one runs this for")]
fn assert_bounded(cornac: &Cornac, what: &str) {
    let peak = cornac.peak_rss_kib();
    println!("{what}: cornac's peak memory was {:.1} MiB", peak as f64 / 1024.0);
    assert!(peak < MOST_KIB, "{what}: {peak} KiB");
}

/// Reads the whole body and compares it on the way.
fn assert_big_bytes(mut connection: Connection, size: usize) {
    let head = connection.head().expect("a head");
    assert_eq!(head.status, 200);
    let expected = big_bytes(size);
    let mut body = BodyReader::of(&head, "GET").expect("a body");
    let mut at = 0;
    while let Some(piece) = body.next(&mut connection).expect("a whole body") {
        assert!(expected.get(at..at + piece.len()) == Some(&piece[..]), "other bytes, or too many, at {at}");
        at += piece.len();
    }
    assert_eq!(at, size);
}

fn send_in_chunks(to: &mut Connection, body: &[u8], size: usize) {
    for chunk in body.chunks(size) {
        to.send(format!("{:x}\r\n", chunk.len()));
        to.send(chunk);
        to.send("\r\n");
    }
    to.send("0\r\n\r\n");
}

fn entries_of(folder: &Scratch) -> usize {
    std::fs::read_dir(folder.path()).expect("the folder is there").count()
}

#[test]
fn a_hundred_megabytes_go_up_whole_in_bounded_memory() {
    let (fpm, temp) = (Fpm::start("a"), Scratch::new());
    let cornac = Tp::over([&fpm])
        .server(&format!("temp_dir = \"{}\"", temp.path().display()))
        .site("max_body = \"200m\"")
        .start();
    let expected = digest(&cornac, MB_100);
    let reply = http::request(cornac.address(), "POST", "/upload", &[], &big_bytes(MB_100)).json();
    assert_eq!(reply["body"], json!({ "length": MB_100, "sha256": expected }));
    assert_bounded(&cornac, "100 MB up");
    assert_eq!(entries_of(&temp), 0);
}

#[test]
fn a_hundred_megabytes_come_down_whole_in_bounded_memory() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    for target in [format!("/big/{MB_100}"), format!("/big/{MB_100}?length=1")] {
        let mut client = Connection::open(cornac.address());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_big_bytes(client, MB_100);
    }
    assert_bounded(&cornac, "100 MB down");
}

#[test]
fn many_slow_readers_of_large_replies_cost_bounded_memory() {
    const SIZE: usize = 20_000_000;
    let (fpm, temp) = (Fpm::builder("a").workers(2).start(), Scratch::new());
    let cornac = Tp::over([&fpm]).server(&format!("temp_dir = \"{}\"", temp.path().display())).start();
    let mut readers = vec![];
    for _ in 0..8 {
        let mut reader = Connection::open(cornac.address());
        reader.send(format!("GET /big/{SIZE} HTTP/1.1\r\nHost: x\r\n\r\n"));
        readers.push(reader);
    }
    // No worker is held: two of them have served eight who do not read.
    assert_eq!(cornac.get("/json").status, 200);
    readers.into_iter().for_each(|reader| assert_big_bytes(reader, SIZE));
    assert_bounded(&cornac, "8 × 20 MB, read late");
    assert_eq!(entries_of(&temp), 0);
}

/// php answers before it has read the body (fpm-facts 5).
#[test]
fn an_early_answer_to_a_large_upload_does_not_deadlock() {
    const SIZE: usize = 32 * 1024 * 1024;
    let fpm = Fpm::builder("a").workers(1).start();
    let unbuffered = "[[sites.routes]]\nmatch = '~ ^/index\\.php/upload'\nfastcgi = \"php\"\n\
                      split_path_info = '^(.+?\\.php)(/.*)$'\nbuffering = false\n";
    for (what, routes) in [("buffered", ""), ("unbuffered", unbuffered)] {
        let cornac = Tp::with_servers(vec![server(&fpm, "max_conns = 1")]).more(routes).start();
        let ignored =
            http::request(cornac.address(), "POST", "/index.php/upload/ignore", &[], &vec![7; SIZE]);
        assert_eq!(ignored.json()["ignored"], SIZE.to_string(), "{what}");
        let read = http::request(cornac.address(), "POST", "/index.php/upload", &[], &big_bytes(SIZE)).json();
        assert_eq!(read["body"]["length"], SIZE, "{what}");
        assert_eq!(cornac.get("/json").status, 200, "{what}");
        assert_bounded(&cornac, what);
    }
}

/// Whoever is not told sends its next request on a connection that is about to be closed, and loses it.
#[test]
fn a_reply_that_comes_before_the_end_of_the_body_says_that_the_connection_ends() {
    let fpm = Fpm::builder("a").ini("enable_post_data_reading", "off").start();
    let cornac = Tp::over([&fpm])
        .more("[[sites.routes]]\nmatch = '~ ^/index\\.php/(fatal|gate)'\nfastcgi = \"php\"\nbuffering = false\n")
        .more("[[sites.routes]]\nmatch = \"/moved\"\nreturn = { status = 301, url = \"/there\" }\n")
        .start();
    for (target, status) in [
        ("/index.php/fatal/kill", 502),
        ("/index.php/gate/early?first=begun", 200),
        ("/moved", 301),
        ("/robots.txt", 405),
        ("/.env", 403),
    ] {
        let mut client = Connection::open(cornac.address());
        client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n"));
        client.send(vec![b'x'; 200_000]);
        let head = client.head().expect("an answer to half a body");
        assert_eq!((head.status, head.header("connection")), (status, Some("close")), "{target}");
        fpm.open_gate("early");
        let mut whole = Connection::open(cornac.address());
        whole.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(whole.response().header("connection"), None, "{target} without a body");
    }
}

#[test]
fn a_chunked_upload_reaches_php_with_its_length_and_leaves_no_file() {
    let (fpm, temp) = (Fpm::start("a"), Scratch::new());
    let cornac = Tp::over([&fpm]).server(&format!("temp_dir = \"{}\"", temp.path().display())).start();
    for (size, chunk) in [(0, 1), (1, 1), (1_000, 7), (300_000, 8_191), (20_000_000, 100_000)] {
        let expected = digest(&cornac, size);
        let mut client = Connection::open(cornac.address());
        client.send("POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        send_in_chunks(&mut client, &big_bytes(size), chunk);
        let reply = client.response().json();
        assert_eq!(reply["content_length"], size.to_string());
        assert_eq!(reply["body"], json!({ "length": size, "sha256": expected }));
        assert_eq!(entries_of(&temp), 0, "{size} bytes");
    }
    assert_bounded(&cornac, "20 MB in chunks");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_leaves_no_file_and_no_run() {
    let (fpm, temp) = (Fpm::start("a"), Scratch::new());
    let cornac = Tp::over([&fpm]).server(&format!("temp_dir = \"{}\"", temp.path().display())).start();
    for head in ["Content-Length: 9000000", "Transfer-Encoding: chunked"] {
        let mut client = Connection::open(cornac.address());
        client.send(format!("POST /upload?count=left HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n"));
        client.send("3d0900\r\n");
        client.send(vec![b'x'; 4_000_000]);
    }
    assert!(support::wait_until(Duration::from_secs(10), || cornac.entries().len() == 2), "{}", cornac.log());
    assert_eq!((entries_of(&temp), fpm.count("left")), (0, 0));
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn a_multipart_upload_arrives_with_its_fields_and_files() {
    const SIZE: usize = 3_000_000;
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let part = |head: &str, body: &[u8]| {
        [b"--XX\r\nContent-Disposition: form-data; ", head.as_bytes(), b"\r\n\r\n", body, b"\r\n"].concat()
    };
    let mut form = part("name=\"title\"", "中文".as_bytes());
    form.extend(part(
        "name=\"f[]\"; filename=\"big.bin\"\r\nContent-Type: application/x-big",
        &big_bytes(SIZE),
    ));
    form.extend(part("name=\"f[]\"; filename=\"empty\"", b""));
    form.extend(b"--XX--\r\n");
    let kind = [("Content-Type", "multipart/form-data; boundary=XX")];
    let reply = http::request(cornac.address(), "POST", "/upload", &kind, &form).json();
    assert_eq!(reply["post"], json!({ "title": "中文" }));
    let file = &reply["files"][0];
    assert_eq!((&file["name"], &file["size"]), (&json!("big.bin"), &json!(SIZE)));
    assert_eq!(file["sha256"], digest(&cornac, SIZE));
    assert_eq!((&reply["files"][1]["name"], &reply["files"][1]["size"]), (&json!("empty"), &json!(0)));
}

#[test]
fn who_asks_before_it_sends_is_told_to_go_on() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let mut client = Connection::open(cornac.address());
    client.send("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let mut interim = [0; 25];
    std::io::Read::read_exact(&mut client.stream(), &mut interim).expect("an interim reply");
    assert_eq!(interim, *b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    assert_eq!(client.response().json()["body"]["length"], 4);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_sent_and_php_never_hears_of_it() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).site("max_body = \"1m\"").start();
    let mut announced = Connection::open(cornac.address());
    announced.send("POST /upload?count=large HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
    let refused = announced.response();
    assert_eq!((refused.status, refused.informational.len()), (413, 0));

    let mut chunked = Connection::open(cornac.address());
    chunked
        .send("POST /upload?count=large HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n");
    // The answer may come, and the peer stop reading, before all was sent.
    drop(chunked.try_send(&vec![b'x'; 0x20_0000]));
    assert_eq!(chunked.try_response("POST").map(|response: Response| response.status).ok(), Some(413));

    let just = http::request(cornac.address(), "POST", "/upload?count=just", &[], &vec![b'x'; 1_048_576]);
    assert_eq!(just.json()["body"]["length"], 1_048_576);
    assert_eq!((fpm.count("large"), fpm.count("just")), (0, 1));
}
