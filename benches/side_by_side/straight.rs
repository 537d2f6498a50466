//! A client that is php-fpm's own neighbour: FastCGI on a connection of its own to a worker of its own, with nobody in between
//! and nobody to wait for. What it leaves of the workers' time is php's and the machine's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use cornac::fcgi::{BodyRule, Event, Exchange, Keep, PairTooLarge, RequestEncoder, RequestId, Verdict};
use http::StatusCode;

pub(crate) struct Straight {
    to: SocketAddr,
    root: PathBuf,
    patience: Duration,
    kept: Option<TcpStream>,
}

impl Straight {
    /// `root` is the scripts' folder.
    pub(crate) fn new(to: SocketAddr, root: PathBuf, patience: Duration) -> Self {
        Self { to, root, patience, kept: None }
    }

    /// An error is whatever is no success; the next request goes on another connection then.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<()> {
        let mut connection = match self.kept.take() {
            Some(kept) => kept,
            None => self.connect()?,
        };
        let id = RequestId::new(1).expect("1 is not 0");
        connection.write_all(&self.request(id, target).map_err(io::Error::other)?)?;
        if read_reply(&mut connection, id)? {
            self.kept = Some(connection);
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        Ok(stream)
    }

    /// With what a script looks at; a front end sends some twenty more.
    fn request(&self, id: RequestId, target: &str) -> Result<Bytes, PairTooLarge> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let script = format!("{}{path}", self.root.display());
        let mut request = RequestEncoder::new(id, Keep::Connection);
        for (name, value) in [
            ("SCRIPT_FILENAME", &*script),
            ("SCRIPT_NAME", path),
            ("REQUEST_METHOD", "GET"),
            ("QUERY_STRING", query),
            ("REQUEST_URI", target),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
        ] {
            request.param(name.as_bytes(), value.as_bytes())?;
        }
        Ok(request.finish_without_body())
    }
}

/// Whether the connection serves the next request too.
fn read_reply(connection: &mut TcpStream, id: RequestId) -> io::Result<bool> {
    let mut exchange = Exchange::new(id, BodyRule::Deliver);
    exchange.request_sent();
    let mut buffer = [0; 4096];
    loop {
        let read = connection.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        exchange.receive(Bytes::copy_from_slice(&buffer[..read]));
        while let Some(event) = exchange.next_event().map_err(io::Error::other)? {
            match event {
                Event::Head(head) if head.status != StatusCode::OK => {
                    return Err(io::Error::other(format!("the reply is {}", head.status)));
                }
                Event::End(_) => return Ok(exchange.verdict() == Verdict::Reuse),
                _ => {}
            }
        }
    }
}
