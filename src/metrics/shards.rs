//! One set of numbers for each thread: two threads that write the same cache line wait for each other, at every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More would cost memory for nothing: threads that share one are still right, only slower.
const MOST: usize = 64;

/// Numbers of the kind `T`, one set a thread.
#[derive(Debug)]
pub(super) struct Shards<T>(Box<[Arc<Shard<T>>]>);

/// One of them, on cache lines of its own (two: the processor fetches them in pairs).
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard<T>(pub(super) T);

impl<T> Shards<T> {
    /// For about so many threads.
    pub(super) fn new(threads: usize, new: impl Fn() -> T) -> Self {
        // One more, for what is not a worker; a power of two, to choose by its bits.
        let count = (threads + 1).next_power_of_two().min(MOST);
        Self((0..count).map(|_| Arc::new(Shard(new()))).collect())
    }

    /// The set of the calling thread. It is a handle of its own, so that holding it counts on no shared line either.
    pub(super) fn here(&self) -> Arc<Shard<T>> {
        Arc::clone(&self.0[place() & (self.0.len() - 1)])
    }

    /// All of them, to be added up.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }

    /// One of its numbers, added up.
    pub(super) fn sum(&self, count: impl Fn(&T) -> &AtomicU64) -> u64 {
        self.all().map(|counts| count(counts).load(Ordering::Relaxed)).sum()
    }
}

/// The calling thread's number.
fn place() -> usize {
    /// Names threads, and counts nothing.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // A thread that ends counts in the first.
    PLACE.try_with(|place| *place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads_even_if_they_are_more_than_shards() {
        let shards: Shards<AtomicU64> = Shards::new(2, AtomicU64::default);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        shards.here().0.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(shards.sum(|count| count), 16_000);
    }

    #[test]
    fn a_thread_stays_with_its_shard() {
        let shards: Shards<AtomicU64> = Shards::new(8, AtomicU64::default);
        assert!(Arc::ptr_eq(&shards.here(), &shards.here()));
    }
}
