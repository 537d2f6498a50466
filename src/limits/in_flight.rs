//! How many requests of each key are at work. Only keys that have one take memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Two threads seldom meet in one.
const SHARDS: usize = 16;

/// The counts of one limit.
#[derive(Debug)]
pub(super) struct InFlight([Mutex<HashMap<u64, u32>>; SHARDS]);

/// A request at work, until this is dropped.
#[derive(Debug)]
pub struct Held {
    counts: Arc<InFlight>,
    key: u64,
}

impl InFlight {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32>> {
        &self.0[key as usize % SHARDS]
    }

    /// One more, if there are less than `most`.
    pub(super) fn hold(self: &Arc<Self>, key: u64, most: u32) -> Option<Held> {
        let mut counts = self.shard(key).lock();
        let count = counts.entry(key).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Held { counts: Arc::clone(self), key })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.counts.shard(self.key).lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
        if counts.is_empty() && counts.capacity() > 1024 {
            counts.shrink_to(64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_the_next_when_one_is_done() {
        let counts = Arc::new(InFlight::new());
        let held: Vec<_> = (0..3).map(|_| counts.hold(7, 3).unwrap()).collect();
        assert!(counts.hold(7, 3).is_none());
        assert!(counts.hold(8, 3).is_some(), "another key");
        drop(held);
        assert!(counts.hold(7, 1).is_some());
        assert!(counts.0.iter().all(|shard| shard.lock().is_empty()), "keys without requests take no memory");
    }
}
