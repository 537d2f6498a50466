//! When a change in who is there is acted upon: an arrival in quiet times at once, everything else a moment later and
//! together with what comes in that moment, so that a deployment is a few changes and not dozens.

use std::time::{Duration, Instant};

/// How long changes are gathered.
const GATHER: Duration = Duration::from_millis(200);

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There are only newcomers.
    Arrivals,
    /// Somebody is gone or has other terms. He may be back in a moment.
    Other,
}

/// Changes that wait to be acted upon.
#[derive(Debug, Default)]
pub struct Settle {
    due: Option<Instant>,
    latest: Option<Instant>,
}

impl Settle {
    /// Something changed.
    pub fn changed(&mut self, change: Change, now: Instant) {
        let quiet = self.latest.is_none_or(|latest| now.duration_since(latest) >= GATHER);
        let at = match (change, quiet) {
            (Change::Arrivals, true) => now,
            _ => now + GATHER,
        };
        // Gathering ends a fixed time after it began, however much comes.
        self.due.get_or_insert(at);
    }

    /// When it is time to act; `None`: nothing waits.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What waited is done.
    pub fn acted(&mut self, now: Instant) {
        self.due = None;
        self.latest = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_in_quiet_times_is_seated_at_once_and_the_next_ones_together() {
        let (mut settle, start) = (Settle::default(), Instant::now());
        settle.changed(Change::Arrivals, start);
        assert_eq!(settle.due(), Some(start));
        settle.acted(start);
        assert_eq!(settle.due(), None);
        let soon = start + Duration::from_millis(50);
        settle.changed(Change::Arrivals, soon);
        settle.changed(Change::Arrivals, soon + Duration::from_millis(100));
        assert_eq!(settle.due(), Some(soon + GATHER));
    }

    #[test]
    fn who_leaves_has_a_moment_to_come_back() {
        let (mut settle, start) = (Settle::default(), Instant::now());
        settle.changed(Change::Other, start);
        assert_eq!(settle.due(), Some(start + GATHER));
        settle.changed(Change::Arrivals, start + Duration::from_millis(1));
        assert_eq!(settle.due(), Some(start + GATHER), "an arrival waits with it");
    }
}
