//! Clients that ask for all kinds of things, check every byte of what they get, and leave now and then.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::dice::Dice;
use super::ledger::{End, Ledger, Request};
use super::support::digest_line;
use super::support::http::{Connection, Response};

/// What all of them know.
#[derive(Debug)]
pub struct World {
    pub address: SocketAddr,
    pub until: Instant,
    pub answers: AtomicU64,
    /// What bodies are cut from, and what `/big/N` is a beginning of.
    pub bytes: Vec<u8>,
}

impl World {
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// One request as it is sent, and what a 200 to it must look like.
struct Ask {
    request: Request,
    target: String,
    body: Vec<u8>,
    chunked: bool,
    closes: bool,
    right: Right,
}

enum Right {
    /// Exactly this.
    Body(Vec<u8>),
    /// `/echo` repeats the request's name.
    Echo,
    /// The script dies first: there is no right answer.
    Never,
}

/// Until the world is over.
pub fn work(world: &World, mut dice: Dice, client: usize) -> Ledger {
    let mut ledger = Ledger::default();
    let mut connection = None;
    for number in 0.. {
        if world.is_over() || !ledger.wrong.is_empty() {
            break;
        }
        let name = format!("c{client}-{number}");
        match dice.below(20) {
            0 => pipeline(world, &mut dice, &name, &mut connection, &mut ledger),
            1 | 2 => leave(world, &mut dice, &name, &mut ledger),
            _ => {
                let ask = Ask::random(&mut dice, world, &name);
                one(world, &ask, &mut connection, &mut ledger);
            }
        }
        world.answers.fetch_add(1, Ordering::Relaxed);
    }
    ledger
}

/// On the connection of the one before, if that is still open.
fn one(world: &World, ask: &Ask, kept: &mut Option<Connection>, ledger: &mut Ledger) {
    let mut open = kept.take().unwrap_or_else(|| Connection::open(world.address));
    ledger.sent += 1;
    // The answer may come, and the peer stop reading, before all was sent.
    let _ = open.try_send(&ask.bytes());
    match open.try_response(ask.method()) {
        Ok(reply) => {
            ask.check(&reply, ledger);
            let closes = ask.closes || reply.header("connection") == Some("close");
            *kept = (!closes).then_some(open);
        }
        Err(broken) => ledger.breaks(&ask.request, broken),
    }
}

/// Several GETs at once: the answers come in their order.
fn pipeline(world: &World, dice: &mut Dice, name: &str, kept: &mut Option<Connection>, ledger: &mut Ledger) {
    let mut open = kept.take().unwrap_or_else(|| Connection::open(world.address));
    let asks: Vec<Ask> = (0..2 + dice.below(6)).map(|n| Ask::echo(&format!("{name}-{n}"))).collect();
    ledger.sent += asks.len();
    let _ = open.try_send(&asks.iter().flat_map(Ask::bytes).collect::<Vec<u8>>());
    for (n, ask) in asks.iter().enumerate() {
        match open.try_response("GET") {
            Ok(reply) => ask.check(&reply, ledger),
            Err(broken) => {
                ledger.breaks(&ask.request, broken);
                // What stands behind it is lost with it.
                asks[n + 1..].iter().for_each(|ask| ledger.ends(&ask.request, End::Closed));
                return;
            }
        }
    }
    *kept = Some(open);
}

/// Somewhere between the first byte sent and the last one read.
fn leave(world: &World, dice: &mut Dice, name: &str, ledger: &mut Ledger) {
    let mut open = Connection::open(world.address);
    let ask = Ask::random(dice, world, name);
    let bytes = ask.bytes();
    ledger.sent += 1;
    let sent = if dice.one_in(2) { bytes.len() } else { dice.below(bytes.len()) };
    let _ = open.try_send(&bytes[..sent]);
    if sent == bytes.len() && dice.one_in(2) {
        // Whatever comes, it is left.
        drop(open.head());
    }
    ledger.ends(&ask.request, End::Left);
}

impl Ask {
    /// The name is the last of the target: `name_in` is how its parameter is called.
    fn new(name: &str, kind: &'static str, target: &str, name_in: &str, right: Right) -> Self {
        let separator = if target.contains('?') { '&' } else { '?' };
        let target = format!("{target}{separator}{name_in}={name}");
        let request = Request { name: name.to_owned(), kind, is_post: name_in == "run" };
        Self { request, target, body: vec![], chunked: false, closes: false, right }
    }

    fn get(name: &str, kind: &'static str, target: &str, right: Right) -> Self {
        Self::new(name, kind, target, "n", right)
    }

    fn echo(name: &str) -> Self {
        Self::get(name, "echo", "/echo", Right::Echo)
    }

    fn random(dice: &mut Dice, world: &World, name: &str) -> Self {
        let mut ask = match dice.below(24) {
            0..8 => Self::echo(name),
            8..10 => Self::big(dice, world, name),
            10 => Self::stream(dice, name),
            11 | 12 => Self::get(name, "gate", "/gate/soak", Right::Body(b"through\n".to_vec())),
            13 => Self::doomed(dice, name),
            kind => Self::post(dice, world, name, kind),
        };
        ask.closes = dice.one_in(8);
        ask
    }

    fn big(dice: &mut Dice, world: &World, name: &str) -> Self {
        let size = dice.size(world.bytes.len());
        let target = format!("/big/{size}?length={}", dice.below(2));
        Self::get(name, "big", &target, Right::Body(world.bytes[..size].to_vec()))
    }

    fn stream(dice: &mut Dice, name: &str) -> Self {
        let n = 1 + dice.below(30);
        let target = format!("/stream?chunks={n}&ms={}&unbuffered={}", dice.below(4), dice.below(2));
        let text: String = (1..=n).map(|i| format!("chunk {i} of {n} \n")).collect();
        Self::get(name, "stream", &target, Right::Body(text.into_bytes()))
    }

    /// The worker dies before it has answered, or in the middle.
    fn doomed(dice: &mut Dice, name: &str) -> Self {
        let how = dice.pick(&["kill", "halfway"]);
        Self::new(name, "doomed", &format!("/fatal/{how}"), "run", Right::Never)
    }

    fn post(dice: &mut Dice, world: &World, name: &str, kind: usize) -> Self {
        let size = dice.size(world.bytes.len() / 2);
        let from = dice.below(world.bytes.len() - size);
        let body = world.bytes[from..from + size].to_vec();
        let (kind, path) = match kind {
            14 | 15 => ("unbuffered", "/index.php/gate/soak/up/1"),
            16 | 17 => ("chunked", "/index.php/gate/soak"),
            _ => ("upload", "/index.php/gate/soak"),
        };
        let right = Right::Body(format!("{}through\n", digest_line(&body)).into_bytes());
        let ask = Self::new(name, kind, &format!("{path}?body=1"), "run", right);
        Self { chunked: kind == "chunked", body, ..ask }
    }

    fn method(&self) -> &'static str {
        if self.request.is_post { "POST" } else { "GET" }
    }

    fn bytes(&self) -> Vec<u8> {
        let (method, target) = (self.method(), &self.target);
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        if self.closes {
            head += "Connection: close\r\n";
        }
        if self.chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if self.request.is_post {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if !self.chunked {
            bytes.extend(&self.body);
            return bytes;
        }
        for chunk in self.body.chunks(9_000) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    fn check(&self, reply: &Response, ledger: &mut Ledger) {
        let right = match (&self.right, reply.status) {
            (Right::Body(body), 200) => reply.body == *body,
            (Right::Echo, 200) => reply.json()["input"]["n"] == *self.request.name,
            (Right::Never, 200) => false,
            (_, status) => matches!(status, 502..=504),
        };
        if !right {
            let begins = reply.body[..reply.body.len().min(200)].escape_ascii();
            let (target, status, length) = (&self.target, reply.status, reply.body.len());
            ledger.wrong.push(format!("{target}: {status}, {length} bytes: {begins}"));
        }
        ledger.ends(&self.request, End::Answered(reply.status));
    }
}
