//! Answers every FastCGI request with twelve bytes, and counts its reads: as many as the requests were written in.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One STDOUT record of id 1 and END_REQUEST.
const REPLY: &[u8] =
    b"\x01\x06\x00\x01\x00\x28\x00\x00Content-Type: text/plain\r\n\r\nHello world\n\x01\x03\x00\x01\x00\x08\x00\x00\0\0\0\0\0\0\0\0";
/// Where a request without a body ends: the empty STDIN.
const END: &[u8] = b"\x01\x05\x00\x01\x00\x00\x00\x00";

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

/// Until the other side leaves. All requests have the id 1, which is all that cornac asks for on a connection.
fn answer(mut stream: TcpStream, reads: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    let (mut buffer, mut filled) = (vec![0; 1 << 16], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]) {
        reads.fetch_add(1, Ordering::Relaxed);
        filled += read;
        if buffer[..filled].ends_with(END) {
            filled = 0;
            if stream.write_all(REPLY).is_err() {
                return;
            }
        }
    }
}
