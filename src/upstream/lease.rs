//! The permission to use a worker: a slot of a member, and the connection that fills it.
//!
//! They are one value, so that neither is lost without the other, and dropping it in any state is right: the socket is
//! closed first (which is how php-fpm is cancelled: fpm-facts 7), then the slot gets free and the next in the queue has it.

use super::admission::Admission;
use super::connection::Connection;
use super::member::{Member, Seat};
use super::share::Occupied;
use super::waiting::Waiting;
use crate::balance::{Answered, Connection as Origin, Event, Failure, Rules, Taken};
use crate::fcgi::RequestId;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Who said something so long ago is alive.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A slot of a member.
#[derive(Debug)]
pub(crate) struct Permit {
    member: Arc<Member>,
    rules: Rules,
    admission: Arc<Admission>,
    began: Instant,
    /// This request finds out whether an ejected member is back, and has not said so yet.
    probe: bool,
    /// The request might have gone on a kept connection.
    any: bool,
    /// The member's limit is the learnt one.
    learns: bool,
    /// The slot has no connection yet, or no more.
    opening: bool,
    /// The slot was given back together with a kept connection.
    returned: bool,
    /// The slot counts as one of its route's.
    share: Option<Occupied>,
}

/// A slot as it comes out of the queue: what came with it is settled by [`Grant::settle`], outside every lock.
#[derive(Debug)]
pub(crate) struct Grant {
    taken: Taken<Box<Connection>>,
    permit: Permit,
}

/// A slot and its open connection. The order of the fields is the order of their ends.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Box<Connection>,
    waiting: Option<Waiting>,
    /// The head of the request that it is for.
    request: Bytes,
    /// From its slot on.
    first_byte: Option<Duration>,
    permit: Permit,
}

impl Grant {
    pub(crate) fn new(
        admission: &Arc<Admission>,
        seat: &Seat,
        taken: Taken<Box<Connection>>,
        (any, probe): (bool, bool),
        share: Option<Occupied>,
        now: Instant,
    ) -> Self {
        let permit = Permit {
            member: Arc::clone(&seat.member),
            rules: seat.rules,
            admission: Arc::clone(admission),
            began: now,
            probe,
            any,
            learns: seat.learns(),
            opening: taken.idle.is_none(),
            returned: false,
            share,
        };
        Self { taken, permit }
    }

    /// When the slot was given.
    pub(crate) fn at(&self) -> Instant {
        self.permit.began
    }

    /// The permit, and a connection that may be used again for `id`, if there is one that still lives.
    pub(crate) fn settle(self, id: RequestId) -> (Permit, Option<Box<Connection>>) {
        let Self { taken, mut permit } = self;
        if permit.probe {
            permit.member.tells_of_its_probe(permit.admission.pool());
        }
        drop(taken.surplus);
        let mut idle = taken.idle;
        while let Some(connection) = idle {
            if connection.last_id != Some(id)
                && connection.is_quiet()
                && !permit.would_stall(&connection)
                && let Ok(connection) = connection.brought_here()
            {
                return (permit, Some(connection));
            }
            idle = permit.member.take_another();
            permit.opening = idle.is_none();
        }
        (permit, None)
    }
}

impl Permit {
    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    pub(crate) async fn connect(&self, patience: Duration) -> Result<Box<Connection>, Failure> {
        Connection::open(self.member.endpoint(), patience).await
    }

    /// Whether the script that used it last may still hold its worker.
    fn would_stall(&self, connection: &Connection) -> bool {
        self.admission.afterwork.suspects(&connection.last_request)
    }

    pub(crate) fn with(mut self, connection: Box<Connection>, request: Bytes) -> Lease {
        let waiting = self.opening.then(|| Waiting::starts(&self.member, self.began, Instant::now()));
        self.opening = false;
        Lease { connection, waiting, request, first_byte: None, permit: self }
    }

    pub(crate) fn succeeded(&mut self) {
        self.probe = false;
        if self.member.is_troubled() {
            self.report(Event::Succeeded { began: self.began.into_std() });
        }
    }

    pub(crate) fn failed(&mut self, failure: Failure) {
        if failure.blames_the_member() {
            let others = failure.may_be_the_scripts() && self.member.spoke_within(A_MOMENT, Instant::now());
            self.report(if others { Event::FailedAmongOthers(failure) } else { Event::Failed(failure) });
        }
    }

    fn report(&mut self, event: Event) {
        self.probe = false;
        let now = Instant::now();
        self.member.on(event, now, &self.rules, self.admission.pool());
        if self.member.waits_for_its_door(now) {
            self.admission.shut_doors.notify_one();
        }
    }
}

impl Lease {
    pub(crate) fn origin(&self) -> Origin {
        if self.connection.requests > 0 { Origin::Reused } else { Origin::Fresh }
    }

    pub(crate) fn permit(&mut self) -> &mut Permit {
        &mut self.permit
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        self.permit.member()
    }

    /// When the slot was given.
    pub(crate) fn began(&self) -> Instant {
        self.permit.began
    }

    pub(crate) fn pool(&self) -> &str {
        self.permit.admission.pool()
    }

    /// The first byte did not come for so long: a member's time for `least_time`, if the policy is that.
    pub(crate) fn silent_for(&self, time: Duration, now: Instant) {
        if self.permit.admission.measures.load(Ordering::Relaxed) {
            self.permit.member.answered(time, now);
        }
    }

    /// The first byte came so long after the request was sent.
    pub(crate) fn answered(&self, took: Duration, now: Instant) {
        self.silent_for(took, now);
        let admission = &self.permit.admission;
        let before = (self.connection.requests > 0).then_some(&self.connection.last_request);
        admission.afterwork.answered(admission.pool(), before, &self.request, took, now);
    }

    /// php-fpm said something: it has a worker at this connection.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.permit.admission.pulse.beats(now);
        self.permit.member.speaks(now);
        if self.first_byte.is_some() {
            return;
        }
        self.first_byte = Some(now.duration_since(self.permit.began));
        let permit = &self.permit;
        let room = self.waiting.take().is_some_and(|waiting| waiting.ends(permit.any, now));
        if room && permit.learns {
            permit.admission.freed();
        }
    }

    /// Ends after a reply that ended cleanly: the connection may serve the next request.
    pub(crate) fn finish(self, id: RequestId, now: Instant) {
        let Self { mut connection, waiting, request, first_byte, mut permit } = self;
        drop(waiting);
        connection.last_request.follows(&request);
        drop(request);
        if permit.admission.afterwork.suspects(&connection.last_request) {
            permit.member.loses_connection();
            permit.opening = true;
            drop(connection);
            return;
        }
        connection.requests += 1;
        connection.last_id = Some(id);
        let reply = Answered {
            sent: permit.began.into_std(),
            first_byte: first_byte.unwrap_or_default(),
            queued: permit.admission.queued_for(&permit.member),
            learns: permit.learns,
        };
        let refused = permit.admission.keep(&permit.member, connection, reply, now);
        (permit.returned, permit.opening) = (refused.is_none(), refused.is_some());
        drop(refused);
    }

    /// Closes the connection and keeps the slot, for another connection to the same member.
    pub(crate) fn into_permit(self) -> Permit {
        let Self { connection, waiting, mut permit, .. } = self;
        permit.member.loses_connection();
        permit.opening = true;
        drop(connection);
        drop(waiting);
        permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe {
            self.report(Event::ProbeLost);
        }
        match (self.returned, self.opening) {
            (true, _) => {}
            (false, true) => self.member.release_unopened(Instant::now()),
            (false, false) => self.member.release(Instant::now()),
        }
        // Before those who wait are looked at.
        self.share = None;
        self.admission.freed();
    }
}
