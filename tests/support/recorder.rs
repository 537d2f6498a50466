//! A FastCGI responder that runs nothing and keeps what it was sent, byte by byte: php itself hides some params
//! (HTTP_PROXY) and merges others.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Port, free_port};

/// The params of one request, in order.
pub type Params = Vec<(Vec<u8>, Vec<u8>)>;

/// A running responder; every request gets an empty 200.
#[derive(Debug)]
pub struct Recorder {
    port: Port,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Vec<Params>>,
    ended: AtomicBool,
}

const PARAMS: u8 = 4;
const STDIN: u8 = 5;

impl Recorder {
    pub fn start() -> Self {
        let port = free_port();
        let listener = TcpListener::bind(port.address()).expect("a free port");
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if theirs.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&theirs);
                // A peer that leaves in the middle ends its thread and nothing else.
                thread::spawn(move || while serve(&stream, &shared).is_ok_and(|kept| kept) {});
            }
        });
        Self { port, shared }
    }

    /// As cornac's TOML names it.
    pub fn server(&self) -> String {
        self.port.to_string()
    }

    /// The params of the requests since the last call.
    pub fn take(&self) -> Vec<Params> {
        std::mem::take(&mut self.shared.seen.lock().expect("no test panics in here"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.port.address()));
    }
}

/// One request; says whether the connection is kept.
fn serve(mut stream: &TcpStream, shared: &Shared) -> io::Result<bool> {
    let (mut params, mut keep, mut id) = (vec![], false, [0; 2]);
    loop {
        let (kind, its_id, content) = record(stream)?;
        match kind {
            1 => (keep, id) = (content[2] & 1 == 1, its_id),
            PARAMS => params.extend(content),
            STDIN if content.is_empty() => break,
            _ => {}
        }
    }
    shared.seen.lock().expect("no test panics in here").push(decode(&params));
    let head = b"Content-Type: text/plain\r\n\r\n";
    let mut reply = vec![1, 6, id[0], id[1], 0, head.len() as u8, 0, 0];
    reply.extend(head);
    reply.extend([1, 3, id[0], id[1], 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    stream.write_all(&reply)?;
    Ok(keep)
}

fn record(mut stream: &TcpStream) -> io::Result<(u8, [u8; 2], Vec<u8>)> {
    let mut header = [0; 8];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut content = vec![0; length + usize::from(header[6])];
    stream.read_exact(&mut content)?;
    content.truncate(length);
    Ok((header[1], [header[2], header[3]], content))
}

/// FastCGI 1.0 §3.4.
fn decode(mut bytes: &[u8]) -> Params {
    let mut params = vec![];
    while !bytes.is_empty() {
        let (name, value) = (length(&mut bytes), length(&mut bytes));
        let pair = (bytes[..name].to_vec(), bytes[name..name + value].to_vec());
        bytes = &bytes[name + value..];
        params.push(pair);
    }
    params
}

fn length(bytes: &mut &[u8]) -> usize {
    let long = bytes[0] & 0x80 != 0;
    let (head, rest) = bytes.split_at(if long { 4 } else { 1 });
    *bytes = rest;
    let value = head.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    if long { value & 0x7fff_ffff } else { value }
}
