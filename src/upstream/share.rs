//! `max_share`: the part of a pool's slots that the requests of one route may have at once.
//!
//! Whether there is room is asked, and a slot counted, under the desk's lock, so the part holds exactly. A slot is given back by dropping
//! what stands for it, which whoever has the slot does on every way that a request can end.

use super::member::Seat;
use crate::balance::Tier;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::Instant;

/// The part of one route.
#[derive(Debug)]
pub(crate) struct Share {
    percent: u8,
    in_use: AtomicU32,
}

/// A slot counted as the route's.
#[derive(Debug)]
pub(crate) struct Occupied(Arc<Share>);

impl Share {
    pub(crate) fn new(percent: u8) -> Arc<Self> {
        Arc::new(Self { percent, in_use: AtomicU32::new(0) })
    }

    pub(crate) fn percent(&self) -> u8 {
        self.percent
    }

    /// Under the desk's lock, after it was not full.
    pub(crate) fn occupy(self: &Arc<Self>) -> Occupied {
        self.in_use.fetch_add(1, Ordering::Relaxed);
        Occupied(Arc::clone(self))
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Acquire)
    }

    /// Whether it has its part of so many slots; of unlimited ones there is no part.
    pub(crate) fn is_full(&self, slots: Option<u32>) -> bool {
        slots.is_some_and(|slots| self.in_use() as usize >= self.of(slots as usize))
    }

    /// Its part of so many, at least one.
    pub(crate) fn of(&self, whole: usize) -> usize {
        (whole * usize::from(self.percent) / 100).max(1)
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Release);
    }
}

/// The slots of a pool: those of members that take requests, and of backups only where nobody else does.
pub(crate) fn slots(seats: &[Seat], now: Instant) -> Option<u32> {
    let serving = |seat: &&Seat| !seat.is_down() && seat.member.takes_requests(now);
    let is_backup = |seat: &Seat| seat.tier == Tier::Backup;
    let primaries = seats.iter().any(|seat| serving(&seat) && !is_backup(seat));
    let counted = seats.iter().filter(serving).filter(|seat| !primaries || !is_backup(seat));
    counted.map(|seat| seat.limit().most()).try_fold(0, |sum: u32, most| Some(sum.saturating_add(most?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_rounded_down_but_never_to_nothing() {
        let share = Share::new(25);
        assert_eq!([0, 3, 4, 11, 12].map(|slots| share.of(slots)), [1, 1, 1, 2, 3]);
    }

    #[test]
    fn what_is_dropped_is_free_again() {
        let share = Share::new(50);
        let first = share.occupy();
        assert!(!share.is_full(Some(4)) && share.is_full(Some(3)) && !share.is_full(None));
        let second = share.occupy();
        assert!(share.is_full(Some(4)));
        drop(first);
        assert!(!share.is_full(Some(4)));
        drop(second);
        assert_eq!(share.in_use(), 0);
    }
}
