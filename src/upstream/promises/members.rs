//! Members that fail, come back, go, and are taken over.

use super::*;
use crate::balance::{Health, Tier};
use crate::config::model::EndpointSpec;
use crate::upstream::Fault;
use parking_lot::Mutex;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_member_that_fails_is_left_out_and_comes_back_by_one_request() {
    let gone = nobody_listens().await;
    let other = echo().await;
    let cluster = cluster(&pool(vec![gone, other.spec()]));
    for _ in 0..10 {
        assert_eq!(ask(&cluster, "/").await, "hello");
    }
    let standing = || cluster.status().members[0].standing.to_string();
    assert_eq!(standing(), "ejected for 5 s (connection refused)");
    tokio::time::advance(Duration::from_secs(5)).await;
    for _ in 0..4 {
        assert_eq!(ask(&cluster, "/").await, "hello");
    }
    let health = cluster.status().members[0].standing.health;
    assert!(matches!(health, Health::Ejected { times: 2, .. }), "it was tried once: {health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_listens_again_is_back_within_seconds_however_long_it_was_away() {
    let gone = nobody_listens().await;
    let other = echo().await;
    let cluster = cluster(&pool(vec![gone.clone(), other.spec()]));
    let away = tokio::time::Instant::now();
    while away.elapsed() < Duration::from_secs(62) {
        assert_eq!(ask(&cluster, "/").await, "hello");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let health = cluster.status().members[0].standing.health;
    assert!(matches!(health, Health::Ejected { times: 3.., .. }), "{health:?}");
    let EndpointSpec::Tcp { host, port } = &gone.endpoint else { unreachable!("it is TCP") };
    let back = Responder::at(format!("{host}:{port}").parse().unwrap(), 4, |_| hello("back")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(back.requests(), 0, "nobody was asked to find out");
    for _ in 0..4 {
        ask(&cluster, "/").await;
    }
    assert_eq!(back.requests(), 2);
    assert_eq!(cluster.status().members[0].standing.to_string(), "ready");
}

/// A script that kills its worker, among others that are answered.
#[tokio::test]
async fn a_script_that_crashes_ejects_nobody_while_others_are_answered() {
    let member = Responder::start(8, |request| match request.params.ends_with("/poison") {
        true => vec![Step::Close],
        false => hello("hello"),
    })
    .await;
    let mut pool = pool(vec![member.spec()]);
    pool.retry.budget = 0;
    let cluster = cluster(&pool);
    for round in 0..20 {
        for _ in 0..2 {
            assert_eq!(ask(&cluster, "/").await, "hello");
        }
        cluster.send(post(&cluster, "/poison", upload(1))).await.map(drop).unwrap_err();
        let word = cluster.status().members[0].standing.word();
        assert_eq!(word, "suspect", "round {round}");
    }
    let standing = cluster.status().members[0].standing.to_string();
    assert_eq!(standing, "suspect (20 failures beside 39 answers: closed without an answer)");
}

#[tokio::test(start_paused = true)]
async fn a_script_that_never_answers_is_not_held_against_a_member_that_answers_others() {
    let never = gate();
    let member = Responder::start(64, move |request| match request.params.ends_with("/stuck") {
        true => vec![Step::Wait(Arc::clone(&never))],
        false => hello("hello"),
    })
    .await;
    let cluster = Arc::new(cluster(&pool(vec![member.spec()])));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..5 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { asking.send(get(&asking, "/stuck")).await.map(drop).unwrap_err().fault });
        until("it is stuck", || member.requests() == number + 1).await;
    }
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(ask(&cluster, "/").await, "hello");
    let faults = clients.join_all().await;
    assert_eq!(faults, [Fault::FirstByteTimeout; 5]);
    assert_eq!(cluster.status().members[0].standing.to_string(), "ready");
    // And without any answer it is.
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { asking.send(get(&asking, "/stuck")).await.map(drop).unwrap_err().fault });
    }
    assert_eq!(clients.join_all().await, [Fault::FirstByteTimeout; 3]);
    assert_eq!(cluster.status().members[0].standing.to_string(), "ejected for 5 s (no answer in time)");
}

#[tokio::test]
async fn when_every_member_is_out_all_of_them_are_used() {
    let member = Responder::start(4, |request| match request.number {
        0..4 => vec![Step::Close],
        _ => hello("back"),
    })
    .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    for _ in 0..4 {
        cluster.send(get(&cluster, "/")).await.map(drop).unwrap_err();
    }
    assert_eq!(cluster.status().members[0].standing.word(), "ejected");
    assert_eq!(ask(&cluster, "/").await, "back");
    assert_eq!(cluster.status().members[0].standing.to_string(), "ready");
}

#[tokio::test]
async fn a_backup_serves_only_while_no_primary_does() {
    let (primary, backup) = (echo().await, echo().await);
    let mut spare = backup.spec();
    spare.tier = Tier::Backup;
    let mut first = primary.spec();
    let both = cluster(&pool(vec![spare.clone(), first.clone()]));
    ask(&both, "/").await;
    assert_eq!((primary.requests(), backup.requests()), (1, 0));
    first.down = true;
    let without = cluster(&pool(vec![spare, first]));
    ask(&without, "/").await;
    assert_eq!((primary.requests(), backup.requests()), (1, 1));
    assert_eq!(without.status().members[1].standing.to_string(), "down (by hand)");
}

#[tokio::test]
async fn a_pool_that_is_down_refuses_at_once() {
    let mut spec = echo().await.spec();
    spec.down = true;
    let cluster = cluster(&pool(vec![spec]));
    assert_eq!(cluster.send(get(&cluster, "/")).await.unwrap_err().fault, Fault::Nobody);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_php_fpm_closes_is_closed_here_too() {
    let member = Responder::start(1, |_| [hello("hello"), vec![Step::Close]].concat()).await;
    let cluster = cluster(&pool(vec![member.spec()]));
    ask(&cluster, "/").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(idle(&cluster), 0);
    text(cluster.send(get(&cluster, "/")).await.unwrap().1).await;
}

#[tokio::test]
async fn draining_closes_idle_connections_at_once_and_lets_the_others_finish() {
    let gate = gate();
    let member = gated(2, &gate).await;
    let cluster = Arc::new(cluster(&pool(vec![member.spec()])));
    gate.add_permits(1);
    ask(&cluster, "/").await;
    let request = post(&cluster, "/", upload(1));
    let asking = Arc::clone(&cluster);
    let running = tokio::spawn(async move { text(asking.send(request).await.unwrap().1).await });
    until("it runs", || member.requests() == 2).await;
    cluster.drain();
    until("only the running one is open", || member.open() == 1).await;
    gate.add_permits(1);
    assert_eq!(running.await.unwrap(), "late");
    until("and is not kept", || member.open() == 0).await;
}

#[tokio::test]
async fn a_reload_keeps_the_connections_and_the_health_of_members_that_stay() {
    let (stays, goes) = (echo().await, echo().await);
    let failing = nobody_listens().await;
    let before = cluster(&pool(vec![stays.spec(), failing.clone(), goes.spec()]));
    for _ in 0..3 {
        ask(&before, "/").await;
    }
    assert_eq!((stays.open(), goes.open()), (1, 1));
    let mut heavier = stays.spec();
    heavier.weight = 5;
    let after = Cluster::new(&pool(vec![heavier, failing]), &super::super::Buffers::default(), Some(&before));
    drop(before);
    until("the removed member is let go", || goes.open() == 0).await;
    ask(&after, "/").await;
    let last = stays.seen.lock().last().cloned().unwrap();
    assert!(last.on_connection > 0, "{last:?}");
    let status = after.status();
    assert_eq!(status.members[0].weight, 5);
    assert_eq!(status.members[1].standing.to_string(), "suspect (1 of 3 failures: connection refused)");
}

#[tokio::test]
async fn a_slot_that_an_old_generation_frees_serves_the_queue_of_the_new_one() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let spec = one_at_once(&member);
    let old = Arc::new(cluster(&pool(vec![spec.clone()])));
    let asking = Arc::clone(&old);
    let running = tokio::spawn(async move { ask(&asking, "/old").await });
    until("it runs", || member.requests() == 1).await;
    let new = Arc::new(Cluster::new(&pool(vec![spec]), &super::super::Buffers::default(), Some(&old)));
    let asking = Arc::clone(&new);
    let waiting = tokio::spawn(async move { ask(&asking, "/new").await });
    until("it waits", || new.status().queue.waiting == 1).await;
    gate.add_permits(2);
    assert_eq!((running.await.unwrap(), waiting.await.unwrap()), ("late".into(), "late".into()));
}

#[tokio::test(start_paused = true)]
async fn members_come_and_go_with_the_addresses_of_their_name() {
    let (first, second) = (echo().await, echo().await);
    let found = Arc::new(Mutex::new(Err(())));
    let table = Arc::clone(&found);
    let lookup: crate::upstream::discovery::Lookup = Arc::new(move |_| {
        let answer: Result<Vec<_>, ()> = table.lock().clone();
        Box::pin(async move { answer.map_err(|()| std::io::Error::other("SERVFAIL")) })
    });
    let mut named = first.spec();
    named.endpoint = EndpointSpec::Tcp { host: "fpm".into(), port: 9000 };
    let cluster = Cluster::with_lookup(&pool(vec![named]), &super::super::Buffers::default(), None, lookup);
    let next_lookup = || tokio::time::sleep(Duration::from_secs(6));

    assert_eq!(
        cluster.send(get(&cluster, "/")).await.unwrap_err().fault,
        Fault::Nobody,
        "no name server yet"
    );
    *found.lock() = Ok(vec![first.address]);
    next_lookup().await;
    ask(&cluster, "/").await;
    *found.lock() = Ok(vec![first.address, second.address]);
    next_lookup().await;
    for _ in 0..4 {
        ask(&cluster, "/").await;
    }
    assert_eq!((first.requests(), second.requests()), (3, 2));
    *found.lock() = Err(());
    next_lookup().await;
    ask(&cluster, "/").await;
    *found.lock() = Ok(vec![second.address]);
    next_lookup().await;
    until("who is gone is let go", || first.open() == 0).await;
    ask(&cluster, "/").await;
    assert_eq!(first.requests() + second.requests(), 7);
    assert_eq!(cluster.status().members.len(), 1);
}

#[tokio::test]
async fn a_request_waits_for_the_first_look_up_of_a_name() {
    let member = echo().await;
    let (go, address) = (gate(), member.address);
    let waits = Arc::clone(&go);
    let lookup: crate::upstream::discovery::Lookup = Arc::new(move |_| {
        let waits = Arc::clone(&waits);
        Box::pin(async move {
            waits.acquire().await.unwrap().forget();
            Ok(vec![address])
        })
    });
    let mut named = member.spec();
    named.endpoint = EndpointSpec::Tcp { host: "fpm".into(), port: 9000 };
    let cluster =
        Arc::new(Cluster::with_lookup(&pool(vec![named]), &super::super::Buffers::default(), None, lookup));
    let asking = Arc::clone(&cluster);
    let early = tokio::spawn(async move { ask(&asking, "/").await });
    until("it waits", || cluster.status().queue.waiting == 1).await;
    go.add_permits(1);
    assert_eq!(early.await.unwrap(), "hello");
}
