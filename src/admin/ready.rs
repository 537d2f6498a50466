//! Whether requests should be sent here at all: what a balancer or an orchestrator in front asks.

use super::readiness::Readiness;
use crate::site::Generation;
use crate::upstream::{Cluster, MemberStatus};

/// Why not, if not.
pub(super) fn why_not(readiness: &Readiness, generation: &Generation) -> Option<String> {
    if readiness.is_stopping() {
        return Some("stopping".to_owned());
    }
    let missing: Vec<_> = generation.clusters().iter().filter_map(lacks).collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// What a pool has not, if nobody in it can be used.
fn lacks(cluster: &Cluster) -> Option<String> {
    let status = cluster.status();
    let is_checked = cluster.pool().health.is_some();
    if status.members.iter().any(|member| is_usable(member, is_checked)) {
        return None;
    }
    let members: Vec<_> =
        status.members.iter().map(|member| format!("{} is {}", member.address, member.standing)).collect();
    Some(match members.is_empty() {
        true => format!("pool {} has no server: its names have no address yet", status.name),
        false => format!("pool {} has no usable server: {}", status.name, members.join(", ")),
    })
}

/// Where nobody but requests finds out whether a member is back, one that may be tried again counts: without it no request
/// would ever be sent here.
fn is_usable(member: &MemberStatus, is_checked: bool) -> bool {
    member.usable && !(is_checked && member.standing.health.is_out())
}
