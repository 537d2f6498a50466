//! How a member is: its health, whether it is busy, and the line in the log for each change.

use super::Member;
use crate::balance::{Event, Health, Report, Rules, Standing};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Reachable but without a first byte for this long: an operator reads *busy*.
const BUSY_AFTER: Duration = Duration::from_secs(1);

impl Member {
    pub(crate) fn takes_requests(&self, now: Instant) -> bool {
        !self.troubled.load(Ordering::Relaxed) || self.health.lock().takes_requests(now.into_std())
    }

    /// Whether a success would tell anything new.
    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    pub(crate) fn is_out_by_failure(&self) -> bool {
        self.troubled.load(Ordering::Relaxed) && self.health.lock().is_out_by_failure()
    }

    /// Whether it is out, for some time to come, because no connection came about.
    pub(crate) fn waits_for_its_door(&self, now: Instant) -> bool {
        self.troubled.load(Ordering::Relaxed) && self.health.lock().waits_for_its_door(now.into_std())
    }

    pub(super) fn is_out_by_hand(&self) -> bool {
        self.troubled.load(Ordering::Relaxed) && self.health.lock().is_out_by_hand()
    }

    /// Takes in what happened to a request. Each change of state is one log line.
    pub(crate) fn on(&self, event: Event, now: Instant, rules: &Rules, pool: &str) {
        let (before, after) = self.changes(event, now, rules);
        if !after.is_news_after(&before) {
            return;
        }
        match (before.is_out_by_failure(), after.is_out_by_failure()) {
            (false, true) => self.vitals.ejected(),
            (true, false) if after == Health::Ready => self.vitals.returned(),
            _ => {}
        }
        if before.is_out() && !after.is_out() {
            self.is_back(now);
        }
        self.tell(after, event, pool);
    }

    /// One request is about to find out whether it is back. Under the desk's lock: nothing is said yet.
    pub(crate) fn is_probed(&self, now: Instant, rules: &Rules) {
        self.changes(Event::ProbeSent, now, rules);
    }

    /// It is on its way.
    pub(crate) fn tells_of_its_probe(&self, pool: &str) {
        let health = *self.health.lock();
        if matches!(health, Health::Probing { .. }) {
            self.tell(health, Event::ProbeSent, pool);
        }
    }

    fn changes(&self, event: Event, now: Instant, rules: &Rules) -> (Health, Health) {
        let mut health = self.health.lock();
        let before = *health;
        *health = before.on(event, now.into_std(), rules, rand::random());
        self.troubled.store(*health != Health::Ready, Ordering::Relaxed);
        let after = *health;
        drop(health);
        self.has_changed();
        self.vitals.changed(before, after, now);
        (before, after)
    }

    fn tell(&self, health: Health, event: Event, pool: &str) {
        let member = &*self.name;
        let standing = Standing { health, in_flight: self.in_flight(), busy_for: None };
        match health {
            Health::Ejected { .. } if matches!(event, Event::DoorOpened | Event::Restarted) => {
                tracing::info!(pool, member, because = %event, "member may be tried again: it was {standing}");
            }
            Health::Ejected { .. } | Health::Down => {
                tracing::warn!(pool, member, because = %event, "member is {standing}");
            }
            _ => tracing::info!(pool, member, because = %event, "member is {standing}"),
        }
    }

    /// Takes in a look at its status page: the limit learns from it. A restart is one log line; the connections to the php-fpm before are closed,
    /// and its failures forgotten.
    pub(crate) fn reported(&self, report: &Report, now: Instant, rules: &Rules, pool: &str) {
        self.with_slots(|slots| slots.reported(report));
        if !self.vitals.reported(report) {
            return;
        }
        let (member, start_time) = (&*self.name, report.start_time);
        tracing::info!(pool, member, start_time, "php-fpm was restarted");
        self.close_idle();
        self.on(Event::Restarted, now, rules, pool);
    }

    /// Checks found every worker busy since then, or not.
    pub(crate) fn busy_is(&self, since: Option<Instant>, pool: &str) {
        if self.vitals.set_busy(since) {
            let member = &*self.name;
            match since {
                Some(_) => tracing::info!(pool, member, "member is busy (no worker answered a check)"),
                None => tracing::info!(pool, member, "member is not busy any more"),
            }
        }
    }

    /// What an operator reads.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        let silence = self.held.lock().slots.longest_silence(now.into_std());
        let asking = self.vitals.busy_since().map(|since| now.duration_since(since));
        let busy_for = silence.max(asking).filter(|&wait| wait >= BUSY_AFTER);
        Standing { health: *self.health.lock(), in_flight: self.in_flight(), busy_for }
    }

    /// It serves again, or for the first time in a pool that has been serving.
    pub(crate) fn is_back(&self, now: Instant) {
        *self.back_since.lock() = Some(now);
        self.has_changed();
    }
}
