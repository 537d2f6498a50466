//! How many failures take a member out, and for how long: the operator's settings.

use std::time::Duration;

/// The operator's settings for one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Failures within `window` that eject it; 0 never does (nginx: `max_fails`).
    pub max_fails: u32,
    /// The time in which failures add up (nginx: `fail_timeout`).
    pub window: Duration,
    /// How long it stays out.
    pub backoff: Backoff,
}

/// How long ejections last: doubled with each one in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Backoff {
    /// 5 s, doubling to 60 s.
    pub const DEFAULT: Self = Self { first: Duration::from_secs(5), longest: Duration::from_secs(60) };

    /// As the operator set it (`fail_timeout`), doubling to 60 s, or longer if that was asked for.
    pub fn starting_at(first: Duration) -> Self {
        Self { first, longest: first.max(Self::DEFAULT.longest) }
    }

    /// The first lasts as long as the operator said, the others up to a fifth less: so that members which went out
    /// together, and the front ends which saw it, do not come back in step. `chance` is in 0..1.
    pub(super) fn after(self, times: u32, chance: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << times.saturating_sub(1).min(16)).min(self.longest);
        if times < 2 { doubled } else { doubled.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 5.0) }
    }
}

impl Rules {
    /// 3 failures within 10 s, out for 5 s at first.
    pub const DEFAULT: Self =
        Self { max_fails: 3, window: Duration::from_secs(10), backoff: Backoff::DEFAULT };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ejection_may_begin_longer_than_a_minute_and_then_does_not_grow() {
        let hour = Backoff::starting_at(Duration::from_secs(3600));
        assert_eq!((hour.after(1, 0.0), hour.after(9, 0.0)), (hour.first, hour.first));
    }
}
