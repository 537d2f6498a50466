//! Clients whose requests take their time: an upload in small pieces, a reply that streams, and a large one. Whatever happens to
//! the server meanwhile, each must be whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::big_bytes;
use super::http::{BodyReader, Connection};

/// Of a stream.
const PIECES: usize = 40;

/// Clients that do one long thing after another.
#[derive(Debug)]
pub struct Long {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<usize>>,
}

impl Long {
    pub fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begin = |once: fn(SocketAddr)| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    once(to);
                    done += 1;
                }
                done
            })
        };
        let clients = vec![begin(upload_slowly), begin(read_a_stream), begin(read_a_large_reply)];
        Self { stop, clients }
    }

    /// How many of each were done; panics where one failed.
    pub fn stop(self) -> Vec<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().expect("nothing was cut")).collect()
    }
}

fn upload_slowly(to: SocketAddr) {
    let body = big_bytes(400_000);
    let mut connection = Connection::open(to);
    connection.send(format!("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
    for piece in body.chunks(20_000) {
        connection.send(piece);
        std::thread::sleep(Duration::from_millis(5));
    }
    let answer = connection.response();
    assert_eq!((answer.status, answer.json()["body"]["length"].as_u64()), (200, Some(body.len() as u64)));
}

fn read_a_stream(to: SocketAddr) {
    let mut connection = Connection::open(to);
    connection.send(format!("GET /stream?chunks={PIECES}&ms=5&unbuffered=1 HTTP/1.1\r\nHost: x\r\n\r\n"));
    let answer = connection.response();
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() >= PIECES, "{}", answer.text());
}

fn read_a_large_reply(to: SocketAddr) {
    const SIZE: usize = 3_000_000;
    let mut connection = Connection::open(to);
    connection.send(format!("GET /big/{SIZE} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let head = connection.head().expect("a head");
    let mut body = BodyReader::of(&head, "GET").expect("a body");
    let mut got = vec![];
    while let Some(piece) = body.next(&mut connection).expect("a whole body") {
        got.extend(piece);
    }
    assert!(got == big_bytes(SIZE), "{} bytes", got.len());
}
