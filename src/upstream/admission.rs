//! Who gets a slot, and when: the one place where the members of a pool, its policy and its queue meet.
//!
//! Everything that must be seen together is behind one short lock, the desk: so the weights are exact, the limits are
//! never passed, nobody overtakes the queue and no freed slot goes unnoticed. What happens on a connection is not its business.

use super::afterwork::Afterwork;
use super::connection::Connection;
use super::lease::Grant;
use super::member::{Member, Seat};
use super::pulse::Pulse;
use super::queue::{Queue, Wish};
use super::troubles::{Retries, Troubles};
use super::view::View;
use crate::balance::{Answered, Event, Keepalive, Policy, PolicyKind};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

#[derive(Debug)]
pub(crate) struct Admission {
    pool: Arc<str>,
    keepalive: Keepalive,
    /// Whether the policy goes by the members' times.
    pub(crate) measures: bool,
    pub(crate) afterwork: Afterwork,
    pub(crate) pulse: Pulse,
    queue_size: usize,
    queue_timeout: Duration,
    desk: Mutex<Desk>,
    /// Somebody may wait: whoever frees a slot need not go to the desk to find out that nobody does.
    line: AtomicBool,
    /// Its cluster is gone or empties: nothing is kept any more.
    retired: AtomicBool,
    /// Whether the housekeeper is looking already.
    housekeeping: AtomicBool,
    pub(crate) something_to_keep: Notify,
}

#[derive(Debug)]
struct Desk {
    seats: Vec<Seat>,
    /// Whether weights are counted in parts, because some seat has a slow start. Fixed for as long as the seats are: turns
    /// by weight remember what they were given.
    in_parts: bool,
    policy: Policy,
    rng: SmallRng,
    queue: Queue,
    troubles: Troubles,
    /// Some server's name has not been resolved for the first time yet: whoever finds no member waits for it.
    names_pending: bool,
}

/// Why a request got no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The queue has its length.
    QueueFull { retry_after: Duration },
    /// Its time in the queue is over.
    QueueTimeout { retry_after: Duration },
    /// No member is left that could answer.
    Nobody,
}

/// What a newcomer gets.
enum Asked<'a> {
    Granted(Grant),
    Waits(Place<'a>, oneshot::Receiver<Option<Grant>>),
}

/// What the desk says about a wish.
enum Choice {
    Granted(Grant),
    /// A member could answer, but has no slot free.
    Wait,
    Nobody,
}

impl Admission {
    pub(crate) fn new(
        pool: Arc<str>,
        policy: PolicyKind,
        keepalive: Keepalive,
        (queue_size, queue_timeout): (usize, Duration),
        budget: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            pool,
            keepalive,
            measures: policy.measures(),
            afterwork: Afterwork::default(),
            pulse: Pulse::new(Instant::now()),
            queue_size,
            queue_timeout,
            desk: Mutex::new(Desk {
                seats: Vec::new(),
                in_parts: false,
                policy: Policy::new(policy),
                rng: SmallRng::from_rng(&mut rand::rng()),
                queue: Queue::default(),
                troubles: Troubles::new(budget),
                names_pending: false,
            }),
            line: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            housekeeping: AtomicBool::new(false),
            something_to_keep: Notify::new(),
        })
    }

    pub(crate) fn pool(&self) -> &Arc<str> {
        &self.pool
    }

    pub(crate) fn keepalive(&self) -> &Keepalive {
        &self.keepalive
    }

    /// Seats these members from now on. Those who left finish what they have.
    pub(crate) fn seat(self: &Arc<Self>, seats: Vec<Seat>, names_pending: bool) {
        for seat in &seats {
            seat.seated();
            seat.member.seated_by(Arc::downgrade(self));
        }
        let before = {
            let mut desk = self.desk.lock();
            desk.names_pending = names_pending;
            desk.count_in_parts(seats.iter().any(|seat| !seat.slow_start.is_zero()));
            std::mem::replace(&mut desk.seats, seats)
        };
        self.unseat_the_gone(&before);
        self.serve();
    }

    fn unseat_the_gone(self: &Arc<Self>, before: &[Seat]) {
        let after = self.seats();
        for seat in before {
            if !after.iter().any(|still| Arc::ptr_eq(&still.member, &seat.member)) {
                seat.member.unseated_by(&Arc::downgrade(self));
            }
        }
    }

    pub(crate) fn seats(&self) -> Vec<Seat> {
        self.desk.lock().seats.clone()
    }

    /// Requests that wait, and how many may.
    pub(crate) fn queue(&self) -> (usize, usize) {
        (self.desk.lock().queue.len(), self.queue_size)
    }

    /// May a request be sent again that php-fpm had already? A no is counted, and said now and then. Where nobody is left
    /// who could have it, nothing is spent.
    pub(crate) fn may_retry(&self, wish: &Wish) -> bool {
        let now = Instant::now();
        let mut desk = self.desk.lock();
        if matches!(desk.without_choice(wish, now, desk.panics(now)), Choice::Nobody) {
            return true;
        }
        let (allowed, news) = desk.troubles.may_retry(now);
        drop(desk);
        if let Some(news) = news {
            news.tell(&self.pool);
        }
        allowed
    }

    /// A slot, at once or when it is the request's turn. Dropping the future gives up the place.
    pub(crate) async fn admit(self: &Arc<Self>, wish: &Wish, now: Instant) -> Result<Grant, Refusal> {
        let (place, hears) = match self.ask(wish, now) {
            Ok(Asked::Granted(grant)) => return Ok(grant),
            Ok(Asked::Waits(place, hears)) => (place, hears),
            Err(refusal) => return Err(refusal),
        };
        self.wake_housekeeper();
        match timeout_at(now + self.queue_timeout, hears).await {
            Ok(Ok(Some(grant))) => Ok(grant),
            Ok(_) => Err(Refusal::Nobody),
            Err(_) => {
                drop(place);
                self.look_for_a_standstill(now);
                let retry_after = self.desk.lock().queue.retry_after(Instant::now());
                Err(Refusal::QueueTimeout { retry_after })
            }
        }
    }

    /// Somebody has waited since `asked` in vain. If nothing has moved in all that time, the same requests hold every worker,
    /// and perhaps they wait for requests that wait here.
    fn look_for_a_standstill(&self, asked: Instant) {
        if !self.pulse.none_since(asked) {
            return;
        }
        let mut desk = self.desk.lock();
        let in_flight = desk.seats.iter().map(|seat| seat.member.in_flight()).sum();
        let waiting = desk.queue.len();
        let news = desk.troubles.stood_still(asked, in_flight, waiting);
        drop(desk);
        if let Some(news) = news {
            news.tell(&self.pool);
        }
    }

    /// Retries and standstills so far.
    pub(crate) fn troubles(&self) -> (Retries, u64) {
        let desk = self.desk.lock();
        (desk.troubles.retries(), desk.troubles.standstills())
    }

    fn ask<'a>(self: &'a Arc<Self>, wish: &Wish, now: Instant) -> Result<Asked<'a>, Refusal> {
        let mut desk = self.desk.lock();
        if wish.tried.is_empty() {
            desk.troubles.requested(now);
        }
        // Those who wait are offered first what may have got free; `unwanted` outlives the lock.
        let unwanted = if desk.queue.is_empty() { SmallVec::new() } else { desk.serve(self, now) };
        let choice = match desk.choose_for_newcomer(self, wish, now) {
            Choice::Wait => {
                // Said first, looked again then: a slot that gets free in between is seen here, or the line is seen there.
                self.line.store(true, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                desk.choose_for_newcomer(self, wish, now)
            }
            choice => choice,
        };
        let asked = match choice {
            Choice::Granted(grant) => Ok(Asked::Granted(grant)),
            Choice::Nobody => Err(Refusal::Nobody),
            Choice::Wait if desk.queue.len() >= self.queue_size => {
                Err(Refusal::QueueFull { retry_after: desk.queue.retry_after(now) })
            }
            Choice::Wait => {
                let (turn, hears) = oneshot::channel();
                let ticket = desk.queue.join(wish.clone(), turn);
                Ok(Asked::Waits(Place { admission: self, ticket }, hears))
            }
        };
        drop(desk);
        drop(unwanted);
        asked
    }

    /// A connection whose reply ended cleanly becomes idle, or comes back to be closed.
    pub(crate) fn keep(
        &self,
        member: &Member,
        connection: Box<Connection>,
        reply: Answered,
        now: Instant,
    ) -> Option<Box<Connection>> {
        if self.retired.load(Ordering::Relaxed) {
            member.loses_connection();
            return Some(connection);
        }
        let refused = member.keep(connection, reply, &self.keepalive, now);
        if refused.is_none() {
            self.wake_housekeeper();
        }
        refused
    }

    /// A member's part of those who wait; looked up only where other front ends want its workers too.
    pub(crate) fn queued_for(&self, member: &Member) -> u32 {
        if !member.others_wait() {
            return 0;
        }
        let desk = self.desk.lock();
        desk.queue.len().div_ceil(desk.seats.len().max(1)).try_into().unwrap_or(u32::MAX)
    }

    /// A slot of a member got free: whoever waits has it.
    pub(crate) fn freed(self: &Arc<Self>, member: &Member) {
        self.serve_if_any_wait();
        for other in member.other_desks(self) {
            other.serve_if_any_wait();
        }
    }

    fn serve_if_any_wait(self: &Arc<Self>) {
        // After the slot was freed: see `ask`.
        fence(Ordering::SeqCst);
        if self.line.load(Ordering::Relaxed) {
            self.serve();
        }
    }

    /// Gives what is free to those who wait, in their order.
    pub(crate) fn serve(self: &Arc<Self>) {
        // Who left while its turn came gives the slot back, which must not happen under the lock.
        let mut desk = self.desk.lock();
        let unwanted = desk.serve(self, Instant::now());
        if desk.queue.is_empty() {
            self.line.store(false, Ordering::Relaxed);
        }
        drop(desk);
        drop(unwanted);
    }

    /// One round of housekeeping: closes what lay idle too long, and serves those for whom a member came back by the
    /// passing of time. Returns whether there will be something to do in the next.
    pub(crate) fn keep_house(self: &Arc<Self>) -> bool {
        let now = Instant::now();
        let mut idle = 0;
        for seat in self.seats() {
            idle += seat.member.reap(&self.keepalive, seat.learns(), now);
        }
        self.serve_if_any_wait();
        idle > 0 || self.queue().0 > 0
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    fn wake_housekeeper(&self) {
        if !self.housekeeping.load(Ordering::Relaxed) && !self.housekeeping.swap(true, Ordering::AcqRel) {
            self.something_to_keep.notify_one();
        }
    }

    pub(crate) fn housekeeper_rests(&self) {
        self.housekeeping.store(false, Ordering::Release);
    }

    /// From now on no connection is kept, and those that are idle are closed, unless a later generation uses them.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.retired.store(true, Ordering::Relaxed);
        for seat in self.seats() {
            if seat.member.other_desks(self).iter().all(|other| other.retired.load(Ordering::Relaxed)) {
                seat.member.close_idle();
            }
        }
    }
}

impl Desk {
    fn count_in_parts(&mut self, in_parts: bool) {
        let in_parts = in_parts && !self.policy.kind().is_by_key();
        if in_parts != self.in_parts {
            self.in_parts = in_parts;
            self.policy = Policy::new(self.policy.kind());
        }
    }

    fn choose_for_newcomer(&mut self, admission: &Arc<Admission>, wish: &Wish, now: Instant) -> Choice {
        // Those who wait were just offered what is free; the first of them, who has tried nothing, would have taken
        // anything.
        if self.queue.get(0).is_some_and(|first| first.wish.tried.is_empty()) {
            return Choice::Wait;
        }
        self.choose(admission, wish, now)
    }

    fn serve(&mut self, admission: &Arc<Admission>, now: Instant) -> SmallVec<[Grant; 1]> {
        let mut unwanted = SmallVec::new();
        let mut place = 0;
        while let Some(waiter) = self.queue.get(place) {
            let wish = waiter.wish.clone();
            let grant = match self.choose(admission, &wish, now) {
                Choice::Granted(grant) => {
                    admission.pulse.beats(now);
                    Some(grant)
                }
                Choice::Nobody => None,
                Choice::Wait if wish.tried.is_empty() => break,
                Choice::Wait => {
                    place += 1;
                    continue;
                }
            };
            if let Some(waiter) = self.queue.take(place)
                && let Err(Some(grant)) = waiter.turn.send(grant)
            {
                unwanted.push(grant);
            }
        }
        unwanted
    }

    fn choose(&mut self, admission: &Arc<Admission>, wish: &Wish, now: Instant) -> Choice {
        let panic = self.panics(now);
        // Who has met one dead member is not sent to find out about another while somebody is known to be well.
        let mut probes = wish.tried.is_empty() || panic;
        loop {
            let view = View { seats: &self.seats, in_parts: self.in_parts, wish, now, panic, probes };
            let Some(index) = self.policy.prefer(&view, wish.key, &mut self.rng) else {
                if probes {
                    return self.without_choice(wish, now, panic);
                }
                probes = true;
                continue;
            };
            let seat = &self.seats[index];
            // Another generation shares the member and may have been faster: then the view shows it now.
            if let Some(taken) = seat.member.take(seat.limit(), wish.fresh, &admission.keepalive, now) {
                let probe = seat.member.is_out_by_failure() && !panic;
                if probe {
                    seat.member.on(Event::ProbeSent, now, &seat.rules, &admission.pool);
                }
                self.queue.served(now);
                return Choice::Granted(Grant::new(admission, seat, taken, (!wish.fresh, probe), now));
            }
        }
    }

    /// Every member is out: rather than fail for certain, those that are out by failures are used.
    fn panics(&self, now: Instant) -> bool {
        self.seats.iter().all(|seat| seat.is_down() || !seat.member.takes_requests(now))
    }

    fn without_choice(&self, wish: &Wish, now: Instant, panic: bool) -> Choice {
        let view = View { seats: &self.seats, in_parts: self.in_parts, wish, now, panic, probes: true };
        let could_answer = |index| view.answers(index) && self.seats[index].weight() > 0;
        let wait = self.names_pending || (0..self.seats.len()).any(could_answer);
        if wait { Choice::Wait } else { Choice::Nobody }
    }
}

/// A place in the queue: dropped with the request that waits, and its script never runs.
struct Place<'a> {
    admission: &'a Arc<Admission>,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.admission.desk.lock().queue.leave(self.ticket);
    }
}
