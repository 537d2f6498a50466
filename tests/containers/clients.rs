//! Clients that ask for everything while containers come and go, and the sums of what they saw.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::Asking;
use crate::support::http::Connection;
use jiff::Timestamp;

const GETTERS: usize = 8;
const POSTERS: usize = 2;

/// What one request came to.
#[derive(Clone, Debug)]
pub struct Answer {
    pub method: &'static str,
    pub target: &'static str,
    /// 0: no whole response came; `why` says what did.
    pub status: u16,
    pub why: String,
    /// The container that answered; empty for a file.
    pub member: String,
    pub at: Timestamp,
    pub took: Duration,
}

impl Answer {
    pub fn failed(&self) -> bool {
        self.status != 200
    }

    pub fn is_by(&self, container: &str) -> bool {
        !self.member.is_empty() && container.starts_with(&self.member)
    }
}

/// Running clients.
#[derive(Debug)]
pub struct Clients(Asking<Answer>);

impl Clients {
    /// Eight that GET quick scripts, slower ones and a file, and two that POST; each asks again when it has its answer.
    pub fn start(site: SocketAddr) -> Self {
        Self(Asking::start(GETTERS + POSTERS, move |client| work(site, client)))
    }

    pub fn so_far(&self) -> Vec<Answer> {
        self.0.look(<[Answer]>::to_vec)
    }

    /// Lets the requests on their way finish.
    pub fn stop(self) -> Sums {
        Sums(self.0.stop())
    }
}

fn work(site: SocketAddr, client: usize) -> impl FnMut() -> Answer {
    let (mut connection, mut turns) = (None, client..);
    move || {
        let turn = turns.next().expect("a range without end");
        let (method, target) = match (client < GETTERS, turn % 4) {
            (true, 0) => ("GET", "/style.css"),
            (true, 1) => ("GET", "/json"),
            (true, _) => ("GET", "/sleep/30"),
            (false, _) => ("POST", "/sleep/30"),
        };
        let begun = Instant::now();
        let (status, member, why) = match ask(site, &mut connection, method, target) {
            Ok((status, member)) => (status, member, String::new()),
            Err(why) => (0, String::new(), why),
        };
        let (at, took) = (Timestamp::now(), begun.elapsed());
        Answer { method, target, status, why, member, at, took }
    }
}

fn ask(
    site: SocketAddr,
    connection: &mut Option<Connection>,
    method: &str,
    target: &str,
) -> Result<(u16, String), String> {
    let body = if method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
    let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{body}");
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::try_open(site).map_err(|error| format!("connect: {error}"))?,
    };
    open.try_send(request.as_bytes()).map_err(|error| format!("send: {error}"))?;
    let response = open.try_response(method).map_err(|broken| format!("{broken:?}"))?;
    if response.header("connection") != Some("close") {
        *connection = Some(open);
    }
    Ok((response.status, response.header("x-fixture-member").unwrap_or_default().to_owned()))
}

/// What they saw, all together.
pub struct Sums(pub Vec<Answer>);

impl Sums {
    pub fn failed(&self, method: &str) -> Vec<&Answer> {
        self.0.iter().filter(|answer| answer.method == method && answer.failed()).collect()
    }

    /// When each container answered for the first and for the last time.
    pub fn members(&self) -> BTreeMap<&str, (Timestamp, Timestamp)> {
        let mut members = BTreeMap::new();
        for answer in self.0.iter().filter(|answer| !answer.member.is_empty()) {
            let (first, last) = members.entry(&*answer.member).or_insert((answer.at, answer.at));
            (*first, *last) = (answer.at.min(*first), answer.at.max(*last));
        }
        members
    }

    pub fn assert_none_failed(&self, method: &str) {
        let failed = self.failed(method);
        let some = failed.iter().take(5).map(|answer| {
            let Answer { at, target, status, why, took, .. } = answer;
            format!("\n{at} {method} {target}: {status} {why} after {took:?}")
        });
        assert!(failed.is_empty(), "{} {method}s failed: {}", failed.len(), some.collect::<String>());
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for method in ["GET", "POST"] {
            let sent: Vec<_> = self.0.iter().filter(|answer| answer.method == method).collect();
            let failed = self.failed(method).len();
            let slowest = sent.iter().map(|answer| answer.took).max().unwrap_or_default();
            let waited = sent.iter().filter(|answer| answer.took > Duration::from_millis(500)).count();
            write!(
                f,
                "{method}: {} sent, {} answered, {failed} failed, slowest {:.2} s, {waited} took more than 0.5 s; ",
                sent.len(),
                sent.len() - failed,
                slowest.as_secs_f64(),
            )?;
        }
        write!(f, "{} containers answered", self.members().len())
    }
}
