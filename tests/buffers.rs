//! What waits for slow clients, all together: as much as the server grants, in files that nobody sees, and never at somebody
//! else's cost.

mod support;

use std::fs;
use std::time::Duration;

use support::http::{self, BodyReader, Connection};
use support::{Cornac, Fpm, Scratch, Tp, big_bytes, wait_until};

const SECONDS: Duration = Duration::from_secs(20);

fn serve(fpm: &Fpm, temp: &Scratch, buffers: &str) -> Cornac {
    let lines = format!("temp_dir = {:?}\nbuffers = {buffers}", temp.path());
    Tp::over([fpm]).server(&lines).start()
}

/// Somebody who asks for a large reply and does not read it.
fn slow_reader(cornac: &Cornac, size: usize) -> Connection {
    let mut reader = Connection::open(cornac.address());
    reader.send(format!("GET /big/{size} HTTP/1.1\r\nHost: x\r\n\r\n"));
    reader
}

fn read_whole(mut reader: Connection, size: usize) {
    let head = reader.head().expect("a head");
    let (mut body, mut read) = (BodyReader::of(&head, "GET").expect("a body"), Vec::new());
    while let Some(piece) = body.next(&mut reader).expect("whole") {
        read.extend(piece);
    }
    assert!(read == big_bytes(size), "{} bytes of {size}", read.len());
}

/// Files below `temp` that the process has open, as the kernel names them, and their lengths.
fn open_files(cornac: &Cornac, temp: &Scratch) -> Vec<(String, u64)> {
    let folder = format!("/proc/{}/fd", cornac.pid());
    let entries = fs::read_dir(folder).expect("it runs").filter_map(Result::ok);
    let named = entries.filter_map(|entry| {
        let name = fs::read_link(entry.path()).ok()?.display().to_string();
        let length = fs::metadata(entry.path()).ok()?.len();
        name.starts_with(&temp.path().display().to_string()).then_some((name, length))
    });
    named.collect()
}

#[test]
fn temp_files_have_no_name_from_the_beginning_and_are_gone_with_their_reader() {
    let (fpm, temp) = (Fpm::builder("a").workers(2).start(), Scratch::new());
    let cornac = serve(&fpm, &temp, "{}");
    let reader = slow_reader(&cornac, 30_000_000);
    assert!(wait_until(SECONDS, || !open_files(&cornac, &temp).is_empty()), "nothing was put aside");
    assert!(open_files(&cornac, &temp).iter().all(|(name, _)| name.ends_with(" (deleted)")));
    assert_eq!(fs::read_dir(temp.path()).expect("the folder").count(), 0);
    drop(reader);
    assert!(wait_until(SECONDS, || open_files(&cornac, &temp).is_empty()), "a file outlives its reader");
}

#[test]
fn slow_readers_hold_no_worker_while_there_is_room() {
    let (fpm, temp) = (Fpm::builder("a").workers(2).start(), Scratch::new());
    let cornac = serve(&fpm, &temp, "{}");
    let readers: Vec<_> = (0..12).map(|_| slow_reader(&cornac, 8_000_000)).collect();
    // Two workers, twelve who do not read: each gets an answer.
    for _ in 0..20 {
        assert_eq!(cornac.get("/json").status, 200);
    }
    readers.into_iter().for_each(|reader| read_whole(reader, 8_000_000));
}

#[test]
fn when_the_room_is_used_up_replies_go_on_at_their_reader_s_pace_and_arrive_whole() {
    let (fpm, temp) = (Fpm::builder("a").workers(8).start(), Scratch::new());
    let cornac = serve(&fpm, &temp, "{ memory = \"1m\", temp_files = \"5m\" }");
    let readers: Vec<_> = (0..5).map(|_| slow_reader(&cornac, 20_000_000)).collect();
    cornac.wait_for_log("server.buffers.temp_files is used up");
    let in_files = || open_files(&cornac, &temp).iter().map(|(_, length)| length).sum::<u64>();
    assert!(in_files() <= 5 << 20, "{} bytes", in_files());
    // Those are slow; nobody else is.
    assert_eq!(cornac.get("/json").status, 200);
    readers.into_iter().for_each(|reader| read_whole(reader, 20_000_000));
    assert_eq!(cornac.log().matches("is used up").count(), 1, "a line for each reply");
    assert!(wait_until(SECONDS, || open_files(&cornac, &temp).is_empty()));
}

#[test]
fn an_upload_that_finds_no_room_is_told_to_come_again() {
    let (fpm, temp) = (Fpm::builder("a").workers(8).start(), Scratch::new());
    let cornac = serve(&fpm, &temp, "{ temp_files = \"1m\" }");
    let upload = |size: usize| http::request(cornac.address(), "POST", "/upload", &[], &big_bytes(size));
    let refused = upload(3_000_000);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.header("connection"), Some("close"), "the rest of the body is no request");
    assert_eq!(upload(900_000).json()["body"]["length"], 900_000, "what fits is taken");
    assert_eq!(upload(900_000).json()["body"]["length"], 900_000, "and was given back");
    assert!(wait_until(SECONDS, || open_files(&cornac, &temp).is_empty()));
}

#[test]
fn one_reply_s_file_is_no_larger_than_its_part() {
    let (fpm, temp) = (Fpm::builder("a").workers(2).start(), Scratch::new());
    let cornac = serve(&fpm, &temp, "{ reply = \"1m\" }");
    let reader = slow_reader(&cornac, 20_000_000);
    assert!(wait_until(SECONDS, || open_files(&cornac, &temp).iter().any(|(_, length)| *length > 900_000)));
    assert_eq!(cornac.get("/json").status, 200, "the other worker");
    assert!(open_files(&cornac, &temp).iter().all(|(_, length)| *length <= 1 << 20));
    read_whole(reader, 20_000_000);
}

#[test]
fn slow_readers_of_compressed_replies_take_no_more_than_there_is_and_the_next_gets_it_as_it_is() {
    let (fpm, temp) = (Fpm::builder("a").workers(8).start(), Scratch::new());
    let lines = format!("temp_dir = {:?}\nbuffers = {{ memory = \"1m\" }}", temp.path());
    let all = "compression = { types = [\"*\"], algorithms = [\"gzip\"] }";
    let cornac = Tp::over([&fpm]).server(&lines).site(all).start();
    let coding = |reader: &mut Connection| {
        reader.send("GET /big/90000000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
        reader.head().expect("a head").header("content-encoding").map(str::to_owned)
    };
    let mut readers: Vec<_> = (0..4).map(|_| Connection::open(cornac.address())).collect();
    let codings: Vec<_> = readers.iter_mut().map(coding).collect();
    assert_eq!(codings[3], None, "{codings:?}");
    drop(readers);
    let again = || coding(&mut Connection::open(cornac.address())).is_some();
    assert!(wait_until(SECONDS, again), "it is not given back");
}

#[test]
fn buffering_is_switched_off_by_word_too() {
    let (fpm, temp) = (Fpm::builder("a").workers(2).start(), Scratch::new());
    let lines = format!("temp_dir = {:?}", temp.path());
    let cornac = Tp::over([&fpm]).server(&lines).site("buffering = \"off\"").start();
    let mut reader = slow_reader(&cornac, 20_000_000);
    let head = reader.head().expect("a head");
    assert_eq!(head.status, 200);
    assert_eq!(cornac.get("/json").status, 200);
    assert!(open_files(&cornac, &temp).is_empty(), "it is put aside all the same");
}
