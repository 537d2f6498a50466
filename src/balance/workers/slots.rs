//! The slots of one member: who has one, what lies idle, and what each event teaches.
//!
//! To php-fpm an idle connection is a busy worker too (fpm-facts 13): slots in use and idle connections together are what
//! the limit bounds.

use super::backlog::{Backlog, Ticket};
use super::exchange::{Answered, Kept, Taken};
use super::learnt::Learnt;
use super::lull::Lull;
use super::turns::Turns;
use crate::balance::keepalive::{CloseReason, Keep, Keepalive, Used, may_keep};
use crate::balance::limit::Limit;
use crate::balance::report::{ProcessManager, Report};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Overtaken within less time than this, a connection may have met a worker that was just being woken.
const HARDLY_WAITED: Duration = Duration::from_millis(2);
const OVERTAKEN: u32 = 3;
/// So many idle connections are asked for their lanes: who has more has some in most.
const NEWEST: usize = 8;

/// The connections of one member.
#[derive(Debug)]
pub struct Slots<C> {
    in_use: u32,
    /// Of those in use: no connection yet, or no more.
    opening: u32,
    /// Oldest first: the newest is used again, the oldest is closed.
    idle: VecDeque<Idle<C>>,
    backlog: Backlog,
    learnt: Learnt,
    turns: Turns,
    lull: Lull,
    /// No other connection is given up before, for one that waits in the backlog.
    gave_until: Option<Instant>,
    /// Workers end when they are idle for long (`pm = ondemand`): nothing lies idle longer than it must.
    on_demand: bool,
    reused: u64,
    fresh: u64,
}

#[derive(Debug)]
struct Idle<C> {
    since: Instant,
    lane: u32,
    connection: C,
}

impl<C> Default for Slots<C> {
    fn default() -> Self {
        Self {
            in_use: 0,
            opening: 0,
            idle: VecDeque::new(),
            backlog: Backlog::default(),
            learnt: Learnt::default(),
            turns: Turns::default(),
            lull: Lull::default(),
            gave_until: None,
            on_demand: false,
            reused: 0,
            fresh: 0,
        }
    }
}

impl<C: Kept> Slots<C> {
    /// Requests that have a slot.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Connections that lie idle.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// The lanes of the newest of them, a bit each.
    pub fn lanes(&self) -> u32 {
        self.idle.iter().rev().take(NEWEST).fold(0, |lanes, idle| lanes | idle.lane)
    }

    /// What [`Limit::Learnt`] is at present.
    pub fn learnt(&self) -> u32 {
        self.learnt.limit()
    }

    /// Whether other front ends wait for the same workers.
    pub fn others_wait(&self) -> bool {
        self.turns.others_wait()
    }

    /// Requests that went on a kept connection, and on a fresh one.
    pub fn reuse(&self) -> (u64, u64) {
        (self.reused, self.fresh)
    }

    /// The longest time that a fresh connection has been without a first byte.
    pub fn longest_silence(&self, now: Instant) -> Option<Duration> {
        self.backlog.longest_silence(now)
    }

    /// Takes a slot below the limit, with an idle connection unless a fresh one is wanted.
    pub fn take(&mut self, limit: Limit, fresh: bool, mode: &Keepalive, now: Instant) -> Option<Taken<C>> {
        if !limit.has_room(self.in_use) {
            return None;
        }
        self.in_use += 1;
        self.lull.ends(now);
        if !fresh && let Some(idle) = self.newest_idle() {
            self.reused += 1;
            return Some(Taken { idle: Some(idle), surplus: None });
        }
        (self.fresh, self.opening) = (self.fresh + 1, self.opening + 1);
        let open = self.in_use as usize + self.idle.len();
        let beyond = limit.most().is_some_and(|most| open > most as usize);
        let surplus = if beyond || mode.swaps_idle_for_fresh() { self.idle.pop_front() } else { None };
        Some(Taken { idle: None, surplus: surplus.map(|idle| idle.connection) })
    }

    /// The idle connection that came with a slot was dead: another one, or from now on the slot waits for a fresh one.
    pub fn take_another(&mut self) -> Option<C> {
        let another = self.newest_idle();
        if another.is_none() {
            (self.reused, self.fresh) = (self.reused.saturating_sub(1), self.fresh + 1);
            self.opening += 1;
        }
        another
    }

    fn newest_idle(&mut self) -> Option<C> {
        let near = self.idle.iter().rposition(|idle| idle.connection.is_near());
        let newest = match near {
            Some(place) => self.idle.remove(place),
            None => self.idle.pop_back(),
        };
        newest.map(|idle| idle.connection)
    }

    /// A slot's connection is to be closed, and the slot stays.
    pub fn loses_connection(&mut self) {
        self.opening += 1;
    }

    /// A slot that was opening has its connection, which was begun then or later.
    pub fn opened(&mut self, begun: Instant, now: Instant) -> Ticket {
        self.opening = self.opening.saturating_sub(1);
        let open = self.in_use as usize + self.idle.len();
        self.backlog.opened(begun, now, open <= self.learnt.known_lately(now) as usize)
    }

    /// A fresh connection had its first byte; `any` when its request might have gone on a kept one. Returns whether there is
    /// room now that was not there before.
    pub fn first_byte(&mut self, ticket: Ticket, any: bool, now: Instant) -> bool {
        let Some(heard) = self.backlog.first_byte(ticket, now) else { return false };
        if any && heard.replaces {
            self.turns.fresh(heard.waited);
        }
        let by_trial = self.learnt.fresh(heard.waited, self.in_use, now);
        self.learnt.heard(self.proven(), self.is_full(), now) || by_trial
    }

    /// A fresh connection ended without one.
    pub fn ended_silent(&mut self, ticket: Ticket) {
        self.backlog.ended(ticket);
    }

    /// Connections that certainly have a worker.
    fn proven(&self) -> u32 {
        let unsure = self.opening + self.backlog.waiting();
        self.in_use.saturating_sub(unsure) + self.idle.len() as u32
    }

    fn is_full(&self) -> bool {
        self.in_use >= self.learnt.limit()
    }

    /// A reply ended: its connection becomes idle and its slot free, or it comes back to be closed, and the slot stays
    /// taken until [`Slots::release_unopened`].
    pub fn keep(&mut self, connection: C, reply: Answered, mode: &Keepalive, now: Instant) -> Option<C> {
        let stuck = self.learn(&connection, reply, now);
        let open = self.in_use as usize + self.idle.len();
        let beyond = reply.learns && self.backlog.waiting() > 0 && open > self.learnt.limit() as usize;
        let first_waiting = self.backlog.first(now).map(|(waited, _)| waited);
        let others_turn = self.turns.others_wait();
        // A learning member lets the waiting one be overtaken first: that is what it learns from.
        let gives =
            !others_turn && (stuck || !reply.learns) && self.gave_until.is_none_or(|then| now >= then);
        let used = Used {
            opened: connection.opened(),
            requests: connection.requests(),
            idle: self.idle.len().try_into().unwrap_or(u32::MAX),
            oldest_waiting: first_waiting.filter(|_| gives),
            turn: others_turn.then(|| self.turns.requests(self.in_use, reply.queued)),
        };
        let refused = match may_keep(used, now, mode) {
            // Whatever the operator wants to be kept, it is not that we wait for ourselves.
            Keep::Keep if reply.learns && gives => {
                self.gave(now);
                Some(connection)
            }
            Keep::Close(reason) => {
                if reason == CloseReason::OthersWait {
                    self.gave(now);
                }
                Some(connection)
            }
            Keep::Keep if beyond => Some(connection),
            Keep::Keep => {
                self.idle.push_back(Idle { since: now, lane: connection.lane(), connection });
                self.release(now);
                return None;
            }
        };
        // From now on its worker may be another's.
        self.opening += 1;
        refused
    }

    /// Returns whether a fresh connection has been overtaken often enough to wait for a worker.
    fn learn(&mut self, connection: &C, reply: Answered, now: Instant) -> bool {
        if connection.requests() > 1 {
            self.turns.reused(reply.first_byte);
            self.learnt.reused();
            self.backlog.answered(reply.sent);
        }
        let proven = self.proven();
        self.learnt.heard(proven, self.is_full(), now);
        let stuck = self
            .backlog
            .first(now)
            .is_some_and(|(waited, overtaken)| waited >= HARDLY_WAITED && overtaken >= proven.max(OVERTAKEN));
        if stuck {
            self.learnt.overtaken(proven, now);
        }
        stuck
    }

    /// A worker was given back for one that waits: it needs time to come there.
    fn gave(&mut self, now: Instant) {
        self.gave_until = Some(now + Keepalive::PATIENCE / self.backlog.waiting().max(1));
    }

    /// Frees a slot whose connection is closed, or idle.
    pub fn release(&mut self, now: Instant) {
        self.in_use = self.in_use.saturating_sub(1);
        self.lull.begins(now);
    }

    /// Frees a slot that has no connection.
    pub fn release_unopened(&mut self, now: Instant) {
        self.opening = self.opening.saturating_sub(1);
        self.release(now);
    }

    /// Takes out the idle connections that have lain for too long, those that are dead, and those behind which a fresh one
    /// waits.
    pub fn reap(
        &mut self,
        mode: &Keepalive,
        learns: bool,
        now: Instant,
        is_quiet: impl Fn(&C) -> bool,
    ) -> SmallVec<[C; 4]> {
        let mut closing = SmallVec::new();
        let hold = self.hold(mode);
        while self.idle.front().is_some_and(|idle| now.saturating_duration_since(idle.since) >= hold) {
            closing.extend(self.idle.pop_front().map(|idle| idle.connection));
        }
        let waits = self.backlog.first(now).is_some_and(|(waited, _)| waited >= Keepalive::PATIENCE);
        if waits && (learns || mode.swaps_idle_for_fresh()) {
            closing.extend(self.idle.pop_front().map(|idle| idle.connection));
        }
        let mut place = 0;
        while place < self.idle.len() {
            if is_quiet(&self.idle[place].connection) {
                place += 1;
            } else {
                closing.extend(self.idle.remove(place).map(|idle| idle.connection));
            }
        }
        closing
    }

    fn hold(&self, mode: &Keepalive) -> Duration {
        match mode.adapts_hold() {
            true if self.on_demand => Duration::ZERO,
            true => self.lull.hold(mode.hold()),
            false => mode.hold(),
        }
    }

    /// All idle connections.
    pub fn take_idle(&mut self) -> Vec<C> {
        self.idle.drain(..).map(|idle| idle.connection).collect()
    }

    /// Time went by. Returns whether there is room now that was not there before.
    pub fn tick(&mut self, now: Instant) -> bool {
        self.learnt.tick(self.is_full(), now)
    }

    /// php-fpm's status page was read.
    pub fn reported(&mut self, report: &Report) {
        self.on_demand = report.pm == ProcessManager::Ondemand;
        self.learnt.reported(report, self.proven(), self.backlog.waiting());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Connection(Instant);

    impl Kept for Connection {
        fn opened(&self) -> Instant {
            self.0
        }
        fn requests(&self) -> u32 {
            1
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// So many idle connections, each opened and used a millisecond after the one before.
    fn idle(number: u64, start: Instant) -> Slots<Connection> {
        let mut slots = Slots::default();
        let place = |slots: &mut Slots<_>, at| {
            slots.take(Limit::Unlimited, true, &Keepalive::Off, at).expect("no limit");
            let ticket = slots.opened(at, at);
            slots.first_byte(ticket, false, at);
        };
        (0..number).for_each(|at| place(&mut slots, start + ms(at)));
        for at in (0..number).map(|at| start + ms(at)) {
            let reply = Answered { sent: at, first_byte: ms(0), queued: 0, learns: true };
            assert!(slots.keep(Connection(at), reply, &Keepalive::AUTO, at).is_none());
        }
        slots
    }

    #[test]
    fn the_oldest_is_given_back_first_and_the_newest_used_again() {
        let start = Instant::now();
        let mut slots = idle(3, start);
        let taken = slots.take(Limit::Unlimited, true, &Keepalive::AUTO, start + ms(3)).expect("no limit");
        assert_eq!(taken.surplus.map(|oldest| oldest.0), Some(start), "its worker is for the fresh one");
        let taken = slots.take(Limit::Unlimited, false, &Keepalive::AUTO, start + ms(3)).expect("no limit");
        assert_eq!(taken.idle.map(|newest| newest.0), Some(start + ms(2)));
        let closing = slots.reap(&Keepalive::AUTO, true, start + ms(51), |_| true);
        assert_eq!((closing.len(), closing[0].0, slots.idle()), (1, start + ms(1), 0));
    }

    #[test]
    fn a_told_limit_counts_idle_connections() {
        let start = Instant::now();
        let mut slots = idle(2, start);
        let told = Keepalive::On { timeout: ms(9000), idle: 9, max_requests: None, max_age: None };
        let taken = slots.take(Limit::Told(2), true, &told, start).expect("none is in use");
        assert!(taken.surplus.is_some());
        assert!(slots.take(Limit::Told(2), false, &told, start).expect("one is in use").idle.is_some());
        assert!(slots.take(Limit::Told(2), false, &told, start).is_none());
    }

    #[test]
    fn an_idle_connection_gives_way_to_a_fresh_one_that_waits_whatever_is_to_be_kept() {
        let start = Instant::now();
        let mut slots = idle(2, start);
        let told = Keepalive::On { timeout: ms(9000), idle: 9, max_requests: None, max_age: None };
        slots.take(Limit::Learnt(8), true, &told, start + ms(9)).expect("room");
        slots.opened(start + ms(9), start + ms(9));
        assert!(slots.reap(&told, true, start + ms(13), |_| true).is_empty());
        assert!(slots.reap(&told, false, start + ms(14), |_| true).is_empty(), "the operator told a limit");
        assert_eq!(slots.reap(&told, true, start + ms(14), |_| true).len(), 1);
    }

    #[test]
    fn an_ondemand_pool_has_no_idle_connection_kept() {
        let start = Instant::now();
        let mut slots = idle(2, start);
        slots.on_demand = true;
        assert_eq!(slots.reap(&Keepalive::AUTO, true, start + ms(2), |_| true).len(), 2);
    }
}
