//! A pool whose configuration is read again: who waits, what is counted, and what is in use live on.

use super::*;
use crate::balance::{Keepalive, PolicyKind};
use crate::config::model::Pool;
use crate::upstream::Fault;
use tokio::task::JoinHandle;

fn reloaded(pool: &Pool, before: &Cluster) -> Arc<Cluster> {
    Arc::new(Cluster::new(pool, &super::super::Buffers::default(), Some(before)))
}

fn asks(cluster: &Arc<Cluster>, path: &'static str) -> JoinHandle<String> {
    let asking = Arc::clone(cluster);
    tokio::spawn(async move { ask(&asking, path).await })
}

#[tokio::test]
async fn who_waits_keeps_the_place_in_front_of_those_who_come_later() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let old = Arc::new(cluster(&pool(vec![one_at_once(&member)])));
    let running = asks(&old, "/running");
    until("it runs", || member.requests() == 1).await;
    let first = asks(&old, "/first");
    until("it waits", || old.status().queue.waiting == 1).await;
    let mut changed = pool(vec![one_at_once(&member)]);
    (changed.policy, changed.keepalive) = (PolicyKind::Random, Keepalive::Off);
    let new = reloaded(&changed, &old);
    let second = asks(&new, "/second");
    until("it waits too", || new.status().queue.waiting == 2).await;
    drop(old);
    gate.add_permits(2);
    assert_eq!((running.await.unwrap(), first.await.unwrap()), ("late".into(), "late".into()));
    assert!(!second.is_finished());
    gate.add_permits(1);
    assert_eq!(second.await.unwrap(), "late");
}

#[tokio::test]
async fn who_waits_is_served_by_the_workers_that_a_reload_brings() {
    let gate = gate();
    let (busy, comes) = (gated(1, &gate).await, echo().await);
    let old = Arc::new(cluster(&pool(vec![one_at_once(&busy)])));
    let running = asks(&old, "/running");
    until("it runs", || busy.requests() == 1).await;
    let waiting = asks(&old, "/waiting");
    until("it waits", || old.status().queue.waiting == 1).await;
    let new = reloaded(&pool(vec![comes.spec()]), &old);
    assert_eq!(waiting.await.unwrap(), "hello");
    gate.add_permits(1);
    assert_eq!(running.await.unwrap(), "late", "who has left the pool finishes");
    assert_eq!(ask(&new, "/").await, "hello");
}

#[tokio::test]
async fn a_member_that_goes_and_comes_back_has_what_it_is_still_answering() {
    let gate = gate();
    let member = gated(2, &gate).await;
    let other = echo().await;
    let old = Arc::new(cluster(&pool(vec![one_at_once(&member)])));
    let running = asks(&old, "/running");
    until("it runs", || member.requests() == 1).await;
    let without = reloaded(&pool(vec![other.spec()]), &old);
    let back = reloaded(&pool(vec![one_at_once(&member)]), &without);
    let waiting = asks(&back, "/waiting");
    until("its limit holds", || back.status().queue.waiting == 1).await;
    assert_eq!(in_flight(&back), 1);
    gate.add_permits(2);
    assert_eq!((running.await.unwrap(), waiting.await.unwrap()), ("late".into(), "late".into()));
    ask_again(&back, &gate).await;
}

/// What it keeps from now on, it keeps.
async fn ask_again(cluster: &Arc<Cluster>, gate: &Semaphore) {
    gate.add_permits(1);
    ask(cluster, "/").await;
    assert_eq!(idle(cluster), 1);
}

#[tokio::test]
async fn counts_and_the_new_limits_of_the_queue_hold_for_everybody() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let mut narrow = pool(vec![one_at_once(&member)]);
    narrow.queue.size = 0;
    let old = Arc::new(cluster(&narrow));
    let running = asks(&old, "/running");
    until("it runs", || member.requests() == 1).await;
    assert_eq!(old.send(get(&old, "/")).await.unwrap_err().fault, Fault::QueueFull);
    let new = reloaded(&pool(vec![one_at_once(&member)]), &old);
    assert_eq!(new.status().queue.refused, 1);
    let late = asks(&old, "/late");
    until("by the new rules", || new.status().queue.waiting == 1).await;
    gate.add_permits(2);
    assert_eq!((running.await.unwrap(), late.await.unwrap()), ("late".into(), "late".into()));
    assert_eq!(new.status().members[0].fresh + new.status().members[0].reused, 2);
}

#[tokio::test(start_paused = true)]
async fn what_lay_idle_before_a_reload_is_still_closed_in_time() {
    let member = echo().await;
    let mut pool = pool(vec![member.spec()]);
    pool.keepalive = Keepalive::AUTO;
    let old = cluster(&pool);
    ask(&old, "/").await;
    assert_eq!(idle(&old), 1);
    let new = reloaded(&pool, &old);
    drop(old);
    assert_eq!(idle(&new), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(idle(&new), 0);
}
