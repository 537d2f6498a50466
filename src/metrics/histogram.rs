//! Times in buckets, written with two additions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds: from a small file to the patience of a browser.
const BOUNDS: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// One thread's times.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// The last one has no bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// Times of all threads together, as they are written: seconds, and each bucket's own count.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Total {
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    pub(super) fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|&bound| bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Total {
    pub(super) fn of<'a>(shards: impl Iterator<Item = &'a Histogram>) -> Self {
        let bounds = BOUNDS.iter().map(|&micros| micros as f64 / 1e6).chain([f64::INFINITY]);
        let mut total = Self { sum: 0.0, count: 0, buckets: bounds.map(|bound| (bound, 0)).collect() };
        for shard in shards {
            for ((_, count), more) in total.buckets.iter_mut().zip(&shard.buckets) {
                *count += more.load(Ordering::Relaxed);
            }
            total.sum += shard.micros.load(Ordering::Relaxed) as f64 / 1e6;
        }
        // Of the buckets, so that the two agree whoever writes meanwhile.
        total.count = total.buckets.iter().map(|(_, count)| count).sum();
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            histogram.took(Duration::from_micros(micros));
        }
        let total = Total::of([&histogram].into_iter());
        let filled: Vec<_> = total.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.0005, 2), (0.001, 1), (60.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((total.count, total.sum), (5, 120.001_002));
    }

    #[test]
    fn the_bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
