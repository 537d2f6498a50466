//! Large bodies, each way, by a client of our own that looks at every byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use crate::support::big_bytes;

/// 100 MB as in the names of the rows.
pub(crate) const BYTES: usize = 100_000_000;
/// Transfers at a time.
const AT_ONCE: u32 = 2;
/// Longer than any transfer on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every upload's digest by php must be ours.
pub(crate) fn uploads(to: SocketAddr, count: u32) -> Result<(), String> {
    spread(count, || {
        let request = format!(
            "POST /upload.php HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\nContent-Length: {BYTES}\r\n\r\n"
        );
        let (length, mut reply) = exchange(to, &request, body())?;
        let mut digest = vec![0; length];
        reply.read_exact(&mut digest)?;
        if digest != format!("{:016x}", fnv1a(body())).into_bytes() {
            return Err(io::Error::other(format!("php's digest is {}", String::from_utf8_lossy(&digest))));
        }
        Ok(())
    })
}

/// Every byte must be the one that php wrote.
pub(crate) fn downloads(to: SocketAddr, count: u32) -> Result<(), String> {
    spread(count, || {
        let (length, mut reply) = exchange(to, "GET /download.php HTTP/1.1\r\nHost: bench\r\n\r\n", &[])?;
        if length != BYTES {
            return Err(io::Error::other(format!("{length} bytes were announced")));
        }
        let mut piece = vec![0; 1 << 18];
        for expected in body().chunks(piece.len()) {
            let piece = &mut piece[..expected.len()];
            reply.read_exact(piece)?;
            if piece != expected {
                return Err(io::Error::other("other bytes than php wrote"));
            }
        }
        Ok(())
    })
}

/// The bytes that go either way; php makes the same in `backend`.
fn body() -> &'static [u8] {
    static BODY: OnceLock<Vec<u8>> = OnceLock::new();
    BODY.get_or_init(|| big_bytes(BYTES))
}

/// FNV-1a of 64 bits, which php knows as `fnv1a64`.
fn fnv1a(bytes: &[u8]) -> u64 {
    static DIGEST: OnceLock<u64> = OnceLock::new();
    *DIGEST.get_or_init(|| {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    })
}

fn spread(count: u32, transfer: impl Fn() -> io::Result<()> + Sync) -> Result<(), String> {
    fnv1a(body());
    std::thread::scope(|scope| {
        let share = |client: u32| count / AT_ONCE + u32::from(client < count % AT_ONCE);
        let clients: Vec<_> = (0..AT_ONCE)
            .map(|client| {
                scope.spawn({
                    let transfer = &transfer;
                    move || (0..share(client)).try_for_each(|_| transfer())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().expect("a client does not panic"))
    })
    .map_err(|error: io::Error| error.to_string())
}

/// Sends a request and reads the head of its reply: the length that it announces, and where the body comes from.
fn exchange(to: SocketAddr, head: &str, body: &[u8]) -> io::Result<(usize, BufReader<TcpStream>)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reply = BufReader::with_capacity(1 << 18, stream);
    let mut length = None;
    let status = line(&mut reply)?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("the reply is {status}")));
    }
    loop {
        let header = line(&mut reply)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
    }
    Ok((length.ok_or_else(|| io::Error::other("a reply without its length"))?, reply))
}

fn line(reply: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reply.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
