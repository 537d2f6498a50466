//! Quick scripts and a few slow ones on the same workers, asked for by clients of our own: wrk cannot tell whose time is whose.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::sample::Seen;

/// Of a hundred requests so many are slow.
const SLOW: u64 = 3;
/// Longer than any wait in a queue here.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one client saw: the times of its quick requests, and how many were slow or went wrong.
#[derive(Default)]
struct Diary {
    quick: Vec<Duration>,
    slow: u64,
    errors: u64,
    waited: Duration,
}

/// So many clients ask one after another. The percentiles are those of the quick requests.
pub(crate) fn clients(to: SocketAddr, clients: u32, seconds: u64) -> Result<Seen, String> {
    let (over, started) = (AtomicBool::new(false), Instant::now());
    let diaries: Vec<Diary> = std::thread::scope(|scope| {
        let over = &over;
        let spawn = |client| scope.spawn(move || keep_asking(to, client, over));
        let threads: Vec<_> = (0..u64::from(clients)).map(spawn).collect();
        std::thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no client panics")).collect()
    });
    let elapsed = started.elapsed();
    let mut quick: Vec<Duration> = diaries.iter().flat_map(|diary| diary.quick.iter().copied()).collect();
    quick.sort_unstable();
    let at = |share: f64| quick.get((quick.len() as f64 * share) as usize).copied();
    let waited: Duration = diaries.iter().map(|diary| diary.waited).sum();
    Ok(Seen {
        requests: quick.len() as u64 + diaries.iter().map(|diary| diary.slow).sum::<u64>(),
        elapsed,
        p50: at(0.5),
        p99: at(0.99),
        errors: diaries.iter().map(|diary| diary.errors).sum(),
        served: Some(waited.as_secs_f64() / elapsed.as_secs_f64()),
    })
}

fn keep_asking(to: SocketAddr, client: u64, over: &AtomicBool) -> Diary {
    let (mut diary, mut asking) = (Diary::default(), Client::new(to, PATIENCE));
    let mut dice = client;
    while !over.load(Ordering::Relaxed) {
        dice = next(dice);
        let is_slow = (dice >> 33) % 100 < SLOW;
        let asked = Instant::now();
        match asking.get(if is_slow { "/sleep.php?us=200000" } else { "/sleep.php?us=2000" }) {
            Ok(_) if is_slow => diary.slow += 1,
            Ok(_) => diary.quick.push(asked.elapsed()),
            Err(_) => diary.errors += 1,
        }
        diary.waited += asked.elapsed();
    }
    diary
}

/// Knuth's MMIX generator: the same dice in every run, others for each client.
fn next(dice: u64) -> u64 {
    dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}
