//! Which seats may look otherwise than when the desk last looked: a bit each, set without the desk's lock.
//!
//! A policy that remembers the members as they were looks at those again, and at nobody else: a choice costs the same for three members and for
//! three hundred. Who changes first and marks then is seen by whoever finds the mark.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(super) struct Changed {
    words: Box<[AtomicU64]>,
}

/// A member's way to say that it has changed.
#[derive(Debug)]
pub(super) struct Mark {
    changed: Arc<Changed>,
    seat: usize,
}

impl Changed {
    /// So many seats, all to be looked at.
    pub(super) fn all(seats: usize) -> Arc<Self> {
        let words = (0..seats.div_ceil(64)).map(|_| AtomicU64::new(u64::MAX)).collect();
        Arc::new(Self { words })
    }

    pub(super) fn mark_of(self: &Arc<Self>, seat: usize) -> Mark {
        Mark { changed: Arc::clone(self), seat }
    }

    /// Nothing happens where nobody asks for changes.
    pub(super) fn mark(&self, seat: usize) {
        if let Some(word) = self.words.get(seat / 64) {
            word.fetch_or(1 << (seat % 64), Ordering::Release);
        }
    }

    /// Takes all marks. One that is set meanwhile is there the next time.
    pub(super) fn drain(&self, mut each: impl FnMut(usize)) {
        for (place, word) in self.words.iter().enumerate() {
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut marks = word.swap(0, Ordering::Acquire);
            while marks != 0 {
                each(64 * place + marks.trailing_zeros() as usize);
                marks &= marks - 1;
            }
        }
    }
}

impl Mark {
    pub(super) fn set(&self) {
        self.changed.mark(self.seat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(changed: &Changed) -> Vec<usize> {
        let mut seats = Vec::new();
        changed.drain(|seat| seats.push(seat));
        seats
    }

    #[test]
    fn each_mark_is_found_once() {
        let changed = Changed::all(130);
        assert!((0..130).all(|seat| drained(&Changed::all(130)).contains(&seat)));
        drained(&changed);
        [129, 63, 64, 63].iter().for_each(|&seat| changed.mark_of(seat).set());
        assert_eq!(drained(&changed), [63, 64, 129]);
        assert_eq!(drained(&changed), [0; 0]);
    }

    #[test]
    fn a_mark_that_is_set_while_marks_are_taken_is_kept_for_the_next_time() {
        let changed = Changed::all(2);
        drained(&changed);
        changed.mark(0);
        changed.drain(|seat| changed.mark(seat));
        assert_eq!(drained(&changed), [0]);
    }

    #[test]
    fn where_nobody_asks_a_mark_is_nothing() {
        let changed = Changed::default();
        changed.mark(7);
        assert!(drained(&changed).is_empty());
    }
}
