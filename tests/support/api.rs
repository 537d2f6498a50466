//! An HTTP interface of a test's own, over TCP or a unix socket: one request a connection, a thread for each.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Port;

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    pub method: String,
    /// Path and query, decoded.
    pub target: String,
    pub headers: Vec<String>,
}

impl Asked {
    /// A value of the query; empty without one.
    pub fn value(&self, name: &str) -> &str {
        let (_, query) = self.target.split_once('?').unwrap_or_default();
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
    }
}

/// Where the answer goes.
pub struct Reply {
    /// Of a TCP or a unix socket: bytes go the same way.
    stream: TcpStream,
    ends: Arc<AtomicBool>,
}

impl Reply {
    pub fn send(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n"
        );
        drop(self.stream.write_all((head + body).as_bytes()));
    }

    /// An answer whose parts come when they come.
    pub fn begin(&mut self) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        drop(self.stream.write_all(head.as_bytes()));
    }

    pub fn part(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
    }

    /// Whether the interface goes on: who waits asks that now and then.
    pub fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }
}

/// A running interface; it ends with this value, and those who wait for an answer are cut off.
pub struct Api {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    socket: Option<PathBuf>,
}

type Handler = dyn Fn(&Asked, &mut Reply) + Send + Sync;

impl Api {
    pub fn on_port(port: &Port, answers: impl Fn(&Asked, &mut Reply) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(port.address()).expect("a port of ours");
        listener.set_nonblocking(true).expect("a socket");
        Self::start(move || Ok(listener.accept()?.0.into()), answers, None)
    }

    pub fn on_socket(path: &Path, answers: impl Fn(&Asked, &mut Reply) + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).expect("a free path");
        listener.set_nonblocking(true).expect("a socket");
        Self::start(move || Ok(listener.accept()?.0.into()), answers, Some(path.to_owned()))
    }

    fn start(
        accept: impl Fn() -> io::Result<OwnedFd> + Send + 'static,
        answers: impl Fn(&Asked, &mut Reply) + Send + Sync + 'static,
        socket: Option<PathBuf>,
    ) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (its_end, answers): (_, Arc<Handler>) = (Arc::clone(&ends), Arc::new(answers));
        let thread = std::thread::spawn(move || {
            let mut working = vec![];
            while !its_end.load(Ordering::Relaxed) {
                let Ok(stream) = accept() else {
                    std::thread::sleep(Duration::from_millis(3));
                    continue;
                };
                let (ends, answers) = (Arc::clone(&its_end), Arc::clone(&answers));
                working.push(std::thread::spawn(move || {
                    let stream = TcpStream::from(stream);
                    let asked = stream.set_nonblocking(false).ok().and_then(|()| read(&stream));
                    let Some(asked) = asked else { return };
                    answers(&asked, &mut Reply { stream, ends });
                }));
            }
            working.into_iter().for_each(|thread| drop(thread.join()));
        });
        Self { ends, thread: Some(thread), socket }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
        drop(self.socket.take().map(std::fs::remove_file));
    }
}

fn read(input: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(input).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let target = percent_encoding::percent_decode_str(target).decode_utf8_lossy().into_owned();
    let headers = lines.take_while(|line| !line.is_empty()).collect();
    Some(Asked { method, target, headers })
}
