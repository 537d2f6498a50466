//! A member: one php-fpm that listens somewhere, its health, and its connections in use and idle.
//!
//! A member outlives the generation that made it: after a reload the same address is the same member. What a pool thinks
//! of it (weight, limit, backup) is the [`Seat`]'s, so that a reload may change that. How it is, and what is said of that, is in
//! `condition`.

mod condition;

use super::changed::Mark;
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::pulse::Pulse;
use super::vitals::Vitals;
use crate::balance::{
    self, Answered, Event, Health, Keepalive, Latency, Limit, MaxConns, Rules, Slots, Taken, Tier,
};
use parking_lot::Mutex;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A member as one pool seats it.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) member: Arc<Member>,
    pub(crate) weight: u32,
    pub(crate) max_conns: MaxConns,
    pub(crate) rules: Rules,
    pub(crate) slow_start: Duration,
    pub(crate) tier: Tier,
    /// Taken out by the operator.
    pub(crate) down: bool,
}

impl Seat {
    /// Its share: what was set by hand, or else what is configured.
    pub(crate) fn weight(&self) -> u32 {
        self.member.weight_by_hand().unwrap_or(self.weight)
    }

    /// Whether its configuration says `down`, and nobody has put it back since.
    pub(crate) fn is_down(&self) -> bool {
        self.down && !self.member.by_hand.up.load(Ordering::Relaxed)
    }

    /// Taken out or put back by hand: what lies idle is closed at once, what is in flight finishes.
    pub(crate) fn ordered(&self, event: Event, now: Instant, pool: &str) {
        self.member.by_hand.up.store(self.down && event == Event::PutBack, Ordering::Relaxed);
        self.member.on(event, now, &self.rules, pool);
        if self.member.is_out_by_hand() {
            self.member.close_idle();
        }
    }

    /// It takes its seat, for the first time or again. A configuration that does not say `down` (any more) leaves nothing to overrule.
    pub(crate) fn seated(&self) {
        self.member.unseated.store(false, Ordering::Relaxed);
        if !self.down {
            self.member.by_hand.up.store(false, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Member {
    endpoint: Endpoint,
    name: Arc<str>,
    key: u64,
    health: Mutex<Health>,
    /// When it became ready again, or was found: its slow start begins there.
    back_since: Mutex<Option<Instant>>,
    /// Anything but ready: only then is the health looked at on the way of a request.
    troubled: AtomicBool,
    vitals: Vitals,
    pulse: Pulse,
    held: Mutex<Held>,
    /// These mirror its slots, to be read without the lock.
    in_flight: AtomicU32,
    learnt: AtomicU32,
    kept_in: AtomicU32,
    others_wait: AtomicBool,
    /// Only kept where the policy goes by it.
    latency: Mutex<Latency>,
    /// Not seated any more: what it still has in use is not kept.
    unseated: AtomicBool,
    by_hand: ByHand,
}

#[derive(Debug)]
struct Held {
    slots: Slots<Box<Connection>>,
    /// While the pool's policy asks for changes.
    mark: Option<Mark>,
}

/// What the operator said at run time. It holds over a reload, until it is taken back or the member is gone.
#[derive(Debug, Default)]
struct ByHand {
    /// Its share; 0: as configured.
    weight: AtomicU32,
    /// Put back though its configuration says `down`.
    up: AtomicBool,
}

impl Seat {
    /// Whether nobody told its limit.
    pub(crate) fn learns(&self) -> bool {
        self.max_conns == MaxConns::Auto
    }

    /// Its limit at this moment.
    pub(crate) fn limit(&self) -> Limit {
        match self.max_conns {
            MaxConns::Most(most) => Limit::Told(most),
            MaxConns::Auto => Limit::Learnt(self.member.learnt.load(Ordering::Relaxed)),
            MaxConns::Unlimited => Limit::Unlimited,
        }
    }
}

impl Member {
    pub(crate) fn new(endpoint: Endpoint) -> Arc<Self> {
        let slots = Slots::default();
        Arc::new(Self {
            learnt: AtomicU32::new(slots.learnt()),
            others_wait: AtomicBool::new(false),
            kept_in: AtomicU32::new(0),
            held: Mutex::new(Held { slots, mark: None }),
            name: endpoint.to_string().into(),
            key: endpoint.key(),
            endpoint,
            health: Mutex::default(),
            back_since: Mutex::default(),
            troubled: AtomicBool::new(false),
            vitals: Vitals::new(Instant::now()),
            pulse: Pulse::new(Instant::now()),
            in_flight: AtomicU32::new(0),
            latency: Mutex::default(),
            unseated: AtomicBool::new(false),
            by_hand: ByHand::default(),
        })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The address, as logs and status pages show it.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The lanes of its idle connections, a bit each.
    pub(crate) fn kept_in(&self) -> u32 {
        self.kept_in.load(Ordering::Relaxed)
    }

    pub(crate) fn idle(&self) -> usize {
        self.held.lock().slots.idle()
    }

    /// Requests that went on a kept connection, and on a fresh one.
    pub(crate) fn reuse(&self) -> (u64, u64) {
        self.held.lock().slots.reuse()
    }

    /// Whether other front ends wait for its workers.
    pub(crate) fn others_wait(&self) -> bool {
        self.others_wait.load(Ordering::Relaxed)
    }

    pub(super) fn with_slots<T>(&self, what: impl FnOnce(&mut Slots<Box<Connection>>) -> T) -> T {
        let mut held = self.held.lock();
        let done = what(&mut held.slots);
        let (learnt, others_wait) = (held.slots.learnt(), held.slots.others_wait());
        let before = self.learnt.load(Ordering::Relaxed);
        let used = renew(&self.in_flight, held.slots.in_use());
        let kept = renew(&self.kept_in, held.slots.lanes());
        let differs = renew(&self.learnt, learnt) || used || kept;
        if self.others_wait.load(Ordering::Relaxed) != others_wait {
            self.others_wait.store(others_wait, Ordering::Relaxed);
        }
        if differs && let Some(mark) = &held.mark {
            mark.set();
        }
        drop(held);
        if before != learnt {
            tracing::debug!(member = &*self.name, limit = learnt, before, others_wait, "learnt");
        }
        done
    }

    /// Its seat may look otherwise now to whoever chooses.
    fn has_changed(&self) {
        if let Some(mark) = &self.held.lock().mark {
            mark.set();
        }
    }

    /// From now on its changes are marked there, or nowhere.
    pub(super) fn marks_changes(&self, mark: Option<Mark>) {
        self.held.lock().mark = mark;
    }

    /// How many parts of its weight it has (`balance::WHOLE` is all of it).
    pub(crate) fn part(&self, slow_start: Duration, now: Instant) -> u32 {
        match (slow_start.is_zero(), *self.back_since.lock()) {
            (true, _) | (_, None) => balance::WHOLE,
            (false, Some(since)) => balance::part(now.duration_since(since), slow_start),
        }
    }

    /// It said something, about any request.
    pub(crate) fn speaks(&self, now: Instant) {
        self.pulse.beats(now);
    }

    /// Whether it has spoken in that time.
    pub(crate) fn spoke_within(&self, time: Duration, now: Instant) -> bool {
        now.checked_sub(time).is_some_and(|then| !self.pulse.none_since(then))
    }

    /// Whether it has spoken lately, as far as a wait since then tells: in the second half of it.
    pub(crate) fn spoke_lately(&self, since: Instant, now: Instant) -> bool {
        !self.pulse.none_since(since + now.duration_since(since) / 2)
    }

    /// A first byte came so long after its request was sent.
    pub(crate) fn answered(&self, took: Duration, now: Instant) {
        self.latency.lock().answered(took, now.into_std());
    }

    pub(crate) fn latency(&self, now: Instant) -> Option<f64> {
        self.latency.lock().seconds(self.in_flight() == 0, now.into_std())
    }

    /// The share that was set at run time.
    pub(crate) fn weight_by_hand(&self) -> Option<u32> {
        match self.by_hand.weight.load(Ordering::Relaxed) {
            0 => None,
            weight => Some(weight),
        }
    }

    /// Sets the share, or gives it back to the configuration.
    pub(crate) fn set_weight(&self, weight: Option<NonZeroU16>) {
        self.by_hand.weight.store(weight.map_or(0, |weight| weight.get().into()), Ordering::Relaxed);
        self.has_changed();
    }

    /// Takes a slot below the limit, with an idle connection unless a fresh one is wanted.
    pub(crate) fn take(
        &self,
        limit: Limit,
        fresh: bool,
        keepalive: &Keepalive,
        now: Instant,
    ) -> Option<Taken<Box<Connection>>> {
        self.with_slots(|slots| slots.take(limit, fresh, keepalive, now.into_std()))
    }

    /// The idle connection that came with a slot is dead. Without another, a fresh one is to come.
    pub(crate) fn take_another(&self) -> Option<Box<Connection>> {
        self.with_slots(Slots::take_another)
    }

    /// Turns a connection in use into an idle one, if it is worth keeping; gives it back to be closed if not, and the
    /// slot stays taken until it is released.
    pub(crate) fn keep(
        &self,
        connection: Box<Connection>,
        reply: Answered,
        mode: &Keepalive,
        now: Instant,
    ) -> Option<Box<Connection>> {
        self.with_slots(|slots| {
            if self.unseated.load(Ordering::Relaxed) || self.is_out_by_hand() {
                slots.loses_connection();
                return Some(connection);
            }
            slots.keep(connection, reply, mode, now.into_std())
        })
    }

    /// Frees a slot whose connection is closed already.
    pub(crate) fn release(&self, now: Instant) {
        self.with_slots(|slots| slots.release(now.into_std()));
    }

    /// Frees a slot that had none.
    pub(crate) fn release_unopened(&self, now: Instant) {
        self.with_slots(|slots| slots.release_unopened(now.into_std()));
    }

    /// A slot's connection is to be closed, and the slot stays.
    pub(crate) fn loses_connection(&self) {
        self.held.lock().slots.loses_connection();
    }

    /// Closes the idle connections that are not worth keeping any more. Returns how many are left.
    pub(crate) fn reap(&self, mode: &Keepalive, learns: bool, now: Instant) -> usize {
        let (closing, left) = self.with_slots(|slots| {
            slots.tick(now.into_std());
            (slots.reap(mode, learns, now.into_std(), |idle| idle.is_quiet()), slots.idle())
        });
        drop(closing);
        left
    }

    /// Closes every idle connection: php-fpm's graceful stop does not wake a worker that waits on one (fpm-facts 18).
    /// Returns how many there were.
    pub(crate) fn close_idle(&self) -> usize {
        let closing = self.with_slots(Slots::take_idle);
        closing.len()
    }

    pub(crate) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Its pool does not have it any more: what it still has in use is not kept.
    pub(crate) fn unseated(&self) {
        self.unseated.store(true, Ordering::Relaxed);
        self.close_idle();
    }
}

/// Under the lock only, and written seldom: other threads read it all the time. Returns whether it was another.
fn renew(mirror: &AtomicU32, value: u32) -> bool {
    let differs = mirror.load(Ordering::Relaxed) != value;
    if differs {
        mirror.store(value, Ordering::Relaxed);
    }
    differs
}
