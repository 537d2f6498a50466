//! The floor: what a FastCGI hello costs at the very least. Two threads with an epoll each, and for a request nothing but
//! read the client, write the responder, read the responder, write the client. It parses nothing that a benchmark does not
//! send, and no server could do less.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

const LISTENER: u64 = u64::MAX;
const HEADER: usize = 8;
const STDOUT: u8 = 6;
const END_REQUEST: u8 = 3;

/// Serves until it is killed.
pub(crate) fn serve(listen: SocketAddr, backend: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let request = request();
    std::thread::scope(|scope| {
        let spawn = || scope.spawn(|| turn(&listener, backend, &request));
        let threads = [spawn(), spawn()];
        threads.into_iter().try_for_each(|thread| thread.join().expect("no thread panics"))
    })
}

/// A client and its connection to the responder.
struct Pair {
    client: TcpStream,
    responder: TcpStream,
}

/// Client `n` has the event 2n, its responder 2n + 1.
fn turn(listener: &TcpListener, backend: SocketAddr, request: &[u8]) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
    epoll::add(&poll, listener, epoll::EventData::new_u64(LISTENER), flags)?;
    let mut pairs: Vec<Option<Pair>> = vec![];
    let mut events = Vec::with_capacity(64);
    let mut buffer = vec![0; 4096];
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let token = event.data.u64();
            if token == LISTENER {
                accept(listener, backend, &poll, &mut pairs)?;
                continue;
            }
            let slot = &mut pairs[(token / 2) as usize];
            let Some(pair) = slot else { continue };
            let alive = match token % 2 {
                0 => pair.ask(&mut buffer, request),
                _ => pair.answer(&mut buffer),
            };
            if !alive.unwrap_or(false) {
                // Dropped sockets leave the epoll by themselves.
                *slot = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    backend: SocketAddr,
    poll: impl AsFd,
    pairs: &mut Vec<Option<Pair>>,
) -> io::Result<()> {
    // The other thread may have been faster.
    let Ok((client, _)) = listener.accept() else { return Ok(()) };
    let responder = TcpStream::connect(backend)?;
    let token = 2 * pairs.len() as u64;
    for (socket, token) in [(&client, token), (&responder, token + 1)] {
        socket.set_nodelay(true)?;
        epoll::add(&poll, socket, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
    }
    pairs.push(Some(Pair { client, responder }));
    Ok(())
}

impl Pair {
    /// False when the client has left.
    fn ask(&mut self, buffer: &mut [u8], request: &[u8]) -> io::Result<bool> {
        let read = self.client.read(buffer)?;
        if !buffer[..read].ends_with(b"\r\n\r\n") {
            return Ok(false);
        }
        self.responder.write_all(request)?;
        Ok(true)
    }

    /// The reply of a null responder: one STDOUT record and END_REQUEST, short enough for one read.
    fn answer(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let read = self.responder.read(buffer)?;
        let wire = &buffer[..read];
        if read < HEADER || wire[1] != STDOUT {
            return Ok(false);
        }
        let (stdout, end) = wire[HEADER..].split_at(usize::from(u16::from_be_bytes([wire[4], wire[5]])));
        let Some(head) = stdout.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
        let body = &stdout[head + 4..];
        let mut reply = Vec::with_capacity(256);
        write!(reply, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len())?;
        reply.extend_from_slice(stdout);
        self.client.write_all(&reply)?;
        Ok(end.get(1) == Some(&END_REQUEST))
    }
}

/// One request with the params that a hello has, built once.
fn request() -> Vec<u8> {
    let mut params = vec![];
    for (name, value) in [
        ("SCRIPT_FILENAME", "/srv/app/public/hello.php"),
        ("PATH_INFO", ""),
        ("QUERY_STRING", ""),
        ("REQUEST_METHOD", "GET"),
        ("CONTENT_TYPE", ""),
        ("CONTENT_LENGTH", ""),
        ("SCRIPT_NAME", "/hello.php"),
        ("REQUEST_URI", "/hello.php"),
        ("DOCUMENT_URI", "/hello.php"),
        ("DOCUMENT_ROOT", "/srv/app/public"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "floor"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "40000"),
        ("SERVER_ADDR", "127.0.0.1"),
        ("SERVER_PORT", "8080"),
        ("SERVER_NAME", ""),
        ("REDIRECT_STATUS", "200"),
        ("HTTP_HOST", "127.0.0.1:8080"),
    ] {
        params.extend([name.len() as u8, value.len() as u8]);
        params.extend_from_slice(name.as_bytes());
        params.extend_from_slice(value.as_bytes());
    }
    let [high, low] = (params.len() as u16).to_be_bytes();
    // BEGIN_REQUEST as a responder that keeps the connection, PARAMS, the empty PARAMS and the empty STDIN; id 1.
    let mut wire = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 4, 0, 1, high, low, 0, 0];
    wire.extend(params);
    wire.extend([1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 0]);
    wire
}
