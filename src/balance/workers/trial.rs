//! The limit where nobody reuses a connection (POSTs, keepalive off): found by trying a little more and a little less.
//!
//! Where requests wait for workers in php-fpm's backlog, more of them at once take longer in proportion, and fewer less long;
//! where each has its worker, the time of an answer stays the same. Times are compared by their geometric mean, in which one
//! slow script among many does not drown the others' wait.

use std::time::{Duration, Instant};

/// Answers to a sample, at the least: so many tell an eighth more or less apart also where some scripts are slow.
const SAMPLE: u32 = 128;
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Trial {
    sample: Sample,
    /// Answers that are not counted: their requests were sent under another limit.
    skip: u32,
    /// Where the running trial came from.
    left: Option<Left>,
    downwards: bool,
    rests_until: Option<Instant>,
    pause: Duration,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sample {
    answers: u32,
    /// Requests on kept connections meanwhile.
    reused: u32,
    /// Sum of the logarithms of seconds.
    logs: f64,
    /// Sum of the requests at once.
    at_once: u64,
}

/// A limit, and what was seen under it.
#[derive(Debug, Clone, Copy)]
struct Left {
    limit: u32,
    /// Mean logarithm of seconds.
    took: f64,
    at_once: f64,
}

impl Default for Trial {
    fn default() -> Self {
        let sample = Sample::default();
        Self { sample, skip: 0, left: None, downwards: true, rests_until: None, pause: PAUSE }
    }
}

impl Trial {
    /// A request went on a kept connection.
    pub(super) fn reused(&mut self) {
        self.sample.reused = self.sample.reused.saturating_add(1);
    }

    /// One more answer on a fresh connection, of so many at once; `least` workers are there for certain. Returns another
    /// limit to go to.
    pub(super) fn answered(
        &mut self,
        took: Duration,
        at_once: u32,
        limit: u32,
        least: u32,
        now: Instant,
    ) -> Option<u32> {
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.sample.answers += 1;
        self.sample.logs += took.as_secs_f64().max(1e-6).ln();
        self.sample.at_once += u64::from(at_once);
        if self.sample.answers < SAMPLE.max(4 * limit) {
            return None;
        }
        let sample = std::mem::take(&mut self.sample);
        if sample.reused > sample.answers / 4 {
            // Where connections are reused there are surer signs, and the fresh ones' times stand for little.
            return self.left.take().map(|left| left.limit);
        }
        let answers = f64::from(sample.answers);
        let seen = Left { limit, took: sample.logs / answers, at_once: sample.at_once as f64 / answers };
        let next = self.next(seen, least, now);
        self.skip = if next == limit { 0 } else { limit.max(next) };
        (next != limit).then_some(next)
    }

    fn next(&mut self, seen: Left, least: u32, now: Instant) -> u32 {
        match self.left.take() {
            Some(left) if self.was_vain(left, seen) => {
                self.rest(now);
                left.limit
            }
            Some(_) => {
                self.pause = PAUSE;
                self.go_on(seen, least, now)
            }
            None if self.rests_until.is_some_and(|until| now < until) => seen.limit,
            None => self.go_on(seen, least, now),
        }
    }

    fn rest(&mut self, now: Instant) {
        self.rests_until = Some(now + self.pause);
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        self.downwards = !self.downwards;
    }

    /// More is worth it while nobody waits longer for it; less, while the wait gets shorter.
    fn was_vain(&self, left: Left, seen: Left) -> bool {
        let if_they_wait = (seen.at_once / left.at_once).ln();
        if if_they_wait.abs() < 0.05 {
            return true;
        }
        let they_wait = (seen.took - left.took) / if_they_wait > 0.5;
        they_wait != self.downwards
    }

    fn go_on(&mut self, seen: Left, least: u32, now: Instant) -> u32 {
        let at_once = (seen.at_once.round() as u32).min(seen.limit);
        let next = match self.downwards {
            true => at_once.saturating_sub((at_once / 4).max(1)).max(least),
            false => seen.limit + (seen.limit / 4).max(1),
        };
        let has_sense = if self.downwards { next < at_once } else { at_once >= seen.limit };
        if !has_sense {
            // So many there are for certain, or so many nobody needs.
            self.rest(now);
            return seen.limit;
        }
        self.left = Some(seen);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// So many workers of 10 ms each, always as many requests as the limit lets through.
    fn settle(workers: u32, mut limit: u32) -> u32 {
        let (mut trial, mut now) = (Trial::default(), Instant::now());
        for _ in 0..40_000 {
            let took = ms(10) * limit.max(workers) / workers;
            now += took / limit;
            limit = trial.answered(took, limit, limit, 1, now).unwrap_or(limit);
        }
        limit
    }

    #[test]
    fn it_finds_the_workers_from_above_and_from_below() {
        for workers in [1, 3, 4, 7, 12, 40] {
            for guess in [1, 8, 64] {
                let found = settle(workers, guess);
                let near = workers.div_ceil(6);
                assert!(found.abs_diff(workers) <= near, "{found} for {workers}, from {guess}");
            }
        }
    }

    #[test]
    fn it_finds_the_workers_also_where_the_limit_is_never_reached() {
        let (mut trial, mut limit, mut now) = (Trial::default(), 64, Instant::now());
        for _ in 0..20_000 {
            let at_once = limit.min(8);
            let took = ms(10) * at_once.max(2) / 2;
            now += took / at_once;
            limit = trial.answered(took, at_once, limit, 1, now).unwrap_or(limit);
        }
        assert!((2..=3).contains(&limit), "{limit}");
    }

    #[test]
    fn scripts_that_get_slower_do_not_make_it_smaller() {
        let (mut trial, mut limit, now) = (Trial::default(), 8, Instant::now());
        for answer in 0..20_000_u64 {
            let took = ms(2 + answer / 100);
            let later = now + ms(answer);
            limit = trial.answered(took, limit, limit, 1, later).unwrap_or(limit);
        }
        assert!(limit >= 6, "{limit}");
    }
}
