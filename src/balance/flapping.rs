//! An address that comes and goes and comes again: from the third return within a minute on, it waits before it is taken, twice as
//! long each time.

use std::time::{Duration, Instant};

/// Returns count for so long.
const MEMORY: Duration = Duration::from_secs(60);
/// So many returns are nobody's fault: a restart, a deployment, another one that mends it.
const FORGIVEN: u32 = 2;
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is remembered of an address.
#[derive(Debug, Clone, Default)]
pub struct Flapping {
    gone: Option<Instant>,
    returns: u32,
    latest: Option<Instant>,
    wait_until: Option<Instant>,
}

impl Flapping {
    /// It is there.
    pub fn is_there(&mut self, now: Instant) {
        if let Some(gone) = self.gone.take() {
            self.returned(gone, now);
        }
    }

    /// Until when it is not to be taken.
    pub fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.wait_until.filter(|&until| now < until)
    }

    /// It is not there.
    pub fn is_gone(&mut self, now: Instant) {
        self.gone.get_or_insert(now);
    }

    fn returned(&mut self, gone: Instant, now: Instant) {
        // It may have been away for long, which is no flapping.
        if self.is_forgotten(now) || now.duration_since(gone) >= MEMORY {
            self.returns = 0;
        }
        self.returns += 1;
        self.latest = Some(now);
        if self.returns > FORGIVEN {
            let doublings = (self.returns - FORGIVEN - 1).min(6);
            self.wait_until = Some(now + (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT));
        }
    }

    /// Whether nothing is left to hold against it.
    pub fn is_forgotten(&self, now: Instant) -> bool {
        let since = self.latest.max(self.wait_until).max(self.gone);
        since.is_none_or(|since| now.saturating_duration_since(since) >= MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// Goes and comes back at once; how long it has to wait then.
    fn returns(flapping: &mut Flapping, now: Instant) -> u64 {
        flapping.is_gone(now);
        flapping.is_there(now);
        flapping.waits_until(now).map_or(0, |until| until.duration_since(now).as_secs())
    }

    #[test]
    fn two_returns_in_a_minute_are_forgiven_and_the_next_ones_wait_twice_as_long_each() {
        let (mut flapping, start) = (Flapping::default(), Instant::now());
        flapping.is_there(start);
        assert_eq!(flapping.waits_until(start), None, "new is not returned");
        let waits: Vec<_> = (1..=8).map(|second| returns(&mut flapping, at(start, second))).collect();
        assert_eq!(waits, [0, 0, 5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn who_waited_is_taken() {
        let (mut flapping, start) = (Flapping::default(), Instant::now());
        (0..3).for_each(|second| assert!(returns(&mut flapping, at(start, second)) <= 5));
        assert!(flapping.waits_until(at(start, 6)).is_some());
        assert_eq!(flapping.waits_until(at(start, 7)), None);
    }

    #[test]
    fn a_quiet_minute_is_enough_to_be_forgiven() {
        let (mut flapping, start) = (Flapping::default(), Instant::now());
        (0..2).for_each(|second| assert_eq!(returns(&mut flapping, at(start, second)), 0));
        assert_eq!(returns(&mut flapping, at(start, 61)), 0);
        assert_eq!(returns(&mut flapping, at(start, 62)), 0);
        assert_eq!(returns(&mut flapping, at(start, 63)), 5);
        assert!(!flapping.is_forgotten(at(start, 100)));
        assert!(flapping.is_forgotten(at(start, 130)));
    }
}
