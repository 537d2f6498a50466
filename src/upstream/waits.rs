//! How long requests have lately waited in the queue, for the status page.

use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// The waits that ended in the latest whole second, and in the one that is running.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waits {
    began: Option<Instant>,
    running: QueueTimes,
    whole: QueueTimes,
}

/// How long the requests waited that got a worker within one second; those that need not wait are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueTimes {
    /// So many.
    pub requests: u32,
    /// All of them together.
    pub total: Duration,
    /// The longest of them.
    pub longest: Duration,
}

impl QueueTimes {
    /// How long each waited on average.
    pub fn mean(&self) -> Duration {
        self.total / self.requests.max(1)
    }

    fn count(&mut self, wait: Duration) {
        self.requests += 1;
        self.total += wait;
        self.longest = self.longest.max(wait);
    }
}

impl Waits {
    pub(crate) fn ended(&mut self, wait: Duration, now: Instant) {
        if self.age(now) >= SECOND {
            (self.whole, self.running, self.began) = (self.lately(now), QueueTimes::default(), Some(now));
        }
        self.running.count(wait);
    }

    /// Of the latest whole second.
    pub(crate) fn lately(&self, now: Instant) -> QueueTimes {
        match self.age(now) {
            age if age < SECOND => self.whole,
            age if age < 2 * SECOND => self.running,
            _ => QueueTimes::default(),
        }
    }

    fn age(&self, now: Instant) -> Duration {
        self.began.map_or(Duration::MAX, |began| now.duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_of_the_latest_whole_second_are_told_until_the_next_is_over() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut waits = Waits::default();
        for (millis, wait) in [(0, 20), (400, 40), (900, 60)] {
            waits.ended(Duration::from_millis(wait), at(millis));
        }
        assert_eq!(waits.lately(at(950)), QueueTimes::default());
        waits.ended(Duration::from_millis(500), at(1000));
        for moment in [1000, 1999] {
            let times = waits.lately(at(moment));
            assert_eq!((times.requests, times.mean().as_millis(), times.longest.as_millis()), (3, 40, 60));
        }
        assert_eq!(waits.lately(at(2000)).longest.as_millis(), 500);
        assert_eq!(waits.lately(at(3000)), QueueTimes::default(), "of long ago");
    }
}
