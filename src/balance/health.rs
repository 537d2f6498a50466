//! A member's health: a state machine in the operator's words, driven by what happened to real requests.
//!
//! It owns the states and their order; how they print is `standing`'s. What counts as a failure is decided where it is seen
//! (`upstream`); active checks are just another source of events, counted by `checkup`. Panic mode (every member is out, so all are
//! used) belongs to whoever sees all members at once.

use super::failure::Failure;
use super::rules::Rules;
use std::time::Instant;

/// What happened to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It answered a request that began then.
    Succeeded {
        /// When the request was handed to it.
        began: Instant,
    },
    /// It failed a request.
    Failed(Failure),
    /// The same, and a moment ago it still answered others.
    FailedAmongOthers(Failure),
    /// Its ejection is over and a request is on the way to it.
    ProbeSent,
    /// That request ended without saying anything about the member (the client left).
    ProbeLost,
    /// It answered when it was asked by us.
    CheckPassed {
        /// As often in a row as brings it back.
        enough: bool,
    },
    /// It did not.
    CheckFailed {
        /// What happened instead.
        failure: Failure,
        /// As often in a row as takes it out.
        enough: bool,
        /// When the next check will have ended.
        next: Instant,
    },
    /// Nobody had opened, and now a connection to it comes about: no request was on it.
    DoorOpened,
    /// It was started anew: what it failed before was another's failure.
    Restarted,
    /// The operator, or a removal, wants it empty.
    Drain,
    /// The operator took it out.
    TakenDown,
    /// The operator put it back.
    PutBack,
}

/// So many times `max_fails` are needed against a member that answers others: a few together may be one script asked for
/// a few times.
const MANY: u32 = 4;

/// The state of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It gets its share.
    #[default]
    Ready,
    /// It gets its share, but has failed lately.
    Suspect {
        /// Failures since `since`.
        failures: u32,
        /// As many eject it.
        of: u32,
        /// So many of them that no script can have done.
        surely: u32,
        /// Requests that it has answered since.
        answered: u32,
        /// When they began to add up.
        since: Instant,
        /// The latest.
        last: Failure,
    },
    /// It gets nothing until then.
    Ejected {
        /// When it was put out.
        since: Instant,
        /// When it may be tried again.
        until: Instant,
        /// The failure that did it.
        reason: Failure,
        /// Ejections in a row, this one included.
        times: u32,
    },
    /// Its ejection is over; one request is finding out whether it is back.
    Probing {
        /// Why it was put out.
        reason: Failure,
        /// Ejections in a row.
        times: u32,
        /// When the request went out.
        since: Instant,
    },
    /// It gets nothing new and finishes what it has.
    Draining,
    /// The operator took it out.
    Down,
}

impl Health {
    /// The state after an event. Events that say nothing in a state leave it as it is. `chance`, in 0..1, varies how
    /// long an ejection lasts.
    #[must_use]
    pub fn on(self, event: Event, now: Instant, rules: &Rules, chance: f64) -> Self {
        match event {
            Event::Drain => Self::Draining,
            Event::TakenDown => Self::Down,
            Event::PutBack => Self::Ready,
            Event::Succeeded { began } => self.succeeded(began, now, rules),
            Event::Failed(failure) => self.failed((failure, 0), now, rules, chance),
            Event::FailedAmongOthers(failure) => self.failed((failure, 1), now, rules, chance),
            Event::CheckPassed { enough } if enough && self.is_out_by_failure() => Self::Ready,
            Event::CheckPassed { .. } => self,
            Event::CheckFailed { failure, enough, next } => {
                self.check_failed((failure, enough), next, now, rules, chance)
            }
            Event::DoorOpened if self.waits_for_its_door(now) => self.may_be_tried(now),
            Event::DoorOpened => self,
            Event::Restarted => self.restarted(now),
            Event::ProbeSent => self.probe_sent(now),
            Event::ProbeLost => self.probe_lost(now),
        }
    }

    /// Whether a request may be sent there now. After an ejection the answer is yes once: the one who sends it
    /// reports [`Event::ProbeSent`].
    pub fn takes_requests(&self, now: Instant) -> bool {
        match self {
            Self::Ready | Self::Suspect { .. } => true,
            Self::Ejected { until, .. } => *until <= now,
            Self::Probing { .. } | Self::Draining | Self::Down => false,
        }
    }

    /// Whether an operator should hear of it: not of each answer nor, once there are enough, of each failure of a member
    /// that serves on.
    pub fn is_news_after(&self, before: &Self) -> bool {
        match (before, self) {
            (
                Self::Suspect { failures: before, since: earlier, .. },
                Self::Suspect { failures, of, since, .. },
            ) => earlier != since || (before != failures && failures <= of),
            _ => before != self,
        }
    }

    /// Whether the operator has taken it out, or lets it run empty.
    pub fn is_out_by_hand(&self) -> bool {
        matches!(self, Self::Draining | Self::Down)
    }

    /// Whether it gets nothing, but for a request that finds out about it.
    pub fn is_out(&self) -> bool {
        !matches!(self, Self::Ready | Self::Suspect { .. })
    }

    /// Whether it is out because of failures, not because somebody wanted so: panic mode may use it.
    pub fn is_out_by_failure(&self) -> bool {
        matches!(self, Self::Ejected { .. } | Self::Probing { .. })
    }

    /// Whether it is out, for some time to come, because no connection came about.
    pub fn waits_for_its_door(&self, now: Instant) -> bool {
        matches!(self, Self::Ejected { until, reason, .. } if *until > now && reason.is_at_the_door())
    }

    fn succeeded(self, began: Instant, now: Instant, rules: &Rules) -> Self {
        match self {
            Self::Suspect { since, .. } if now.saturating_duration_since(since) > rules.window => Self::Ready,
            Self::Suspect { failures, of, surely, answered, since, last } => {
                Self::Suspect { failures, of, surely, answered: answered.saturating_add(1), since, last }
            }
            Self::Probing { since, .. } | Self::Ejected { since, .. } if began >= since => Self::Ready,
            other => other,
        }
    }

    /// A failure, and the answer that came just before it, if one did.
    fn failed(self, (failure, before): (Failure, u32), now: Instant, rules: &Rules, chance: f64) -> Self {
        match self {
            Self::Ready => Self::suspect(failure, (0, 0, before), now, now, rules),
            Self::Suspect { since, .. } if now.saturating_duration_since(since) > rules.window => {
                Self::suspect(failure, (0, 0, before), now, now, rules)
            }
            Self::Suspect { failures, surely, answered, since, .. } => {
                Self::suspect(failure, (failures, surely, answered.max(before)), since, now, rules)
            }
            Self::Probing { times, .. } => Self::ejected(failure, times + 1, now, rules, chance),
            Self::Ejected { .. } | Self::Draining | Self::Down => self,
        }
    }

    /// One failure more. Those that a script may have done eject a member that answers others only if they are many, and more
    /// than its answers; those that no script can have done add up whatever it answers between them, as in nginx.
    fn suspect(
        last: Failure,
        (failures, surely, answered): (u32, u32, u32),
        since: Instant,
        now: Instant,
        rules: &Rules,
    ) -> Self {
        let of = rules.max_fails;
        let failures = failures.saturating_add(1);
        let surely = surely + u32::from(!last.may_be_the_scripts());
        let enough = if answered == 0 { of } else { of.saturating_mul(MANY) };
        match of {
            0 => Self::Ready,
            _ if surely >= of || (failures >= enough && failures > answered) => {
                Self::ejected(last, 1, now, rules, 0.0)
            }
            _ => Self::Suspect { failures, of, surely, answered, since, last },
        }
    }

    fn ejected(reason: Failure, times: u32, now: Instant, rules: &Rules, chance: f64) -> Self {
        Self::Ejected { since: now, until: now + rules.backoff.after(times, chance), reason, times }
    }

    /// A member that is out stays so without a client's request finding out, as long as checks say why.
    fn check_failed(
        self,
        (failure, enough): (Failure, bool),
        next: Instant,
        now: Instant,
        rules: &Rules,
        chance: f64,
    ) -> Self {
        match self {
            Self::Ready | Self::Suspect { .. } if enough && rules.max_fails > 0 => {
                Self::ejected(failure, 1, now, rules, chance)
            }
            Self::Ejected { until, times, .. } if until <= next => {
                Self::ejected(failure, times + 1, now, rules, chance)
            }
            other => other,
        }
    }

    fn restarted(self, now: Instant) -> Self {
        match self {
            Self::Suspect { .. } => Self::Ready,
            other => other.may_be_tried(now),
        }
    }

    /// One request may find out at once.
    fn may_be_tried(self, now: Instant) -> Self {
        match self {
            Self::Ejected { since, until, reason, times } => {
                Self::Ejected { since, until: until.min(now), reason, times }
            }
            other => other,
        }
    }

    fn probe_sent(self, now: Instant) -> Self {
        match self {
            Self::Ejected { until, reason, times, .. } if until <= now => {
                Self::Probing { reason, times, since: now }
            }
            other => other,
        }
    }

    fn probe_lost(self, now: Instant) -> Self {
        match self {
            Self::Probing { reason, times, since } => Self::Ejected { since, until: now, reason, times },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Backoff, Standing};
    use super::*;
    use std::time::Duration;

    const REFUSED: Event = Event::Failed(Failure::Refused);

    struct Member {
        health: Health,
        now: Instant,
        rules: Rules,
        chance: f64,
    }

    impl Member {
        fn new(rules: Rules) -> Self {
            Self { health: Health::Ready, now: Instant::now(), rules, chance: 0.0 }
        }
        fn wait(&mut self, seconds: u64) -> &mut Self {
            self.now += Duration::from_secs(seconds);
            self
        }
        fn on(&mut self, event: Event) -> &mut Self {
            self.health = self.health.on(event, self.now, &self.rules, self.chance);
            self
        }
        fn succeeds(&mut self) -> &mut Self {
            self.on(Event::Succeeded { began: self.now })
        }
        /// A check failed, and the next one ends so many seconds from now.
        fn check_fails(&mut self, enough: bool, next: u64) -> &mut Self {
            let next = self.now + Duration::from_secs(next);
            self.on(Event::CheckFailed { failure: Failure::Refused, enough, next })
        }
        fn says(&self) -> String {
            Standing { health: self.health, in_flight: 3, busy_for: None }.to_string()
        }
        fn takes(&self) -> bool {
            self.health.takes_requests(self.now)
        }
    }

    #[test]
    fn three_failures_within_the_window_eject_a_member_and_it_says_why() {
        let mut member = Member::new(Rules::DEFAULT);
        member.on(REFUSED).wait(1).on(REFUSED);
        assert_eq!(member.says(), "suspect (2 of 3 failures: connection refused)");
        assert!(member.takes());
        member.wait(1).on(REFUSED);
        assert_eq!(member.says(), "ejected for 5 s (connection refused)");
        assert!(!member.takes());
    }

    #[test]
    fn failures_further_apart_than_the_window_do_not_add_up() {
        let mut member = Member::new(Rules::DEFAULT);
        member.on(REFUSED).on(REFUSED).wait(11).on(REFUSED);
        assert_eq!(member.says(), "suspect (1 of 3 failures: connection refused)");
        member.wait(11).succeeds();
        assert_eq!(member.says(), "ready");
    }

    #[test]
    fn successes_between_failures_do_not_hide_them() {
        for failure in [Failure::Refused, Failure::ConnectTimeout, Failure::Unreachable, Failure::Garbage] {
            let mut member = Member::new(Rules::DEFAULT);
            for _ in 0..3 {
                assert!(member.takes(), "{failure}");
                member.succeeds().succeeds().on(Event::Failed(failure));
            }
            assert_eq!(member.says(), format!("ejected for 5 s ({failure})"));
        }
    }

    #[test]
    fn what_a_script_may_have_done_ejects_a_member_only_if_it_answers_no_more_than_it_fails() {
        for failure in [Failure::ClosedEarly, Failure::Silent] {
            let failed = Event::Failed(failure);
            let mut poisoned = Member::new(Rules::DEFAULT);
            for _ in 0..50 {
                poisoned.on(failed).succeeds().succeeds();
            }
            assert_eq!(poisoned.says(), format!("suspect (50 failures beside 100 answers: {failure})"));
            assert!(poisoned.takes());
            for _ in 0..51 {
                poisoned.on(failed);
            }
            assert_eq!(poisoned.says(), format!("ejected for 5 s ({failure})"), "and then no other answer");
            let mut half = Member::new(Rules::DEFAULT);
            for _ in 0..11 {
                half.on(failed).succeeds();
            }
            assert!(half.takes(), "a few may be one script that is asked for a few times");
            assert_eq!(half.on(failed).says(), format!("ejected for 5 s ({failure})"));
            let mut among_others = Member::new(Rules::DEFAULT);
            for _ in 0..3 {
                among_others.on(Event::FailedAmongOthers(failure));
            }
            assert!(among_others.takes(), "three at once, and a moment ago it answered");
        }
    }

    #[test]
    fn a_script_that_kills_its_workers_does_not_make_a_refused_connection_worse() {
        let mut member = Member::new(Rules::DEFAULT);
        member.on(Event::Failed(Failure::ClosedEarly)).succeeds().succeeds().succeeds().succeeds();
        member.on(Event::Failed(Failure::ClosedEarly)).on(REFUSED).on(REFUSED);
        assert!(member.takes());
        assert_eq!(member.on(REFUSED).says(), "ejected for 5 s (connection refused)");
    }

    #[test]
    fn of_a_member_that_serves_on_only_the_first_failures_are_news() {
        let rules = Rules::DEFAULT;
        let now = Instant::now();
        let mut health = Health::Ready;
        let mut news = 0;
        for _ in 0..100 {
            let failed = Event::Failed(Failure::ClosedEarly);
            for event in [failed, Event::Succeeded { began: now }, Event::Succeeded { began: now }] {
                let after = health.on(event, now, &rules, 0.0);
                news += u32::from(after.is_news_after(&health));
                health = after;
            }
        }
        assert_eq!(news, 3);
    }

    #[test]
    fn max_fails_0_is_never_ejected() {
        let mut member = Member::new(Rules { max_fails: 0, ..Rules::DEFAULT });
        for _ in 0..100 {
            member.on(REFUSED);
        }
        assert_eq!(member.says(), "ready");
    }

    #[test]
    fn after_an_ejection_one_request_finds_out_and_a_success_brings_the_member_back() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        member.on(REFUSED).wait(5);
        assert!(member.takes());
        member.on(Event::ProbeSent);
        assert_eq!(member.says(), "probing");
        assert!(!member.takes(), "one request, not two");
        member.succeeds();
        assert_eq!(member.says(), "ready");
    }

    #[test]
    fn each_ejection_in_a_row_lasts_twice_as_long_up_to_a_minute() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        member.on(REFUSED);
        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(member.says(), format!("ejected for {seconds} s (connection refused)"));
            member.wait(seconds - 1);
            assert!(!member.takes());
            member.wait(1).on(Event::ProbeSent).on(REFUSED);
        }
        member.wait(60).on(Event::ProbeSent).succeeds().on(REFUSED);
        assert_eq!(member.says(), "ejected for 5 s (connection refused)", "a success ends the row");
    }

    #[test]
    fn the_operators_fail_timeout_is_the_first_ejection() {
        let backoff = Backoff::starting_at(Duration::from_secs(10));
        let mut member = Member::new(Rules { max_fails: 1, backoff, ..Rules::DEFAULT });
        assert_eq!(member.on(REFUSED).says(), "ejected for 10 s (connection refused)");
    }

    #[test]
    fn an_answer_to_an_older_request_does_not_end_an_ejection() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        let began = member.now;
        member.wait(1).on(REFUSED).wait(1).on(Event::Succeeded { began });
        assert_eq!(member.says(), "ejected for 5 s (connection refused)");
        member.succeeds();
        assert_eq!(member.says(), "ready", "but one sent in panic mode does");
    }

    #[test]
    fn a_probe_whose_client_left_is_made_again_by_the_next_request() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        member.on(REFUSED).wait(5).on(Event::ProbeSent).on(Event::ProbeLost);
        assert!(member.takes());
    }

    #[test]
    fn the_operators_word_overrules_what_happens() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        assert_eq!(member.on(Event::Drain).on(REFUSED).succeeds().says(), "draining (3 in flight)");
        assert_eq!(member.on(Event::TakenDown).on(REFUSED).says(), "down (by hand)");
        assert!(!member.takes() && !member.health.is_out_by_failure());
        assert_eq!(member.on(Event::PutBack).says(), "ready");
    }

    #[test]
    fn ejections_after_the_first_are_up_to_a_fifth_shorter_so_that_nobody_comes_back_in_step() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        member.chance = 1.0;
        assert_eq!(member.on(REFUSED).says(), "ejected for 5 s (connection refused)", "as the operator said");
        member.wait(5).on(Event::ProbeSent).on(REFUSED);
        assert_eq!(member.says(), "ejected for 8 s (connection refused)");
        member.chance = 0.5;
        member.wait(8).on(Event::ProbeSent).on(REFUSED);
        assert_eq!(member.says(), "ejected for 18 s (connection refused)");
    }

    #[test]
    fn checks_in_a_row_without_an_answer_eject_a_member_that_nobody_asked_for() {
        let mut member = Member::new(Rules::DEFAULT);
        assert_eq!(member.check_fails(false, 2).says(), "ready");
        assert_eq!(member.check_fails(true, 2).says(), "ejected for 5 s (connection refused)");
        let mut never = Member::new(Rules { max_fails: 0, ..Rules::DEFAULT });
        assert_eq!(never.check_fails(true, 2).says(), "ready", "max_fails = 0");
    }

    #[test]
    fn checks_in_a_row_with_an_answer_bring_a_member_back_before_its_time() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        member.on(REFUSED).wait(1).on(Event::CheckPassed { enough: false });
        assert!(!member.takes());
        assert_eq!(member.on(Event::CheckPassed { enough: true }).says(), "ready");
        assert_eq!(
            member.on(Event::Drain).on(Event::CheckPassed { enough: true }).says(),
            "draining (3 in flight)"
        );
    }

    #[test]
    fn no_request_has_to_find_out_what_checks_know() {
        let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
        member.on(REFUSED).wait(2).check_fails(false, 2);
        assert_eq!(member.says(), "ejected for 5 s (connection refused)", "the next check comes in time");
        member.wait(2).check_fails(false, 2);
        assert_eq!(member.says(), "ejected for 10 s (connection refused)");
        member.wait(9);
        assert!(!member.takes());
    }

    #[test]
    fn a_restarted_member_may_be_tried_at_once() {
        let mut member = Member::new(Rules { max_fails: 2, ..Rules::DEFAULT });
        assert_eq!(member.on(REFUSED).on(Event::Restarted).says(), "ready");
        assert!(!member.on(REFUSED).on(REFUSED).takes());
        assert!(member.wait(1).on(Event::Restarted).takes());
    }

    #[test]
    fn a_door_that_opens_ends_an_ejection_only_where_it_was_shut() {
        for (failure, takes) in [
            (Failure::Refused, true),
            (Failure::ConnectTimeout, true),
            (Failure::Unreachable, true),
            (Failure::Forbidden, true),
            (Failure::ClosedEarly, false),
            (Failure::Silent, false),
        ] {
            let mut member = Member::new(Rules { max_fails: 1, ..Rules::DEFAULT });
            member.on(Event::Failed(failure)).wait(1).on(Event::DoorOpened);
            assert_eq!(member.takes(), takes, "{failure}");
            member.on(Event::ProbeSent).on(Event::Failed(Failure::ClosedEarly));
            assert!(!member.on(Event::DoorOpened).takes(), "an open door alone is not an answer");
        }
    }
}
