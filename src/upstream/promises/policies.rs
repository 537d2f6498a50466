//! What the members' times and comings do to who is asked.

use super::*;
use crate::balance::PolicyKind;
use crate::config::model::EndpointSpec;
use crate::upstream::Order;
use parking_lot::Mutex;
use std::num::NonZeroU16;

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

/// So many members, all of them one responder.
async fn many(count: u8, says: Vec<Step>) -> (Responder, crate::config::model::Pool) {
    let says = move |_: &Received| says.clone();
    let responder = Responder::at("0.0.0.0:0".parse().unwrap(), usize::from(count), says).await;
    let port = responder.address.port();
    let mut pool = pool((1..=count).map(|host| spec(([127, 0, 9, host], port).into())).collect());
    pool.policy = PolicyKind::LeastConn;
    (responder, pool)
}

fn served(cluster: &Cluster) -> Vec<u64> {
    cluster.status().members.iter().map(|member| member.reused + member.fresh).collect()
}

#[tokio::test]
async fn least_conn_gives_everybody_a_turn_before_anybody_has_a_second() {
    let (_responder, pool) = many(70, hello("hello")).await;
    let cluster = cluster(&pool);
    for round in 1..=3 {
        for _ in 0..70 {
            ask(&cluster, "/").await;
        }
        assert_eq!(served(&cluster), [round; 70]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn least_conn_finds_every_slot_that_gets_free_whichever_thread_frees_it() {
    let gate = gate();
    let (responder, mut pool) = many(70, [vec![Step::Wait(Arc::clone(&gate))], hello("late")].concat()).await;
    pool.servers.iter_mut().for_each(|server| server.max_conns = MaxConns::Most(1));
    let cluster = Arc::new(cluster(&pool));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..280 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, "/").await });
    }
    for turn in 1..=4 {
        until("every member has one", || responder.requests() == turn * 70).await;
        assert_eq!(in_flight(&cluster), 70);
        gate.add_permits(70);
    }
    clients.join_all().await;
}

#[tokio::test]
async fn least_conn_goes_by_what_was_changed_a_moment_ago() {
    let members = [echo().await, echo().await];
    let mut policy = pool(members.iter().map(Responder::spec).collect());
    let before = cluster(&policy);
    assert_eq!(share_of(&members[1], &before, 8).await, 4);
    policy.policy = PolicyKind::LeastConn;
    let cluster = Cluster::new(&policy, &super::super::Buffers::default(), Some(&before));
    assert_eq!(share_of(&members[1], &cluster, 8).await, 4);
    let address = Arc::clone(&cluster.status().members[1].address);
    let steps = [
        (Order::Weight(NonZeroU16::new(3)), 6),
        (Order::TakeDown, 0),
        (Order::PutBack, 6),
        (Order::Weight(None), 4),
        (Order::Drain, 0),
    ];
    for (order, share) in steps {
        cluster.order(&address, order).unwrap();
        assert_eq!(share_of(&members[1], &cluster, 8).await, share, "{order:?}");
    }
    policy.servers.remove(0);
    let alone = Cluster::new(&policy, &super::super::Buffers::default(), Some(&cluster));
    alone.order(&address, Order::PutBack).unwrap();
    assert_eq!(share_of(&members[1], &alone, 3).await, 3);
}

#[tokio::test]
async fn a_hot_key_is_shared_out_before_it_melts_its_member() {
    let gate = gate();
    let members = [gated(64, &gate).await, gated(64, &gate).await];
    let mut pool = pool(members.iter().map(Responder::spec).collect());
    pool.policy = PolicyKind::Hash;
    pool.servers.iter_mut().for_each(|server| server.max_conns = MaxConns::Unlimited);
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

/// Two members of equal weight, the first of them out, its slow start ten seconds.
async fn coming_back(policy: PolicyKind) -> (Responder, Responder, Cluster) {
    let (first, other) = (refusing_at_first(3).await, echo().await);
    let mut spec = first.spec();
    spec.slow_start = Duration::from_secs(10);
    let mut pool = pool(vec![spec, other.spec()]);
    pool.policy = policy;
    let cluster = cluster(&pool);
    while cluster.status().members[0].standing.word() != "ejected" {
        ask(&cluster, "/").await;
    }
    tokio::time::advance(Duration::from_secs(5)).await;
    while cluster.status().members[0].standing.word() != "ready" {
        ask(&cluster, "/").await;
    }
    (first, other, cluster)
}

/// Closes so many requests without an answer, and is well from then on.
async fn refusing_at_first(times: usize) -> Responder {
    Responder::start(64, move |request| match request.number < times {
        true => vec![Step::Close],
        false => hello("back"),
    })
    .await
}

async fn share_of(member: &Responder, cluster: &Cluster, requests: usize) -> usize {
    let before = member.requests();
    for _ in 0..requests {
        ask(cluster, "/").await;
    }
    member.requests() - before
}

#[tokio::test(start_paused = true)]
async fn a_member_that_comes_back_gets_its_share_little_by_little() {
    for policy in [PolicyKind::RoundRobin, PolicyKind::LeastConn] {
        let (first, _other, cluster) = coming_back(policy).await;
        let mut shares = Vec::new();
        for _ in 0..3 {
            shares.push(share_of(&first, &cluster, 110).await);
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert!((9..=11).contains(&shares[0]), "10 of 110: {policy:?} {shares:?}");
        assert!((38..=40).contains(&shares[1]), "55 of 155: {policy:?} {shares:?}");
        assert!((54..=56).contains(&shares[2]), "one half: {policy:?} {shares:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_start_nobody_is_held_back_and_who_joins_later_is() {
    let members = [echo().await, echo().await];
    let specs: Vec<_> = members
        .iter()
        .map(|member| ServerSpec { slow_start: Duration::from_secs(10), ..member.spec() })
        .collect();
    let both = cluster(&pool(specs.clone()));
    assert_eq!(share_of(&members[1], &both, 20).await, 10);
    let one = cluster(&pool(specs[..1].to_vec()));
    let joined = Cluster::new(&pool(specs), &super::super::Buffers::default(), Some(&one));
    assert_eq!(share_of(&members[1], &joined, 110).await, 10);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_a_name_gains_begins_slowly() {
    let members = [echo().await, echo().await];
    let found = Arc::new(Mutex::new(vec![members[0].address]));
    let table = Arc::clone(&found);
    let lookup: crate::upstream::discovery::Lookup = Arc::new(move |_| {
        let addresses = table.lock().clone();
        Box::pin(async move { Ok(addresses) })
    });
    let endpoint = EndpointSpec::Tcp { host: "fpm".into(), port: 9000 };
    let named = ServerSpec { endpoint, slow_start: Duration::from_secs(10), ..members[0].spec() };
    let cluster = Cluster::with_lookup(&pool(vec![named]), &super::super::Buffers::default(), None, lookup);
    until("the name is known", || cluster.status().members.len() == 1).await;
    found.lock().push(members[1].address);
    tokio::time::advance(Duration::from_secs(5)).await;
    until("its second address is found", || cluster.status().members.len() == 2).await;
    assert_eq!(share_of(&members[1], &cluster, 110).await, 10);
}
