//! How long it takes until the next request comes: an idle connection is worth no longer a wait than a few times that.

use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Lull {
    since: Option<Instant>,
    /// The longest of late: it fades, so that bursts are not taken for a steady stream.
    longest: Option<Duration>,
}

impl Lull {
    const SHORTEST_HOLD: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(200);

    pub(super) fn begins(&mut self, now: Instant) {
        self.since = Some(now);
    }

    pub(super) fn ends(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        let lull = now.saturating_duration_since(since).min(Self::LONGEST);
        self.longest = Some(self.longest.unwrap_or_default().mul_f64(0.9).max(lull));
    }

    /// How long an idle connection is kept for the next request, and `most` while nothing is known.
    pub(super) fn hold(&self, most: Duration) -> Duration {
        match self.longest {
            // It would hardly ever be used again.
            Some(longest) if longest > most => Self::SHORTEST_HOLD,
            Some(longest) => (4 * longest).clamp(Self::SHORTEST_HOLD, most.max(Self::SHORTEST_HOLD)),
            None => most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// After lulls of this many milliseconds.
    fn hold(lulls: &[u64]) -> Duration {
        let (mut lull, mut now) = (Lull::default(), Instant::now());
        for &length in lulls {
            lull.begins(now);
            now += ms(length);
            lull.ends(now);
        }
        lull.hold(ms(50))
    }

    #[test]
    fn an_idle_worker_is_given_back_within_milliseconds_of_a_steady_load() {
        assert_eq!(hold(&[]), ms(50), "nothing is known");
        assert_eq!(hold(&[0; 100]), ms(5));
        assert_eq!(hold(&[8; 10]), ms(32), "reuse is likely for longer");
        assert_eq!(hold(&[20; 10]), ms(50));
    }

    #[test]
    fn where_requests_are_rare_nothing_is_held_for_the_next() {
        assert_eq!(hold(&[5000]), ms(5));
    }

    #[test]
    fn bursts_are_no_steady_load() {
        assert!(hold(&[20, 0, 0, 0, 0, 0, 0, 0]) > ms(20));
    }
}
