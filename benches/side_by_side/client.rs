//! A client of our own, for what wrk cannot tell: whose time is whose, who hangs, and which pool answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Asks one request after another, on one connection as long as it lasts.
pub(crate) struct Client {
    to: SocketAddr,
    patience: Duration,
    kept: Option<BufReader<TcpStream>>,
}

/// What `X-Member` says, where a script does.
pub(crate) type Member = Option<String>;

impl Client {
    /// Nobody waits longer than `patience` for a piece of a reply.
    pub(crate) fn new(to: SocketAddr, patience: Duration) -> Self {
        Self { to, patience, kept: None }
    }

    /// An error is whatever is no success; the next request goes on another connection then.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<Member> {
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => self.connect()?,
        };
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n");
        connection.get_mut().write_all(request.as_bytes())?;
        let reply = read_reply(&mut connection)?;
        if reply.keep {
            self.kept = Some(connection);
        }
        Ok(reply.member)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        Ok(BufReader::new(stream))
    }
}

struct Reply {
    member: Member,
    keep: bool,
}

/// How a reply's body ends.
#[derive(Clone, Copy)]
enum Body {
    Length(u64),
    Chunks,
}

fn read_reply(connection: &mut BufReader<TcpStream>) -> io::Result<Reply> {
    let (mut line, mut body, mut reply) =
        (String::new(), Body::Length(0), Reply { member: None, keep: true });
    connection.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("the reply is {:?}", line.trim_end())));
    }
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => body = Body::Length(value.parse().map_err(io::Error::other)?),
            "transfer-encoding" => body = Body::Chunks,
            "connection" => reply.keep = !value.eq_ignore_ascii_case("close"),
            "x-member" => reply.member = Some(value.to_owned()),
            _ => {}
        }
    }
    match body {
        Body::Length(length) => skip(connection, length)?,
        Body::Chunks => skip_chunks(connection)?,
    }
    Ok(reply)
}

fn skip(connection: &mut BufReader<TcpStream>, length: u64) -> io::Result<()> {
    match io::copy(&mut connection.take(length), &mut io::sink())? {
        read if read == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn skip_chunks(connection: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
        // With the end of its line, also behind the last one.
        skip(connection, length + 2)?;
        if length == 0 {
            return Ok(());
        }
    }
}
