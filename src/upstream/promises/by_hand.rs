//! What an operator does to one member, and what becomes of its requests and connections.

use super::*;
use crate::upstream::{Fault, MemberStatus, Order};
use std::num::NonZeroU16;
use tokio::task::JoinHandle;

fn first(cluster: &Cluster) -> MemberStatus {
    cluster.status().members.remove(0)
}

fn order(cluster: &Cluster, order: Order) {
    let address = first(cluster).address;
    cluster.order(&address, order).unwrap();
}

fn ask_aside(cluster: &Arc<Cluster>, uri: &'static str) -> JoinHandle<String> {
    let asking = Arc::clone(cluster);
    tokio::spawn(async move { ask(&asking, uri).await })
}

#[tokio::test]
async fn a_member_that_is_drained_or_taken_down_gets_nothing_new_and_finishes_what_it_has() {
    for (word, reads, reads_when_empty) in [
        (Order::Drain, "draining (1 in flight)", "draining (0 in flight)"),
        (Order::TakeDown, "down (by hand)", "down (by hand)"),
    ] {
        let gate = gate();
        let (member, other) = (gated(8, &gate).await, echo().await);
        let cluster = Arc::new(cluster(&pool(vec![member.spec(), other.spec()])));
        gate.add_permits(1);
        assert_eq!(ask(&cluster, "/").await, "late");
        let others = ask_aside(&cluster, "/other");
        others.await.unwrap();
        let running = ask_aside(&cluster, "/running");
        until("it runs", || member.requests() == 2).await;
        let idle_one = ask_aside(&cluster, "/other");
        idle_one.await.unwrap();

        order(&cluster, word);
        assert_eq!(first(&cluster).standing.to_string(), reads);
        for _ in 0..5 {
            assert_eq!(ask(&cluster, "/new").await, "hello");
        }
        gate.add_permits(1);
        assert_eq!(running.await.unwrap(), "late", "what is in flight finishes");
        until("and its connection is not kept", || member.open() == 0).await;
        assert_eq!((member.requests(), first(&cluster).idle), (2, 0));
        assert_eq!(first(&cluster).standing.to_string(), reads_when_empty);

        order(&cluster, Order::PutBack);
        gate.add_permits(9);
        ask(&cluster, "/").await;
        ask(&cluster, "/").await;
        assert_eq!((member.requests(), first(&cluster).standing.word()), (3, "ready"));
    }
}

#[tokio::test]
async fn idle_connections_of_a_drained_member_are_closed_at_once() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![member.spec()]));
    ask(&cluster, "/").await;
    assert_eq!((member.open(), first(&cluster).idle), (1, 1));
    order(&cluster, Order::Drain);
    until("php-fpm has its worker back", || member.open() == 0).await;
    assert_eq!(cluster.send(get(&cluster, "/")).await.unwrap_err().fault, Fault::Nobody);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_member_hears_at_once_that_it_was_taken_down() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let cluster = Arc::new(cluster(&pool(vec![one_at_once(&member)])));
    let running = ask_aside(&cluster, "/running");
    until("it runs", || in_flight(&cluster) == 1).await;
    let asking = Arc::clone(&cluster);
    let waiting =
        tokio::spawn(async move { asking.send(get(&asking, "/")).await.map(drop).unwrap_err().fault });
    until("one waits", || cluster.status().queue.waiting == 1).await;
    let ordered = tokio::time::Instant::now();
    order(&cluster, Order::TakeDown);
    assert_eq!((waiting.await.unwrap(), member.requests()), (Fault::Nobody, 1));
    assert_eq!(ordered.elapsed().as_millis(), 0);
    gate.add_permits(1);
    assert_eq!(running.await.unwrap(), "late");
}

#[tokio::test]
async fn a_weight_set_by_hand_counts_at_once_and_can_be_given_back() {
    let (member, other) = (echo().await, echo().await);
    let cluster = cluster(&pool(vec![member.spec(), other.spec()]));
    order(&cluster, Order::Weight(NonZeroU16::new(4)));
    for _ in 0..10 {
        ask(&cluster, "/").await;
    }
    assert_eq!((member.requests(), other.requests(), first(&cluster).weight), (8, 2, 4));
    order(&cluster, Order::Weight(None));
    for _ in 0..10 {
        ask(&cluster, "/").await;
    }
    assert_eq!((member.requests(), other.requests(), first(&cluster).weight), (13, 7, 1));
}

#[tokio::test]
async fn what_was_said_by_hand_holds_over_a_reload() {
    let (member, other) = (echo().await, echo().await);
    let pool = pool(vec![member.spec(), other.spec()]);
    let before = cluster(&pool);
    order(&before, Order::Weight(NonZeroU16::new(7)));
    order(&before, Order::TakeDown);
    let after = Cluster::new(&pool, &super::super::Buffers::default(), Some(&before));
    assert_eq!((first(&after).standing.word(), first(&after).weight), ("down", 7));
    assert_eq!(ask(&after, "/").await, "hello");
    assert_eq!((member.requests(), other.requests()), (0, 1));
}

#[tokio::test]
async fn a_member_that_is_down_in_the_configuration_can_be_put_back_and_taken_down_again() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![ServerSpec { down: true, ..member.spec() }]));
    assert_eq!(first(&cluster).standing.word(), "down");
    order(&cluster, Order::PutBack);
    assert_eq!((ask(&cluster, "/").await.as_str(), first(&cluster).standing.word()), ("hello", "ready"));
    order(&cluster, Order::TakeDown);
    assert_eq!(cluster.send(get(&cluster, "/")).await.unwrap_err().fault, Fault::Nobody);
}

#[tokio::test]
async fn a_put_back_after_a_drain_does_not_overrule_a_later_down() {
    let (member, other) = (echo().await, echo().await);
    let up = pool(vec![member.spec(), other.spec()]);
    let down = pool(vec![ServerSpec { down: true, ..member.spec() }, other.spec()]);
    let reload = |pool, before: &Cluster| Cluster::new(pool, &super::super::Buffers::default(), Some(before));
    let first_one = cluster(&up);
    order(&first_one, Order::Drain);
    order(&first_one, Order::PutBack);
    let second = reload(&down, &first_one);
    assert_eq!(first(&second).standing.word(), "down");
    order(&second, Order::PutBack);
    let third = reload(&down, &second);
    assert_eq!(first(&third).standing.word(), "ready", "that it was put back is known");
    let fourth = reload(&up, &third);
    assert_eq!(first(&reload(&down, &fourth)).standing.word(), "down", "a new word of the file");
}

#[tokio::test]
async fn an_address_that_is_no_member_is_an_error_that_names_it() {
    let cluster = cluster(&pool(vec![echo().await.spec()]));
    let error = cluster.order("10.9.8.7:9000", Order::Drain).unwrap_err();
    assert_eq!(error.to_string(), "pool php has no server 10.9.8.7:9000");
}
