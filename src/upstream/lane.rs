//! Lanes: each thread that serves clients has its own poller, and a connection is known to the poller of one lane.
//!
//! Used on another lane it would work, but each of its bytes would wake two threads. So a lane takes its own idle
//! connections first, and one that it has from another it moves to its own poller (two system calls, once).

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

/// A thread, as far as idle connections are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane(u32);

impl Lane {
    /// The calling thread's.
    pub(crate) fn here() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        thread_local! {
            static HERE: Cell<Option<Lane>> = const { Cell::new(None) };
        }
        HERE.with(|here| {
            let lane = here.get().unwrap_or_else(|| Self(NEXT.fetch_add(1, Ordering::Relaxed)));
            here.set(Some(lane));
            lane
        })
    }

    /// For a set of lanes. With more than 32 of them some share a bit.
    pub(crate) fn bit(self) -> u32 {
        1 << (self.0 % 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_lane_and_another_has_another() {
        assert_eq!(Lane::here(), Lane::here());
        let elsewhere = std::thread::spawn(Lane::here).join().unwrap();
        assert_ne!(Lane::here(), elsewhere);
    }
}
