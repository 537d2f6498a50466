//! How many workers a member has, learnt from what is seen on the wire and from its status page.
//!
//! A connection that has had a first byte and is still open holds a worker of its own: so many there are, for certain. When
//! that many is the limit, one more is tried; when a fresh connection is overtaken by those who have a worker, there was none
//! for it, and the limit goes back to what was proven. Too low costs throughput at once, too high only until somebody is overtaken.

use super::trial::Trial;
use crate::balance::report::{ProcessManager, Report};
use std::time::{Duration, Instant};

/// Before anything is known: a small pool's workers.
const FIRST_GUESS: u32 = 8;
/// After a vain attempt the next one comes after this time, and after each further one twice as late. A pool with
/// `pm = dynamic` looks every second whether it needs more workers.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// For so long what was proven once is taken to be true still.
const MEMORY: Duration = Duration::from_millis(500);
/// Nobody is usually silent for longer.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
const LARGEST_STEP: u32 = 64;

#[derive(Debug)]
pub(super) struct Learnt {
    limit: u32,
    /// By how much it grows next.
    step: u32,
    /// More than these were not there when more were last tried.
    known: u32,
    /// No growth before.
    not_before: Option<Instant>,
    pause: Duration,
    proven: Recent,
    silence: Silence,
    trial: Trial,
    /// From the status page: there are no more.
    most: Option<u32>,
    last_report: Option<(u64, u32)>,
}

impl Default for Learnt {
    fn default() -> Self {
        Self {
            limit: FIRST_GUESS,
            step: FIRST_GUESS / 2,
            known: 0,
            not_before: None,
            pause: PAUSE,
            proven: Recent::default(),
            silence: Silence::default(),
            trial: Trial::default(),
            most: None,
            last_report: None,
        }
    }
}

impl Learnt {
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Something was heard while so many connections had a worker for certain. Returns whether the limit grew.
    pub(super) fn heard(&mut self, proven: u32, full: bool, now: Instant) -> bool {
        self.proven.note(proven, now);
        self.silence.ends(full, now);
        let before = self.limit;
        self.limit = self.limit.max(proven);
        if proven > self.known {
            // There are more than there were: growth need not wait.
            (self.known, self.pause, self.not_before) = (proven, PAUSE, None);
        }
        if full && proven >= self.limit && self.not_before.is_none_or(|then| now >= then) {
            self.limit += self.step;
            self.step = (self.step * 2).min(LARGEST_STEP);
        }
        self.limit = self.limit.min(self.most.unwrap_or(u32::MAX));
        self.limit > before
    }

    /// A fresh connection was overtaken: there is no worker for it.
    pub(super) fn overtaken(&mut self, proven: u32, now: Instant) {
        let there_are = proven.max(self.known_lately(now));
        if there_are >= self.limit {
            // As many had a worker a moment ago: somebody else has one of them now, or the script is slow.
            return;
        }
        self.lower(there_are, now);
    }

    fn lower(&mut self, limit: u32, now: Instant) {
        (self.limit, self.known, self.step) = (limit, limit, 1);
        self.not_before = Some(now + self.pause);
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
    }

    /// A fresh connection had its first byte, with so many requests in use: where nobody reuses, that is all there is to learn
    /// from.
    pub(super) fn fresh(&mut self, first_byte: Duration, in_use: u32, now: Instant) -> bool {
        let least = self.known_lately(now);
        let Some(limit) = self.trial.answered(first_byte, in_use, self.limit, least, now) else {
            return false;
        };
        if limit < self.limit {
            self.lower(limit, now);
            return false;
        }
        self.limit = limit.min(self.most.unwrap_or(u32::MAX));
        true
    }

    /// So many were proven at once a moment ago.
    pub(super) fn known_lately(&mut self, now: Instant) -> u32 {
        self.proven.most(now).max(1)
    }

    pub(super) fn reused(&mut self) {
        self.trial.reused();
    }

    /// Time went by. Scripts that run for long keep silent: then a limit that is reached grows slower and slower.
    pub(super) fn tick(&mut self, full: bool, now: Instant) -> bool {
        let grows = full && self.silence.is_too_long(now) && self.most.is_none_or(|most| self.limit < most);
        self.limit += u32::from(grows);
        grows
    }

    /// What php-fpm says itself. `waiting` are our connections without a proven worker.
    pub(super) fn reported(&mut self, report: &Report, proven: u32, waiting: u32) {
        let before = self.last_report.replace((report.start_time, report.max_children_reached));
        let restarted = before.is_some_and(|(started, _)| started != report.start_time);
        if restarted {
            *self = Self { last_report: self.last_report, ..Self::default() };
        }
        let reached = before.is_some_and(|(_, reached)| report.max_children_reached > reached);
        if report.pm == ProcessManager::Static || (reached && !restarted) {
            self.most = Some(report.total.max(1));
        } else if self.most.is_some_and(|most| report.total > most) {
            self.most = None;
        }
        if report.listen_queue == 0 && report.idle > 0 {
            self.limit = self.limit.max(report.total);
        }
        if report.listen_queue > 0 {
            self.limit -= report.listen_queue.min(waiting).min(self.limit.saturating_sub(proven.max(1)));
        }
        self.limit = self.limit.min(self.most.unwrap_or(u32::MAX)).max(1);
    }
}

/// The most of a number that was seen a short while ago: over one memory at least, over two at most.
#[derive(Debug, Default)]
struct Recent {
    since: Option<Instant>,
    now: u32,
    before: u32,
}

impl Recent {
    fn note(&mut self, number: u32, now: Instant) {
        self.turn(now);
        self.now = self.now.max(number);
    }

    fn most(&mut self, now: Instant) -> u32 {
        self.turn(now);
        self.now.max(self.before)
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age >= MEMORY {
            self.before = if age < 2 * MEMORY { self.now } else { 0 };
            (self.now, self.since) = (0, Some(now));
        }
    }
}

/// Whether nothing was heard for longer than usual while the limit was reached.
#[derive(Debug)]
struct Silence {
    since: Option<Instant>,
    /// The longest of late, fading.
    usual: Duration,
    patience: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self { since: None, usual: Duration::ZERO, patience: PAUSE }
    }
}

impl Silence {
    fn ends(&mut self, full: bool, now: Instant) {
        let lasted = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.usual = self.usual.mul_f64(0.9);
        if full {
            self.usual = self.usual.max(lasted.min(LONGEST_SILENCE));
        }
        (self.since, self.patience) = (Some(now), PAUSE.max(4 * self.usual));
    }

    fn is_too_long(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.patience {
            return false;
        }
        (self.since, self.patience) = (Some(now), (2 * self.patience).min(LONGEST_PAUSE.max(4 * self.usual)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ms: u64, start: Instant) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn report(change: impl FnOnce(&mut Report)) -> Report {
        let mut report = Report {
            pm: ProcessManager::Dynamic,
            start_time: 1,
            accepted: 100,
            listen_queue: 0,
            max_listen_queue: 0,
            listen_queue_len: 511,
            idle: 0,
            active: 4,
            total: 4,
            max_active: 4,
            max_children_reached: 0,
            slow_requests: 0,
        };
        change(&mut report);
        report
    }

    #[test]
    fn it_grows_as_fast_as_workers_are_proven_and_goes_back_to_them_when_one_is_overtaken() {
        let (mut learnt, start) = (Learnt::default(), Instant::now());
        assert_eq!(learnt.limit(), 8);
        assert!(!learnt.heard(7, true, start), "one is not proven");
        assert!(!learnt.heard(8, false, start), "nobody needs more");
        assert!(learnt.heard(8, true, start));
        assert!(learnt.heard(12, true, start));
        assert_eq!(learnt.limit(), 20);
        learnt.overtaken(14, start);
        assert_eq!(learnt.limit(), 14);
        assert!(!learnt.heard(14, true, after(99, start)));
        assert!(learnt.heard(14, true, after(100, start)), "one more is tried");
        assert_eq!(learnt.limit(), 15);
    }

    #[test]
    fn vain_attempts_come_more_and_more_seldom_but_each_second() {
        let (mut learnt, mut now) = (Learnt::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..6 {
            learnt.heard(4, true, now);
            learnt.overtaken(4, now);
            let ms = (1..5000).find(|&ms| learnt.heard(4, true, after(ms, now))).expect("it tries again");
            now = after(ms, now);
            pauses.push(ms);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn a_worker_that_was_there_a_moment_ago_is_not_forgotten_for_a_slow_script() {
        let (mut learnt, start) = (Learnt::default(), Instant::now());
        learnt.heard(4, true, start);
        learnt.overtaken(4, start);
        learnt.overtaken(3, after(200, start));
        assert_eq!(learnt.limit(), 4);
        learnt.overtaken(3, after(1100, start));
        assert_eq!(learnt.limit(), 3, "a second later it is gone");
    }

    #[test]
    fn scripts_that_run_for_long_do_not_hold_the_limit_down() {
        let (mut learnt, start) = (Learnt::default(), Instant::now());
        let grown = (0..10_000).step_by(25).filter(|&ms| learnt.tick(true, after(ms, start))).count();
        assert!((10..=14).contains(&grown), "{grown}");
        assert!(!learnt.tick(false, after(60_000, start)), "only while it is reached");
    }

    #[test]
    fn silence_as_it_is_usual_makes_nothing_grow() {
        let (mut learnt, start) = (Learnt::default(), Instant::now());
        learnt.heard(2, true, start);
        let mut grown = 0;
        for ms in (0..60_000).step_by(25) {
            grown += u32::from(learnt.tick(true, after(ms, start)));
            if ms % 1250 == 0 {
                learnt.heard(2, true, after(ms, start));
            }
        }
        assert!(grown <= 4, "{grown}");
    }

    #[test]
    fn the_status_page_overrules() {
        let mut learnt = Learnt::default();
        learnt.reported(&report(|report| report.listen_queue = 9), 2, 4);
        assert_eq!(learnt.limit(), 4, "four of ours wait: they are too many");
        learnt.reported(&report(|report| (report.idle, report.total) = (3, 30)), 4, 0);
        assert_eq!(learnt.limit(), 30, "so many there are");
        learnt.reported(&report(|report| (report.max_children_reached, report.total) = (1, 25)), 4, 0);
        assert_eq!(learnt.limit(), 25);
        assert!(!learnt.heard(25, true, Instant::now()), "there are no more");
        learnt.reported(&report(|report| report.start_time = 2), 4, 0);
        assert_eq!(learnt.limit(), FIRST_GUESS, "a restarted pool is another one");
        learnt.reported(&report(|report| (report.pm, report.start_time) = (ProcessManager::Static, 2)), 4, 0);
        assert_eq!(learnt.limit(), 4);
    }
}
