//! A pool and its members as JSON: what programs read, `cornac ctl` among them, which reads it back into these.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::balance::{Limit, Report};
use crate::upstream::{Cluster, MemberStatus, PoolStatus, QueueStatus};

/// `GET /api/v1/pools`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pools {
    /// In the order of the configuration.
    pub pools: Vec<Pool>,
}

/// `GET /api/v1/pools/NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// `NAME` of `[pools.NAME]`.
    pub name: String,
    /// As the configuration spells it.
    pub policy: String,
    /// Who waits for a worker.
    pub queue: Queue,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests that were not, because the budget was spent.
    pub retries_denied: u64,
    /// How often nothing moved: every worker busy with the same requests.
    pub standstills: u64,
    /// In the order of the configuration.
    pub members: Vec<Member>,
}

/// Who waits for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// So many.
    pub waiting: usize,
    /// At most so many.
    pub size: usize,
    /// How many were refused at once.
    pub refused: u64,
    /// How long the first of them has been waiting, in seconds.
    pub first_s: f64,
    /// How long those waited on average who got a worker in the latest whole second, in seconds.
    pub mean_s: f64,
    /// The longest of these waits.
    pub longest_s: f64,
}

/// A php-fpm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Where it listens; its name in the API.
    pub address: String,
    /// One word: ready, suspect, ejected, probing, busy, draining, down.
    pub state: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// When its state changed last, or it was found (RFC 3339).
    pub since: String,
    /// The same as so many seconds ago.
    pub for_s: f64,
    /// Its share relative to the others.
    pub weight: u32,
    /// Whether it serves only while no other does.
    pub backup: bool,
    /// Requests that it is answering.
    pub in_flight: u32,
    /// As many it may; none: as many as come.
    pub limit: Option<u32>,
    /// Whether the limit was learnt rather than told.
    pub limit_learnt: bool,
    /// Connections that wait for their next request.
    pub idle: usize,
    /// Requests that went on a kept connection.
    pub reused: u64,
    /// Requests that went on a fresh one.
    pub fresh: u64,
    /// How often it was taken out by failures.
    pub ejections: u64,
    /// How often it came back from that.
    pub returns: u64,
    /// How often its php-fpm was started anew.
    pub restarts: u64,
    /// What its status page says, where `health` has a `status_path`.
    pub workers: Option<Workers>,
}

/// What php-fpm's status page says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// php-fpm's `pm`.
    pub pm: String,
    /// Without a connection.
    pub idle: u32,
    /// With one.
    pub active: u32,
    /// Both.
    pub total: u32,
    /// Connections that wait in its backlog.
    pub listen_queue: u32,
    /// How often it wanted more workers than `pm.max_children`.
    pub max_children_reached: u32,
    /// Requests slower than its `request_slowlog_timeout`.
    pub slow_requests: u64,
}

impl Pool {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let PoolStatus { name, queue, retries, standstills, members } = cluster.status();
        Self {
            name: name.to_string(),
            policy: cluster.pool().policy.name().to_owned(),
            queue: Queue::of(&queue),
            retries: retries.made,
            retries_denied: retries.denied,
            standstills,
            members: members.into_iter().map(Member::of).collect(),
        }
    }
}

impl Queue {
    fn of(queue: &QueueStatus) -> Self {
        Self {
            waiting: queue.waiting,
            size: queue.size,
            refused: queue.refused,
            first_s: seconds(queue.first),
            mean_s: seconds(queue.times.mean()),
            longest_s: seconds(queue.times.longest),
        }
    }
}

impl Member {
    pub(super) fn of(member: MemberStatus) -> Self {
        let age = Instant::now().saturating_duration_since(member.since);
        let (limit, limit_learnt) = match member.limit {
            Limit::Told(most) => (Some(most), false),
            Limit::Learnt(most) => (Some(most), true),
            Limit::Unlimited => (None, false),
        };
        Self {
            address: member.address.to_string(),
            state: member.standing.word().to_owned(),
            reason: member.standing.reason(),
            since: moment(age),
            for_s: seconds(age),
            weight: member.weight,
            backup: member.backup,
            in_flight: member.in_flight,
            limit,
            limit_learnt,
            idle: member.idle,
            reused: member.reused,
            fresh: member.fresh,
            ejections: member.counts.ejections,
            returns: member.counts.returns,
            restarts: member.counts.restarts,
            workers: member.report.map(|report| Workers::of(&report)),
        }
    }
}

impl Workers {
    fn of(report: &Report) -> Self {
        Self {
            pm: report.pm.to_string(),
            idle: report.idle,
            active: report.active,
            total: report.total,
            listen_queue: report.listen_queue,
            max_children_reached: report.max_children_reached,
            slow_requests: report.slow_requests,
        }
    }
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

/// So long ago, by the wall clock.
fn moment(age: Duration) -> String {
    let then = SystemTime::now().checked_sub(age).and_then(|then| jiff::Timestamp::try_from(then).ok());
    then.map_or_else(String::new, |then| format!("{then:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_timestamp_to_the_second() {
        let text = moment(Duration::from_secs(3600));
        assert!(text.ends_with('Z') && text.len() == "2026-11-21T17:00:00Z".len(), "{text}");
        assert!(text.parse::<jiff::Timestamp>().is_ok());
    }
}
