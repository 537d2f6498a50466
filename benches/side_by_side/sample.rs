//! One sample: a load on one server, and what it cost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::backend::Document;
use crate::contestant::Server;
use crate::feature::Feature;
use crate::rows::{Load, Row};
use crate::{h2load, handshakes, mixed, process, transfer, wrk};

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    /// Transfers of 100 MB.
    pub(crate) transfers: u32,
}

impl Length {
    pub(crate) fn of(args: &Args) -> Self {
        let (rounds, seconds, transfers) = if args.quick { (3, 1, 2) } else { (5, 4, 6) };
        Self { rounds: args.rounds.unwrap_or(rounds), seconds, transfers }
    }

    /// Whose memory is looked at.
    pub(crate) fn idle_clients(self) -> u32 {
        1_000 * self.seconds as u32
    }

    /// Of one figure of a second front end, of which there are many.
    pub(crate) fn window(self) -> Duration {
        Duration::from_millis(500 * self.seconds)
    }

    /// Rounds of the row that waits for a crashed pool.
    pub(crate) fn crashes(self) -> usize {
        self.rounds.min(2 * self.seconds as usize)
    }

    /// For so long a crashed pool is away: a quick restart, or one for which it is tried in vain meanwhile.
    pub(crate) fn outage(self) -> Duration {
        Duration::from_secs(2 * self.seconds)
    }
}

/// What one turn of one contestant came to. Missing is what this kind of load does not tell.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Requests, or transfers, a second.
    pub(crate) rate: f64,
    /// Processor time of the server for one request, or one transfer, in µs.
    pub(crate) cpu_us: f64,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    pub(crate) p999: Option<Duration>,
    pub(crate) peak_kib: u64,
    /// Not answered, or not by a success.
    pub(crate) errors: u64,
    /// Clients, on average, that waited without an answer, and so are in no latency: nginx's keepalive starves some.
    pub(crate) stuck: Option<f64>,
    /// The share of requests that found an open connection to php-fpm.
    pub(crate) reuse: Option<f64>,
    /// The share of all workers' time that was the scripts' own: 1 is what no dispatching could exceed, however the dice fell.
    pub(crate) goodput: Option<f64>,
}

/// What clients saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    pub(crate) p999: Option<Duration>,
    pub(crate) errors: u64,
    /// Clients that were being served at a time, on average.
    pub(crate) served: Option<f64>,
    /// See [`Sample`].
    pub(crate) goodput: Option<f64>,
}

impl Seen {
    /// Told by the time of each request.
    pub(crate) fn of(mut times: Vec<Duration>, elapsed: Duration, errors: u64) -> Self {
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied();
        Self {
            requests: times.len() as u64,
            elapsed,
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            errors,
            served: None,
            goodput: None,
        }
    }
}

/// The time that such a share of all does not exceed.
pub(crate) fn percentile(mut times: Vec<Duration>, share: f64) -> Option<Duration> {
    times.sort_unstable();
    times.get((times.len() as f64 * share) as usize).copied()
}

/// Loads the server once to warm it up, then measures. `None` where nobody was answered: an nginx that keeps connections
/// can hold all of php-fpm's workers by one of its own, while every client has come to the other.
pub(crate) fn take(
    row: &Row,
    load: Load,
    document: &Document,
    server: &Server<'_>,
    length: Length,
) -> Result<Option<Sample>, String> {
    run(row, load, document, server, 1, 1)?;
    let (cpu, opens) = (process::cpu_time(server.pid()), process::tcp_opens());
    let seen = run(row, load, document, server, length.seconds, length.transfers)?;
    let cpu = process::cpu_time(server.pid()) - cpu;
    if seen.requests == 0 {
        return Ok(None);
    }
    let requests = seen.requests as f64;
    Ok(Some(Sample {
        rate: requests / seen.elapsed.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / requests,
        p50: seen.p50,
        p99: seen.p99,
        p999: seen.p999,
        peak_kib: process::peak_kib(server.pid()),
        errors: seen.errors,
        stuck: stuck(row, &seen),
        reuse: reuse(row, opens, &seen),
        goodput: seen.goodput,
    }))
}

/// What php-fpm gives to clients with nobody in between.
pub(crate) fn take_straight(pools: &[SocketAddr], document: &Document, length: Length) -> Sample {
    let seen = mixed::straight(pools, document.root(), length.seconds);
    Sample {
        rate: seen.requests as f64 / seen.elapsed.as_secs_f64(),
        cpu_us: 0.0,
        p50: seen.p50,
        p99: seen.p99,
        p999: seen.p999,
        peak_kib: 0,
        errors: seen.errors,
        stuck: None,
        reuse: None,
        goodput: seen.goodput,
    }
}

fn run(
    row: &Row,
    load: Load,
    document: &Document,
    server: &Server<'_>,
    seconds: u64,
    transfers: u32,
) -> Result<Seen, String> {
    let (started, to) = (Instant::now(), server.address());
    let done = || Seen { requests: transfers.into(), ..Seen::of(vec![], started.elapsed(), 0) };
    let scheme = if row.feature == Feature::Tls { "https" } else { "http" };
    match load {
        Load::Requests(ask) => wrk::run(to, scheme, ask, seconds),
        Load::Http2 { ask, streams } => h2load::run(to, ask, streams, seconds),
        Load::Handshakes { resumed } => handshakes::run(to, document, resumed, seconds),
        Load::Mixed { connections } => Ok(mixed::clients(to, connections, seconds)),
        Load::Upload => transfer::uploads(to, transfers).map(|()| done()),
        Load::Download => transfer::downloads(to, transfers).map(|()| done()),
    }
    .map_err(|problem| format!("{}: {problem}\n{}", server.name(), server.log()))
}

fn stuck(row: &Row, seen: &Seen) -> Option<f64> {
    let connections = row.connections()?;
    seen.served.map(|served| (f64::from(connections) - served).max(0.0))
}

/// Told by the kernel's count of opened connections, so that nobody has to be believed.
fn reuse(row: &Row, opens_before: Option<u64>, seen: &Seen) -> Option<f64> {
    let connections = row.connections()?;
    if !row.needs_php() {
        return None;
    }
    let opened = process::tcp_opens()?.checked_sub(opens_before?)?;
    let upstream = opened.saturating_sub(connections.into()) as f64;
    Some((1.0 - upstream / seen.requests as f64).max(0.0))
}
