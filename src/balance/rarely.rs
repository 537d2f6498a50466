//! Words for the log that are said at most once in a while, with how often it happened since.

use std::time::{Duration, Instant};

/// Something that is said at most once in a while, however often it happens.
#[derive(Debug)]
pub struct Rarely {
    every: Duration,
    last: Option<Instant>,
    unsaid: u64,
}

impl Rarely {
    /// At most once in that time.
    pub fn every(every: Duration) -> Self {
        Self { every, last: None, unsaid: 0 }
    }

    /// It has happened. If it is time to say so: how often it has since it was said last.
    pub fn happened(&mut self, now: Instant) -> Option<u64> {
        self.happened_times(1, now)
    }

    /// It has happened so many times at once.
    pub fn happened_times(&mut self, times: u64, now: Instant) -> Option<u64> {
        self.unsaid += times;
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < self.every) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_happens_often_is_said_rarely_and_with_its_number() {
        let now = Instant::now();
        let mut denied = Rarely::every(10 * SECOND);
        assert_eq!(denied.happened(now), Some(1));
        assert_eq!([1, 2, 9].map(|after| denied.happened(now + after * SECOND)), [None; 3]);
        assert_eq!(denied.happened(now + 10 * SECOND), Some(4));
    }
}
