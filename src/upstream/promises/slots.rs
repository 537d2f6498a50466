//! Who gets a slot, and when; and that none is ever lost.

use super::*;
use crate::balance::Keepalive;
use crate::config::model::{Queue, Timeouts};
use crate::upstream::{Ending, Fault};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test]
async fn weights_4_3_2_1_are_what_the_members_get() {
    let members = [echo().await, echo().await, echo().await, echo().await];
    let mut specs: Vec<_> = members.iter().map(Responder::spec).collect();
    for (spec, weight) in specs.iter_mut().zip([4, 3, 2, 1]) {
        spec.weight = weight;
    }
    let cluster = cluster(&pool(specs));
    for _ in 0..20 {
        ask(&cluster, "/").await;
    }
    assert_eq!(members.each_ref().map(Responder::requests), [8, 6, 4, 2]);
}

/// With as many workers as `max_conns`, one connection too many would wait for ever behind the kept ones.
#[tokio::test]
async fn max_conns_counts_idle_connections_and_is_never_passed() {
    let member = Responder::start(2, |_| hello("hello")).await;
    let mut spec = member.spec();
    spec.max_conns = MaxConns::Most(2);
    let cluster = Arc::new(cluster(&pool(vec![spec])));
    let mut clients = JoinSet::new();
    for number in 0..60 {
        let cluster = Arc::clone(&cluster);
        clients.spawn(async move {
            let request = match number % 3 {
                0 => post(&cluster, "/", upload(10)),
                _ => get(&cluster, "/"),
            };
            let (_, body) = cluster.send(request).await.unwrap();
            assert_eq!(text(body).await, "hello");
            assert!(in_flight(&cluster) + idle(&cluster) as u32 <= 2);
        });
    }
    assert_eq!(clients.join_all().await.len(), 60);
    assert_eq!(member.requests(), 60);
}

#[tokio::test]
async fn the_queue_is_served_in_the_order_of_arrival() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let cluster = Arc::new(cluster(&pool(vec![one_at_once(&member)])));
    let mut clients = JoinSet::new();
    for number in 0..6 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, &format!("/{number}")).await });
        until("it waits", || cluster.status().queue.waiting + in_flight(&cluster) as usize == number + 1)
            .await;
    }
    gate.add_permits(6);
    clients.join_all().await;
    let order: Vec<_> = member.seen.lock().iter().map(|request| request.params.clone()).collect();
    for (number, params) in order.iter().enumerate() {
        assert!(params.ends_with(&format!("/{number}")), "{order:?}");
    }
}

/// A worker stands still until the next request is there; the client of a reply holds nobody up.
#[tokio::test]
async fn the_next_request_is_sent_before_the_reply_that_freed_its_worker_is_handed_on() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let cluster = Arc::new(cluster(&pool(vec![one_at_once(&member)])));
    let is_sent = Arc::new(AtomicBool::new(false));
    let (asking, sent) = (Arc::clone(&cluster), Arc::clone(&is_sent));
    let first = tokio::spawn(async move {
        let reply = asking.send(get(&asking, "/first")).await;
        (reply.is_ok(), sent.load(Ordering::Relaxed))
    });
    until("its script runs", || member.requests() == 1).await;
    let (asking, sent) = (Arc::clone(&cluster), Arc::clone(&is_sent));
    let next = tokio::spawn(async move {
        let body = Full::new(Bytes::from_static(b"asked for")).map_err(|never| match never {});
        let body = body.map_frame(move |frame| {
            sent.store(true, Ordering::Relaxed);
            frame
        });
        let mut request = post(&asking, "/next", RequestBody::Stream(Box::pin(body), 9));
        request.idempotent = true;
        asking.send(request).await.is_ok()
    });
    until("the next one waits", || cluster.status().queue.waiting == 1).await;
    gate.add_permits(2);
    assert_eq!(first.await.unwrap(), (true, true));
    assert!(next.await.unwrap());
}

/// One that dies with each request when its gate opens, and one that answers when the other does; a worker each.
async fn dying_and_well() -> (Responder, Arc<Semaphore>, Responder, Arc<Semaphore>, Vec<ServerSpec>) {
    let (dies, answers) = (gate(), gate());
    let wait = Arc::clone(&dies);
    let dying = Responder::start(1, move |_| vec![Step::Wait(Arc::clone(&wait)), Step::Close]).await;
    let well = gated(1, &answers).await;
    let mut specs = vec![dying.spec(), well.spec()];
    specs.iter_mut().for_each(|spec| spec.max_conns = MaxConns::Most(1));
    (dying, dies, well, answers, specs)
}

#[tokio::test]
async fn a_request_that_is_sent_again_keeps_its_place_in_the_order_of_arrival() {
    let (dying, dies, well, answers, specs) = dying_and_well().await;
    let cluster = Arc::new(cluster(&pool(specs)));
    let mut clients = JoinSet::new();
    for number in 0..5 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, &format!("/{number}")).await });
        until("it waits", || cluster.status().queue.waiting + in_flight(&cluster) as usize == number + 1)
            .await;
    }
    dies.add_permits(1);
    until("the next one is there", || dying.requests() == 2).await;
    until("the first waits again", || cluster.status().queue.waiting == 3).await;
    answers.add_permits(2);
    until("two were answered", || well.requests() == 3).await;
    let order: Vec<_> = well.seen.lock().iter().map(|request| request.params.clone()).collect();
    for (params, path) in order.iter().zip(["/1", "/0", "/3"]) {
        assert!(params.ends_with(path), "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_again_takes_no_more_than_what_is_left_of_the_patience() {
    let (dying, dies, well, answers, specs) = dying_and_well().await;
    let mut pool = pool(specs);
    pool.queue.timeout = Duration::from_secs(10);
    let cluster = Arc::new(cluster(&pool));
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { asking.send(get(&asking, "/")).await.map(drop) });
    }
    until("both are at work", || dying.requests() == 1 && well.requests() == 1).await;
    let asking = Arc::clone(&cluster);
    let asked = tokio::time::Instant::now();
    let third = tokio::spawn(async move { asking.send(get(&asking, "/")).await.map(drop) });
    tokio::time::sleep(Duration::from_secs(6)).await;
    // The first is done with, and the third dies behind it: both want the well one.
    dies.add_permits(2);
    until("the first and the third wait", || dying.requests() == 2 && cluster.status().queue.waiting == 2)
        .await;
    assert_eq!(third.await.unwrap().unwrap_err().fault, Fault::ClosedEarly);
    assert_eq!(asked.elapsed().as_secs(), 10);
    drop(answers);
}

#[tokio::test]
async fn timeouts_total_ends_a_request_with_its_worker_and_one_in_the_queue() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let mut pool = pool(vec![one_at_once(&member)]);
    pool.timeouts.total = Some(Duration::from_millis(200));
    let cluster = cluster(&pool);
    let mut slow = post(&cluster, "/", upload(10));
    slow.timeouts = Some(Timeouts { total: None, ..pool.timeouts });
    let ended = async {
        let fault = cluster.send(get(&cluster, "/queued")).await.unwrap_err().fault;
        assert_eq!((fault, cluster.status().queue.waiting), (Fault::TotalTimeout, 0));
        gate.add_permits(1);
    };
    let (answered, ()) = tokio::join!(cluster.send(slow), ended);
    assert!(answered.is_ok());
    drop(answered);
    let fault = cluster.send(get(&cluster, "/gated")).await.unwrap_err().fault;
    assert_eq!((fault, member.requests()), (Fault::TotalTimeout, 2), "the queued one never ran");
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_gives_up_its_place_and_its_script_never_runs() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let cluster = Arc::new(cluster(&pool(vec![one_at_once(&member)])));
    let asking = Arc::clone(&cluster);
    let first = tokio::spawn(async move { ask(&asking, "/first").await });
    until("the worker is taken", || member.requests() == 1).await;

    let mut leaving = get(&cluster, "/leaver");
    let outcome = observe(&mut leaving);
    let asking = Arc::clone(&cluster);
    let leaver = tokio::spawn(async move { asking.send(leaving).await.map(drop) });
    until("it waits", || cluster.status().queue.waiting == 1).await;
    leaver.abort();
    until("its place is free", || cluster.status().queue.waiting == 0).await;
    assert_eq!(
        outcome.lock().as_ref().map(|outcome| (outcome.ending, outcome.tries)),
        Some((Ending::ClientLeft, 0))
    );

    gate.add_permits(2);
    first.await.unwrap();
    ask(&cluster, "/last").await;
    assert!(member.seen.lock().iter().all(|request| !request.params.contains("leaver")));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let mut pool = pool(vec![one_at_once(&member)]);
    pool.queue = Queue { size: 1, ..pool.queue };
    let cluster = Arc::new(cluster(&pool));
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, "/").await });
    }
    until("one runs and one waits", || cluster.status().queue.waiting == 1).await;
    let error = cluster.send(get(&cluster, "/third")).await.unwrap_err();
    assert_eq!(error.fault, Fault::QueueFull);
    assert!(error.retry_after.is_some_and(|after| after >= Duration::from_secs(1)));
    gate.add_permits(2);
    assert_eq!(clients.join_all().await, ["late", "late"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_move_refuses_after_its_timeout() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let mut pool = pool(vec![one_at_once(&member)]);
    pool.timeouts.first_byte = Duration::from_secs(600);
    let cluster = Arc::new(cluster(&pool));
    let asking = Arc::clone(&cluster);
    let first = tokio::spawn(async move { ask(&asking, "/").await });
    until("the worker is taken", || member.requests() == 1).await;
    let began = tokio::time::Instant::now();
    let error = cluster.send(get(&cluster, "/")).await.unwrap_err();
    assert_eq!((error.fault, began.elapsed().as_secs()), (Fault::QueueTimeout, 30));
    assert_eq!(cluster.status().queue.waiting, 0);
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), "late");
}

/// One member of two workers; `/stuck` waits for the gate, `/trickles` says a byte each second.
#[tokio::test(start_paused = true)]
async fn a_pool_in_which_nothing_moves_is_told_from_one_that_is_busy() {
    for (other, standstills) in [("/stuck", 2), ("/trickles", 0)] {
        let gate = gate();
        let waits = Arc::clone(&gate);
        let second = || [Step::Sleep(Duration::from_secs(1)), Step::Stdout(b".".to_vec())];
        let member = Responder::start(2, move |request| match request.params.contains("/trickles") {
            true => [vec![Step::Stdout(b"\r\n".to_vec())], (0..90).flat_map(|_| second()).collect()].concat(),
            false => vec![Step::Wait(Arc::clone(&waits))],
        })
        .await;
        let mut spec = member.spec();
        spec.max_conns = MaxConns::Most(2);
        let mut pool = pool(vec![spec]);
        pool.timeouts.first_byte = Duration::from_secs(600);
        let cluster = Arc::new(cluster(&pool));
        let mut clients = JoinSet::new();
        for uri in ["/stuck", other] {
            let asking = Arc::clone(&cluster);
            clients.spawn(async move { text(asking.send(get(&asking, uri)).await.unwrap().1).await });
        }
        until("both run", || member.requests() == 2).await;
        for _ in 0..2 {
            assert_eq!(cluster.send(get(&cluster, "/inner")).await.unwrap_err().fault, Fault::QueueTimeout);
        }
        assert_eq!(cluster.status().standstills, standstills, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_slot_is_ever_lost() {
    let member = Responder::start(4, |request| match request.number % 5 {
        0 => vec![Step::Close],
        1 => vec![Step::Stdout(b"\r\npart".to_vec()), Step::Close],
        2 => vec![Step::Raw(b"\0junk junk junk")],
        _ => hello("hello"),
    })
    .await;
    let mut spec = member.spec();
    spec.max_conns = MaxConns::Most(4);
    spec.rules.max_fails = 0;
    let cluster = Arc::new(cluster(&pool(vec![spec])));
    let mut clients = JoinSet::new();
    for number in 0..200_usize {
        let cluster = Arc::clone(&cluster);
        clients.spawn(async move {
            let request = match number % 3 {
                0 => post(&cluster, "/", upload(100_000)),
                _ => get(&cluster, "/"),
            };
            let mut sending = Box::pin(cluster.send(request));
            for _ in 0..number % 40 {
                if let Some(reply) = futures_ready(&mut sending).await {
                    return drop(reply);
                }
            }
            if number % 7 != 0
                && let Ok((_, body)) = sending.await
            {
                drop(body.collect().await);
            }
        });
    }
    clients.join_all().await;
    until("all is given back", || in_flight(&cluster) == 0 && cluster.status().queue.waiting == 0).await;
    until("what is open is idle", || member.open() == idle(&cluster)).await;
    assert!(member.requests() > 50);
}

#[tokio::test(start_paused = true)]
async fn auto_gives_a_worker_back_within_a_tenth_of_a_second_of_idleness() {
    let member = Responder::start(1, |_| hello("hello")).await;
    let mut pool = pool(vec![member.spec()]);
    pool.keepalive = Keepalive::AUTO;
    let cluster = cluster(&pool);
    ask(&cluster, "/").await;
    ask(&cluster, "/").await;
    assert_eq!(member.seen.lock()[1].on_connection, 1, "a busy moment reuses it");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(idle(&cluster), 0);
    until("php-fpm has its worker back", || member.open() == 0).await;
}

/// One worker, held by our own idle connection: a request that wants a fresh one gets that worker at once.
#[tokio::test]
async fn auto_opens_a_connection_in_the_place_of_an_idle_one() {
    let member = Responder::start(1, |_| hello("hello")).await;
    let mut pool = pool(vec![member.spec()]);
    pool.keepalive = Keepalive::AUTO;
    let cluster = cluster(&pool);
    for _ in 0..3 {
        ask(&cluster, "/").await;
        text(cluster.send(post(&cluster, "/", upload(1))).await.unwrap().1).await;
    }
    assert_eq!(member.requests(), 6);
}

/// Polls once and lets others run.
pub(super) async fn futures_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let polled =
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await;
    tokio::task::yield_now().await;
    match polled {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
