//! HTTP/2 streams beside each other: of one connection, and of several. Whoever asks for little does not wait for whoever asks for much.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::frames::{DATA, Frames, HEADERS, WINDOW_UPDATE};
use support::{Cornac, Root};

const LARGE: usize = 8 << 20;
/// As wide as windows get.
const WIDE: u32 = i32::MAX as u32;

fn serving(root: &Root) -> Cornac {
    Cornac::serving(|listen| {
        let listen = format!("{{ address = \"{listen}\", http2 = true }}");
        format!("[server]\nthreads = 1\n[[sites]]\nlisten = {listen}\nroot = {:?}\n", root.path())
    })
}

fn root() -> Root {
    Root::new().file("large.bin", vec![b'x'; LARGE]).file("a.txt", "a")
}

/// A client that takes whatever comes.
fn open(cornac: &Cornac) -> Frames {
    let mut client = Frames::open_with(cornac.address(), &[(4, WIDE)]);
    client.send(WINDOW_UPDATE, 0, 0, &(WIDE - 65_535).to_be_bytes());
    client
}

/// What came of each stream when the first of them ended.
fn until_one_ends(client: &mut Frames) -> (u32, HashMap<u32, usize>) {
    let mut came = HashMap::new();
    loop {
        let frame = client.wait_for(&[DATA, HEADERS]).expect("the connection stands");
        if frame.kind == DATA {
            *came.entry(frame.stream).or_default() += frame.payload.len();
        }
        if frame.ends_stream() {
            return (frame.stream, came);
        }
    }
}

#[test]
fn a_large_reply_on_its_way_holds_no_small_one_back() {
    let root = root();
    let cornac = serving(&root);
    let mut client = open(&cornac);
    for stream in [1, 3, 5] {
        client.get(stream, "/large.bin");
    }
    for stream in [1, 3, 5] {
        let first = client.wait_for(&[DATA]).expect("a piece");
        assert!([1, 3, 5].contains(&first.stream), "{stream}");
    }
    client.get(7, "/a.txt");
    let (ended, came) = until_one_ends(&mut client);
    assert_eq!((ended, came[&7]), (7, 1), "{came:?}");
}

#[test]
fn replies_of_one_connection_come_side_by_side() {
    let root = root();
    let cornac = serving(&root);
    let mut client = open(&cornac);
    let streams: Vec<u32> = (0..4).map(|number| 2 * number + 1).collect();
    streams.iter().for_each(|&stream| client.get(stream, "/large.bin"));
    let (_, came) = until_one_ends(&mut client);
    for stream in streams {
        assert!(came.get(&stream).is_some_and(|&bytes| bytes >= LARGE / 4), "{stream} of {came:?}");
    }
}

#[test]
fn a_connection_with_a_hundred_streams_starves_no_other() {
    let root = root();
    let cornac = serving(&root);
    let (mut greedy, mut modest) = (open(&cornac), open(&cornac));
    let is_served = AtomicBool::new(false);
    thread::scope(|scope| {
        (0..100).for_each(|number| greedy.get(2 * number + 1, "/large.bin"));
        greedy.wait_for(&[DATA]).expect("a piece");
        let reading = scope.spawn(|| {
            let mut through = 0;
            while !is_served.load(Ordering::Relaxed) {
                until_one_ends(&mut greedy);
                through += 1;
            }
            through
        });
        for stream in [1, 3, 5] {
            modest.get(stream, "/a.txt");
            assert_eq!(modest.response(stream), Ok((200, b"a".to_vec())));
        }
        is_served.store(true, Ordering::Relaxed);
        assert!(reading.join().expect("no panic") < 100, "it would read for most of a gigabyte");
    });
}
