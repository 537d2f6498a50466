//! Active checks of one member, counted: how many in a row were answered, how many were not.
//!
//! A busy member's silence counts as neither: it is up, and somebody else's request keeps its workers (fpm-facts 19).
//! What the health makes of the counts is `health`'s; asking is `upstream`'s.

use super::failure::Failure;
use super::health::Event;
use std::time::Instant;

/// The checks in a row that ended alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkup {
    passes: u32,
    fails: u32,
}

impl Checkup {
    /// The member answered. `enough` in a row bring it back.
    pub fn passed(&mut self, enough: u32) -> Event {
        *self = Self { passes: self.passes.saturating_add(1), fails: 0 };
        Event::CheckPassed { enough: self.passes >= enough }
    }

    /// It did not. `enough` in a row take it out; by `next` another check will have ended.
    pub fn failed(&mut self, failure: Failure, enough: u32, next: Instant) -> Event {
        *self = Self { passes: 0, fails: self.fails.saturating_add(1) };
        Event::CheckFailed { failure, enough: self.fails >= enough, next }
    }

    /// The member was taken out: what it answered before says nothing about its being back.
    pub fn begin_again(&mut self) {
        self.passes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_checks_in_a_row_are_enough() {
        let mut checkup = Checkup::default();
        let next = Instant::now();
        let mut fails = || {
            let Event::CheckFailed { enough, .. } = checkup.failed(Failure::Refused, 2, next) else {
                unreachable!("a failed check is one")
            };
            enough
        };
        assert_eq!([fails(), fails(), fails()], [false, true, true]);
        assert_eq!(checkup.passed(2), Event::CheckPassed { enough: false });
        assert_eq!(
            checkup.failed(Failure::Garbage, 2, next),
            Event::CheckFailed { failure: Failure::Garbage, enough: false, next }
        );
        assert_eq!(checkup.passed(2), Event::CheckPassed { enough: false });
        assert_eq!(checkup.passed(2), Event::CheckPassed { enough: true });
        checkup.begin_again();
        assert_eq!(checkup.passed(2), Event::CheckPassed { enough: false });
    }
}
