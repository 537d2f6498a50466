//! Pools to look at, as the API would tell of them.

use crate::admin::{Member, Pool};

pub(super) fn pool(name: &str, servers: &[&str]) -> Pool {
    let queue = serde_json::json!({ "waiting": 0, "size": 1024, "refused": 0, "first_s": 0.0, "mean_s": 0.0, "longest_s": 0.0 });
    Pool {
        name: name.to_owned(),
        policy: "least_conn".to_owned(),
        queue: serde_json::from_value(queue).expect("a queue"),
        retries: 0,
        retries_denied: 0,
        standstills: 0,
        members: servers.iter().map(|address| member(address)).collect(),
    }
}

fn member(address: &str) -> Member {
    Member {
        address: address.to_owned(),
        state: "ready".to_owned(),
        reason: None,
        since: String::new(),
        for_s: 1.5,
        weight: 1,
        backup: false,
        in_flight: 0,
        limit: Some(8),
        limit_learnt: true,
        idle: 0,
        reused: 0,
        fresh: 0,
        ejections: 0,
        returns: 0,
        restarts: 0,
        workers: None,
    }
}
