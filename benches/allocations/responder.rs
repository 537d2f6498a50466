//! Answers every FastCGI request with twelve bytes, and counts its reads: as many as the requests were written in.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One STDOUT record and END_REQUEST, of id 0.
const REPLY: &[u8; 64] =
    b"\x01\x06\0\0\0\x28\0\0Content-Type: text/plain\r\n\r\nHello world\n\x01\x03\0\0\0\x08\0\0\0\0\0\0\0\0\0\0";
/// Where its two ids are.
const IDS: [usize; 2] = [2, 50];

pub(crate) struct Responder {
    address: SocketAddr,
    reads: Arc<AtomicU64>,
}

impl Responder {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, reads) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&reads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || answer(stream, &counted));
            }
        });
        Ok(Self { address, reads })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// Until the other side leaves.
fn answer(mut stream: TcpStream, reads: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut filled, mut reply) = (vec![0; 1 << 16], 0, *REPLY);
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
        reads.fetch_add(1, Ordering::Relaxed);
        filled += read;
        // A request without a body ends in the empty STDIN, whatever its id is.
        let [.., 1, 5, high, low, 0, 0, _, _] = buffer[..filled] else { continue };
        IDS.iter().for_each(|&at| reply[at..at + 2].copy_from_slice(&[high, low]));
        filled = 0;
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}
