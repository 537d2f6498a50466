//! Who gets a slot, and when: the one place where the members of a pool, its policy and its queue meet.
//!
//! Everything that must be seen together is behind one short lock, the desk: so the weights are exact, the limits are
//! never passed, nobody overtakes the queue and no freed slot goes unnoticed. What happens on a connection is not its business.

use super::afterwork::Afterwork;
use super::connection::Connection;
use super::desk::{Choice, Desk};
use super::lease::Grant;
use super::member::{Member, Seat};
use super::pulse::Pulse;
use super::queue::{Age, Wish};
use super::repeats::Repeats;
use super::status::QueueStatus;
use super::troubles::Retries;
use crate::balance::{Answered, Keepalive};
use crate::config::model::Pool;
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
    keepalive: Keepalive,
    /// Whether the policy goes by the members' times.
    pub(crate) measures: bool,
    pub(crate) afterwork: Afterwork,
    pub(crate) pulse: Pulse,
    pub(crate) repeats: Repeats,
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
    /// A member is out because no connection came about.
    pub(crate) shut_doors: Notify,
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
enum Asked<'a> {
    Granted(Grant),
    Waits(Place<'a>, oneshot::Receiver<Option<Grant>>),
}

impl Admission {
    pub(crate) fn new(pool: &Pool) -> Arc<Self> {
        Arc::new(Self {
            pool: pool.name.as_str().into(),
            keepalive: pool.keepalive,
            measures: pool.policy.measures(),
            afterwork: Afterwork::default(),
            pulse: Pulse::new(Instant::now()),
            repeats: Repeats::default(),
            queue_size: pool.queue.size,
            queue_timeout: pool.queue.timeout,
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

    /// The queue at this moment.
    pub(crate) fn queue(&self, now: Instant) -> QueueStatus {
        let desk = self.desk.lock();
        let (lately, first) = desk.queue.waits(now);
        QueueStatus {
            waiting: desk.queue.len(),
            size: self.queue_size,
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

    /// A slot, at once or when it is the request's turn. Dropping the future gives up the place.
    pub(crate) async fn admit(self: &Arc<Self>, wish: &Wish, now: Instant) -> Result<Grant, Refusal> {
        let (place, hears) = match self.ask(wish, now) {
            Ok(Asked::Granted(grant)) => return Ok(grant),
            Ok(Asked::Waits(place, hears)) => (place, hears),
            Err(refusal) => return Err(refusal),
        };
        self.wake_housekeeper();
        match timeout_at(now + self.queue_timeout.saturating_sub(wish.waited), hears).await {
            Ok(Ok(Some(grant))) => Ok(grant),
            Ok(_) => Err(Refusal::Nobody),
            Err(_) => {
                drop(place);
                self.look_for_a_standstill(wish.share, now);
                let retry_after = self.desk.lock().queue.retry_after(wish.share, Instant::now());
                Err(Refusal::QueueTimeout { retry_after })
            }
        }
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

    fn ask<'a>(self: &'a Arc<Self>, wish: &Wish, now: Instant) -> Result<Asked<'a>, Refusal> {
        let mut desk = self.desk.lock();
        if wish.tried.is_empty() {
            desk.troubles.requested(now);
        }
        // Those who wait are offered first what may have got free; `unwanted` outlives the lock.
        let unwanted = if desk.queue.is_empty() { SmallVec::new() } else { desk.serve(self, now) };
        let asked = match self.choose_for_newcomer(&mut desk, wish, now) {
            Choice::Granted(grant) => Ok(Asked::Granted(grant)),
            Choice::Nobody => Err(Refusal::Nobody),
            Choice::Wait | Choice::WaitForShare => match desk.refuses(wish, self.queue_size, now) {
                Some(refusal) => {
                    self.tell_of_a_refusal(desk, now);
                    return Err(refusal);
                }
                None => {
                    let (turn, hears) = oneshot::channel();
                    let age = desk.queue.join(wish.clone(), turn, now);
                    let share = wish.share;
                    Ok(Asked::Waits(Place { admission: self, share, age }, hears))
                }
            },
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
        idle > 0 || !self.desk.lock().queue.is_empty()
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

/// A place in the queue: dropped with the request that waits, and its script never runs.
struct Place<'a> {
    admission: &'a Arc<Admission>,
    share: Option<usize>,
    age: Age,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.admission.desk.lock().queue.leave(self.share, self.age);
    }
}
