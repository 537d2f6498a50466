//! A pool at work: takes a request, finds it a worker, and brings back the reply, trying again where that is safe.
//!
//! The order of things is here; each thing is elsewhere: slots and waiting in `admission`, one attempt's bytes in `talk`,
//! the table of retries in `balance`, the reply's body in `reply`.

use super::admission::{Admission, Asked, Refusal};
use super::buffers::Buffers;
use super::by_hand::{self, Order, UnknownMember};
use super::checks;
use super::complaints::Complaints;
use super::connection::Connection;
use super::discovery::{self, Lookup, Roster, SourceStatus};
use super::knock;
use super::lease::{Grant, Permit};
use super::member::Member;
use super::outcome::{Fault, Ledger, SendError};
use super::queue::{Coming, Wish};
use super::reply::{Gathered, Reading, ReplyBody};
use super::request::{RequestBody, Upload, UpstreamRequest};
use super::status::{self, PoolStatus};
use super::talk::{Said, Talk};
use crate::balance::{self, Again, Repeatable, Seen, Tries};
use crate::config::model::{Pool, Timeouts};
use crate::fcgi::{BodyRule, Exchange, Keep, ReplyHead, RequestId};
use crate::metrics::PoolMeters;
use crate::route::Label;
use bytes::Bytes;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout_at};

/// A pool at work. Dropping it ends its background tasks; requests on their way finish.
#[derive(Debug)]
pub struct Cluster {
    admission: Arc<Admission>,
    roster: Arc<Mutex<Roster>>,
    pool: Pool,
    buffers: Buffers,
    ids: Arc<AtomicU32>,
    meters: Option<Arc<PoolMeters>>,
    tasks: Vec<AbortHandle>,
    /// A newer one has taken over.
    succeeded: AtomicBool,
}

impl Cluster {
    /// A pool as it is configured. What `old` has is taken over: the members that stay, with their connections and health, those who
    /// wait, and all counts. Requests of `old` that are on their way finish by the new rules.
    /// Replies that a slow reader leaves behind wait in `buffers`.
    ///
    /// Must be called within a tokio runtime.
    pub fn new(pool: &Pool, buffers: &Buffers, old: Option<&Self>) -> Self {
        Self::with_lookup(pool, buffers, old, discovery::system())
    }

    pub(crate) fn with_lookup(pool: &Pool, buffers: &Buffers, old: Option<&Self>, lookup: Lookup) -> Self {
        let before = old.map(|old| old.roster.lock().clone());
        let mut roster = Roster::new(pool, before.as_ref());
        let admission = old.map_or_else(|| Admission::new(pool), |old| old.hand_over_to(pool));
        let present = admission.members();
        let seats = roster.seats(&present, Instant::now().into_std());
        if !present.is_empty() {
            let is_new = |member: &Arc<Member>| !present.iter().any(|known| Arc::ptr_eq(known, member));
            let members = seats.iter().map(|seat| &seat.member);
            members.filter(|&member| is_new(member)).for_each(|member| member.is_back(Instant::now()));
        }
        admission.seat(seats, roster.has_pending());
        let has_sources = roster.has_sources();
        let roster = Arc::new(Mutex::new(roster));
        let mut tasks = vec![tokio::spawn(keep_house(Arc::clone(&admission))).abort_handle()];
        if has_sources {
            let following =
                discovery::follow(Arc::clone(&admission), Arc::clone(&roster), lookup, pool.resolve);
            tasks.push(tokio::spawn(following).abort_handle());
        }
        match &pool.health {
            Some(health) => {
                let watching = checks::watch(Arc::clone(&admission), Arc::new(health.clone()));
                tasks.push(tokio::spawn(watching).abort_handle());
            }
            None => {
                admission.seats().iter().for_each(|seat| seat.member.vitals().forget());
                let knocking = knock::at_shut_doors(Arc::clone(&admission), pool.timeouts.connect);
                tasks.push(tokio::spawn(knocking).abort_handle());
            }
        }
        let ids = old.map_or_else(Arc::default, |old| Arc::clone(&old.ids));
        let succeeded = AtomicBool::new(false);
        let (pool, buffers, meters) = (pool.clone(), buffers.clone(), None);
        Self { admission, roster, pool, buffers, ids, meters, tasks, succeeded }
    }

    /// Counts its requests from now on.
    #[must_use]
    pub fn counted_by(mut self, meters: Option<Arc<PoolMeters>>) -> Self {
        self.meters = meters;
        self
    }

    /// The desk, for a newer cluster of the same pool, which looks after it from now on.
    fn hand_over_to(&self, pool: &Pool) -> Arc<Admission> {
        self.succeeded.store(true, Ordering::Relaxed);
        self.tasks.iter().for_each(AbortHandle::abort);
        self.admission.follow(pool);
        Arc::clone(&self.admission)
    }

    /// The id for the next request: never 0, and another one than the latest of any connection (fpm-facts 4).
    pub fn next_request_id(&self) -> RequestId {
        let number = self.ids.fetch_add(1, Ordering::Relaxed) % u32::from(u16::MAX);
        // 0–65,534, and one more.
        RequestId::new(number as u16 + 1).expect("one more than an unsigned number is not zero")
    }

    /// Who is to close the connection after the reply: goes into the request's head.
    pub fn keep(&self) -> Keep {
        match self.pool.keepalive.asks_to_keep() {
            true => Keep::Connection,
            false => Keep::Close,
        }
    }

    /// The pool's name.
    pub fn name(&self) -> &Arc<str> {
        self.admission.pool()
    }

    /// The pool as it is configured.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sends a request and waits for the head of its reply.
    ///
    /// Dropping the future at any point is safe: it leaves the queue, or closes the connection, which cancels the
    /// script as far as php-fpm can be cancelled (fpm-facts 7).
    ///
    /// # Errors
    /// When there will be no reply: the queue refused it, or every attempt that was safe to make failed.
    pub fn send(
        &self,
        request: UpstreamRequest,
    ) -> impl Future<Output = Result<(Box<ReplyHead>, ReplyBody), SendError>> + Send {
        // Taken over by the future, not made in it: it would keep room for the request beside that for the journey.
        let mut journey = Journey::new(self, request);
        async move {
            let mut slot = self.find_slot(&mut journey, None).await?;
            let (head, gathered, talk) = loop {
                let failed = match self.attempt(slot, &mut journey).await {
                    Ok(begun) => break begun,
                    Err(failed) => failed,
                };
                slot = match journey.again(&failed) {
                    Again::No => return Err(self.tells_of(journey.ledger.fails(failed.fault, None))),
                    Again::SameMemberFresh => {
                        journey.ledger.tries_again(failed.fault);
                        (failed.permit, None)
                    }
                    Again::NextMember => {
                        journey.wish.tried.push(Arc::clone(failed.permit.member()));
                        if failed.seen.is_work_again() && !self.admission.may_retry(&journey.wish) {
                            journey.ledger.may_not_try_again();
                            return Err(self.tells_of(journey.ledger.fails(failed.fault, None)));
                        }
                        journey.ledger.tries_again(failed.fault);
                        drop(failed.permit);
                        self.find_slot(&mut journey, Some(failed.fault)).await?
                    }
                };
            };
            let frees_a_worker = gathered.is_all() && self.admission.has_line();
            let reading = journey.reading(&head);
            let body = ReplyBody::begin(talk, gathered, journey.ledger, reading, &self.buffers);
            if frees_a_worker {
                // In a box: the others need not carry room for it.
                return Ok(Box::pin(after_the_next((head, body))).await);
            }
            Ok((head, body))
        }
    }

    /// Closes the idle connections and keeps none from now on; what is in flight finishes (fpm-facts 18). Nothing happens where a
    /// newer cluster of the pool has taken over.
    pub fn drain(&self) {
        if !self.succeeded.load(Ordering::Relaxed) {
            self.admission.retire();
        }
    }

    /// Does what the operator says to the member at `address`, as [`MemberStatus::address`](super::MemberStatus) spells it.
    ///
    /// # Errors
    /// When the pool has no such member.
    pub fn order(&self, address: &str, order: Order) -> Result<(), UnknownMember> {
        by_hand::obey(&self.admission, address, order)
    }

    /// The pool as an operator sees it.
    pub fn status(&self) -> PoolStatus {
        status::of(&self.admission)
    }

    /// Who tells of its members, beside those that are written.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.roster.lock().status()
    }

    #[cfg(test)]
    pub(super) fn members(&self) -> impl Iterator<Item = Arc<super::member::Member>> {
        self.admission.seats().into_iter().map(|seat| seat.member)
    }

    #[cfg(test)]
    pub(super) fn in_share(&self, share: usize) -> u32 {
        self.admission.in_share(share)
    }

    /// What of a failure the client, and the log, are to hear.
    fn tells_of(&self, mut error: SendError) -> SendError {
        error.queued = error.queued.filter(|_| self.pool.queue.header);
        error.repeated = error.fault.is_the_pools() && self.admission.repeats.takes(&error, self.name());
        error
    }

    /// A slot, and a connection that may be used again if there is one. `failed` is what ended the attempt before.
    async fn find_slot(
        &self,
        journey: &mut Journey,
        failed: Option<Fault>,
    ) -> Result<(Permit, Option<Box<Connection>>), SendError> {
        let coming = journey.coming(failed.is_some());
        let asked = coming.now;
        let refusal = match self.admission.ask(&journey.wish, coming) {
            Ok(Asked::Granted(grant)) => return Ok(journey.is_admitted(grant, asked)),
            // In a box: who need not wait need not carry the room for it.
            Ok(Asked::Waits(place)) => match Box::pin(within(journey.last_moment, place.turn())).await {
                Ok(Ok(grant)) => return Ok(journey.is_admitted(grant, asked)),
                Ok(Err(refusal)) => Some(refusal),
                Err(Elapsed { .. }) => None,
            },
            Err(refusal) => Some(refusal),
        };
        journey.ledger.waited(asked.elapsed());
        Err(self.tells_of(journey.gets_no_slot(refusal, failed)))
    }

    /// One attempt, up to the head of the reply and what came with it.
    async fn attempt(
        &self,
        (mut permit, kept): (Permit, Option<Box<Connection>>),
        journey: &mut Journey,
    ) -> Result<(Box<ReplyHead>, Gathered, Box<Talk>), Failed> {
        let connection = match kept {
            Some(kept) => kept,
            None => match journey.connect(&permit).await {
                Ok(connection) => connection,
                Err(failure) => {
                    permit.failed(failure);
                    let seen = journey.not_connected(failure);
                    return Err(Failed { fault: Fault::Connect(failure), seen, permit });
                }
            },
        };
        journey.ledger.sends_on(connection.requests > 0);
        let mut talk = journey.talk(permit.with(connection, journey.head.clone()));
        let fault = match poll_fn(|cx| poll_reply(&mut talk, cx)).await {
            Ok((head, gathered)) => {
                journey.ledger.head_seen(talk.heard_at());
                match gathered {
                    Ok(gathered) => return Ok((head, gathered, talk)),
                    Err(fault) => fault,
                }
            }
            Err(fault) => fault,
        };
        let seen = talk.seen(fault);
        let (permit, body, complaints) = talk.fail(fault);
        (journey.body, journey.complaints) = (body, Some(complaints));
        Err(Failed { fault, seen, permit })
    }
}

/// Hands on a reply when those had their turn who were woken before. Whoever has just got the slot is among them, and its worker stands
/// still until the request is there; the client of a reply holds nobody up. (tokio's `yield_now` would have the poller asked first.)
async fn after_the_next<T>(reply: T) -> T {
    let mut gave_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    reply
}

/// The head of a reply, and what was there of its body.
type Begun = (Box<ReplyHead>, Result<Gathered, Fault>);

fn poll_reply(talk: &mut Talk, cx: &mut Context<'_>) -> Poll<Result<Begun, Fault>> {
    match ready!(talk.poll_next(cx))? {
        Said::Head(head) => Poll::Ready(Ok((head, Gathered::from(talk, cx)))),
        Said::Body(_) | Said::End => unreachable!("an exchange says the head first"),
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.drain();
    }
}

/// A request on its way through its attempts.
struct Journey {
    id: RequestId,
    head: Bytes,
    /// `None` once it was sent in a way that cannot begin again.
    body: Option<RequestBody>,
    body_rule: BodyRule,
    idempotent: bool,
    buffering: bool,
    timeouts: Timeouts,
    label: Label,
    /// With the talk while there is one.
    complaints: Option<Complaints>,
    wish: Wish,
    tries_allowed: u32,
    /// Attempts that cost nothing.
    refused: u32,
    retry_until: Option<Instant>,
    last_moment: Option<Instant>,
    stale_replaced: bool,
    ledger: Box<Ledger>,
}

/// What `timeouts.total` leaves no time for is given up.
async fn within<T>(last_moment: Option<Instant>, what: impl Future<Output = T>) -> Result<T, Elapsed> {
    match last_moment {
        Some(moment) => timeout_at(moment, what).await,
        None => Ok(what.await),
    }
}

/// An attempt without a reply.
struct Failed {
    fault: Fault,
    seen: Seen,
    permit: Permit,
}

impl Journey {
    fn new(cluster: &Cluster, request: UpstreamRequest) -> Self {
        let now = Instant::now();
        let pool = &cluster.pool;
        let timeouts = request.timeouts.unwrap_or(pool.timeouts);
        let idempotent = request.idempotent || pool.retry.non_idempotent;
        Self {
            id: request.id,
            head: request.head,
            body: Some(request.body),
            body_rule: request.body_rule,
            idempotent,
            buffering: request.buffering,
            timeouts,
            label: request.label,
            complaints: Some(Complaints::new(request.label, request.script)),
            // What cannot be repeated must not meet a stale connection.
            wish: Wish { key: request.key, fresh: !idempotent, share: request.share, ..Wish::default() },
            tries_allowed: pool.retry.tries,
            refused: 0,
            retry_until: pool.retry.timeout.map(|timeout| now + timeout),
            last_moment: timeouts.total.map(|total| now + total),
            stale_replaced: false,
            ledger: Box::new(Ledger::new(
                request.observer,
                cluster.meters.as_deref().map(PoolMeters::here),
                now,
            )),
        }
    }

    fn is_admitted(&mut self, grant: Grant, asked: Instant) -> (Permit, Option<Box<Connection>>) {
        self.ledger.waited(grant.at().duration_since(asked));
        let slot = grant.settle(self.id);
        self.ledger.attempt(slot.0.member().name());
        slot
    }

    /// `None`: its whole time is over.
    fn gets_no_slot(&mut self, refusal: Option<Refusal>, failed: Option<Fault>) -> SendError {
        let (fault, retry_after) = match refusal {
            None => return self.ledger.fails(Fault::TotalTimeout, None),
            Some(Refusal::QueueFull { retry_after }) => (Fault::QueueFull, Some(retry_after)),
            Some(Refusal::Overload { retry_after }) => (Fault::Overload, Some(retry_after)),
            Some(Refusal::QueueTimeout { retry_after }) => (Fault::QueueTimeout, Some(retry_after)),
            Some(Refusal::Nobody) => (Fault::Nobody, None),
        };
        // Why the attempt failed says more than that nobody is left for another.
        match failed {
            Some(fault) => self.ledger.fails(fault, None),
            None => self.ledger.fails(fault, retry_after),
        }
    }

    /// To the queue: as old as it is, and with what is left of its patience.
    fn coming(&self, again: bool) -> Coming {
        let first = self.ledger.began();
        match again {
            true => Coming { now: Instant::now(), first, waited: self.ledger.queued() },
            false => Coming::first(first),
        }
    }

    async fn connect(&mut self, permit: &Permit) -> Result<Box<Connection>, balance::Failure> {
        let began = Instant::now();
        // In a box: it happens seldom, and every request would carry room for it.
        let connection = Box::pin(permit.connect(self.timeouts.connect)).await;
        self.ledger.connected(began.elapsed());
        connection
    }

    fn talk(&mut self, lease: super::lease::Lease) -> Box<Talk> {
        // Each attempt gives the body back or ends the journey; a head without its body would be another request.
        let body = self.body.take().unwrap_or(RequestBody::None);
        let upload = Upload::new(self.id, self.head.clone(), body);
        let exchange = Exchange::new(self.id, self.body_rule);
        let complaints = self.complaints.take().expect("a talk that fails gives them back");
        Talk::new(lease, exchange, upload, complaints, self.timeouts, self.last_moment)
    }

    fn reading(&self, head: &ReplyHead) -> Reading {
        let bodiless = self.body_rule == BodyRule::Discard || matches!(head.status.as_u16(), 204 | 304);
        let length = if bodiless { Some(0) } else { head.content_length };
        Reading { length, buffering: head.accel.buffering.unwrap_or(self.buffering) }
    }

    /// What a connect error means for trying again: whether it cost time.
    fn not_connected(&mut self, failure: balance::Failure) -> Seen {
        match failure {
            balance::Failure::Refused | balance::Failure::Unreachable | balance::Failure::Forbidden => {
                self.refused += 1;
                Seen::Refused
            }
            _ => Seen::NotConnected,
        }
    }

    fn again(&mut self, failed: &Failed) -> Again {
        let request = Repeatable { idempotent: self.idempotent, whole: self.body.is_some() };
        let tries = Tries {
            made: self.ledger.tries() - self.refused,
            allowed: self.tries_allowed,
            stale_replaced: self.stale_replaced,
            expired: self.retry_until.is_some_and(|until| until <= Instant::now()),
        };
        let again = balance::decide(failed.seen, &request, tries);
        self.stale_replaced |= again == Again::SameMemberFresh;
        tracing::debug!(request = %self.label, member = &**failed.permit.member().name(), fault = %failed.fault, ?again, "attempt failed");
        again
    }
}

/// Closes what lies idle, for all members of a cluster in one task that sleeps while there is nothing to look after.
async fn keep_house(admission: Arc<Admission>) {
    loop {
        // Who kept house before may have been stopped with something left to do, so a look comes first.
        loop {
            let hold = admission.keepalive().hold();
            sleep((hold / 10).clamp(Duration::from_millis(5), Duration::from_millis(50))).await;
            if admission.keep_house() {
                continue;
            }
            admission.housekeeper_rests();
            // Something may have come between the look and the rest, and found the housekeeper awake.
            if !admission.keep_house() {
                break;
            }
        }
        admission.something_to_keep.notified().await;
    }
}
