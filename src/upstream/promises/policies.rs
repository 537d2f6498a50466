//! What the members' times and comings do to who is asked.

use super::*;
use crate::balance::PolicyKind;

#[tokio::test(start_paused = true)]
async fn least_time_leaves_a_slow_member_out_and_tries_it_again_after_a_while() {
    let (fast, tired) = (echo().await, slow(Duration::from_millis(200)).await);
    let mut pool = pool(vec![tired.spec(), fast.spec()]);
    pool.policy = PolicyKind::LeastTime;
    let cluster = cluster(&pool);
    for _ in 0..20 {
        ask(&cluster, "/").await;
    }
    assert_eq!((tired.requests(), fast.requests()), (1, 19));
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..20 {
        ask(&cluster, "/").await;
    }
    assert_eq!(tired.requests(), 2, "once more, and it is as slow as it was");
}

#[tokio::test(start_paused = true)]
async fn least_time_holds_an_answer_that_never_came_against_the_member() {
    let (fast, silent) = (echo().await, gated(4, &gate()).await);
    let mut pool = pool(vec![silent.spec(), fast.spec()]);
    pool.policy = PolicyKind::LeastTime;
    let cluster = cluster(&pool);
    assert!(cluster.send(get(&cluster, "/")).await.is_err(), "the first one finds out");
    for _ in 0..20 {
        ask(&cluster, "/").await;
    }
    assert_eq!(silent.requests(), 1);
}

#[tokio::test]
async fn a_hot_key_is_shared_out_before_it_melts_its_member() {
    let gate = gate();
    let members = [gated(64, &gate).await, gated(64, &gate).await];
    let mut pool = pool(members.iter().map(Responder::spec).collect());
    pool.policy = PolicyKind::Hash;
    let cluster = Arc::new(cluster(&pool));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, "/").await });
    }
    until("all are there", || members.iter().map(Responder::requests).sum::<usize>() == 40).await;
    let most = members.iter().map(Responder::requests).max();
    assert_eq!(most, Some(25), "a quarter above one half");
    gate.add_permits(40);
    clients.join_all().await;
}
