//! How fast a member has been answering: what `least_time` goes by.
//!
//! A moving average of the time to the first byte, by time and not by requests, so that it means the same on a busy site and
//! on a quiet one. It rises fast and falls slowly (peak-sensitive, as Finagle's `PeakEwma`), but one sample at most
//! doubles it: a single slow script is not a slow member.

use std::time::{Duration, Instant};

/// After this long an old time counts for a third (1/e).
const MEMORY: Duration = Duration::from_secs(5);
/// Shorter times are all the same: php itself varies by more.
const FLOOR: Duration = Duration::from_micros(100);

/// The average of one member.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency(Option<Known>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    seconds: f64,
    at: Instant,
}

impl Latency {
    /// Takes in the time that a first byte took.
    pub fn answered(&mut self, took: Duration, now: Instant) {
        let took = took.max(FLOOR).as_secs_f64();
        let seconds = match self.0 {
            None => took,
            Some(known) if took > known.seconds => took.min(2.0 * known.seconds),
            Some(known) => {
                let old = known.weight_at(now);
                known.seconds * old + took * (1.0 - old)
            }
        };
        self.0 = Some(Known { seconds, at: now });
    }

    /// Seconds, as far as they are known. While nothing is on the way there (`idle`), the time fades, so that a member which was
    /// slow is tried again; the one request that tries stops the fading until it is answered.
    pub fn seconds(&self, idle: bool, now: Instant) -> Option<f64> {
        let known = self.0?;
        let faded = if idle { known.seconds * known.weight_at(now) } else { known.seconds };
        Some(faded.max(FLOOR.as_secs_f64()))
    }
}

impl Known {
    fn weight_at(&self, now: Instant) -> f64 {
        (-now.saturating_duration_since(self.at).as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ms(latency: &Latency, idle: bool, now: Instant) -> u32 {
        (latency.seconds(idle, now).unwrap() * 1000.0).round() as u32
    }

    /// A member that has answered in 10 ms for a while.
    fn steady(start: Instant) -> (Latency, Instant) {
        let mut latency = Latency::default();
        for tick in 0..100 {
            latency.answered(10 * MS, start + tick * 100 * MS);
        }
        (latency, start + 10_000 * MS)
    }

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        assert_eq!(Latency::default().seconds(true, Instant::now()), None);
    }

    #[test]
    fn it_rises_with_each_slow_answer_and_falls_over_seconds() {
        let (mut latency, now) = steady(Instant::now());
        let seen = [1, 2, 3].map(|_| {
            latency.answered(200 * MS, now);
            ms(&latency, false, now)
        });
        assert_eq!(seen, [20, 40, 80]);
        latency.answered(10 * MS, now + 1_000 * MS);
        let after_a_second = ms(&latency, false, now);
        assert!((50..80).contains(&after_a_second), "{after_a_second}");
        latency.answered(10 * MS, now + 20_000 * MS);
        assert_eq!(ms(&latency, false, now), 11);
    }

    #[test]
    fn one_slow_script_does_not_make_a_member_slow() {
        let (mut latency, now) = steady(Instant::now());
        latency.answered(30_000 * MS, now);
        assert_eq!(ms(&latency, false, now), 20);
    }

    #[test]
    fn an_idle_member_is_forgiven_and_a_silent_one_is_not() {
        let now = Instant::now();
        let mut latency = Latency::default();
        latency.answered(2_000 * MS, now);
        let later = now + Duration::from_secs(30);
        assert_eq!(ms(&latency, true, later), 5);
        assert_eq!(ms(&latency, false, later), 2_000, "a request is on its way: it will tell");
        latency.answered(10 * MS, later);
        assert_eq!(ms(&latency, false, later), 15);
    }

    #[test]
    fn times_below_what_php_varies_by_are_the_same() {
        let now = Instant::now();
        let [mut one, mut other] = [Latency::default(); 2];
        one.answered(MS / 100, now);
        other.answered(MS / 20, now);
        assert_eq!(one, other);
    }
}
