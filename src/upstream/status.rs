//! A pool as an operator sees it: plain values, taken at one moment. Printing them is for whoever asks.

use super::admission::Admission;
use super::member::Seat;
use super::troubles::Retries;
use super::vitals::Counts;
use super::waits::QueueTimes;
use crate::balance::{Health, Limit, Report, Standing, Tier};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A pool at one moment.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Requests that wait for a worker.
    pub queue: QueueStatus,
    /// Requests that were sent again, and that were not.
    pub retries: Retries,
    /// How often a request waited in vain while nothing moved in the whole pool: every worker busy with the same requests.
    pub standstills: u64,
    /// Its members, in the order of the configuration.
    pub members: Vec<MemberStatus>,
}

/// A queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStatus {
    /// Requests that wait for a worker.
    pub waiting: usize,
    /// As many may.
    pub size: usize,
    /// How many were refused at once, because it was full or would have taken too long.
    pub refused: u64,
    /// How long the first of those who wait has been waiting.
    pub first: Duration,
    /// How long those waited who were served in the latest whole second.
    pub times: QueueTimes,
}

/// A member at one moment.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    /// Where it listens.
    pub address: Arc<str>,
    /// Its state; prints as the operator's words.
    pub standing: Standing,
    /// When that changed last; for one that never did, when it was found.
    pub since: Instant,
    /// Whether new requests may go there; one that is out by failures may get them all the same when everybody is.
    pub usable: bool,
    /// Its share relative to the others.
    pub weight: u32,
    /// Whether it serves only while no primary does.
    pub backup: bool,
    /// Requests that it is answering.
    pub in_flight: u32,
    /// How many connections it may have.
    pub limit: Limit,
    /// Connections that wait for their next request.
    pub idle: usize,
    /// The latest look at its status page, where `health` has a `status_path`.
    pub report: Option<Report>,
    /// How often it went out, came back, and was restarted.
    pub counts: Counts,
    /// Requests that went on a kept connection.
    pub reused: u64,
    /// Requests that went on a fresh one.
    pub fresh: u64,
}

pub(super) fn of(admission: &Admission) -> PoolStatus {
    let now = Instant::now();
    let queue = admission.queue(now);
    let (retries, standstills) = admission.troubles();
    let members = admission.seats().iter().map(|seat| member(seat, now)).collect();
    PoolStatus { name: Arc::clone(admission.pool()), queue, retries, standstills, members }
}

fn member(seat: &Seat, now: Instant) -> MemberStatus {
    let mut standing = seat.member.standing(now);
    if seat.is_down() {
        standing.health = Health::Down;
    }
    let (reused, fresh) = seat.member.reuse();
    MemberStatus {
        address: Arc::clone(seat.member.name()),
        since: seat.member.vitals().since(),
        usable: !seat.is_down() && seat.member.takes_requests(now),
        standing,
        weight: seat.weight(),
        backup: seat.tier == Tier::Backup,
        in_flight: seat.member.in_flight(),
        limit: seat.limit(),
        idle: seat.member.idle(),
        report: seat.member.vitals().report(),
        counts: seat.member.vitals().counts(),
        reused,
        fresh,
    }
}
