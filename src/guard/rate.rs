//! How often somebody may come: nginx's leaky bucket (`limit_req`), as one number a key (GCRA): when the bucket will be empty.
//!
//! The crate `governor` has the same arithmetic; its table of keys has no bound.

use std::time::Duration;

/// So many requests in a time, and so many more at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What one request adds, in nanoseconds.
    period: u64,
    /// How full the bucket may be.
    tolerance: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is within the rate after this time: zero unless a burst is being used up.
    After(Duration),
    /// The bucket is full: there is room for one in this time.
    Full(Duration),
}

impl Rate {
    /// `requests` in `per`, at least one of each, and `burst` more at once.
    pub fn new(requests: u32, per: Duration, burst: u32) -> Self {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let period = (per / u64::from(requests.max(1))).max(1);
        Self { period, tolerance: period.saturating_mul(burst.into()) }
    }

    /// A request comes at `now`; both in nanoseconds since some beginning. `empty_at` is the key's one number, 0 for a new key.
    pub fn take(self, empty_at: &mut u64, now: u64) -> Turn {
        let full_for = empty_at.saturating_sub(now);
        if full_for > self.tolerance {
            return Turn::Full(Duration::from_nanos(full_for - self.tolerance));
        }
        *empty_at = now.saturating_add(full_for).saturating_add(self.period);
        Turn::After(Duration::from_nanos(full_for))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn served(rate: Rate, at: impl IntoIterator<Item = u64>) -> usize {
        let mut empty_at = 0;
        at.into_iter().filter(|&now| matches!(rate.take(&mut empty_at, now), Turn::After(_))).count()
    }

    #[test]
    fn a_burst_is_served_at_once_and_no_more() {
        let ten = |burst| Rate::new(10, Duration::from_secs(1), burst);
        for (burst, expected) in [(0, 1), (1, 2), (20, 21)] {
            assert_eq!(served(ten(burst), [SECOND; 100]), expected, "burst {burst}");
        }
    }

    #[test]
    fn over_time_the_rate_is_served_whatever_comes() {
        let rate = Rate::new(10, Duration::from_secs(1), 5);
        let flood = (0..10_000).map(|milli| SECOND + milli * 1_000_000);
        assert_eq!(served(rate, flood), 5 + 100);
        let steady = (0..100).map(|tenth| SECOND + tenth * SECOND / 10);
        assert_eq!(served(Rate::new(10, Duration::from_secs(1), 0), steady), 100);
    }

    #[test]
    fn who_is_refused_hears_when_there_is_room_again() {
        let rate = Rate::new(1, Duration::from_secs(60), 1);
        let mut empty_at = 0;
        assert_eq!(rate.take(&mut empty_at, SECOND), Turn::After(Duration::ZERO));
        assert_eq!(rate.take(&mut empty_at, SECOND), Turn::After(Duration::from_secs(60)));
        assert_eq!(rate.take(&mut empty_at, SECOND), Turn::Full(Duration::from_secs(60)));
        assert_eq!(rate.take(&mut empty_at, 41 * SECOND), Turn::Full(Duration::from_secs(20)));
        assert_eq!(rate.take(&mut empty_at, 61 * SECOND), Turn::After(Duration::from_secs(60)));
    }

    #[test]
    fn refusals_cost_nothing() {
        let rate = Rate::new(1, Duration::from_secs(1), 0);
        let mut empty_at = 0;
        rate.take(&mut empty_at, SECOND);
        for _ in 0..1_000 {
            assert!(matches!(rate.take(&mut empty_at, SECOND), Turn::Full(_)));
        }
        assert_eq!(rate.take(&mut empty_at, 2 * SECOND), Turn::After(Duration::ZERO));
    }

    proptest::proptest! {
        #[test]
        fn no_numbers_make_it_panic_or_serve_beyond_the_rate(
            requests in 0_u32.., per in 0_u64..(1 << 40), burst in 0_u32..,
            mut times in proptest::collection::vec(0_u64.., 0..50),
        ) {
            let rate = Rate::new(requests, Duration::from_nanos(per), burst);
            times.sort_unstable();
            let mut empty_at = 0;
            for now in times {
                let before = empty_at;
                match rate.take(&mut empty_at, now) {
                    Turn::After(_) => proptest::prop_assert!(empty_at >= before),
                    Turn::Full(wait) => proptest::prop_assert!(empty_at == before && !wait.is_zero()),
                }
            }
        }
    }
}
