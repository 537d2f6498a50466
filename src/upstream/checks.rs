//! Active health: asks every member of a pool every few seconds, beside the clients' requests and outside of their permits.
//!
//! Here is whom to ask for what, where and when. The question itself is `inquiry`'s, what an answer does to the
//! member `member`'s, and the counting `balance`'s.

use super::admission::Admission;
use super::endpoint::Endpoint;
use super::inquiry::{Answer, Question, Reaction, ask};
use super::member::Member;
use super::vitals::Turn;
use crate::balance::{Event, Report, Rules};
use crate::config::model::{HealthChecks, StatusListen};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How long one question waits, by the interval: a worker that takes longer for its own page has something else to do, and
/// one that takes less may only be slow.
const PATIENCE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(2);

/// How late in its round a member is asked at most.
const LATEST: Duration = Duration::from_secs(1);

/// Asks until it is aborted: when its cluster is gone, or a newer one asks. What is asked then is not waited for.
pub(crate) async fn watch(admission: Arc<Admission>, checks: Arc<HealthChecks>) {
    let mut rounds = interval(checks.interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asking = JoinSet::new();
    loop {
        rounds.tick().await;
        while asking.try_join_next().is_some() {}
        for seat in admission.seats().into_iter().filter(|seat| !seat.down) {
            let Some(turn) = Turn::take(&seat.member) else { continue };
            // Members, and the front ends which ask them, are not asked in step.
            let pause = (checks.interval / 4).min(LATEST).mul_f64(rand::random());
            let check = Check {
                turn,
                rules: seat.rules,
                checks: Arc::clone(&checks),
                admission: Arc::clone(&admission),
            };
            asking.spawn(async move {
                sleep(pause).await;
                check.run().await;
            });
        }
    }
}

/// One question to one member.
struct Check {
    turn: Turn,
    rules: Rules,
    checks: Arc<HealthChecks>,
    admission: Arc<Admission>,
}

impl Check {
    async fn run(self) {
        let began = Instant::now();
        let reaction = self.ask().await;
        match reaction {
            Reaction::Answered(answer) => {
                let report = self.checks.status_path.as_deref().and_then(|path| self.read(path, &answer));
                let full = report.is_some_and(|report| report.idle == 0 && report.listen_queue > 0);
                self.member().busy_is(full.then_some(began), self.pool());
                let event = self.member().vitals().checkup.lock().passed(self.checks.passes);
                self.tell(event);
            }
            // Its workers may be behind connections that we keep, and may never hear that they are to stop (fpm-facts 13, 18).
            Reaction::Busy if self.member().close_idle() > 0 => {}
            Reaction::Busy => self.member().busy_is(Some(began), self.pool()),
            Reaction::NotAsked(_) => {}
            Reaction::Failed(failure) => {
                self.member().busy_is(None, self.pool());
                // The next one begins within a round and a quarter, and may need all of its patience.
                let next = Instant::now() + self.checks.interval.mul_f64(1.25) + self.patience();
                let event =
                    self.member().vitals().checkup.lock().failed(failure, self.checks.fails, next.into_std());
                self.tell(event);
            }
        }
    }

    /// At `status_listen`, which answers also while every worker is busy. Its silence is not the member's, and its
    /// answer does not say that the member's own door is open again: in doubt the member is asked itself.
    async fn ask(&self) -> Reaction {
        let question = self.question();
        if let Some(door) = self.status_door().filter(|_| !self.member().is_out_by_failure()) {
            let reaction = ask(&door, &question, self.patience()).await;
            if matches!(reaction, Reaction::Answered(_)) {
                return reaction;
            }
            tracing::debug!(
                pool = self.pool(),
                member = &**self.member().name(),
                ?reaction,
                "no answer at status_listen"
            );
        }
        ask(self.member().endpoint(), &question, self.patience()).await
    }

    fn question(&self) -> Question<'_> {
        match (&self.checks.status_path, &self.checks.ping_path) {
            (Some(path), _) => Question::status(path),
            (None, Some(path)) => Question::ping(path),
            (None, None) => Question::ANYBODY,
        }
    }

    fn status_door(&self) -> Option<Endpoint> {
        status_door(self.checks.status_listen.as_ref()?, self.member().endpoint())
    }

    /// What the status page says; that it is not one is said once.
    fn read(&self, path: &str, answer: &Answer) -> Option<Report> {
        let (pool, member) = (self.pool(), &**self.member().name());
        let report = Report::parse(&answer.body).ok();
        if self.member().vitals().missed_page(report.is_none()) {
            let status = answer.status.as_u16();
            tracing::warn!(
                pool,
                member,
                "{path} is not php-fpm's status page there (it answers {status}): set pm.status_path to it"
            );
        }
        if let Some(report) = &report {
            self.member().reported(report, Instant::now(), &self.rules, pool);
        }
        report
    }

    fn tell(&self, event: Event) {
        self.member().on(event, Instant::now(), &self.rules, self.pool());
        // Somebody may wait for just this member.
        self.admission.freed();
    }

    fn member(&self) -> &Arc<Member> {
        self.turn.member()
    }

    fn pool(&self) -> &str {
        self.admission.pool()
    }

    fn patience(&self) -> Duration {
        self.checks.interval.clamp(*PATIENCE.start(), *PATIENCE.end())
    }
}

/// Where a member's `pm.status_listen` is.
pub fn status_door(listen: &StatusListen, member: &Endpoint) -> Option<Endpoint> {
    match (listen, member) {
        (StatusListen::Port(port), Endpoint::Tcp(address)) => {
            Some(Endpoint::Tcp(SocketAddr::new(address.ip(), *port)))
        }
        (StatusListen::Port(_), Endpoint::Unix(_)) => None,
        (StatusListen::Tcp(address), _) => Some(Endpoint::Tcp(*address)),
        (StatusListen::Unix(path), _) => Some(Endpoint::Unix(path.clone())),
    }
}
