//! What the room promises as a whole, on real sockets with scripted workers behind them.

use super::cluster::Cluster;
use super::outcome::{Ending, Fault};
use super::request::RequestBody;
use super::responder::*;
use crate::balance::Keepalive;
use crate::config::model::{EndpointSpec, Queue, ServerSpec};
use crate::fcgi::BodyRule;
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

async fn echo() -> Responder {
    Responder::start(64, |_| hello("hello")).await
}

async fn nobody_listens() -> ServerSpec {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    spec(listener.local_addr().unwrap())
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

/// Answers only when the gate lets it.
async fn gated(workers: usize, gate: &Arc<Semaphore>) -> Responder {
    let gate = Arc::clone(gate);
    Responder::start(workers, move |_| [vec![Step::Wait(Arc::clone(&gate))], hello("late")].concat()).await
}

fn in_flight(cluster: &Cluster) -> u32 {
    cluster.status().members.iter().map(|member| member.in_flight).sum()
}

fn idle(cluster: &Cluster) -> usize {
    cluster.status().members.iter().map(|member| member.idle).sum()
}

fn upload(size: usize) -> RequestBody {
    RequestBody::Memory(vec![b'u'; size].into())
}

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

#[tokio::test]
async fn requests_reuse_a_connection_and_each_has_its_own_id() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![member.spec()]));
    for _ in 0..5 {
        assert_eq!(ask(&cluster, "/").await, "hello");
    }
    let seen = member.seen.lock();
    assert_eq!(seen.iter().map(|request| request.on_connection).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(seen.iter().map(|request| request.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

/// With as many workers as `max_conns`, one connection too many would wait for ever behind the kept ones.
#[tokio::test]
async fn max_conns_counts_idle_connections_and_is_never_passed() {
    let member = Responder::start(2, |_| hello("hello")).await;
    let mut spec = member.spec();
    spec.max_conns = Some(2);
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
    let mut spec = member.spec();
    spec.max_conns = Some(1);
    let cluster = Arc::new(cluster(&pool(vec![spec])));
    let mut clients = JoinSet::new();
    for number in 0..6 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, &format!("/{number}")).await });
        until("it waits", || cluster.status().queued + in_flight(&cluster) as usize == number + 1).await;
    }
    gate.add_permits(6);
    clients.join_all().await;
    let order: Vec<_> = member.seen.lock().iter().map(|request| request.params.clone()).collect();
    for (number, params) in order.iter().enumerate() {
        assert!(params.ends_with(&format!("/{number}")), "{order:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_gives_up_its_place_and_its_script_never_runs() {
    let gate = gate();
    let member = gated(1, &gate).await;
    let mut spec = member.spec();
    spec.max_conns = Some(1);
    let cluster = Arc::new(cluster(&pool(vec![spec])));
    let asking = Arc::clone(&cluster);
    let first = tokio::spawn(async move { ask(&asking, "/first").await });
    until("the worker is taken", || member.requests() == 1).await;

    let mut leaving = get(&cluster, "/leaver");
    let outcome = observe(&mut leaving);
    let asking = Arc::clone(&cluster);
    let leaver = tokio::spawn(async move { asking.send(leaving).await.map(drop) });
    until("it waits", || cluster.status().queued == 1).await;
    leaver.abort();
    until("its place is free", || cluster.status().queued == 0).await;
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
    let mut spec = member.spec();
    spec.max_conns = Some(1);
    let mut pool = pool(vec![spec]);
    pool.queue = Queue { size: 1, timeout: Duration::from_secs(30) };
    let cluster = Arc::new(cluster(&pool));
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, "/").await });
    }
    until("one runs and one waits", || cluster.status().queued == 1).await;
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
    let mut spec = member.spec();
    spec.max_conns = Some(1);
    let mut pool = pool(vec![spec]);
    pool.timeouts.first_byte = Duration::from_secs(600);
    let cluster = Arc::new(cluster(&pool));
    let asking = Arc::clone(&cluster);
    let first = tokio::spawn(async move { ask(&asking, "/").await });
    until("the worker is taken", || member.requests() == 1).await;
    let began = tokio::time::Instant::now();
    let error = cluster.send(get(&cluster, "/")).await.unwrap_err();
    assert_eq!((error.fault, began.elapsed().as_secs()), (Fault::QueueTimeout, 30));
    assert_eq!(cluster.status().queued, 0);
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), "late");
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let dying = Responder::start(4, |_| vec![Step::ReadBody, Step::Close]).await;
    let other = echo().await;
    let cluster = cluster(&pool(vec![dying.spec(), other.spec()]));
    let error = cluster.send(post(&cluster, "/", upload(10))).await.unwrap_err();
    assert_eq!(error.fault, Fault::ClosedEarly);
    assert_eq!((dying.requests(), other.requests()), (1, 0));
}

#[tokio::test]
async fn a_post_never_meets_a_connection_that_was_used_before() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![member.spec()]));
    ask(&cluster, "/").await;
    assert_eq!(idle(&cluster), 1);
    text(cluster.send(post(&cluster, "/", upload(10))).await.unwrap().1).await;
    let seen = member.seen.lock();
    assert_eq!((seen[1].on_connection, seen[1].stdin), (0, 10));
}

#[tokio::test]
async fn a_get_that_a_member_drops_is_answered_by_the_next() {
    let dying = Responder::start(4, |_| vec![Step::Close]).await;
    let other = echo().await;
    let cluster = cluster(&pool(vec![dying.spec(), other.spec()]));
    let mut request = get(&cluster, "/");
    let outcome = observe(&mut request);
    assert_eq!(text(cluster.send(request).await.unwrap().1).await, "hello");
    assert_eq!((dying.requests(), other.requests()), (1, 1));
    let outcome = outcome.lock().take().unwrap();
    assert_eq!((outcome.tries, outcome.ending, outcome.body_bytes), (2, Ending::Complete, 5));
    assert_eq!(outcome.member.as_deref(), Some(other.address.to_string().as_str()));
    let standing = cluster.status().members[0].standing.to_string();
    assert_eq!(standing, "suspect (1 of 3 failures: closed without an answer)");
}

#[tokio::test]
async fn anything_goes_to_the_next_member_while_nothing_was_sent() {
    let gone = nobody_listens().await;
    let other = echo().await;
    let cluster = cluster(&pool(vec![gone, other.spec()]));
    let (_, body) = cluster.send(post(&cluster, "/", upload(10))).await.unwrap();
    assert_eq!(text(body).await, "hello");
    assert_eq!(
        cluster.status().members[0].standing.to_string(),
        "suspect (1 of 3 failures: connection refused)"
    );
}

#[tokio::test]
async fn a_stale_connection_costs_one_fresh_one_and_nobody_blames_the_member() {
    let member = Responder::start(4, |request| match request.on_connection {
        0 => hello("hello"),
        _ => vec![Step::Close],
    })
    .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    ask(&cluster, "/").await;
    assert_eq!(ask(&cluster, "/").await, "hello");
    assert_eq!(member.requests(), 3);
    assert_eq!(cluster.status().members[0].standing.to_string(), "ready");
}

#[tokio::test]
async fn an_early_answer_to_a_32_mb_upload_does_not_deadlock_and_ends_the_connection() {
    let large = vec![b'r'; 8 << 20];
    let never = gate();
    let member = Responder::start(4, move |_| {
        let head = Step::Stdout(b"Status: 413\r\n\r\n".to_vec());
        vec![head, Step::Stdout(large.clone()), Step::End, Step::Wait(Arc::clone(&never))]
    })
    .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let (head, body) = cluster.send(post(&cluster, "/", upload(32 << 20))).await.unwrap();
    assert_eq!(head.status, 413);
    assert_eq!(bytes(body).await.len(), 8 << 20);
    until("the worker is free", || in_flight(&cluster) == 0).await;
    assert_eq!(idle(&cluster), 0, "the rest of the body would be taken for the next request");
}

#[tokio::test]
async fn an_upload_arrives_whole_from_memory_and_file_and_stream() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![member.spec()]));
    const SIZE: usize = 300_000;
    let file = {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &vec![b'f'; SIZE]).unwrap();
        RequestBody::File(Arc::new(file), SIZE as u64)
    };
    let stream = {
        let whole = http_body_util::Full::new(Bytes::from(vec![b's'; SIZE])).map_err(Into::into);
        RequestBody::Stream(Box::pin(whole), SIZE as u64)
    };
    for body in [upload(SIZE), file, stream] {
        let (_, body) = cluster.send(post(&cluster, "/", body)).await.unwrap();
        assert_eq!(text(body).await, "hello");
    }
    assert!(member.seen.lock().iter().all(|request| request.stdin == SIZE));
}

#[tokio::test]
async fn a_body_that_its_client_breaks_off_never_looks_complete_to_php() {
    let member = echo().await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let short = http_body_util::Full::new(Bytes::from_static(b"short")).map_err(Into::into);
    let request = post(&cluster, "/", RequestBody::Stream(Box::pin(short), 100));
    assert_eq!(cluster.send(request).await.unwrap_err().fault, Fault::RequestBody);
    until("the connection is closed", || member.open() == 0).await;
    assert_eq!(cluster.status().members[0].standing.to_string(), "ready");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_an_error_and_never_a_clean_end() {
    let begins = || Step::Stdout(b"\r\npart".to_vec());
    for buffering in [true, false] {
        let gate = gate();
        let held = Arc::clone(&gate);
        let member =
            Responder::start(4, move |_| vec![begins(), Step::Wait(Arc::clone(&held)), Step::Close]).await;
        let cluster = cluster(&pool(vec![member.spec()]));
        let mut request = get(&cluster, "/");
        request.buffering = buffering;
        let outcome = observe(&mut request);
        let (_, mut body) = cluster.send(request).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        gate.add_permits(1);
        assert_eq!(body.frame().await.unwrap().unwrap_err().fault, Fault::Truncated);
        drop(body);
        assert_eq!(outcome.lock().take().unwrap().ending, Ending::Failed(Fault::Truncated));
        until("nothing is held", || in_flight(&cluster) == 0).await;
        assert_eq!(idle(&cluster), 0);
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_before_its_head_went_out_is_no_reply() {
    let member = Responder::start(4, |_| vec![Step::Stdout(b"\r\npart".to_vec()), Step::Close]).await;
    let cluster = cluster(&pool(vec![member.spec()]));
    // The close may be seen with the head or after it; either way it is never a clean end.
    match cluster.send(get(&cluster, "/")).await {
        Err(error) => assert_eq!(error.fault, Fault::Truncated),
        Ok((_, body)) => assert_eq!(body.collect().await.unwrap_err().fault, Fault::Truncated),
    }
    assert_eq!(member.requests(), 1);
}

#[tokio::test]
async fn a_second_reply_on_a_kept_connection_never_reaches_the_next_request() {
    let second = || vec![Step::Stdout(b"\r\nsomebody else's".to_vec()), Step::End];
    for gap in [false, true] {
        let gate = gate();
        let held = Arc::clone(&gate);
        let member = Responder::start(4, move |request| match (request.number, gap) {
            (0, false) => [hello("first"), second()].concat(),
            (0, true) => [hello("first"), vec![Step::Wait(Arc::clone(&held))], second()].concat(),
            _ => hello("second"),
        })
        .await;
        let cluster = cluster(&pool(vec![member.spec()]));
        assert_eq!(ask(&cluster, "/1").await, "first");
        gate.add_permits(1);
        tokio::task::yield_now().await;
        for _ in 0..3 {
            match cluster.send(get(&cluster, "/2")).await {
                Ok((_, body)) => assert_eq!(text(body).await, "second"),
                Err(error) => assert!(matches!(error.fault, Fault::Garbage(_)), "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_slow_reader_does_not_hold_a_worker() {
    const SIZE: usize = 8 << 20;
    let member = Responder::start(1, |_| {
        let body: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
        vec![Step::Stdout(b"\r\n".to_vec()), Step::Stdout(body), Step::End]
    })
    .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let (_, body) = cluster.send(get(&cluster, "/")).await.unwrap();
    until("the worker is free though nobody reads", || in_flight(&cluster) == 0).await;
    let body = bytes(body).await;
    assert_eq!(body.len(), SIZE);
    assert!(body.iter().enumerate().all(|(at, &byte)| byte == (at % 251) as u8));
}

#[tokio::test]
async fn without_buffering_the_reader_sets_the_pace() {
    let member = Responder::start(1, |_| {
        vec![
            Step::Stdout(b"X-Accel-Buffering: no\r\n\r\n".to_vec()),
            Step::Stdout(vec![b'x'; 32 << 20]),
            Step::End,
        ]
    })
    .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let (head, body) = cluster.send(get(&cluster, "/")).await.unwrap();
    assert_eq!(head.accel.buffering, Some(false));
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(in_flight(&cluster), 1);
    assert_eq!(bytes(body).await.len(), 32 << 20);
    assert_eq!((in_flight(&cluster), idle(&cluster)), (0, 1));
}

#[tokio::test]
async fn a_piece_is_handed_on_as_soon_as_it_is_there() {
    for buffering in [true, false] {
        let gate = gate();
        let held = Arc::clone(&gate);
        let member = Responder::start(1, move |_| {
            let wait = || Step::Wait(Arc::clone(&held));
            vec![Step::Stdout(b"\r\n1".to_vec()), wait(), Step::Stdout(b"2".to_vec()), wait(), Step::End]
        })
        .await;
        let cluster = cluster(&pool(vec![member.spec()]));
        let mut request = get(&cluster, "/");
        request.buffering = buffering;
        let (_, mut body) = cluster.send(request).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "1");
        gate.add_permits(1);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "2");
        gate.add_permits(1);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_wrong_content_length_is_cut_or_is_an_error() {
    let declares = |length: usize| {
        move |_: &Received| {
            let reply = format!("Content-Length: {length}\r\n\r\n12345");
            vec![Step::Stdout(reply.into()), Step::End]
        }
    };
    let member = Responder::start(1, declares(3)).await;
    let cluster_of_three = cluster(&pool(vec![member.spec()]));
    assert_eq!(ask(&cluster_of_three, "/").await, "123");
    assert_eq!(idle(&cluster_of_three), 1);
    let member = Responder::start(1, declares(9)).await;
    let cluster_of_nine = cluster(&pool(vec![member.spec()]));
    let (_, body) = cluster_of_nine.send(get(&cluster_of_nine, "/")).await.unwrap();
    assert_eq!(body.collect().await.unwrap_err().fault, Fault::TooShort);
}

#[tokio::test]
async fn the_body_of_a_head_reply_is_read_and_dropped() {
    let member = Responder::start(1, |_| {
        vec![Step::Stdout(b"Content-Length: 9\r\n\r\n123456789".to_vec()), Step::Stderr("note"), Step::End]
    })
    .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let mut request = get(&cluster, "/");
    request.body_rule = BodyRule::Discard;
    let (head, body) = cluster.send(request).await.unwrap();
    assert_eq!((head.content_length, bytes(body).await.len()), (Some(9), 0));
    until("the connection is kept", || idle(&cluster) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_script_is_a_timeout_and_is_not_run_again() {
    let gate = gate();
    let (member, other) = (gated(1, &gate).await, gated(1, &gate).await);
    let cluster = cluster(&pool(vec![member.spec(), other.spec()]));
    let began = tokio::time::Instant::now();
    let error = cluster.send(get(&cluster, "/")).await.unwrap_err();
    assert_eq!((error.fault, began.elapsed().as_secs()), (Fault::FirstByteTimeout, 60));
    assert_eq!(member.requests() + other.requests(), 1);
    assert_eq!(in_flight(&cluster), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_stops_in_the_middle_is_a_timeout() {
    let gate = gate();
    let held = Arc::clone(&gate);
    let member =
        Responder::start(1, move |_| vec![Step::Stdout(b"\r\npart".to_vec()), Step::Wait(Arc::clone(&held))])
            .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let (_, body) = cluster.send(get(&cluster, "/")).await.unwrap();
    assert_eq!(body.collect().await.unwrap_err().fault, Fault::Stalled);
}

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
    assert_eq!(standing(), "ejected for 10 s (connection refused)", "it was tried once");
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
    spare.backup = true;
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

#[tokio::test]
async fn a_client_that_leaves_cancels_its_script() {
    for buffering in [true, false] {
        let gate = gate();
        let held = Arc::clone(&gate);
        let member = Responder::start(1, move |_| {
            vec![Step::Stdout(b"\r\npart".to_vec()), Step::Wait(Arc::clone(&held)), Step::End]
        })
        .await;
        let cluster = cluster(&pool(vec![member.spec()]));
        let mut request = get(&cluster, "/");
        request.buffering = buffering;
        let outcome = observe(&mut request);
        let (_, body) = cluster.send(request).await.unwrap();
        drop(body);
        assert_eq!(outcome.lock().take().unwrap().ending, Ending::ClientLeft);
        until("the slot is free", || in_flight(&cluster) == 0).await;
        assert_eq!(idle(&cluster), 0);
    }
}

#[tokio::test]
async fn what_php_writes_to_stderr_is_no_part_of_the_reply() {
    let member = Responder::start(1, |_| {
        vec![Step::Stderr("PHP Warning"), Step::Stdout(b"\r\nbody".to_vec()), Step::Stderr("more"), Step::End]
    })
    .await;
    let cluster = cluster(&pool(vec![member.spec()]));
    assert_eq!(ask(&cluster, "/").await, "body");
}

#[tokio::test]
async fn what_is_not_fastcgi_is_an_error_and_counts_against_the_member() {
    let member = Responder::start(4, |_| vec![Step::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")]).await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let error = cluster.send(get(&cluster, "/")).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Garbage(_)));
    assert_eq!(cluster.status().members[0].standing.to_string(), "suspect (1 of 3 failures: not FastCGI)");
    assert_eq!((member.requests(), idle(&cluster)), (1, 0));
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
    spec.max_conns = Some(4);
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
    until("all is given back", || in_flight(&cluster) == 0 && cluster.status().queued == 0).await;
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
    let after = Cluster::new(&pool(vec![heavier, failing]), &std::env::temp_dir(), Some(&before));
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
    let mut spec = member.spec();
    spec.max_conns = Some(1);
    let old = Arc::new(cluster(&pool(vec![spec.clone()])));
    let asking = Arc::clone(&old);
    let running = tokio::spawn(async move { ask(&asking, "/old").await });
    until("it runs", || member.requests() == 1).await;
    let new = Arc::new(Cluster::new(&pool(vec![spec]), &std::env::temp_dir(), Some(&old)));
    let asking = Arc::clone(&new);
    let waiting = tokio::spawn(async move { ask(&asking, "/new").await });
    until("it waits", || new.status().queued == 1).await;
    gate.add_permits(2);
    assert_eq!((running.await.unwrap(), waiting.await.unwrap()), ("late".into(), "late".into()));
}

#[tokio::test(start_paused = true)]
async fn members_come_and_go_with_the_addresses_of_their_name() {
    let (first, second) = (echo().await, echo().await);
    let found = Arc::new(Mutex::new(Err(())));
    let table = Arc::clone(&found);
    let lookup: super::resolve::Lookup = Arc::new(move |_| {
        let answer: Result<Vec<_>, ()> = table.lock().clone();
        Box::pin(async move { answer.map_err(|()| std::io::Error::other("SERVFAIL")) })
    });
    let mut named = first.spec();
    named.endpoint = EndpointSpec::Tcp { host: "fpm".into(), port: 9000 };
    let cluster = Cluster::with_lookup(&pool(vec![named]), &std::env::temp_dir(), None, lookup);
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
    let lookup: super::resolve::Lookup = Arc::new(move |_| {
        let waits = Arc::clone(&waits);
        Box::pin(async move {
            waits.acquire().await.unwrap().forget();
            Ok(vec![address])
        })
    });
    let mut named = member.spec();
    named.endpoint = EndpointSpec::Tcp { host: "fpm".into(), port: 9000 };
    let cluster = Arc::new(Cluster::with_lookup(&pool(vec![named]), &std::env::temp_dir(), None, lookup));
    let asking = Arc::clone(&cluster);
    let early = tokio::spawn(async move { ask(&asking, "/").await });
    until("it waits", || cluster.status().queued == 1).await;
    go.add_permits(1);
    assert_eq!(early.await.unwrap(), "hello");
}

/// Polls once and lets others run.
async fn futures_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let polled =
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await;
    tokio::task::yield_now().await;
    match polled {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
