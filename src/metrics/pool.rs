//! A pool's requests: how long they waited, and what went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, Total};
use super::page::Page;
use super::shards::{Shard, Shards};

/// The numbers of one pool.
#[derive(Debug)]
pub struct PoolMeters {
    shards: Shards<Counts>,
    reasons: &'static [&'static str],
}

/// Where one thread counts them.
#[derive(Debug, Clone)]
pub struct PoolMeter(Arc<Shard<Counts>>);

#[derive(Debug)]
struct Counts {
    queued: Histogram,
    first_byte: Histogram,
    failures: Box<[AtomicU64]>,
    retries: Box<[AtomicU64]>,
    denied: AtomicU64,
}

impl PoolMeters {
    pub(super) fn new(threads: usize, reasons: &'static [&'static str]) -> Self {
        let zeros = || reasons.iter().map(|_| AtomicU64::new(0)).collect();
        let counts = || Counts {
            queued: Histogram::default(),
            first_byte: Histogram::default(),
            failures: zeros(),
            retries: zeros(),
            denied: AtomicU64::new(0),
        };
        Self { shards: Shards::new(threads, counts), reasons }
    }

    /// The calling thread's own.
    pub fn here(&self) -> PoolMeter {
        PoolMeter(self.shards.here())
    }
}

impl PoolMeter {
    /// A request is over: so long it waited, and so long it took until the head of its reply, if one came.
    pub fn ended(&self, queued: Duration, first_byte: Option<Duration>) {
        self.0.0.queued.took(queued);
        if let Some(first_byte) = first_byte {
            self.0.0.first_byte.took(first_byte);
        }
    }

    /// It failed for good; `reason` is the place of its word.
    pub fn failed(&self, reason: usize) {
        add_one(&self.0.0.failures, reason);
    }

    /// An attempt failed, and another one is made.
    pub fn retried(&self, reason: usize) {
        add_one(&self.0.0.retries, reason);
    }

    /// An attempt failed that might be made again, but for the budget.
    pub fn denied(&self) {
        self.0.0.denied.fetch_add(1, Ordering::Relaxed);
    }
}

fn add_one(counts: &[AtomicU64], place: usize) {
    if let Some(count) = counts.get(place) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn write(page: &mut Page<'_>, pools: &[(&str, &PoolMeters)]) -> std::fmt::Result {
    let label = |name: &str| vec![("pool", name.to_owned())];
    let times = |of: fn(&Counts) -> &Histogram| {
        pools.iter().map(move |&(name, meters)| (label(name), Total::of(meters.shards.all().map(of))))
    };
    let reasons = |of: fn(&Counts) -> &[AtomicU64]| {
        let sum = move |meters: &PoolMeters, place: usize| meters.shards.sum(|counts| &of(counts)[place]);
        pools.iter().flat_map(move |&(name, meters)| {
            meters.reasons.iter().enumerate().map(move |(place, reason)| {
                ([label(name), vec![("reason", (*reason).to_owned())]].concat(), sum(meters, place) as f64)
            })
        })
    };
    page.histogram(
        "cornac_pool_queue_seconds",
        "How long requests waited for a worker",
        times(|counts| &counts.queued),
    )?;
    let help = "From when the pool got a request to the head of its reply, the wait included";
    page.histogram("cornac_pool_first_byte_seconds", help, times(|counts| &counts.first_byte))?;
    page.counter(
        "cornac_pool_failures",
        "Requests that failed in the pool",
        reasons(|counts| &counts.failures),
    )?;
    page.counter(
        "cornac_pool_retries",
        "Attempts that failed and were made again",
        reasons(|counts| &counts.retries),
    )?;
    let denied = |meters: &PoolMeters| meters.shards.sum(|counts| &counts.denied) as f64;
    let denied = pools.iter().map(|&(name, meters)| (label(name), denied(meters)));
    page.counter(
        "cornac_pool_retries_denied",
        "Attempts not made again because retry.budget was spent",
        denied,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_by_their_place() {
        let pool = PoolMeters::new(1, &["refused", "queue_full"]);
        pool.here().failed(1);
        pool.here().retried(0);
        pool.here().failed(7);
        let counts = pool.here();
        let read = |counts: &[AtomicU64]| {
            counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>()
        };
        assert_eq!((read(&counts.0.0.failures), read(&counts.0.0.retries)), (vec![0, 1], vec![1, 0]));
    }
}
