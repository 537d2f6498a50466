//! The rate of each key, in a fixed piece of memory: a key has one of a few places, by its hash, and a new one gets the place of the
//! one that came least lately.

use parking_lot::Mutex;

use crate::guard::{Rate, Turn};

/// Two threads seldom meet in one. 65,536 places in all: 1 MB.
const SHARDS: usize = 64;
const SETS: usize = 128;
/// Places that a key may have.
const WAYS: usize = 8;

/// A key's hash, and when its bucket is empty; 0 for neither.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    empty_at: u64,
}

/// The buckets of one limit.
#[derive(Debug)]
pub(super) struct Table(Box<[Mutex<[[Place; WAYS]; SETS]>]>);

impl Table {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new([[Place::default(); WAYS]; SETS])).collect())
    }

    /// A request of this key comes at `now`, in nanoseconds since some beginning.
    pub(super) fn take(&self, key: u64, rate: Rate, now: u64) -> Turn {
        let (shard, set) = (key as usize % SHARDS, key as usize / SHARDS % SETS);
        let mut shard = self.0[shard].lock();
        let places = &mut shard[set];
        let known = places.iter().position(|place| place.key == key);
        let place = known.unwrap_or_else(|| {
            let oldest = (0..WAYS).min_by_key(|&place| places[place].empty_at).unwrap_or(0);
            places[oldest] = Place { key, empty_at: 0 };
            oldest
        });
        rate.take(&mut places[place].empty_at, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn spread(key: u64) -> u64 {
        key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn keys_do_not_count_for_each_other() {
        let (table, rate) = (Table::new(), Rate::new(1, Duration::from_secs(1), 0));
        for key in 1..=1_000 {
            assert_eq!(table.take(spread(key), rate, SECOND), Turn::After(Duration::ZERO));
        }
        for key in 1..=1_000 {
            let again = table.take(spread(key), rate, SECOND);
            assert!(matches!(again, Turn::Full(_)), "{key}");
        }
    }

    #[test]
    fn where_keys_crowd_the_oldest_is_forgotten_and_the_memory_stays_as_it_is() {
        let (table, rate) = (Table::new(), Rate::new(1, Duration::from_secs(100), 0));
        let crowd = |number: u64| number * (SHARDS * SETS) as u64;
        for number in 1..=WAYS as u64 + 1 {
            table.take(crowd(number), rate, SECOND + number);
        }
        assert!(matches!(table.take(crowd(2), rate, 2 * SECOND), Turn::Full(_)), "still known");
        assert_eq!(table.take(crowd(1), rate, 2 * SECOND), Turn::After(Duration::ZERO), "forgotten");
        assert_eq!((SHARDS * SETS * WAYS, size_of::<Place>()), (65_536, 16));
    }
}
