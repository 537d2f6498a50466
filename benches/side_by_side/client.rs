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
        let member = read_reply(&mut connection)?;
        self.kept = Some(connection);
        Ok(member)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        Ok(BufReader::new(stream))
    }
}

/// The scripts announce their length.
fn read_reply(connection: &mut BufReader<TcpStream>) -> io::Result<Member> {
    let (mut line, mut length, mut member) = (String::new(), 0, None);
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
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if name.eq_ignore_ascii_case("x-member") {
            member = Some(value.trim().to_owned());
        }
    }
    match io::copy(&mut connection.take(length), &mut io::sink())? {
        read if read == length => Ok(member),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
