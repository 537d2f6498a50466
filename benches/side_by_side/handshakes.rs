//! TLS connections, each for one request: what a handshake costs.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::backend::Document;
use crate::sample::Seen;
use crate::support::tls::Trust;

/// At once. Their own part of a handshake costs about as much as the server's.
const CLIENTS: u32 = 4;

/// A client that resumes has one full handshake, and then only resumed ones; anything else is an error.
pub(crate) fn run(to: SocketAddr, document: &Document, resumed: bool, seconds: u64) -> Result<Seen, String> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let started = Instant::now();
    let diaries: Vec<io::Result<Vec<Duration>>> = std::thread::scope(|scope| {
        let client = || scope.spawn(|| keep_connecting(to, document, resumed, until));
        let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
        clients.into_iter().map(|client| client.join().expect("no client panics")).collect()
    });
    let elapsed = started.elapsed();
    let diaries = diaries.into_iter().collect::<io::Result<Vec<_>>>().map_err(|error| error.to_string())?;
    Ok(Seen::of(diaries.concat(), elapsed, 0))
}

fn keep_connecting(
    to: SocketAddr,
    document: &Document,
    resumed: bool,
    until: Instant,
) -> io::Result<Vec<Duration>> {
    let (mut times, mut trust) = (vec![], document.trust());
    if resumed {
        ask(&trust, to)?;
    }
    while Instant::now() < until {
        if !resumed {
            trust = document.trust();
        }
        let asked = Instant::now();
        if ask(&trust, to)? != resumed {
            return Err(io::Error::other(format!("a session is resumed: {}", !resumed)));
        }
        times.push(asked.elapsed());
    }
    Ok(times)
}

/// Whether the session was resumed. Tickets come behind the handshake, so that a reply is read.
fn ask(trust: &Trust, to: SocketAddr) -> io::Result<bool> {
    let mut connection = trust.connect(to, "bench")?;
    connection.try_get("bench", "/hello.php")?;
    Ok(connection.is_resumed())
}
