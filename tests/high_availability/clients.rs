//! Clients on a host of their own, each request on a connection of its own, and how long nobody was answered.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::network::Host;
use crate::support::{Asking, wait_until};

const CLIENTS: usize = 4;
/// A client's patience: an address that is nowhere says nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// One request's end.
#[derive(Clone, Debug)]
struct Answer {
    at: Instant,
    /// Why there is none.
    failed: Option<String>,
}

#[derive(Debug)]
pub struct Clients(Asking<Answer>);

impl Clients {
    pub fn start(on: &Host, site: SocketAddr) -> Self {
        let host = on.clone();
        Self(Asking::start(CLIENTS, move |_| {
            host.enter();
            move || {
                let failed = ask(site).err().map(|error| error.to_string());
                if failed.is_some() {
                    // As a person would; who is refused would else ask ten thousand times a second.
                    std::thread::sleep(Duration::from_millis(20));
                }
                Answer { at: Instant::now(), failed }
            }
        }))
    }

    /// So many more are answered.
    pub fn wait_for(&self, more: usize) {
        let answered =
            || self.0.look(|answers| answers.iter().filter(|answer| answer.failed.is_none()).count());
        let goal = answered() + more;
        let seen = wait_until(Duration::from_secs(30), || answered() >= goal);
        assert!(
            seen,
            "{} answers are missing; {:?}",
            goal - answered(),
            self.0.look(|answers| answers.last().cloned())
        );
    }

    pub fn stop(self) -> Sums {
        Sums(self.0.stop())
    }
}

/// A script's answer, whole.
fn ask(site: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&site, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /sleep/10 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let whole = answer.starts_with("HTTP/1.1 200") && answer.contains("slept_ms");
    if whole { Ok(()) } else { Err(io::Error::other(format!("{answer:?}"))) }
}

pub struct Sums(Vec<Answer>);

impl Sums {
    fn failed(&self) -> Vec<&Answer> {
        self.0.iter().filter(|answer| answer.failed.is_some()).collect()
    }

    /// The longest time between two answers.
    fn gap(&self) -> (Instant, Duration) {
        let good: Vec<_> =
            self.0.iter().filter(|answer| answer.failed.is_none()).map(|answer| answer.at).collect();
        let gaps = good.windows(2).map(|pair| (pair[1], pair[1] - pair[0]));
        gaps.max_by_key(|&(_, gap)| gap).expect("two answers")
    }

    /// Each client lost the request that it had on its way when the address moved, at most: no new connection failed. The other
    /// host resets what it does not know at once, or says nothing for a client's patience: so there need be no gap.
    pub fn assert_only_those_on_their_way(&self) {
        let failed = self.failed();
        assert!(failed.len() <= CLIENTS, "more than one a client: {failed:?}");
        let moments = failed.iter().map(|failed| failed.at);
        let took = moments.clone().max().zip(moments.min()).map(|(last, first)| last - first);
        assert!(took.is_none_or(|took| took <= 2 * PATIENCE), "not at one moment: {failed:?}");
    }

    /// There was one gap, and no request failed but those that ended in it or, begun in it, a client's patience later.
    pub fn assert_only_a_gap(&self) {
        let (end, gap) = self.gap();
        let from = end - gap;
        for failed in self.failed() {
            let inside = failed.at >= from && failed.at <= end + 2 * PATIENCE;
            assert!(inside, "{failed:?} outside of the gap of {gap:?}");
        }
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, failed) = (self.0.len(), self.failed().len());
        let gap = self.gap().1.as_secs_f64();
        write!(f, "{sent} sent, {} answered, {failed} failed, {gap:.2} s without an answer", sent - failed)
    }
}
