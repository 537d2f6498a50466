//! Who gets a slot, and when: the one place where the members of a pool, its policy and its queue meet.
//!
//! Everything that must be seen together is behind one short lock, the desk: so the weights are exact, the limits are
//! never passed, nobody overtakes the queue and no freed slot goes unnoticed. What happens on a connection is not its business.

use super::afterwork::Afterwork;
use super::connection::Connection;
use super::desk::{Choice, Desk};
use super::lane::Lane;
use super::lease::Grant;
use super::member::{Member, Seat};
use super::pulse::Pulse;
use super::queue::{Age, Coming, Wish};
use super::repeats::Repeats;
use super::status::QueueStatus;
use super::troubles::Retries;
use crate::balance::{Answered, Keepalive};
use crate::config::model::Pool;
use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

#[derive(Debug)]
pub(crate) struct Admission {
    pool: Arc<str>,
    terms: ArcSwap<Terms>,
    /// Whether the policy goes by the members' times.
    pub(crate) measures: AtomicBool,
    pub(crate) afterwork: Afterwork,
    pub(crate) pulse: Pulse,
    pub(crate) repeats: Repeats,
    desk: Mutex<Desk>,
    /// Somebody may wait: whoever frees a slot need not go to the desk to find out that nobody does.
    line: AtomicBool,
    /// Its pool is gone or empties: nothing is kept any more.
    retired: AtomicBool,
    /// Whether the housekeeper is looking already.
    housekeeping: AtomicBool,
    pub(crate) something_to_keep: Notify,
    /// A member is out because no connection came about.
    pub(crate) shut_doors: Notify,
}

/// What the configuration says, besides what the desk knows.
#[derive(Debug)]
struct Terms {
    keepalive: Keepalive,
    queue_size: usize,
    queue_timeout: Duration,
}

/// Why a request got no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The queue has its length.
    QueueFull { retry_after: Duration },
    /// It would have waited too long in the queue.
    Overload { retry_after: Duration },
    /// Its time in the queue is over.
    QueueTimeout { retry_after: Duration },
    /// No member is left that could answer.
    Nobody,
}

/// What a newcomer gets.
pub(crate) enum Asked<'a> {
    Granted(Grant),
    Waits(Place<'a>),
}

impl Admission {
    pub(crate) fn new(pool: &Pool) -> Arc<Self> {
        Arc::new(Self {
            pool: pool.name.as_str().into(),
            terms: ArcSwap::from_pointee(Terms::of(pool)),
            measures: AtomicBool::new(pool.policy.measures()),
            afterwork: Afterwork::default(),
            pulse: Pulse::new(Instant::now()),
            repeats: Repeats::default(),
            desk: Mutex::new(Desk::new(pool)),
            line: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            housekeeping: AtomicBool::new(false),
            something_to_keep: Notify::new(),
            shut_doors: Notify::new(),
        })
    }

    pub(crate) fn pool(&self) -> &Arc<str> {
        &self.pool
    }

    pub(crate) fn keepalive(&self) -> Keepalive {
        self.terms.load().keepalive
    }

    /// What a newer configuration of the same pool says. Who waits goes on waiting, and what was counted stays.
    pub(crate) fn follow(&self, pool: &Pool) {
        self.terms.store(Arc::new(Terms::of(pool)));
        self.measures.store(pool.policy.measures(), Ordering::Relaxed);
        self.desk.lock().follow(pool, Instant::now());
    }

    /// Seats these members from now on. Those who left finish what they have.
    pub(crate) fn seat(self: &Arc<Self>, seats: Vec<Seat>, names_pending: bool) {
        seats.iter().for_each(Seat::seated);
        let gone = {
            let mut desk = self.desk.lock();
            desk.names_pending = names_pending;
            desk.count_in_parts(seats.iter().any(|seat| !seat.slow_start.is_zero()));
            desk.seat(seats)
        };
        gone.iter().for_each(|member| member.unseated());
        self.serve();
    }

    /// Its members, and those who have gone and are still answering.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        self.desk.lock().members()
    }

    pub(crate) fn seats(&self) -> Vec<Seat> {
        self.desk.lock().seats.clone()
    }

    /// The queue at this moment.
    pub(crate) fn queue(&self, now: Instant) -> QueueStatus {
        let desk = self.desk.lock();
        let (lately, first) = desk.queue.waits(now);
        QueueStatus {
            waiting: desk.queue.len(),
            size: self.terms.load().queue_size,
            refused: desk.troubles.refused(),
            first,
            times: lately.lately(now),
        }
    }

    #[cfg(test)]
    pub(super) fn in_share(&self, share: usize) -> u32 {
        self.desk.lock().shares[share].in_use()
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

    /// Somebody has waited since `asked` in vain. If nothing has moved in all that time, the same requests hold every worker,
    /// and perhaps they wait for requests that wait here.
    fn look_for_a_standstill(&self, share: Option<usize>, asked: Instant) {
        if !self.pulse.none_since(asked) {
            return;
        }
        let mut desk = self.desk.lock();
        // Its route's workers are stuck, and others may be free.
        if desk.has_its_share(share, Instant::now()) {
            return;
        }
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

    /// A slot, or a place in the queue. Not one future for both: most requests get their slot at once, and would carry the
    /// waiting's timer and channel with them.
    pub(crate) fn ask<'a>(self: &'a Arc<Self>, wish: &Wish, coming: Coming) -> Result<Asked<'a>, Refusal> {
        let now = coming.now;
        let mut desk = self.desk.lock();
        if wish.tried.is_empty() {
            desk.troubles.requested(now);
        }
        // Those who wait are offered first what may have got free; `unwanted` outlives the lock.
        let unwanted = if desk.queue.is_empty() { SmallVec::new() } else { desk.serve(self, now) };
        let asked = match self.choose_for_newcomer(&mut desk, wish, now) {
            Choice::Granted(grant) => Ok(Asked::Granted(grant)),
            Choice::Nobody => Err(Refusal::Nobody),
            Choice::Wait | Choice::WaitForShare => {
                match desk.refuses(wish, self.terms.load().queue_size, now) {
                    Some(refusal) => {
                        self.tell_of_a_refusal(desk, now);
                        return Err(refusal);
                    }
                    None => {
                        let (turn, hears) = oneshot::channel();
                        let age = desk.queue.join(wish.clone(), turn, coming, Lane::here());
                        self.wake_housekeeper();
                        Ok(Asked::Waits(Place { admission: self, share: wish.share, age, coming, hears }))
                    }
                }
            }
        };
        drop(desk);
        drop(unwanted);
        asked
    }

    fn choose_for_newcomer(self: &Arc<Self>, desk: &mut Desk, wish: &Wish, now: Instant) -> Choice {
        match desk.choose_for_newcomer(self, wish, now) {
            Choice::Wait | Choice::WaitForShare => {
                // Said first, looked again then: a slot that gets free in between is seen here, or the line is seen there.
                self.line.store(true, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                desk.choose_for_newcomer(self, wish, now)
            }
            choice => choice,
        }
    }

    fn tell_of_a_refusal(&self, mut desk: MutexGuard<'_, Desk>, now: Instant) {
        let waiting = desk.queue.len();
        let news = desk.troubles.refused_at_once(waiting, now);
        drop(desk);
        if let Some(news) = news {
            news.tell(&self.pool);
        }
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
        let refused = member.keep(connection, reply, &self.terms.load().keepalive, now);
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

    /// Whether somebody may be waiting.
    pub(crate) fn has_line(&self) -> bool {
        self.line.load(Ordering::Relaxed)
    }

    /// A slot of a member got free: whoever waits has it.
    pub(crate) fn freed(self: &Arc<Self>) {
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
        let (mut idle, keepalive) = (0, self.keepalive());
        for seat in self.seats() {
            idle += seat.member.reap(&keepalive, seat.learns(), now);
        }
        self.freed();
        idle > 0 || !self.desk.lock().queue.is_empty()
    }

    fn wake_housekeeper(&self) {
        if !self.housekeeping.load(Ordering::Relaxed) && !self.housekeeping.swap(true, Ordering::AcqRel) {
            self.something_to_keep.notify_one();
        }
    }

    pub(crate) fn housekeeper_rests(&self) {
        self.housekeeping.store(false, Ordering::Release);
    }

    /// From now on no connection is kept, and those that are idle are closed.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        for seat in self.seats() {
            seat.member.close_idle();
        }
    }
}

impl Terms {
    fn of(pool: &Pool) -> Self {
        Self { keepalive: pool.keepalive, queue_size: pool.queue.size, queue_timeout: pool.queue.timeout }
    }
}

/// A place in the queue: dropped with the request that waits, and its script never runs.
pub(crate) struct Place<'a> {
    admission: &'a Arc<Admission>,
    share: Option<usize>,
    age: Age,
    coming: Coming,
    hears: oneshot::Receiver<Option<Grant>>,
}

impl Place<'_> {
    /// The slot when it is the request's turn. Dropping the future gives up the place.
    pub(crate) async fn turn(mut self) -> Result<Grant, Refusal> {
        let (admission, share) = (self.admission, self.share);
        let patience = admission.terms.load().queue_timeout.saturating_sub(self.coming.waited);
        match timeout_at(self.coming.now + patience, &mut self.hears).await {
            Ok(Ok(Some(grant))) => Ok(grant),
            Ok(_) => Err(Refusal::Nobody),
            Err(_) => {
                let since = self.coming.now;
                drop(self);
                admission.look_for_a_standstill(share, since);
                let retry_after = admission.desk.lock().queue.retry_after(share, Instant::now());
                Err(Refusal::QueueTimeout { retry_after })
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.admission.desk.lock().queue.leave(self.age);
    }
}
