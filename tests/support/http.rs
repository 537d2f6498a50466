//! A raw HTTP/1.1 client: sends exactly the bytes it is told, and shows exactly what came back. Every read has a deadline.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long one read may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A whole response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub reason: Vec<u8>,
    /// In order, names as they were sent.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// The status of each 1xx that came before.
    pub informational: Vec<u16>,
}

impl Response {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_all(name).first().copied()
    }

    /// All of that name; a value that is not UTF-8 is a panic: look into `headers`.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        let same = |(known, _): &&(Vec<u8>, Vec<u8>)| known.eq_ignore_ascii_case(name.as_bytes());
        self.headers
            .iter()
            .filter(same)
            .map(|(_, value)| str::from_utf8(value).expect("a UTF-8 value"))
            .collect()
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a UTF-8 body")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("not JSON ({error}), status {}: {}", self.status, self.body.escape_ascii())
        })
    }

    /// The pool member that answered, as the fixtures tell it.
    pub fn member(&self) -> &str {
        self.header("x-fixture-member").unwrap_or_else(|| panic!("no fixture answered: {self:?}"))
    }
}

/// Why there is no whole response. `so_far` is what had come.
#[derive(Debug)]
pub enum Broken {
    /// Nothing came for `SILENCE` (or what `silence()` set).
    Silent {
        so_far: Response,
    },
    /// The connection ended inside the head or before the announced end of the body.
    Truncated {
        so_far: Response,
    },
    /// Closed before the first byte.
    Closed,
    /// Not HTTP/1.1.
    Malformed(String),
    Io(io::Error),
}

/// One connection, kept as long as the value.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    pending: Vec<u8>,
}

impl Connection {
    pub fn open(to: SocketAddr) -> Self {
        Self::try_open(to).unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"))
    }

    /// For those who count who could not connect.
    pub fn try_open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(SILENCE)).expect("a timeout that is not zero");
        stream.set_write_timeout(Some(SILENCE)).expect("a timeout that is not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Ok(Self { stream, pending: vec![] })
    }

    /// How long a read may be silent from now on.
    pub fn silence(&self, at_most: Duration) {
        self.stream.set_read_timeout(Some(at_most)).expect("a timeout that is not zero");
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// A peer that closed meanwhile is an error, not a panic: some tests send more than the peer wants.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).expect("the peer takes what we send");
    }

    /// No more bytes from us; reading goes on.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a connected socket");
    }

    /// A GET on this connection.
    pub fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.response()
    }

    /// The response to anything but HEAD. Panics when it is broken.
    pub fn response(&mut self) -> Response {
        self.try_response("GET").unwrap_or_else(|broken| panic!("{broken:?}"))
    }

    /// `method` decides whether a body follows.
    pub fn try_response(&mut self, method: &str) -> Result<Response, Broken> {
        let mut response = self.head()?;
        let mut body = BodyReader::of(&response, method)?;
        loop {
            match body.next(self) {
                Ok(Some(piece)) => response.body.extend_from_slice(&piece),
                Ok(None) => return Ok(response),
                Err(Stopped::Silent) => return Err(Broken::Silent { so_far: response }),
                Err(Stopped::Ended) => return Err(Broken::Truncated { so_far: response }),
                Err(Stopped::Malformed(what)) => return Err(Broken::Malformed(what)),
                Err(Stopped::Io(error)) => return Err(Broken::Io(error)),
            }
        }
    }

    /// Only the head; `body` then reads on, piece by piece as it comes.
    pub fn head(&mut self) -> Result<Response, Broken> {
        let mut informational = vec![];
        loop {
            let mut head = self.one_head()?;
            if head.status / 100 == 1 && head.status != 101 {
                informational.push(head.status);
                continue;
            }
            head.informational = informational;
            return Ok(head);
        }
    }

    fn one_head(&mut self) -> Result<Response, Broken> {
        let end = loop {
            if let Some(end) = find(&self.pending, b"\r\n\r\n") {
                break end;
            }
            let so_far = || Response::default();
            match self.fill() {
                Ok(()) => {}
                Err(Stopped::Ended) if self.pending.is_empty() => return Err(Broken::Closed),
                Err(Stopped::Ended) => return Err(Broken::Truncated { so_far: so_far() }),
                Err(Stopped::Silent) => return Err(Broken::Silent { so_far: so_far() }),
                Err(Stopped::Malformed(what)) => return Err(Broken::Malformed(what)),
                Err(Stopped::Io(error)) => return Err(Broken::Io(error)),
            }
        };
        let head: Vec<u8> = self.pending.drain(..end + 4).collect();
        parse_head(&head[..end]).ok_or_else(|| Broken::Malformed(head.escape_ascii().to_string()))
    }

    /// Has the peer closed, with nothing left to read? Waits for it up to `within`.
    pub fn is_closed(&mut self, within: Duration) -> bool {
        self.silence(within);
        let closed = self.pending.is_empty() && matches!(self.fill(), Err(Stopped::Ended));
        self.silence(SILENCE);
        closed
    }

    /// All that comes until the peer closes, unparsed.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().is_ok() {}
        std::mem::take(&mut self.pending)
    }

    fn fill(&mut self) -> Result<(), Stopped> {
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Stopped::Ended),
            Ok(n) => {
                self.pending.extend_from_slice(&buffer[..n]);
                Ok(())
            }
            Err(error) => Err(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Stopped::Silent,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Stopped::Ended,
                _ => Stopped::Io(error),
            }),
        }
    }
}

/// Why reading stopped.
#[derive(Debug)]
pub enum Stopped {
    Silent,
    Ended,
    Malformed(String),
    Io(io::Error),
}

/// How a body ends (RFC 9112 §6.3), and where in it we are.
#[derive(Debug)]
pub enum BodyReader {
    /// So many bytes are left.
    Length(u64),
    /// In a chunk with so many bytes left.
    Chunk(u64),
    /// Before a chunk's size line.
    ChunkSize,
    UntilClose,
    Done,
}

impl BodyReader {
    pub fn of(head: &Response, method: &str) -> Result<Self, Broken> {
        if method == "HEAD" || matches!(head.status, 100..=199 | 204 | 304) {
            return Ok(Self::Done);
        }
        let chunked =
            head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        match (chunked, head.header_all("content-length").as_slice()) {
            (true, []) => Ok(Self::ChunkSize),
            (false, []) => Ok(Self::UntilClose),
            (false, [length]) => length
                .parse()
                .map(Self::Length)
                .map_err(|_| Broken::Malformed(format!("Content-Length {length}"))),
            both => Err(Broken::Malformed(format!("chunked, Content-Length: {both:?}"))),
        }
    }

    /// The next bytes of the body as they come, at most one read's worth; None at its end.
    pub fn next(&mut self, from: &mut Connection) -> Result<Option<Vec<u8>>, Stopped> {
        loop {
            match self {
                Self::Done | Self::Length(0) => return Ok(None),
                Self::Length(left) => return take(from, left).map(Some),
                Self::Chunk(0) => {
                    expect_line_end(from)?;
                    *self = Self::ChunkSize;
                }
                Self::Chunk(left) => return take(from, left).map(Some),
                Self::ChunkSize => *self = chunk_size(from)?,
                Self::UntilClose => return until_close(from),
            }
        }
    }
}

fn take(from: &mut Connection, left: &mut u64) -> Result<Vec<u8>, Stopped> {
    if from.pending.is_empty() {
        from.fill()?;
    }
    let n = from.pending.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= n as u64;
    Ok(from.pending.drain(..n).collect())
}

fn until_close(from: &mut Connection) -> Result<Option<Vec<u8>>, Stopped> {
    if from.pending.is_empty() {
        match from.fill() {
            Err(Stopped::Ended) => return Ok(None),
            other => other?,
        }
    }
    Ok(Some(std::mem::take(&mut from.pending)))
}

fn chunk_size(from: &mut Connection) -> Result<BodyReader, Stopped> {
    let text = line(from)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    match u64::from_str_radix(digits, 16) {
        Ok(0) => {
            while !line(from)?.is_empty() {}
            Ok(BodyReader::Done)
        }
        Ok(size) => Ok(BodyReader::Chunk(size)),
        Err(_) => Err(Stopped::Malformed(format!("chunk size {text:?}"))),
    }
}

fn expect_line_end(from: &mut Connection) -> Result<(), Stopped> {
    match line(from)?.as_str() {
        "" => Ok(()),
        junk => Err(Stopped::Malformed(format!("{junk:?} after a chunk"))),
    }
}

fn line(from: &mut Connection) -> Result<String, Stopped> {
    loop {
        if let Some(end) = find(&from.pending, b"\r\n") {
            let line: Vec<u8> = from.pending.drain(..end + 2).collect();
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        from.fill()?;
    }
}

fn parse_head(head: &[u8]) -> Option<Response> {
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next()?;
    // A server may answer a 1.0 client with either (RFC 9110 §6.2).
    let first = first.strip_prefix(b"HTTP/1.1 ").or_else(|| first.strip_prefix(b"HTTP/1.0 "))?;
    let status = str::from_utf8(first.get(..3)?).ok()?.parse().ok()?;
    let reason = first.get(4..).unwrap_or_default().to_vec();
    let headers = lines.map(split_header).collect::<Option<_>>()?;
    Some(Response { status, reason, headers, ..Response::default() })
}

fn split_header(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// One GET over a connection of its own.
pub fn get(to: SocketAddr, target: &str) -> Response {
    request(to, "GET", target, &[], b"")
}

/// One request over a connection of its own. `Host` and, with a body, `Content-Length` are added.
pub fn request(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    try_request(to, method, target, headers, body)
        .unwrap_or_else(|broken| panic!("{method} {target}: {broken:?}"))
}

pub fn try_request(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response, Broken> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    let mut connection = Connection::open(to);
    connection.send(head);
    // The answer may come, and the peer stop reading, before all was sent.
    let _ = connection.try_send(body);
    connection.try_response(method)
}

/// A reply that broke must not look whole: an honest error page, or a stream that ends in the middle.
#[track_caller]
pub fn assert_never_a_clean_end(reply: Result<Response, Broken>) {
    match reply {
        Ok(response) => assert_eq!(response.status, 502, "a broken reply came as a whole one: {response:?}"),
        Err(Broken::Truncated { .. } | Broken::Closed) => {}
        Err(other) => panic!("{other:?}"),
    }
}
