//! A FastCGI responder that does nothing: the far side of a benchmark, and a php-fpm stand-in for tests of queues.
//!
//! It answers every request with `--bytes` bytes of text as cheaply as it can. With `--workers N` it is like N php-fpm
//! workers: each takes one connection and keeps to it, also while it is idle, and further ones wait in the accept
//! backlog. It shares no code with cornac, so that a mistake there cannot hide here.
//!
//! ```text
//! cargo run --release --example null-responder -- --listen 127.0.0.1:9000 --bytes 12 --workers 12 --delay 2ms
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};
use tokio::sync::Semaphore;

/// php-fpm's own default backlog.
const BACKLOG: u32 = 511;
const HEADER: usize = 8;
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const KEEP_CONN: u8 = 1;

/// Answers every FastCGI request with the same bytes.
#[derive(Debug, Parser)]
struct Options {
    /// HOST:PORT (port 0 takes a free one) or unix:/path; what it listens on is printed
    #[arg(long)]
    listen: String,
    /// Bytes of body in each reply
    #[arg(long, default_value_t = 12)]
    bytes: usize,
    /// The body of each reply, instead of so many bytes
    #[arg(long, conflicts_with = "bytes")]
    body: Option<PathBuf>,
    /// Connections served at a time, as php-fpm's max_children; without it, all of them
    #[arg(long)]
    workers: Option<usize>,
    /// How long each request takes, such as 2ms or 1s
    #[arg(long, default_value = "0ms", value_parser = duration)]
    delay: Duration,
    /// Threads that share the work
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?;
    runtime.block_on(listen(options))
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| "not a number with a unit".to_owned())?;
    match &text[digits.len()..] {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err("the unit is us, ms or s".to_owned()),
    }
}

async fn listen(options: Options) -> io::Result<()> {
    let body = match &options.body {
        Some(path) => std::fs::read(path)?,
        None => vec![b'x'; options.bytes],
    };
    let worker = Worker { reply: Reply::new(&body), delay: options.delay };
    let workers = Arc::new(Semaphore::new(options.workers.unwrap_or(Semaphore::MAX_PERMITS)));
    match options.listen.strip_prefix("unix:") {
        Some(path) => {
            let listener = listen_unix(path)?;
            eprintln!("listening on unix:{path}");
            serve_all(&workers, &worker, async || Ok(listener.accept().await?.0)).await
        }
        None => {
            let listener = listen_tcp(&options.listen).await?;
            eprintln!("listening on {}", listener.local_addr()?);
            serve_all(&workers, &worker, async || {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok(socket)
            })
            .await
        }
    }
}

async fn listen_tcp(address: &str) -> io::Result<TcpListener> {
    let address = tokio::net::lookup_host(address).await?.next();
    let address = address.ok_or_else(|| io::Error::other("no address behind the name"))?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn listen_unix(path: &str) -> io::Result<UnixListener> {
    // What an earlier run left; bind refuses an existing path.
    let _ = std::fs::remove_file(path);
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Accepts only when a worker is free: until then a client is connected but not served, as with php-fpm.
async fn serve_all<S>(
    workers: &Arc<Semaphore>,
    worker: &Worker,
    accept: impl AsyncFn() -> io::Result<S>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    loop {
        let permit = Arc::clone(workers).acquire_owned().await.map_err(io::Error::other)?;
        let Ok(socket) = accept().await else { continue };
        let mut worker = worker.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // A client that leaves ends its connection, nothing else.
            let _ = worker.serve(socket).await;
        });
    }
}

/// One connection's side of it.
#[derive(Clone)]
struct Worker {
    reply: Reply,
    delay: Duration,
}

impl Worker {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&mut self, mut socket: S) -> io::Result<()> {
        let mut requests = Requests::default();
        let mut buffer = vec![0; 64 * 1024];
        let mut kept = 0;
        loop {
            let read = socket.read(&mut buffer[kept..]).await?;
            if read == 0 {
                return Ok(());
            }
            let filled = kept + read;
            let mut used = 0;
            while let Some(request) = requests.next(&buffer[..filled], &mut used)? {
                if !self.delay.is_zero() {
                    tokio::time::sleep(self.delay).await;
                }
                socket.write_all(self.reply.to(request.id)).await?;
                if !request.keep {
                    return Ok(());
                }
            }
            buffer.copy_within(used..filled, 0);
            kept = filled - used;
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Request {
    id: [u8; 2],
    keep: bool,
}

/// Finds where requests end: at an empty STDIN record. Reads nothing else but the id and the keep flag.
#[derive(Default)]
struct Requests {
    current: Request,
    /// Content and padding that are still to be passed over.
    skip: usize,
}

impl Requests {
    /// The next complete request in `bytes` from `used` on, which is moved behind what was read. The few bytes of a
    /// header that is cut stay unused.
    fn next(&mut self, bytes: &[u8], used: &mut usize) -> io::Result<Option<Request>> {
        loop {
            let skip = self.skip.min(bytes.len() - *used);
            *used += skip;
            self.skip -= skip;
            let rest = &bytes[*used..];
            if self.skip > 0 || rest.len() < HEADER {
                return Ok(None);
            }
            let content = usize::from(u16::from_be_bytes([rest[4], rest[5]]));
            match (rest[0], rest[1]) {
                (1, BEGIN_REQUEST) => {
                    // Its flags are the third byte of the content.
                    let Some(flags) = rest.get(HEADER + 2) else { return Ok(None) };
                    self.current = Request { id: [rest[2], rest[3]], keep: flags & KEEP_CONN != 0 };
                }
                (1, _) => {}
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            *used += HEADER;
            self.skip = content + usize::from(rest[6]);
            if rest[1] == STDIN && content == 0 {
                return Ok(Some(self.current));
            }
        }
    }
}

/// The reply as it goes over the wire, and where its records begin.
#[derive(Clone)]
struct Reply {
    wire: Vec<u8>,
    records: Vec<usize>,
    id: [u8; 2],
}

impl Reply {
    fn new(body: &[u8]) -> Self {
        // Whole multiples of 8, as php-fpm's own records are.
        const RECORD: usize = 65_528;
        let mut stdout = b"Content-Type: text/plain\r\n\r\n".to_vec();
        stdout.extend_from_slice(body);
        let mut reply = Self { wire: Vec::new(), records: Vec::new(), id: [0; 2] };
        for content in stdout.chunks(RECORD) {
            reply.push(STDOUT, content);
        }
        reply.push(END_REQUEST, &[0; 8]);
        reply
    }

    fn push(&mut self, kind: u8, content: &[u8]) {
        self.records.push(self.wire.len());
        let [high, low] = (content.len() as u16).to_be_bytes();
        self.wire.extend_from_slice(&[1, kind, 0, 0, high, low, 0, 0]);
        self.wire.extend_from_slice(content);
    }

    /// The reply to one request: only the ids in its headers differ.
    fn to(&mut self, id: [u8; 2]) -> &[u8] {
        if self.id != id {
            self.id = id;
            for record in &self.records {
                self.wire[record + 2..record + 4].copy_from_slice(&id);
            }
        }
        &self.wire
    }
}
