//! A member that behaves like the fixture's `/gate/NAME` until it is told to misbehave: in the middle of what it is doing, and
//! from then on until it is told to be well again. For what php-fpm cannot be made to do.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::responder::{END_REQUEST, STDOUT, read_record, record, reply};

const PARAMS: u8 = 4;
const STDIN: u8 = 5;
/// Longer than anything here takes: whoever waits for more fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Well,
    /// New connections are made by the kernel, and nobody looks at them.
    Silent,
    /// New connections are not even made: its backlog is full.
    Blackhole,
    /// Closes instead of going on.
    Close,
    /// Resets the connection instead of going on.
    Reset,
    /// Sends a part of what comes next, and resets the connection.
    ResetAfterPart,
    /// Sends a part of what comes next, and closes.
    Truncate,
    /// Goes on byte by byte.
    Trickle,
    /// Says something that is not FastCGI.
    Garbage,
    /// Ends the request with FCGI_OVERLOADED.
    Overloaded,
    /// Goes on with the record of another request.
    AnotherRequest,
}

/// Listens on 127.0.0.1 until it is dropped.
#[derive(Debug)]
pub struct Scripted {
    name: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Connections that fill the backlog.
    fillers: Vec<TcpStream>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    runs: HashMap<String, u64>,
    open: HashSet<String>,
    ended: bool,
}

impl Scripted {
    pub fn start(name: &'static str) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        // A short backlog can be filled.
        listener.listen(1).expect("a bound socket");
        listener.set_nonblocking(true).expect("a socket");
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().expect("a bound socket");
        let state = State { mode: Mode::Well, runs: HashMap::new(), open: HashSet::new(), ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, name, &accepting));
        Self { name, address, shared, fillers: vec![] }
    }

    /// As cornac's TOML names it.
    pub fn server(&self) -> String {
        self.address.to_string()
    }

    /// How many requests for `/gate/NAME` arrived.
    pub fn count(&self, gate: &str) -> u64 {
        self.shared.lock().runs.get(gate).copied().unwrap_or_default()
    }

    /// Waits until so many arrived.
    pub fn wait_for_count(&self, gate: &str, runs: u64) {
        let waiting = |state: &mut State| state.runs.get(gate).copied().unwrap_or_default() < runs;
        self.shared.wait_while(waiting, || format!("{runs} requests for {gate} at {}", self.name));
    }

    pub fn open_gate(&self, gate: &str) {
        self.shared.lock().open.insert(gate.to_owned());
        self.shared.changed.notify_all();
    }

    /// From now on, and for what it is at just now.
    pub fn be(&mut self, mode: Mode) {
        let before = std::mem::replace(&mut self.shared.lock().mode, mode);
        self.shared.changed.notify_all();
        self.fillers.clear();
        if before == Mode::Blackhole {
            // Connections come about again when those in the backlog were taken out.
            TcpStream::connect_timeout(&self.address, PATIENCE).expect("it accepts again");
        }
        if mode == Mode::Blackhole {
            self.fill_backlog();
        }
    }

    fn fill_backlog(&mut self) {
        let patience = Duration::from_millis(100);
        while let Ok(filler) = TcpStream::connect_timeout(&self.address, patience) {
            self.fillers.push(filler);
            assert!(self.fillers.len() < 100, "the backlog of {} does not get full", self.name);
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock")
    }

    fn wait_while(&self, waiting: impl FnMut(&mut State) -> bool, what: impl FnOnce() -> String) -> Mode {
        let (state, waited) =
            self.changed.wait_timeout_while(self.lock(), PATIENCE, waiting).expect("nobody panics");
        assert!(!waited.timed_out(), "waited in vain for {}", what());
        state.mode
    }

    fn accepts(&self) -> bool {
        !matches!(self.lock().mode, Mode::Silent | Mode::Blackhole)
    }
}

fn accept(listener: &TcpListener, name: &'static str, shared: &Arc<Shared>) {
    while !shared.lock().ended {
        match shared.accepts().then(|| listener.accept()) {
            Some(Ok((stream, _))) => {
                let shared = Arc::clone(shared);
                // Errors: the peer left, or was shown the door.
                std::thread::spawn(move || drop(serve(stream, name, &shared)));
            }
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A request under way.
struct Call {
    stream: TcpStream,
    id: u16,
    params: Vec<u8>,
    /// What of the reply has not been sent yet.
    reply: String,
    /// The reply has begun.
    begun: bool,
}

fn serve(stream: TcpStream, name: &str, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut call = Call { stream, id: 0, params: vec![], reply: String::new(), begun: false };
    loop {
        (call.id, call.params) = read_params(&mut call.stream)?;
        let gate = gate_of(&call.params);
        *shared.lock().runs.entry(gate.clone()).or_default() += 1;
        shared.changed.notify_all();
        call.begin(name)?;
        let shut = |state: &mut State| {
            state.mode == Mode::Well && !gate.is_empty() && !state.open.contains(&gate) && !state.ended
        };
        let mode = shared.wait_while(shut, || format!("the gate {gate}"));
        if !call.go_on(mode)? {
            return Ok(());
        }
    }
}

impl Call {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        self.reply = format!("Content-Type: text/plain\r\nX-Fixture-Member: {name}\r\n\r\n");
        self.begun = contains(&self.params, b"first=begun");
        if self.begun {
            let head = std::mem::take(&mut self.reply) + "begun";
            self.stream.write_all(&record(STDOUT, self.id, head.as_bytes()))?;
        }
        Ok(())
    }

    /// Whether the connection may serve another request.
    fn go_on(&mut self, mode: Mode) -> io::Result<bool> {
        let part = if self.begun { &b"more"[..] } else { &b"Content-Ty"[..] };
        let part = record(STDOUT, self.id, part);
        match mode {
            Mode::Well | Mode::Silent | Mode::Blackhole | Mode::Trickle => {
                let bytes = self.rest()?;
                let step = if mode == Mode::Trickle { 1 } else { bytes.len() };
                for piece in bytes.chunks(step) {
                    self.stream.write_all(piece)?;
                }
                return Ok(true);
            }
            Mode::Reset => return self.reset(&[]),
            Mode::ResetAfterPart => return self.reset(&part),
            Mode::Close => {}
            Mode::Truncate => self.stream.write_all(&part)?,
            Mode::Garbage => self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")?,
            Mode::Overloaded => {
                self.stream.write_all(&record(END_REQUEST, self.id, &[0, 0, 0, 0, 2, 0, 0, 0]))?;
            }
            Mode::AnotherRequest => {
                self.stream.write_all(&reply(self.id + 1, b"Status: 200\r\n\r\nanother's"))?;
            }
        }
        // What is left unread would turn the close into a reset.
        self.stream.shutdown(Shutdown::Write)?;
        io::copy(&mut self.stream, &mut io::sink())?;
        Ok(false)
    }

    fn rest(&mut self) -> io::Result<Vec<u8>> {
        let body = read_stdin(&mut self.stream)?;
        let reads = contains(&self.params, b"body=1");
        let digest = if reads { digest_line(&body) } else { String::new() };
        Ok(reply(self.id, format!("{}{digest}through\n", self.reply).as_bytes()))
    }

    fn reset(&mut self, after: &[u8]) -> io::Result<bool> {
        self.stream.write_all(after)?;
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        Ok(false)
    }
}

/// What `/gate/NAME?body=1` prints of a body.
pub fn digest_line(body: &[u8]) -> String {
    format!("{} {:016x}\n", body.len(), fnv1a(body))
}

/// php's `fnv1a64`.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// What stands behind the first `/gate/`.
fn gate_of(params: &[u8]) -> String {
    let text = String::from_utf8_lossy(params);
    let behind = text.split_once("/gate/").map_or("", |(_, behind)| behind);
    behind.chars().take_while(char::is_ascii_lowercase).collect()
}

/// Up to the empty PARAMS record: php-fpm begins then, whatever of the body is there.
fn read_params(stream: &mut TcpStream) -> io::Result<(u16, Vec<u8>)> {
    let mut params = vec![];
    loop {
        match read_record(stream)? {
            (id, PARAMS, content) if content.is_empty() => return Ok((id, params)),
            (_, PARAMS, content) => params.extend(content),
            _ => {}
        }
    }
}

fn read_stdin(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut body = vec![];
    loop {
        match read_record(stream)? {
            (_, STDIN, content) if content.is_empty() => return Ok(body),
            (_, _, content) => body.extend(content),
        }
    }
}
