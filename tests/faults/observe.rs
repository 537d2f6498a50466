//! One cell, as it really goes: the request is sent, the fault strikes, and what is seen is written down.

use std::io;
use std::time::Duration;

use super::log;
use super::rig::Rig;
use super::said;
use super::support::http::{self, BodyReader, Broken, Connection, Response, Stopped};
use super::support::{big_bytes, digest_line, wait_until};
use super::table::{Cell, Column, Row, When};

/// More than the buffers on the way to a member hold.
const UPLOAD: usize = 2 * 1024 * 1024;
/// How often the victim may be passed over after the repair.
const MOST_REQUESTS: usize = 40;

/// No outcome is worse: no row may have it.
const HANGS: &str = "nothing, and the connection stays open";

/// What was seen; compared with a [`Cell`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub client: String,
    pub runs: (u64, u64),
    pub log: Vec<String>,
    pub back: String,
}

impl Observed {
    pub fn is(&self, cell: &Cell) -> bool {
        let may_be = |line: &str, seen: &str| line.split(" | ").any(|alternative| alternative == seen);
        let mut seen = self.log.iter().peekable();
        let all = cell
            .log
            .iter()
            .all(|line| seen.next_if(|seen| may_be(line, seen)).is_some() || may_be(line, said::NOTHING));
        let log = all && seen.next().is_none();
        log && (&*self.client, self.runs, &*self.back) == (cell.client, cell.runs, cell.back)
    }
}

pub fn observe(row: &Row, column: Column, expected: &Cell) -> Observed {
    let mut rig = Rig::start(row);
    rig.open_others("cell");
    let (client, log, late) = match column {
        Column::Queued => queued(row, &mut rig),
        _ => running(row, column, &mut rig),
    };
    rig.repair(row);
    late.into_iter().for_each(|mut held| assert_bounded(held.connection.try_response("POST")));
    let back = requests_until_the_victim_serves(&rig);
    // A script may begin when its client has gone.
    wait_until(Duration::from_secs(5), || rig.runs("cell") == expected.runs);
    let runs = rig.runs("cell");
    if matches!(column, Column::Post | Column::Upload) {
        assert!(runs.0 + runs.1 <= 1, "{}, {column:?}: a POST ran {runs:?} times", row.id);
    }
    Observed { client, runs, log: log::read(&rig, &log), back }
}

/// The event log from the strike to the answer, and requests that are still held.
type Seen = (String, String, Vec<Client>);

fn running(row: &Row, column: Column, rig: &mut Rig) -> Seen {
    let mut from = rig.cornac.settled_log().len();
    if row.when == When::Before {
        rig.strike(row);
    }
    let mut client = Client::send(rig, column, row.query);
    if row.when == When::Running {
        rig.victim.wait_for_count("cell", 1);
        client.read_begun();
        from = rig.cornac.settled_log().len();
        rig.strike(row);
    }
    if row.release {
        rig.victim.open_gate("cell");
    }
    client.send_rest();
    let answer = client.outcome();
    let log = log_since(rig, from, &answer);
    (answer, log, vec![])
}

/// Every slot of the pool is held; the fault strikes what holds the victim's.
fn queued(row: &Row, rig: &mut Rig) -> Seen {
    rig.victim.open_gate("cell");
    let mut held = vec![Client::hold(rig, row.query)];
    rig.victim.wait_for_count("held", 1);
    for others in 1..seats(rig, row) {
        held.push(Client::hold(rig, ""));
        let all = || rig.runs("held").1 >= others;
        assert!(wait_until(Duration::from_secs(20), all), "{}", rig.cornac.log());
    }
    let mut client = Client::send(rig, Column::Queued, "");
    settle(rig);
    let from = rig.cornac.settled_log().len();
    rig.strike(row);
    if row.release {
        rig.victim.open_gate("held");
    }
    if row.ends {
        assert_bounded(held.remove(0).connection.try_response("POST"));
    }
    rig.open_others("held");
    let answer = client.outcome();
    let log = log_since(rig, from, &answer);
    (answer, log, held)
}

/// How many requests the pool takes at once before the strike.
fn seats(rig: &Rig, row: &Row) -> u64 {
    match rig.hosts {
        Some(_) => super::inject::first_addresses(row.strike).len() as u64,
        None => 1 + rig.others.len() as u64,
    }
}

/// Whatever was sent before has been seen: the only thread has answered two later requests.
fn settle(rig: &Rig) {
    for _ in 0..2 {
        assert_eq!(rig.cornac.get("/robots.txt").status, 200);
    }
}

/// From there to the line of the access log that ends the request.
fn log_since(rig: &Rig, from: usize, answer: &str) -> String {
    assert_ne!(answer, HANGS, "no end within the client's patience:\n{}", rig.cornac.log());
    let is_it = |entry: &serde_json::Value| {
        entry["target"].as_str().is_some_and(|target| target.contains("/gate/cell"))
    };
    rig.cornac.entry_where("the request", is_it);
    rig.cornac.settled_log().get(from..).unwrap_or_default().to_owned()
}

fn requests_until_the_victim_serves(rig: &Rig) -> String {
    let mut failed = 0;
    for n in 1..=MOST_REQUESTS {
        let reply = http::try_request(rig.cornac.address(), "GET", "/index.php/json", &[], b"");
        match reply.map(|reply| (reply.status, reply.header("x-fixture-member") == Some("victim"))) {
            Ok((200, true)) if failed == 0 => return n.to_string(),
            Ok((200, true)) => return format!("{n} ({failed} failed)"),
            Ok((200, false)) => {}
            Ok(_) => failed += 1,
            Err(broken) => {
                assert_bounded(Err(broken));
                failed += 1;
            }
        }
    }
    panic!("the victim does not come back:\n{}", rig.cornac.log());
}

/// Any end but none.
fn assert_bounded(answer: Result<Response, Broken>) {
    if let Err(Broken::Silent { so_far }) = answer {
        panic!("no end within the client's patience: {so_far:?}");
    }
}

/// The client of a cell.
struct Client {
    connection: Connection,
    column: Column,
    body: Vec<u8>,
    /// The head of a streamed reply and what of its body was read.
    begun: Option<(Response, BodyReader)>,
}

impl Client {
    fn send(rig: &Rig, column: Column, query: &str) -> Self {
        let (method, path) = match column {
            Column::Get | Column::Queued => ("GET", "/index.php/gate/cell?cell=1"),
            Column::Post => ("POST", "/index.php/gate/cell?body=1"),
            Column::Upload => ("POST", "/index.php/gate/cell/up/1?body=1"),
            Column::Stream => ("GET", "/index.php/gate/cell?first=begun&unbuffered=1"),
        };
        let body = match column {
            Column::Post => b"body".to_vec(),
            Column::Upload => big_bytes(UPLOAD),
            _ => vec![],
        };
        let mut client =
            Self { connection: Connection::open(rig.cornac.address()), column, body, begun: None };
        client.head(method, &format!("{path}{query}"));
        let half = if column == Column::Upload { UPLOAD / 2 } else { client.body.len() };
        client.connection.send(&client.body[..half]);
        client
    }

    /// Takes a slot until its gate is opened. A POST, so that it is never moved to another member.
    fn hold(rig: &Rig, query: &str) -> Self {
        let connection = Connection::open(rig.cornac.address());
        let mut client = Self { connection, column: Column::Post, body: b"body".to_vec(), begun: None };
        client.head("POST", &format!("/index.php/gate/held?body=1{query}"));
        client.connection.send(&client.body);
        client
    }

    fn head(&mut self, method: &str, target: &str) {
        let length = match self.body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        self.connection.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{length}\r\n"));
    }

    /// A streamed reply is on its way when its first bytes are here.
    fn read_begun(&mut self) {
        if self.column != Column::Stream {
            return;
        }
        let head = self.connection.head().expect("the head of a stream");
        let mut reader = BodyReader::of(&head, "GET").expect("a body");
        let first = reader.next(&mut self.connection).expect("its beginning");
        assert_eq!(first.as_deref(), Some(&b"begun"[..]));
        self.begun = Some((Response { body: b"begun".to_vec(), ..head }, reader));
    }

    fn send_rest(&mut self) {
        if self.column == Column::Upload {
            // The answer may come, and the peer stop reading, before all was sent.
            let _: io::Result<()> = self.connection.try_send(&self.body[UPLOAD / 2..]);
        }
    }

    fn outcome(&mut self) -> String {
        match self.answer() {
            Ok(reply) => self.describe(&reply),
            Err(Broken::Truncated { .. }) => "cut".to_owned(),
            Err(Broken::Closed) => "closed".to_owned(),
            Err(Broken::Silent { .. }) => HANGS.to_owned(),
            Err(other) => format!("{other:?}"),
        }
    }

    fn answer(&mut self) -> Result<Response, Broken> {
        let Some((mut reply, mut reader)) = self.begun.take() else {
            let method = if self.body.is_empty() { "GET" } else { "POST" };
            return self.connection.try_response(method);
        };
        loop {
            match reader.next(&mut self.connection) {
                Ok(Some(piece)) => reply.body.extend(piece),
                Ok(None) => return Ok(reply),
                Err(Stopped::Ended) => return Err(Broken::Truncated { so_far: reply }),
                Err(Stopped::Silent) => return Err(Broken::Silent { so_far: reply }),
                Err(Stopped::Malformed(what)) => return Err(Broken::Malformed(what)),
                Err(Stopped::Io(error)) => return Err(Broken::Io(error)),
            }
        }
    }

    /// `200 victim`, `502`, and whatever is wrong with a body that claims to be whole.
    fn describe(&self, reply: &Response) -> String {
        let begun = if self.column == Column::Stream { "begun" } else { "" };
        let digest = if self.body.is_empty() { String::new() } else { digest_line(&self.body) };
        let whole = format!("{begun}{digest}through\n");
        let member = reply.header("x-fixture-member").map(|member| format!(" {member}")).unwrap_or_default();
        let odd = reply.status == 200 && reply.body != whole.as_bytes();
        let odd = if odd {
            format!(", but only {:?}", reply.body.escape_ascii().to_string())
        } else {
            String::new()
        };
        format!("{}{member}{odd}", reply.status)
    }
}
