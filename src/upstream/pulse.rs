//! A sign of life. A pool's: when one of its members last said a byte, or somebody who waited got a worker. A member's: when
//! it last said one.
//!
//! Only trouble asks: nobody got a worker in time, or a script did not answer, and has nothing moved in all that time? To the
//! tenth of a second, so that a busy pool writes it seldom.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// One more than have passed; 0: never yet.
    tenths: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, tenths: AtomicU64::new(0) }
    }

    /// Something moved.
    pub(crate) fn beats(&self, now: Instant) {
        let tenths = now.duration_since(self.began).as_millis() as u64 / 100 + 1;
        if self.tenths.load(Ordering::Relaxed) != tenths {
            self.tenths.store(tenths, Ordering::Relaxed);
        }
    }

    /// Whether nothing has moved since then, as far as tenths of a second tell.
    pub(crate) fn none_since(&self, then: Instant) -> bool {
        match self.tenths.load(Ordering::Relaxed).checked_sub(1) {
            Some(tenths) => self.began + Duration::from_millis(100 * tenths) <= then,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_is_told_from_a_pool_that_moves() {
        let start = Instant::now();
        let pulse = Pulse::new(start);
        let at = |millis| start + Duration::from_millis(millis);
        assert!(pulse.none_since(at(0)));
        pulse.beats(at(5_050));
        assert!(pulse.none_since(at(5_060)) && !pulse.none_since(at(4_000)));
        pulse.beats(at(9_000));
        assert!(!pulse.none_since(at(5_060)) && pulse.none_since(at(9_000)));
    }
}
