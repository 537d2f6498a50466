//! A limit that nobody told, and what is seen of reuse.

use super::*;
use crate::balance::{Keepalive, Limit, ProcessManager, Report, Rules};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

fn learnt(cluster: &Cluster) -> u32 {
    match cluster.status().members[0].limit {
        Limit::Learnt(limit) => limit,
        other => panic!("{other} was told"),
    }
}

/// A client asks again and again; each second request wants a fresh connection.
async fn keep_asking(cluster: Arc<Cluster>, requests: usize) {
    for number in 0..requests {
        let request = if number % 2 == 0 { post(&cluster, "/", upload(1)) } else { get(&cluster, "/") };
        text(cluster.send(request).await.unwrap().1).await;
    }
}

/// As many clients as the first guess, and two workers: without being given up, kept connections would keep both for ever.
#[tokio::test]
async fn nobody_waits_for_ever_behind_our_own_kept_connections() {
    for keepalive in [Keepalive::AUTO, pool(Vec::new()).keepalive, Keepalive::Off] {
        let member = Responder::start(2, |_| hello("hello")).await;
        let mut pool = pool(vec![member.spec()]);
        pool.keepalive = keepalive;
        let cluster = Arc::new(cluster(&pool));
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            clients.spawn(keep_asking(Arc::clone(&cluster), 20));
        }
        clients.join_all().await;
        assert_eq!(member.requests(), 160, "{keepalive:?}");
        assert_eq!(in_flight(&cluster), 0);
    }
}

#[tokio::test]
async fn a_member_is_given_no_more_than_its_workers_once_they_are_known() {
    let gate = gate();
    let member = gated(3, &gate).await;
    let cluster = Arc::new(cluster(&pool(vec![member.spec()])));
    let mut clients = JoinSet::new();
    for _ in 0..30 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, "/").await });
    }
    until("the first guess is used", || in_flight(&cluster) == 8).await;
    // What is overtaken at once might have met a worker that was being woken.
    tokio::time::sleep(Duration::from_millis(20)).await;
    gate.add_permits(12);
    until("the workers are known", || learnt(&cluster) <= 4).await;
    gate.add_permits(18);
    assert_eq!(clients.join_all().await.len(), 30);
}

#[tokio::test]
async fn reused_and_fresh_connections_are_counted() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![member.spec()]));
    for _ in 0..5 {
        ask(&cluster, "/").await;
    }
    let status = cluster.status().members.remove(0);
    assert_eq!((status.reused, status.fresh), (4, 1));
    assert_eq!(status.limit.to_string(), "auto (8)");
}

#[tokio::test]
async fn the_status_page_is_believed() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let report = Report {
        pm: ProcessManager::Static,
        start_time: 1,
        accepted: 1,
        listen_queue: 0,
        max_listen_queue: 0,
        listen_queue_len: 511,
        idle: 19,
        active: 1,
        total: 20,
        max_active: 1,
        max_children_reached: 0,
        slow_requests: 0,
    };
    cluster.members().for_each(|member| member.reported(&report, Instant::now(), &Rules::DEFAULT, "php"));
    assert_eq!(learnt(&cluster), 20);
}
