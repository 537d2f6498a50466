//! Who may join a line that others wait in already: it sheds what would wait in vain, and keeps an overload from making everyone late.
//!
//! A pool serves as many requests from a long line as from a short one, so a line is good for one thing: to bridge a time in which more
//! come than usual. What is refused is told at once, by two rules that both go by how fast the line has been moving:
//!
//! - *In vain*: who would have to wait longer than the queue's timeout is not let in to time out.
//! - *Overload*: a line that has stood for an interval (a tenth of the timeout) and got longer in its second half is no burst. Until
//!   nobody had to be refused for an interval, who would wait longer than a target (a sixtieth of the timeout) is
//!   refused. A line no longer than the workers that it waits for is left alone: slow scripts need it to keep them busy.
//!   One that stays as long as it is counts as an overload too once it means a wait of an interval.
//!
//! Four things are no overload. A burst that drains, however long its line (CoDel goes by the wait alone and would shed it). So many
//! clients that each ask again when they are answered, as the streams of one HTTP/2 connection may: their line stays as long as it
//! is, and all are served well within their time. A pool that
//! has stopped for a moment, as for a restart: while nothing moves there is no pace to predict by, and the rounds begin anew
//! afterwards. And a line that is new: a pace counts only what was served while somebody waited, since an idle pool's says
//! nothing about what it could do.
//!
//! The order stays first come, first served. Newest first would answer some of an overload sooner, but a client whose request
//! is passed over retries and comes back as the newest; and where the line is short, there is nothing to gain.

use std::time::{Duration, Instant};

/// A line is quiet no longer than this without having stopped, or than so many times the usual.
const QUIET: Duration = Duration::from_secs(1);
const QUIET_GAPS: u32 = 8;
/// What was served earlier says nothing about a line that forms now.
const MEMORY: Duration = Duration::from_secs(10);
/// Fewer say nothing about the pace.
const ENOUGH: u32 = 8;
/// A pace is taken anew after so many, and that much time in which the line moved.
const MANY: u32 = 32;
const LONG: Duration = Duration::from_secs(1);
/// When to come again while nothing moves, and the bounds of it otherwise.
const WHEN_STOPPED: Duration = Duration::from_secs(10);
const SOONEST: u64 = 1;
const LATEST: u64 = 60;

/// What a line allows, by the timeout of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    timeout: Duration,
    target: Duration,
    interval: Duration,
}

/// How fast a line moves, and whether it stands.
#[derive(Debug)]
pub struct Line {
    patience: Patience,
    /// When it formed or somebody was served from it.
    moved: Option<Instant>,
    pace: Pace,
    earlier: Pace,
    watch: Watch,
}

/// Requests served from a line, and the time between them.
#[derive(Debug, Default)]
struct Pace {
    served: u32,
    moving: Duration,
    longest: Duration,
}

/// Whether the line stands, seen twice an interval.
#[derive(Debug, Default)]
struct Watch {
    next: Option<Instant>,
    /// Its length when it was looked at last.
    length: Option<usize>,
    /// There is an overload, and this is when somebody had to be refused.
    overload: Option<Instant>,
}

/// Whether the last of a line waits too long: of one that grows, and of one that stays as long as it is.
#[derive(Debug, Clone, Copy)]
struct Late {
    growing: bool,
    standing: bool,
}

impl Patience {
    /// For a queue in which nobody waits longer than `timeout`.
    pub fn new(timeout: Duration) -> Self {
        let target = (timeout / 60).max(Duration::from_millis(250)).min(timeout);
        Self { timeout, target, interval: (timeout / 10).max(Duration::from_secs(1)) }
    }
}

impl Line {
    /// An empty one.
    pub fn new(patience: Patience) -> Self {
        let (pace, earlier) = Default::default();
        Self { patience, moved: None, pace, earlier, watch: Watch::default() }
    }

    /// A queue of another timeout from now on; how fast it moves stays known.
    pub fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// The first has come to wait.
    pub fn forms(&mut self, now: Instant) {
        if self.moved.is_none_or(|moved| now.duration_since(moved) > MEMORY) {
            (self.pace, self.earlier) = Default::default();
        }
        self.moved = Some(now);
    }

    /// Nobody waits any more.
    pub fn dissolves(&mut self) {
        self.watch = Watch::default();
    }

    /// Somebody who waited got a worker.
    pub fn served(&mut self, now: Instant) {
        if self.has_stopped(now) {
            self.watch = Watch::default();
        }
        let Some(before) = self.moved.replace(now) else { return };
        self.pace.count(now.duration_since(before));
        if self.pace.served >= MANY && self.pace.moving >= LONG {
            self.earlier = std::mem::take(&mut self.pace);
        }
    }

    /// Whether a newcomer may join behind so many, who wait for workers that are `running`.
    pub fn admits(&mut self, ahead: usize, running: usize, now: Instant) -> bool {
        let Patience { timeout, target, interval } = self.patience;
        let wait = self.wait(ahead, now);
        let longer = |than| wait.is_some_and(|wait| wait > than);
        let late = Late { growing: longer(target), standing: longer(interval) };
        let overload = self.watch.sees((ahead, running), late, interval, now);
        let bound = if overload && ahead >= running { target } else { timeout };
        let admits = ahead == 0 || wait.is_none_or(|wait| wait <= bound);
        if !admits && overload {
            self.watch.overload = Some(now);
        }
        admits
    }

    /// When it makes sense to come again: whole seconds.
    pub fn retry_after(&self, ahead: usize, now: Instant) -> Duration {
        if ahead > 0 && self.has_stopped(now) {
            return WHEN_STOPPED;
        }
        let seconds = self.wait(ahead, now).map_or(SOONEST, |wait| wait.as_secs_f64().ceil() as u64);
        Duration::from_secs(seconds.clamp(SOONEST, LATEST))
    }

    /// How long a newcomer would wait behind so many, while that can be said.
    fn wait(&self, ahead: usize, now: Instant) -> Option<Duration> {
        let places = u32::try_from(ahead + 1).unwrap_or(u32::MAX);
        self.gap().filter(|_| !self.has_stopped(now)).map(|gap| gap.saturating_mul(places))
    }

    fn has_stopped(&self, now: Instant) -> bool {
        let usual = self.gap().unwrap_or_default();
        self.moved.is_some_and(|moved| now.duration_since(moved) > QUIET.max(usual * QUIET_GAPS))
    }

    /// From one who is served to the next. The longest such time is left out: it may have been a stop.
    fn gap(&self) -> Option<Duration> {
        let (pace, earlier) = (&self.pace, &self.earlier);
        let served = pace.served + earlier.served;
        let moving = pace.moving + earlier.moving - pace.longest.max(earlier.longest);
        (served >= ENOUGH).then(|| moving / (served - 1))
    }
}

impl Pace {
    fn count(&mut self, gap: Duration) {
        self.served += 1;
        self.moving += gap;
        self.longest = self.longest.max(gap);
    }
}

impl Watch {
    /// Whether there is an overload, with a line of that length before workers that are `running`.
    fn sees(
        &mut self,
        (length, running): (usize, usize),
        late: Late,
        interval: Duration,
        now: Instant,
    ) -> bool {
        if self.overload.is_some_and(|refused| now.duration_since(refused) >= interval) {
            *self = Self::default();
        }
        let next = *self.next.get_or_insert(now + interval / 2);
        if now >= next {
            // A few more or less are chance: which worker has just taken one.
            let grows = self.length.is_some_and(|before| length > before + running);
            let stands = self.length.is_some_and(|before| length >= before);
            if (grows && late.growing || stands && late.standing) && self.overload.is_none() {
                self.overload = Some(now);
            }
            (self.length, self.next) = (Some(length), Some(now + interval / 2));
        }
        self.overload.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const SECOND: Duration = Duration::from_secs(1);
    const MILLI: Duration = Duration::from_millis(1);

    /// A pool behind a line, and a clock that goes by milliseconds.
    struct Pool {
        line: Line,
        now: Instant,
        came: VecDeque<Instant>,
        workers: usize,
        /// Requests that came and that could be served, in thousandths.
        arrived: u64,
        ready: u64,
        admitted: usize,
        refused: usize,
        served: usize,
        idle: Duration,
        longest_wait: Duration,
    }

    impl Pool {
        fn new(timeout: Duration) -> Self {
            Self {
                line: Line::new(Patience::new(timeout)),
                now: Instant::now(),
                came: VecDeque::new(),
                workers: 4,
                arrived: 0,
                ready: 0,
                admitted: 0,
                refused: 0,
                served: 0,
                idle: Duration::ZERO,
                longest_wait: Duration::ZERO,
            }
        }

        /// Lets so many come a second, and serves as many as `pace` says, from a line that is long enough.
        fn runs(&mut self, time: Duration, arrivals: u64, pace: u64) {
            for _ in 0..time.as_millis() {
                self.now += MILLI;
                self.arrived += arrivals;
                while self.arrived >= 1000 {
                    self.arrived -= 1000;
                    self.comes();
                }
                self.ready += pace;
                while self.ready >= 1000 {
                    self.ready -= 1000;
                    self.serves();
                }
            }
        }

        fn comes(&mut self) {
            if !self.line.admits(self.came.len(), self.workers, self.now) {
                self.refused += 1;
                return;
            }
            if self.came.is_empty() {
                self.line.forms(self.now);
            }
            self.admitted += 1;
            self.came.push_back(self.now);
        }

        fn serves(&mut self) {
            let Some(came) = self.came.pop_front() else {
                self.idle += MILLI;
                return;
            };
            self.longest_wait = self.longest_wait.max(self.now - came);
            self.served += 1;
            self.line.served(self.now);
            if self.came.is_empty() {
                self.line.dissolves();
            }
        }
    }

    #[test]
    fn an_overload_of_five_times_keeps_every_worker_busy_and_the_waits_short() {
        let mut pool = Pool::new(30 * SECOND);
        pool.runs(20 * SECOND, 500, 100);
        assert_eq!((pool.idle, pool.served), (Duration::ZERO, 2000));
        pool.longest_wait = Duration::ZERO;
        pool.runs(20 * SECOND, 500, 100);
        assert!(pool.idle.is_zero() && pool.longest_wait <= 510 * MILLI, "{:?}", pool.longest_wait);
        assert_eq!(
            (pool.served, pool.came.len()),
            (4000, 49),
            "the target's half second at a hundred a second"
        );
        assert_eq!(pool.served + pool.refused + pool.came.len(), 20_000, "the others are refused at once");
    }

    #[test]
    fn after_an_overload_a_burst_is_served_again() {
        let mut pool = Pool::new(30 * SECOND);
        pool.runs(20 * SECOND, 500, 100);
        pool.runs(20 * SECOND, 90, 100);
        let refused = pool.refused;
        pool.runs(SECOND, 500, 100);
        pool.runs(40 * SECOND, 50, 100);
        assert_eq!((pool.refused, pool.came.len()), (refused, 0));
    }

    #[test]
    fn a_burst_that_drains_is_served_completely_however_long_its_line() {
        let mut pool = Pool::new(30 * SECOND);
        pool.runs(500 * MILLI, 2000, 100);
        pool.runs(20 * SECOND, 50, 100);
        assert_eq!((pool.refused, pool.came.len()), (0, 0));
        assert!(pool.longest_wait > 8 * SECOND, "{:?}", pool.longest_wait);
    }

    #[test]
    fn clients_who_ask_again_when_they_are_answered_are_no_overload_unless_they_wait_for_long() {
        for (clients, pace, refuses) in [(100, 90, false), (100, 35, false), (100, 20, true)] {
            let mut pool = Pool::new(30 * SECOND);
            (0..clients).for_each(|_| pool.comes());
            for _ in 0..500 {
                let before = pool.served;
                pool.runs(SECOND / pace, 0, u64::from(pace));
                (before..pool.served).for_each(|_| pool.comes());
            }
            assert_eq!(pool.refused > 0, refuses, "{clients} clients, {pace} a second");
        }
    }

    #[test]
    fn a_pool_that_stops_for_some_seconds_serves_all_who_came_meanwhile() {
        for busy_before in [80, 101] {
            let mut pool = Pool::new(30 * SECOND);
            pool.runs(2 * SECOND, busy_before, 100);
            pool.runs(8 * SECOND, 80, 0);
            pool.runs(60 * SECOND, 80, 100);
            assert_eq!((pool.refused, pool.came.len()), (0, 0), "{busy_before}");
        }
    }

    #[test]
    fn who_would_wait_longer_than_the_timeout_is_refused_at_once() {
        let mut pool = Pool::new(30 * SECOND);
        pool.runs(20 * SECOND, 1, 0);
        pool.runs(10 * SECOND, 1, 2);
        assert_eq!((pool.refused, pool.came.len()), (0, 10));
        let places = (0..200).take_while(|&ahead| pool.line.admits(ahead, 1000, pool.now)).count();
        assert!((55..=62).contains(&places), "{places} at two a second in half a minute");
    }

    #[test]
    fn a_line_as_long_as_its_workers_is_left_alone() {
        // Four workers, each busy for two seconds with a script: the target is less than one place.
        let mut pool = Pool::new(30 * SECOND);
        pool.runs(120 * SECOND, 10, 2);
        pool.idle = Duration::ZERO;
        pool.runs(20 * SECOND, 10, 2);
        assert_eq!((pool.idle, pool.came.len()), (Duration::ZERO, 3), "the fourth is just served");
    }

    #[test]
    fn what_an_idle_pool_serves_is_no_pace() {
        let mut pool = Pool::new(30 * SECOND);
        pool.runs(100 * SECOND, 1, 100);
        pool.runs(SECOND, 2000, 100);
        assert_eq!(pool.refused, 0);
        pool.runs(60 * SECOND, 1, 100);
        pool.runs(20 * SECOND, 0, 100);
        assert!(pool.line.admits(2900, 4, pool.now), "a slow line of long ago");
    }

    #[test]
    fn workers_that_get_free_all_at_once_are_no_stop() {
        let mut line = Line::new(Patience::new(30 * SECOND));
        let start = Instant::now();
        line.forms(start);
        for round in 1..=6 {
            (0..4).for_each(|_| line.served(start + round * 10 * SECOND));
        }
        let now = start + 69 * SECOND;
        assert!(!line.has_stopped(now) && line.admits(10, 4, now) && !line.admits(16, 4, now));
    }

    #[test]
    fn retry_after_is_the_line_at_its_pace() {
        let mut line = Line::new(Patience::new(30 * SECOND));
        let start = Instant::now();
        assert_eq!(line.retry_after(0, start), SECOND, "nobody may wait here");
        line.forms(start);
        assert_eq!(line.retry_after(9, start + 2 * SECOND), WHEN_STOPPED, "it has never moved");
        (1..=20).for_each(|tenth| line.served(start + tenth * 100 * MILLI));
        let now = start + 2 * SECOND;
        assert_eq!(line.retry_after(49, now), 5 * SECOND, "50 requests at 10 a second");
        assert_eq!(line.retry_after(10_000, now), 60 * SECOND);
        assert_eq!(line.retry_after(49, now + 9 * SECOND), WHEN_STOPPED);
    }
}
