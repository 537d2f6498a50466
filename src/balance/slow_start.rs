//! Slow start: a member that has come back gets its share little by little, because its caches are cold (opcache, APCu,
//! connections to the database).
//!
//! nginx's `slow_start` recovers from zero; here it begins at a tenth, so that even a quiet pool warms it up. nginx refuses
//! it for `hash`, `ip_hash` and `random`. `random` draws by weight and takes part here; with a hash a weight that grows would
//! move keys for as long as it grows, differently on each front end, so the hash policies do without
//! (`PolicyKind::is_by_key`).

use std::time::Duration;

/// The parts of a weight: what [`part`] gives in the end.
pub const WHOLE: u32 = 100;

const FIRST: u32 = 10;

/// How many of [`WHOLE`] parts of its weight a member has, so long after it came back. Never 0.
pub fn part(back_for: Duration, slow_start: Duration) -> u32 {
    if back_for >= slow_start {
        return WHOLE;
    }
    let way = back_for.as_secs_f64() / slow_start.as_secs_f64();
    // Below 90: the way is less than 1.
    FIRST + (way * f64::from(WHOLE - FIRST)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_grows_evenly_from_a_tenth() {
        let at = |second| part(Duration::from_secs(second), Duration::from_secs(10));
        assert_eq!([0, 2, 5, 9, 10, 60].map(at), [10, 28, 55, 91, 100, 100]);
    }

    #[test]
    fn without_slow_start_it_is_whole_at_once() {
        assert_eq!(part(Duration::ZERO, Duration::ZERO), WHOLE);
    }
}
