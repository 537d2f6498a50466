//! Bytes in, bytes out: what a client uploads is what the script reads, and what the script prints is what the client reads, wherever
//! the stream is cut on its way: into segments and chunks, into records of any length and padding.

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::http::Connection;
use support::{Call, Cornac, Responder, Tp, record};

const STDOUT: u8 = 6;
const STDERR: u8 = 7;
const END_REQUEST: u8 = 3;

/// How one exchange is cut. Lengths are used in turn, over and over.
#[derive(Clone, Debug)]
struct Cuts {
    body: Vec<u8>,
    /// None: Content-Length.
    chunks: Option<Vec<usize>>,
    segments: Vec<usize>,
    records: Vec<(usize, u8)>,
    /// Whether the reply tells its length.
    told: bool,
    buffered: bool,
}

fn cuts() -> impl Strategy<Value = Cuts> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        // Beyond a record, and beyond what is held in memory.
        (60_000..140_000_usize, any::<u8>()).prop_map(|(length, first)| {
            (0..length).map(|n| (n / 251) as u8 ^ (n as u8).wrapping_add(first)).collect()
        }),
    ];
    let some = || prop_oneof![1..40_usize, 500..70_000_usize];
    let chunks = prop::option::of(prop::collection::vec(some(), 1..5));
    let records = prop::collection::vec((some().prop_map(|length| length.min(65_535)), any::<u8>()), 1..5);
    (body, chunks, prop::collection::vec(some(), 1..5), records, any::<bool>(), any::<bool>()).prop_map(
        |(body, chunks, segments, records, told, buffered)| {
            // Single bytes all the way would take minutes.
            let least = body.len() / 100;
            let large =
                |lengths: Vec<usize>| lengths.into_iter().map(|length| length.max(least)).collect::<Vec<_>>();
            let records =
                records.into_iter().map(|(length, padding)| (length.max(least.min(65_535)), padding));
            let records = records.collect();
            Cuts { chunks: chunks.map(large), segments: large(segments), body, records, told, buffered }
        },
    )
}

/// `bytes` in pieces of these lengths.
fn pieces<'a>(bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    lengths.iter().cycle().map_while(move |length| {
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

impl Cuts {
    fn request(&self) -> Vec<u8> {
        let how = if self.buffered { "buffered" } else { "unbuffered" };
        let line = format!("PUT /index.php/{how} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        let Some(chunks) = &self.chunks else {
            let head = format!("{line}Content-Length: {}\r\n\r\n", self.body.len());
            return [head.as_bytes(), &self.body].concat();
        };
        let mut request = (line + "Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in pieces(&self.body, chunks) {
            request.extend(
                format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"),
            );
        }
        request.extend(b"0\r\n\r\n");
        request
    }

    /// What the script prints: what it read, backwards.
    fn reply(&self, stdin: &[u8], id: u16) -> Vec<u8> {
        let body: Vec<u8> = stdin.iter().rev().copied().collect();
        let length = if self.told { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let cgi = [format!("Content-Type: x/y\r\n{length}\r\n").as_bytes(), &body].concat();
        let (mut rest, mut stream) = (&cgi[..], vec![]);
        for (length, padding) in self.records.iter().cycle() {
            let (content, behind) = rest.split_at((*length).min(rest.len()));
            stream.extend(padded(STDOUT, id, content, *padding));
            stream.extend(padded(STDERR, id, b"", *padding));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        stream.extend(padded(END_REQUEST, id, &[0; 8], self.records[0].1));
        stream
    }
}

fn padded(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let mut bytes = record(kind, id, content);
    bytes[6] = padding;
    bytes.resize(bytes.len() + usize::from(padding), 0);
    bytes
}

fn exchange(cornac: &Cornac, cuts: &Cuts) -> Vec<u8> {
    let mut connection = Connection::open(cornac.address());
    for segment in pieces(&cuts.request(), &cuts.segments) {
        connection.send(segment);
    }
    let response = connection.response();
    assert_eq!(response.status, 200, "{response:?}");
    response.body
}

#[test]
fn every_byte_arrives_once_and_in_its_place_both_ways_wherever_the_stream_is_cut() {
    let now = std::sync::Arc::new(std::sync::Mutex::new(None::<Cuts>));
    let theirs = std::sync::Arc::clone(&now);
    let member = Responder::start(move |call: &mut Call| {
        let cuts =
            theirs.lock().expect("nobody panics while it is held").clone().expect("a case is on its way");
        let stream = cuts.reply(&call.stdin, call.id);
        pieces(&stream, &cuts.segments).for_each(|piece| call.send(piece));
        true
    });
    let unbuffered =
        "[[sites.routes]]\nmatch = \"^~ /index.php/unbuffered\"\nbuffering = false\nfastcgi = \"php\"\n";
    let cornac = Tp::with_servers(vec![format!("{:?}", member.server())]).more(unbuffered).quiet().start();
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&cuts(), |cuts| {
        *now.lock().expect("nobody panics while it is held") = Some(cuts.clone());
        let read = exchange(&cornac, &cuts);
        prop_assert!(read.iter().rev().eq(&cuts.body), "{} bytes went, {} came", cuts.body.len(), read.len());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    assert_eq!(member.calls(), 64, "each ran once");
}
