//! More requests than workers can ever answer, in open loop: each comes at its own time, whether the earlier ones are answered
//! or not, as visitors do. A time counts from when a request was due, so that a late client hides nothing (no coordinated omission).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::Scene;
use crate::backend::{Backend, WORKERS_PER_POOL};
use crate::contestant::Contestant;
use crate::findings::Finding;
use crate::sample::percentile;

const TARGET: &str = "/sleep.php?us=40000";
/// Of all 12 workers: 300 a second.
const CAPACITY: f64 = 3.0 * WORKERS_PER_POOL as f64 / 0.040;
const TIMES: f64 = 5.0;
/// A client that has no answer by then has left: it hangs.
const PATIENCE: Duration = Duration::from_secs(6);
/// Long enough for a queue to fill, and for who learns to have learnt.
const SETTLING: Duration = Duration::from_secs(8);

/// On pools of its own: what waits in php-fpm's backlogs is run even after everybody has left, and would be the next one's burden.
pub(crate) fn turn(
    scene: Scene<'_>,
    contestant: Contestant,
    _: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let backend = Backend::start(scene.row.backend, scene.document, scene.reaper)?;
    let server = scene.start(contestant, &backend)?;
    let window = 4 * scene.length.window();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let (diary, begin) = runtime.block_on(arrivals(server.address(), window));
    runtime.shutdown_background();
    Ok(found(&diary, begin, window))
}

/// What one request came to.
#[derive(Clone, Copy, Debug)]
struct Asked {
    due: Instant,
    took: Duration,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Success,
    /// 503 with Retry-After: a client knows what to do.
    Told,
    Error,
    Hung,
}

/// All of them, and when the window began, which lies at their end.
async fn arrivals(to: SocketAddr, window: Duration) -> (Vec<Asked>, Instant) {
    let visitors = Arc::new(Visitors { to, idle: Mutex::default(), diary: Mutex::default() });
    let begin = Instant::now();
    let mut due = begin;
    let step = Duration::from_secs_f64(1.0 / (CAPACITY * TIMES));
    while due < begin + SETTLING + window {
        sleep_until(due).await;
        let visitors = Arc::clone(&visitors);
        tokio::spawn(async move {
            let end = visitors.ask(due).await;
            visitors.diary.lock().push(Asked { due, took: due.elapsed(), end });
        });
        due += step;
    }
    sleep(PATIENCE + Duration::from_millis(500)).await;
    let diary = std::mem::take(&mut *visitors.diary.lock());
    (diary, begin + SETTLING)
}

struct Visitors {
    to: SocketAddr,
    /// Connections that were kept.
    idle: Mutex<Vec<BufReader<TcpStream>>>,
    diary: Mutex<Vec<Asked>>,
}

impl Visitors {
    async fn ask(&self, due: Instant) -> End {
        match timeout_at(due + PATIENCE, self.exchange()).await {
            Ok(Ok(end)) => end,
            Ok(Err(_)) => End::Error,
            Err(_) => End::Hung,
        }
    }

    async fn exchange(&self) -> std::io::Result<End> {
        let kept = self.idle.lock().pop();
        let mut connection = match kept {
            Some(kept) => kept,
            None => BufReader::new(TcpStream::connect(self.to).await?),
        };
        connection.write_all(format!("GET {TARGET} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes()).await?;
        let reply = read_reply(&mut connection).await?;
        if reply.keep {
            self.idle.lock().push(connection);
        }
        Ok(reply.end)
    }
}

struct Reply {
    end: End,
    keep: bool,
}

/// All that is asked for here announces its length, and so do errors; one that does not ends its connection.
async fn read_reply(connection: &mut BufReader<TcpStream>) -> std::io::Result<Reply> {
    let (mut line, mut length, mut close, mut told) = (String::new(), None, false, false);
    connection.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<u64>().ok(),
            "connection" => close = value.trim().eq_ignore_ascii_case("close"),
            "retry-after" => told = true,
            _ => {}
        }
    }
    let mut body = Vec::new();
    connection.take(length.unwrap_or(u64::MAX)).read_to_end(&mut body).await?;
    let end = match status.as_str() {
        "200" => End::Success,
        "503" if told => End::Told,
        _ => End::Error,
    };
    Ok(Reply { end, keep: !close && length.is_some() })
}

/// Work done counts when it is done; a client's luck, when it came.
fn found(diary: &[Asked], begin: Instant, window: Duration) -> Vec<Finding> {
    let done = |asked: &&Asked| (begin..begin + window).contains(&(asked.due + asked.took));
    let successes = diary.iter().filter(|asked| asked.end == End::Success).filter(done).count() as f64;
    let diary: Vec<Asked> = diary.iter().filter(|asked| asked.due >= begin).copied().collect();
    let count = |end| diary.iter().filter(|asked| asked.end == end).count() as f64;
    let share = |end| count(end) / (diary.len() as f64).max(1.0);
    let ms = |ends: &[End], part| {
        let times = diary.iter().filter(|asked| ends.contains(&asked.end)).map(|asked| asked.took);
        percentile(times.collect(), part).unwrap_or_default().as_secs_f64() * 1e3
    };
    vec![
        Finding::new("goodput ÷ capacity", successes / window.as_secs_f64() / CAPACITY),
        Finding::new("part refused by 503 with Retry-After", share(End::Told)),
        Finding::new("part refused otherwise", share(End::Error)),
        Finding::new("part without an answer for 6 s", share(End::Hung)),
        Finding::new("refusals' p99, ms", ms(&[End::Told, End::Error], 0.99)),
        Finding::new("successes' p50, ms", ms(&[End::Success], 0.5)),
        Finding::new("successes' p99, ms", ms(&[End::Success], 0.99)),
    ]
}
