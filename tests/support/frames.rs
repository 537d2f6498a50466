//! HTTP/2 frame by frame (RFC 9113 §4): a client that sends what no library would, and shows what came back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 §7).
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// The status of a HEADERS frame of a response, which comes first: indexed (RFC 7541 App. A), or in three digits.
    pub fn status(&self) -> u16 {
        match self.payload[0] {
            first @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
            // A literal with the name :status; hyper's digits are Huffman-coded, two bytes and a bit.
            _ => huffman_digits(&self.payload[2..2 + usize::from(self.payload[1] & 0x7f)]),
        }
    }

    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// RFC 7541 App. B: 0, 1 and 2 have five bits, the other digits six.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u16, |number, bit| number * 2 + u16::from(*bit));
    let (mut at, mut value) = (0, 0);
    for _ in 0..3 {
        let five = number(&bits[at..at + 5]);
        let (digit, length) =
            if five < 3 { (five, 5) } else { (number(&bits[at..at + 6]) - 0b01_1001 + 3, 6) };
        (at, value) = (at + length, value * 10 + digit);
    }
    value
}

/// A header list, each a literal without indexing and without Huffman coding (RFC 7541 §6.2.2).
pub fn header_block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![];
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The head of a request in the usual form.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")];
    header_block(&[&usual[..], more].concat())
}

/// A connection in clear text.
#[derive(Debug)]
pub struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// With the preface and empty settings sent.
    pub fn open(to: SocketAddr) -> Self {
        Self::open_with(to, &[])
    }

    /// With these settings.
    pub fn open_with(to: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout that is not zero");
        stream.set_write_timeout(Some(Duration::from_secs(30))).expect("a timeout that is not zero");
        stream.set_nodelay(true).expect("a TCP socket");
        let mut frames = Self { stream };
        frames.send_bytes(PREFACE).expect("connected");
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        frames.send(SETTINGS, 0, 0, &payload);
        frames
    }

    /// The same connection once more, for another thread.
    pub fn again(&self) -> Self {
        Self { stream: self.stream.try_clone().expect("a descriptor") }
    }

    /// How many frames come until the server closes. It must do so in time.
    pub fn count_to_the_end(&mut self) -> usize {
        let mut count = 0;
        loop {
            match self.read() {
                Ok(_) => count += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("it is still open"),
                Err(_) => return count,
            }
        }
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(kind, flags, stream, payload).expect("the server takes it");
    }

    /// For those who send more than the server wants.
    pub fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.send_bytes(&frame(kind, flags, stream, payload))
    }

    /// A request without a body.
    pub fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &request("GET", path, &[]));
    }

    /// The next frame; `None` when the server has closed. Settings and pings are answered.
    pub fn next(&mut self) -> Option<Frame> {
        let frame = self.read().ok()?;
        if matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
            let payload = if frame.kind == PING { frame.payload.clone() } else { vec![] };
            // The server may have gone meanwhile.
            drop(self.try_send(frame.kind, ACK, 0, &payload));
        }
        Some(frame)
    }

    fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The first frame of these kinds; `None`: the server closed before.
    pub fn wait_for(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// Everything until a stream ends: its status and its body, or the code of its reset.
    pub fn response(&mut self, stream: u32) -> Result<(u16, Vec<u8>), u32> {
        let (mut status, mut body) = (0, vec![]);
        loop {
            let frame = self.next().unwrap_or_else(|| panic!("the server closed; status so far: {status}"));
            assert!(frame.kind != GOAWAY || frame.code() == NO_ERROR, "{frame:?}");
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS => status = frame.status(),
                DATA => body.extend_from_slice(&frame.payload),
                RST_STREAM => return Err(frame.code()),
                _ => {}
            }
            if frame.ends_stream() {
                return Ok((status, body));
            }
        }
    }

    /// How the connection ends: the code of the last GOAWAY, if there was one.
    pub fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

/// As bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
