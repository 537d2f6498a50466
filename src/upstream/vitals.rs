//! What is known of a member beside its health: the latest look at its status page, the checks in a row, and how often
//! it went out and came back.
//!
//! `member` turns these into events and log lines, `checks` asks, `status` shows them.

use super::member::Member;
use crate::balance::{Checkup, Health, Report};
use parking_lot::Mutex;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::time::Instant;

/// How often it happened since cornac knows the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// It was taken out by failures.
    pub ejections: u64,
    /// It came back from that.
    pub returns: u64,
    /// php-fpm's start time changed.
    pub restarts: u64,
}

#[derive(Debug)]
pub(crate) struct Vitals {
    /// When its state became another, or it was found.
    since: Mutex<Instant>,
    ejections: AtomicU64,
    returns: AtomicU64,
    restarts: AtomicU64,
    report: Mutex<Option<Report>>,
    pub(crate) checkup: Mutex<Checkup>,
    /// Since when checks find it reachable without a free worker.
    busy_since: Mutex<Option<Instant>>,
    /// It was said that the status page is somewhere else.
    page_missed: AtomicBool,
    asking: AtomicBool,
}

/// The right to ask a member; one at a time has it.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Member>);

impl Turn {
    /// `None` while another check of the member is under way.
    pub(crate) fn take(member: &Arc<Member>) -> Option<Self> {
        let free = !member.vitals().asking.swap(true, Ordering::AcqRel);
        free.then(|| Self(Arc::clone(member)))
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.vitals().asking.store(false, Ordering::Release);
    }
}

impl Vitals {
    /// Of a member that was found now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: Mutex::new(now),
            ejections: AtomicU64::new(0),
            returns: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            report: Mutex::default(),
            checkup: Mutex::default(),
            busy_since: Mutex::default(),
            page_missed: AtomicBool::new(false),
            asking: AtomicBool::new(false),
        }
    }

    /// Another failure of a suspect member, or another ejection, is no other state.
    pub(crate) fn changed(&self, before: Health, after: Health, now: Instant) {
        if mem::discriminant(&before) != mem::discriminant(&after) {
            *self.since.lock() = now;
        }
    }

    pub(crate) fn since(&self) -> Instant {
        *self.since.lock()
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            ejections: self.ejections.load(Ordering::Relaxed),
            returns: self.returns.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn report(&self) -> Option<Report> {
        *self.report.lock()
    }

    /// Takes in a look at the status page. Whether php-fpm was started anew since the one before. A start time that went
    /// back is none: several php-fpm answer at this address then, and each would be taken for a restart of the other.
    pub(crate) fn reported(&self, report: &Report) -> bool {
        let before = self.report.lock().replace(*report);
        let restarted = before.is_some_and(|before| before.start_time < report.start_time);
        self.restarts.fetch_add(u64::from(restarted), Ordering::Relaxed);
        restarted
    }

    pub(crate) fn ejected(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.checkup.lock().begin_again();
    }

    pub(crate) fn returned(&self) {
        self.returns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn busy_since(&self) -> Option<Instant> {
        *self.busy_since.lock()
    }

    /// Notes since when it is busy, or that it is not. Whether that is news.
    pub(crate) fn set_busy(&self, since: Option<Instant>) -> bool {
        let mut known = self.busy_since.lock();
        let news = known.is_some() != since.is_some();
        if news {
            *known = since;
        }
        news
    }

    /// Nobody asks any more: what the latest answer was is no news of today.
    pub(crate) fn forget(&self) {
        *self.report.lock() = None;
        *self.busy_since.lock() = None;
    }

    /// Notes whether the status page is where it should be. Whether its absence is news.
    pub(crate) fn missed_page(&self, missed: bool) -> bool {
        !self.page_missed.swap(missed, Ordering::Relaxed) && missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::ProcessManager;

    fn started(start_time: u64) -> Report {
        Report {
            pm: ProcessManager::Static,
            start_time,
            accepted: 1,
            listen_queue: 0,
            max_listen_queue: 0,
            listen_queue_len: 511,
            idle: 1,
            active: 0,
            total: 1,
            max_active: 1,
            max_children_reached: 0,
            slow_requests: 0,
        }
    }

    #[test]
    fn a_later_start_time_is_a_restart_and_two_that_take_turns_are_not() {
        let vitals = Vitals::new(Instant::now());
        let restarts = [10, 10, 20, 10, 10].map(|at| vitals.reported(&started(at)));
        assert_eq!(restarts, [false, false, true, false, false]);
        assert_eq!((vitals.counts().restarts, vitals.report()), (1, Some(started(10))));
    }

    #[test]
    fn since_is_when_the_state_became_another_and_not_the_same_again() {
        let start = Instant::now();
        let at = |seconds| start + std::time::Duration::from_secs(seconds);
        let vitals = Vitals::new(start);
        vitals.changed(Health::Ready, Health::Draining, at(1));
        vitals.changed(Health::Draining, Health::Draining, at(2));
        assert_eq!(vitals.since(), at(1));
    }

    #[test]
    fn busy_and_a_missing_page_are_news_once() {
        let vitals = Vitals::new(Instant::now());
        let since = Some(Instant::now());
        assert!(vitals.set_busy(since) && !vitals.set_busy(since) && vitals.set_busy(None));
        assert!(!vitals.missed_page(false) && vitals.missed_page(true) && !vitals.missed_page(true));
    }
}
