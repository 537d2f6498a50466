//! How long to wait before a source that failed is asked again: twice as long each time, and never in step with others.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);

/// The pauses between attempts.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(super) fn up_to(longest: Duration) -> Self {
        Self { next: FIRST, longest }
    }

    /// The next one; `chance` is from 0 to 1.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        // Between three quarters and five quarters of it.
        pause.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// It answered.
    pub(super) fn end(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_an_answer() {
        let mut pauses = Pauses::up_to(Duration::from_secs(3));
        let so_far: Vec<_> = (0..5).map(|_| pauses.next(0.5).as_millis()).collect();
        assert_eq!(so_far, [500, 1000, 2000, 3000, 3000]);
        pauses.end();
        assert_eq!((pauses.next(0.0).as_millis(), pauses.next(1.0).as_millis()), (375, 1250));
    }
}
