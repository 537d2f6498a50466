//! Five times as many requests as a pool can answer, as an open loop: they come when they come, whatever became of the others, and
//! the time of each counts from when it was due.
//!
//! The promises hold in a short run. `OVERLOAD_SECONDS=30 cargo test --release --test overload -- --nocapture` prints figures worth
//! reading.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use support::{Fpm, Load, Tp, server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What one request came to.
#[derive(Debug)]
struct Seen {
    status: u16,
    retry_after: bool,
    came: Duration,
    took: Duration,
}

/// Connections that no request is on.
type Idle = Arc<Mutex<Vec<BufReader<TcpStream>>>>;

/// How much is asked for: a short run is gentle to the tests beside it.
#[derive(Clone, Copy)]
struct Plan {
    seconds: usize,
    script: &'static str,
    queue: &'static str,
    /// Requests by which the capacity is measured.
    sample: usize,
}

impl Plan {
    fn new() -> Self {
        let seconds = std::env::var("OVERLOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
        match seconds {
            Some(seconds) => {
                Self { seconds, script: "/sleep/10?count=runs", queue: "queue = {}", sample: 400 * seconds }
            }
            // The queue has room for all who come.
            None => Self {
                seconds: 3,
                script: "/sleep/60?count=runs",
                queue: "queue = { size = 100_000, timeout = \"3s\" }",
                sample: 200,
            },
        }
    }
}

async fn ask(
    to: SocketAddr,
    script: &str,
    idle: Idle,
    due: Duration,
    start: Instant,
) -> std::io::Result<Seen> {
    let kept = idle.lock().pop();
    let mut connection = match kept {
        Some(kept) => kept,
        None => BufReader::new(TcpStream::connect(to).await?),
    };
    let request = format!("GET {script} HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes()).await?;
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    connection.read_exact(&mut vec![0; length]).await?;
    idle.lock().push(connection);
    let status = head.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    let retry_after = head.iter().any(|line| line.starts_with("retry-after: "));
    Ok(Seen { status, retry_after, came: due, took: start.elapsed().saturating_sub(due) })
}

/// So many a second for so long.
fn open_loop(to: SocketAddr, script: &'static str, rate: f64, time: Duration) -> Vec<Seen> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async move {
        let (idle, start) = (Idle::default(), Instant::now());
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..(rate * time.as_secs_f64()) as usize {
            let due = Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep_until((start + due).into()).await;
            requests.spawn(ask(to, script, Arc::clone(&idle), due, start));
        }
        let seen = requests.join_all().await;
        seen.into_iter().collect::<Result<_, _>>().expect("every request is answered")
    })
}

/// Answers a second, with as many clients as keep every worker busy.
fn capacity(to: SocketAddr, script: &'static str, requests: usize) -> f64 {
    let load = Load::start(to, 24, move |_, _| script);
    load.wait_for(100);
    let began = Instant::now();
    load.wait_for(requests);
    let took = began.elapsed();
    load.stop();
    requests as f64 / took.as_secs_f64()
}

#[expect(clippy::print_stdout, reason = "the figures are what one runs this for")]
fn percentiles(what: &str, times: impl Iterator<Item = Duration>) {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!("{what}: {} p50 {:.1?} p99 {:.1?} max {:.1?}", times.len(), at(0.5), at(0.99), at(0.9999));
}

#[test]
fn an_overload_is_answered_or_refused_and_what_is_refused_never_runs() {
    let Plan { seconds, script, queue, sample } = Plan::new();
    let members = ["a", "b", "c"].map(|name| Fpm::builder(name).workers(4).start());
    let servers = members.each_ref().map(|fpm| server(fpm, "max_conns = 4")).to_vec();
    let cornac = Tp::with_servers(servers).pool(queue).start();
    let capacity = capacity(cornac.address(), script, sample);
    let runs = || members.iter().map(|fpm| fpm.count("runs")).sum::<u64>();
    let before = runs();
    let time = Duration::from_secs(seconds as u64);
    let seen = open_loop(cornac.address(), script, 5.0 * capacity, time);
    let (answered, refused): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.status == 200);

    // The first fifth fills the queue; what is in it at the end is answered after the end.
    let steady = |seen: &&&Seen| seen.came + seen.took > time / 5 && seen.came + seen.took <= time;
    let goodput = answered.iter().filter(steady).count() as f64 / (time.as_secs_f64() * 0.8);
    println!("capacity {capacity:.0}/s, goodput {goodput:.0}/s: {:.1} %", goodput / capacity * 100.0);
    percentiles("answered", answered.iter().map(|seen| seen.took));
    percentiles("refused", refused.iter().map(|seen| seen.took));
    assert!(refused.iter().all(|seen| seen.status == 503 && seen.retry_after), "{refused:?}");
    assert!(!answered.is_empty() && !refused.is_empty());
    assert_eq!(runs() - before, answered.len() as u64);
    assert!(cornac.settled_log().contains("more requests come than the pool can answer"));
}
