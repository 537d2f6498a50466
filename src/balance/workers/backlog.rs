//! Fresh connections without a first byte: which of them have a worker, and which wait in php-fpm's backlog.
//!
//! connect() tells nothing (fpm-facts 14), but the backlog is first in, first out: when a connection has its first byte, every
//! one that was open before it was begun has been accepted too. When each of two really came to the backlog lies somewhere between
//! its beginning and our noting that it is open, and a thread may be held up in between: only what cannot overlap is ordered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A fresh connection's place in the order of opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Newcomer {
    ticket: u64,
    /// Not in the backlog before.
    begun: Instant,
    /// In the backlog since then at the latest; in order.
    since: Instant,
    /// Requests that were sent later, on connections with a worker, and have been answered.
    overtaken: u32,
    /// As many connections as are open with it had a worker a moment ago.
    replaces: bool,
}

/// What a first byte tells of the connection that had it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) waited: Duration,
    pub(super) replaces: bool,
}

#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// In the order of opening.
    silent: VecDeque<Newcomer>,
    tickets: u64,
    /// Nobody who was opened until then waits for a worker.
    accepted: Option<Instant>,
}

impl Backlog {
    /// A connection that was begun then is open now.
    pub(super) fn opened(&mut self, begun: Instant, now: Instant, replaces: bool) -> Ticket {
        self.tickets += 1;
        let since = self.silent.back().map_or(now, |last| last.since.max(now));
        self.silent.push_back(Newcomer { ticket: self.tickets, begun, since, overtaken: 0, replaces });
        Ticket(self.tickets)
    }

    pub(super) fn first_byte(&mut self, ticket: Ticket, now: Instant) -> Option<Heard> {
        let newcomer = self.gone(ticket)?;
        self.accepted = self.accepted.max(Some(newcomer.begun));
        Some(Heard { waited: now.saturating_duration_since(newcomer.since), replaces: newcomer.replaces })
    }

    /// It ended without a first byte.
    pub(super) fn ended(&mut self, ticket: Ticket) {
        self.gone(ticket);
    }

    fn gone(&mut self, ticket: Ticket) -> Option<Newcomer> {
        let place = self.silent.binary_search_by_key(&ticket.0, |newcomer| newcomer.ticket).ok()?;
        self.silent.remove(place)
    }

    /// A connection with a worker has answered what was sent then.
    pub(super) fn answered(&mut self, sent: Instant) {
        let place = self.first_waiting();
        if let Some(first) = self.silent.get_mut(place).filter(|first| first.since < sent) {
            first.overtaken += 1;
        }
    }

    fn first_waiting(&self) -> usize {
        self.silent.partition_point(|newcomer| self.accepted.is_some_and(|until| newcomer.since < until))
    }

    /// How many may be without a worker: none of them has been proven to have one.
    pub(super) fn waiting(&self) -> u32 {
        (self.silent.len() - self.first_waiting()) as u32
    }

    /// How long the first of them has been waiting, and how often it was overtaken.
    pub(super) fn first(&self, now: Instant) -> Option<(Duration, u32)> {
        let first = self.silent.get(self.first_waiting())?;
        Some((now.saturating_duration_since(first.since), first.overtaken))
    }

    /// The longest silence, with a worker or without.
    pub(super) fn longest_silence(&self, now: Instant) -> Option<Duration> {
        self.silent.front().map(|first| now.saturating_duration_since(first.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_first_byte_proves_that_everybody_opened_before_has_a_worker_too() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        let [_slow, quick, last] = [0, 2, 3].map(|at| backlog.opened(start + ms(at), start + ms(at), false));
        assert_eq!(backlog.waiting(), 3);
        assert_eq!(backlog.first_byte(quick, start + ms(6)).map(|heard| heard.waited), Some(ms(4)));
        assert_eq!(backlog.waiting(), 1, "the slow one was accepted before the quick one");
        assert_eq!(backlog.first(start + ms(6)), Some((ms(3), 0)));
        assert_eq!(
            backlog.longest_silence(start + ms(5)),
            Some(ms(5)),
            "the slow one is silent all the same"
        );
        backlog.ended(last);
        assert_eq!(backlog.waiting(), 0);
    }

    #[test]
    fn nothing_is_proven_of_those_opened_at_the_same_time() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        let [_first, second] = [0, 0].map(|at| backlog.opened(start + ms(at), start + ms(at), false));
        backlog.first_byte(second, start + ms(5));
        assert_eq!(backlog.waiting(), 1);
    }

    #[test]
    fn nothing_is_proven_of_one_that_may_have_come_later_and_was_noted_earlier() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        backlog.opened(start + ms(4), start + ms(5), false);
        let held_up = backlog.opened(start + ms(4), start + ms(8), false);
        backlog.first_byte(held_up, start + ms(9));
        assert_eq!(backlog.waiting(), 1);
    }

    #[test]
    fn only_an_answer_to_something_sent_later_overtakes() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        backlog.opened(start + ms(5), start + ms(5), false);
        backlog.answered(start + ms(4));
        assert_eq!(backlog.first(start + ms(9)), Some((ms(4), 0)));
        backlog.answered(start + ms(6));
        assert_eq!(backlog.first(start + ms(9)), Some((ms(4), 1)));
    }
}
