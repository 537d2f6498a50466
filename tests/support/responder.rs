//! A FastCGI application that does what a test tells it, right or wrong. Real php-fpm is the rule; this is for what php-fpm never does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub const END_REQUEST: u8 = 3;
pub const STDOUT: u8 = 6;
pub const STDERR: u8 = 7;
const STDIN: u8 = 5;

/// One request that arrived whole, on a connection that is still open. Dropped, it closes the connection.
#[derive(Debug)]
pub struct Call {
    /// The request's id on the wire.
    pub id: u16,
    /// The how many-th connection since the start, from 0.
    pub connection: usize,
    /// The how many-th request on this connection, from 0.
    pub request: usize,
    pub params: Vec<u8>,
    pub stdin: Vec<u8>,
    stream: TcpStream,
}

/// Listens on 127.0.0.1 until the test process ends.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Responder {
    /// `answer` says by true that the connection may serve another request.
    pub fn start(answer: impl Fn(&mut Call) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (calls, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let this = Self { address, calls: Arc::clone(&calls), connections: Arc::clone(&connections) };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                let (answer, calls) = (Arc::clone(&answer), Arc::clone(&calls));
                std::thread::spawn(move || converse(stream, connection, &calls, &*answer));
            }
        });
        this
    }

    /// As cornac's TOML names it.
    pub fn server(&self) -> String {
        self.address.to_string()
    }

    /// Requests that arrived whole.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Call {
    /// A peer that has gone meanwhile is fine.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// A whole, right reply to this request.
    pub fn reply(&mut self, cgi: &str) {
        self.send(&reply(self.id, cgi.as_bytes()));
    }

    /// Whether the peer closes within this time.
    pub fn peer_closes(&mut self, within: Duration) -> bool {
        drop(self.stream.set_read_timeout(Some(within)));
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    pub fn param(&self, name: &str) -> bool {
        self.params.windows(name.len()).any(|window| window == name.as_bytes())
    }
}

fn converse(
    mut stream: TcpStream,
    connection: usize,
    calls: &AtomicUsize,
    answer: &(dyn Fn(&mut Call) -> bool + Send + Sync),
) {
    drop(stream.set_nodelay(true));
    for request in 0.. {
        let Ok((id, params, stdin)) = read_request(&mut stream) else { return };
        calls.fetch_add(1, Ordering::SeqCst);
        let mut call = Call { id, connection, request, params, stdin, stream };
        if !answer(&mut call) {
            return;
        }
        stream = call.stream;
    }
}

fn read_request(stream: &mut TcpStream) -> io::Result<(u16, Vec<u8>, Vec<u8>)> {
    let (mut params, mut stdin) = (vec![], vec![]);
    loop {
        match read_record(stream)? {
            (id, STDIN, content) if content.is_empty() => return Ok((id, params, stdin)),
            (_, STDIN, content) => stdin.extend(content),
            (_, _, content) => params.extend(content),
        }
    }
}

/// Its request's id, its type and its content.
pub(super) fn read_record(stream: &mut TcpStream) -> io::Result<(u16, u8, Vec<u8>)> {
    let mut header = [0; 8];
    stream.read_exact(&mut header)?;
    let [_, kind, id_high, id_low, length_high, length_low, padding, _] = header;
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    let mut content = vec![0; length + usize::from(padding)];
    stream.read_exact(&mut content)?;
    content.truncate(length);
    Ok((u16::from_be_bytes([id_high, id_low]), kind, content))
}

/// One record without padding.
pub fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("at most 65,535 bytes in a record");
    let [[id_high, id_low], [length_high, length_low]] = [id.to_be_bytes(), length.to_be_bytes()];
    let mut bytes = vec![1, kind, id_high, id_low, length_high, length_low, 0, 0];
    bytes.extend_from_slice(content);
    bytes
}

/// STDOUT with a CGI reply, then END_REQUEST.
pub fn reply(id: u16, cgi: &[u8]) -> Vec<u8> {
    let mut bytes = record(STDOUT, id, cgi);
    bytes.extend(record(END_REQUEST, id, &[0; 8]));
    bytes
}
