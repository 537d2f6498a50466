//! The part of a pool that the requests of one route may have: `max_share`.

use super::*;
use crate::upstream::{Fault, UpstreamRequest};
use http_body_util::BodyExt;
use tokio::task::JoinSet;

/// A request of the route that has a part.
fn of_the_route(cluster: &Cluster, uri: &str) -> UpstreamRequest {
    UpstreamRequest { share: Some(0), ..get(cluster, uri) }
}

/// A pool with one route that has such a part.
fn shared(mut spec: ServerSpec, slots: u32, percent: u8) -> crate::config::model::Pool {
    spec.max_conns = MaxConns::Most(slots);
    let mut pool = pool(vec![spec]);
    pool.shares = vec![percent];
    pool
}

/// `/slow` waits at the gate; anything else is answered at once.
async fn slow_or_fast(gate: &Arc<Semaphore>) -> Responder {
    let gate = Arc::clone(gate);
    Responder::start(64, move |request| match request.params.contains("/slow") {
        true => [vec![Step::Wait(Arc::clone(&gate))], hello("slow")].concat(),
        false => hello("fast"),
    })
    .await
}

fn slow_seen(member: &Responder) -> Vec<String> {
    let seen = member.seen.lock();
    let slow = seen.iter().filter_map(|request| request.params.split_once("/slow"));
    slow.map(|(_, number)| number.to_owned()).collect()
}

#[tokio::test]
async fn a_slow_route_has_its_part_and_the_others_have_the_rest_while_it_waits() {
    let gate = gate();
    let member = slow_or_fast(&gate).await;
    let cluster = Arc::new(cluster(&shared(member.spec(), 4, 50)));
    let mut clients = JoinSet::new();
    for number in 0..10 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move {
            let slow = of_the_route(&asking, &format!("/slow{number}"));
            text(asking.send(slow).await.unwrap().1).await
        });
        until("it came", || cluster.status().queue.waiting + in_flight(&cluster) as usize > number).await;
    }
    for served in 2..10 {
        until("two of them run", || slow_seen(&member).len() == served).await;
        assert_eq!((in_flight(&cluster), cluster.status().queue.waiting), (2, 10 - served));
        assert_eq!(ask(&cluster, "/").await, "fast");
        gate.add_permits(1);
    }
    gate.add_permits(2);
    assert_eq!(clients.join_all().await, ["slow"; 10]);
    let order: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert!(slow_seen(&member).iter().zip(order).all(|(seen, number)| seen.ends_with(&number)));
}

/// A part that is less than one slot is one.
#[tokio::test]
async fn the_last_slot_of_a_busy_pool_goes_to_who_came_first_whatever_its_route() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let cluster = Arc::new(cluster(&shared(member.spec(), 1, 1)));
    let mut clients = JoinSet::new();
    for number in 0..6 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move {
            let share = (number % 2 == 0).then_some(0);
            let request = UpstreamRequest { share, ..get(&asking, &format!("/{number}")) };
            text(asking.send(request).await.unwrap().1).await
        });
        until("it came", || cluster.status().queue.waiting + in_flight(&cluster) as usize > number).await;
    }
    gate.add_permits(6);
    clients.join_all().await;
    let seen = member.seen.lock();
    assert!((0..6).all(|number| seen[number].params.ends_with(&format!("/{number}"))), "{seen:?}");
}

#[tokio::test]
async fn a_route_with_a_part_has_no_more_than_that_part_of_the_queue() {
    let gate = gate();
    let member = slow_or_fast(&gate).await;
    let mut pool = shared(member.spec(), 4, 25);
    pool.queue.size = 8;
    let cluster = Arc::new(cluster(&pool));
    let mut clients = JoinSet::new();
    for number in 0..3 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { asking.send(of_the_route(&asking, "/slow")).await.map(drop) });
        until("it came", || cluster.status().queue.waiting + in_flight(&cluster) as usize > number).await;
    }
    let refused = cluster.send(of_the_route(&cluster, "/slow")).await.unwrap_err();
    assert_eq!((refused.fault, cluster.status().queue.waiting), (Fault::QueueFull, 2));
    assert_eq!(ask(&cluster, "/").await, "fast");
    gate.add_permits(3);
    assert!(clients.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_part_is_never_passed_and_given_back_however_a_request_ends() {
    let member = Responder::start(8, |request| match request.number % 5 {
        0 => vec![Step::Close],
        1 => vec![Step::Stdout(b"\r\npart".to_vec()), Step::Close],
        2 => vec![Step::Raw(b"\0junk junk junk")],
        _ => hello("hello"),
    })
    .await;
    let mut pool = shared(member.spec(), 8, 25);
    pool.servers[0].rules.max_fails = 0;
    let cluster = Arc::new(cluster(&pool));
    let mut clients = JoinSet::new();
    for number in 0..300_usize {
        let cluster = Arc::clone(&cluster);
        clients.spawn(async move {
            let share = (number % 3 > 0).then_some(0);
            let mut sending = Box::pin(cluster.send(UpstreamRequest { share, ..get(&cluster, "/") }));
            for _ in 0..number % 40 {
                assert!(cluster.in_share(0) <= 2);
                if let Some(reply) = slots::futures_ready(&mut sending).await {
                    return drop(reply);
                }
            }
            if number % 7 != 0
                && let Ok((_, body)) = sending.await
            {
                assert!(cluster.in_share(0) <= 2);
                drop(body.collect().await);
            }
        });
    }
    clients.join_all().await;
    until("all is given back", || in_flight(&cluster) == 0 && cluster.status().queue.waiting == 0).await;
    assert_eq!(cluster.in_share(0), 0);
    assert!(member.requests() > 50);
}
