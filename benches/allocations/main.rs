//! How many allocations a request makes, and where: a server in this very process, on an allocator that counts (dhat), asked by
//! a client that allocates nothing, and answered by a responder that does not either.
//!
//! `cargo bench --bench allocations`; `-- --sites 40` names so many places. Counts are of one run without any clock, so they
//! are the same on every machine.

#![expect(clippy::print_stdout, reason = "the counts are what one runs this for")]

mod places;
mod responder;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cornac::config;
use cornac::logs::EventLog;
use cornac::runtime::Server;

use responder::Responder;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Until every buffer has found its size and every connection is kept.
const WARM: u32 = 500;
const COUNTED: u32 = 1_000;

/// A name, what is asked for, and how many allocations it should not exceed.
const CASES: [(&str, &str, f64); 3] = [
    ("FastCGI hello", "/hello.php", 15.0),
    ("file of 1 KiB, saved just now", "/1k.bin", 8.0),
    ("file that is held", "/held.css", 8.0),
];
/// It was saved long enough ago to be held.
const OLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rustfmt.toml");

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let places =
        words.iter().position(|word| word == "--sites").and_then(|at| words.get(at + 1)?.parse().ok());
    match count(places.unwrap_or(0)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("allocations: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn count(places: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let written = std::fs::write(folder.path().join("hello.php"), "<?php")
        .and_then(|()| std::fs::write(folder.path().join("1k.bin"), [b'x'; 1 << 10]))
        .and_then(|()| std::os::unix::fs::symlink(OLD, folder.path().join("held.css")));
    written.map_err(|error| error.to_string())?;
    let responder = Responder::start().map_err(|error| error.to_string())?;
    let to = serve(folder.path(), responder.address())?;
    for (name, target, wanted) in CASES {
        let mut client = Client::new(to, target).map_err(|error| error.to_string())?;
        client.ask(WARM).map_err(|error| format!("{name}: {error}"))?;
        let report = folder.path().join("dhat.json");
        let (reads, profiler) =
            (responder.reads(), dhat::Profiler::builder().trim_backtraces(None).file_name(&report).build());
        client.ask(COUNTED).map_err(|error| format!("{name}: {error}"))?;
        let (stats, reads) = (dhat::HeapStats::get(), responder.reads() - reads);
        drop(profiler);
        let each = |count: u64| count as f64 / f64::from(COUNTED);
        println!(
            "{name}: {:.2} allocations a request ({wanted} wanted at most), {:.0} bytes; the responder read {:.2} times",
            each(stats.total_blocks),
            each(stats.total_bytes),
            each(reads),
        );
        if places > 0 {
            places::print(&report, COUNTED, places)?;
        }
    }
    Ok(())
}

/// One thread serves: nothing depends on which of them has the connection.
fn serve(root: &std::path::Path, responder: SocketAddr) -> Result<SocketAddr, String> {
    // Free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = port.map_err(|error| error.to_string())?;
    let toml = format!(
        "[server]\nthreads = 1\naccess_log = \"off\"\nlog = \"warn\"\n
[pools.php]\nservers = [\"{responder}\"]\nkeepalive = {{ mode = \"on\", idle = 8 }}\n
[[sites]]\nlisten = [\"{port}\"]\nroot = \"{}\"\npreset = \"plain\"\n",
        root.display()
    );
    let model = config::parse(&toml, "bench.toml", root).map_err(|mistakes| mistakes.to_string())?;
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the system has an epoll").block_on(async {
            let events = Arc::new(EventLog::start(&model.server.log).expect("standard error is open"));
            let server = Server::start(model, None, &events).expect("a free port");
            send.send(()).expect("somebody waits");
            server.run().await;
        });
    });
    receive.recv_timeout(Duration::from_secs(10)).map_err(|_| "the server did not start")?;
    Ok(port)
}

/// One connection. Its replies are all of one length, which the first one tells.
struct Client {
    stream: TcpStream,
    request: String,
    reply: Vec<u8>,
    length: usize,
}

impl Client {
    fn new(to: SocketAddr, target: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n");
        let mut client = Self { stream, request, reply: vec![0; 1 << 16], length: 0 };
        client.length = client.first_length()?;
        client.stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(client)
    }

    /// Whatever comes until nothing more does.
    fn first_length(&mut self) -> io::Result<usize> {
        self.stream.write_all(self.request.as_bytes())?;
        let mut length = 0;
        while let Ok(read) = self.stream.read(&mut self.reply[length..]) {
            if read == 0 {
                break;
            }
            length += read;
        }
        if !self.reply.starts_with(b"HTTP/1.1 200 ") {
            return Err(io::Error::other(String::from_utf8_lossy(&self.reply[..length]).into_owned()));
        }
        Ok(length)
    }

    fn ask(&mut self, times: u32) -> io::Result<()> {
        for _ in 0..times {
            self.stream.write_all(self.request.as_bytes())?;
            self.stream.read_exact(&mut self.reply[..self.length])?;
        }
        Ok(())
    }
}
