//! Quick scripts and a few slow ones on the same workers, asked for by clients of our own: wrk cannot tell whose time is whose.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::backend::WORKERS_PER_POOL;
use crate::client::Client;
use crate::sample::Seen;
use crate::straight::Straight;

/// Of a hundred requests so many are slow.
const SLOW: u64 = 3;
const SLOW_TIME: Duration = Duration::from_millis(200);
const QUICK_TIME: Duration = Duration::from_millis(2);
/// All workers there are.
const WORKERS: u32 = 3 * WORKERS_PER_POOL;
/// Longer than any wait in a queue here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A slow request lies across the beginning and the end of the measure: what counts are the answers in between, among clients who have
/// asked for a while and go on asking. Clients who begin and end with it would count their last, slow answers' time and few of their own.
const WARM: Duration = Duration::from_secs(1);
const WARMS: u8 = 0;
const COUNTS: u8 = 1;
const OVER: u8 = 2;

/// What one client saw: the times of its quick requests, and how many were slow or went wrong.
#[derive(Default)]
struct Diary {
    quick: Vec<Duration>,
    slow: u64,
    errors: u64,
    waited: Duration,
}

/// So many clients ask a front end, one after another. The percentiles are those of the quick requests.
pub(crate) fn clients(to: SocketAddr, clients: u32, seconds: u64) -> Seen {
    let client = |_| {
        let mut client = Client::new(to, PATIENCE);
        move |target: &str| client.get(target).map(drop)
    };
    ask((0..clients).map(client).collect(), seconds)
}

/// The same asked of php-fpm itself, by one client a worker.
pub(crate) fn straight(pools: &[SocketAddr], root: &Path, seconds: u64) -> Seen {
    let client = |pool: &SocketAddr| {
        let mut client = Straight::new(*pool, root.to_owned(), PATIENCE);
        move |target: &str| client.get(target)
    };
    let one_a_worker = pools.iter().flat_map(|pool| std::iter::repeat_n(pool, WORKERS_PER_POOL as usize));
    ask(one_a_worker.map(client).collect(), seconds)
}

fn ask(clients: Vec<impl FnMut(&str) -> io::Result<()> + Send>, seconds: u64) -> Seen {
    let phase = AtomicU8::new(WARMS);
    let (diaries, elapsed): (Vec<Diary>, Duration) = std::thread::scope(|scope| {
        let phase = &phase;
        let spawn = |(number, client)| scope.spawn(move || keep_asking(client, number, phase));
        let threads: Vec<_> = (0..).zip(clients).map(spawn).collect();
        std::thread::sleep(WARM);
        phase.store(COUNTS, Ordering::Relaxed);
        let started = Instant::now();
        std::thread::sleep(Duration::from_secs(seconds));
        phase.store(OVER, Ordering::Relaxed);
        let elapsed = started.elapsed();
        (threads.into_iter().map(|thread| thread.join().expect("no client panics")).collect(), elapsed)
    });
    let quick: Vec<Duration> = diaries.iter().flat_map(|diary| diary.quick.iter().copied()).collect();
    let waited: Duration = diaries.iter().map(|diary| diary.waited).sum();
    let slow = diaries.iter().map(|diary| diary.slow).sum::<u64>();
    let slept = QUICK_TIME.as_secs_f64() * quick.len() as f64 + SLOW_TIME.as_secs_f64() * slow as f64;
    let errors = diaries.iter().map(|diary| diary.errors).sum();
    Seen {
        requests: quick.len() as u64 + slow,
        served: Some(waited.as_secs_f64() / elapsed.as_secs_f64()),
        goodput: Some(slept / (elapsed.as_secs_f64() * f64::from(WORKERS))),
        ..Seen::of(quick, elapsed, errors)
    }
}

fn keep_asking(mut get: impl FnMut(&str) -> io::Result<()>, number: u64, phase: &AtomicU8) -> Diary {
    let (mut diary, mut dice) = (Diary::default(), number);
    while phase.load(Ordering::Relaxed) != OVER {
        dice = next(dice);
        let is_slow = (dice >> 33) % 100 < SLOW;
        let asked = Instant::now();
        let answer = get(if is_slow { "/sleep.php?us=200000" } else { "/sleep.php?us=2000" });
        if phase.load(Ordering::Relaxed) != COUNTS {
            continue;
        }
        match answer {
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
