//! Sending a request: reuse, what is tried again and what never is.

use super::*;
use crate::balance::Tier;
use crate::upstream::{Ending, Fault, Retries};
use bytes::Bytes;
use http_body_util::BodyExt;

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

/// As a container that is taken away: the kept connection closes, and nobody listens any more.
#[tokio::test]
async fn a_member_that_goes_with_a_kept_connection_costs_no_try_and_the_next_is_asked() {
    let never = gate();
    let member = Responder::start(1, move |request| match request.on_connection {
        0 => hello("first"),
        _ => vec![Step::Wait(Arc::clone(&never))],
    })
    .await;
    let next = echo().await;
    let mut spare = next.spec();
    spare.tier = Tier::Backup;
    let mut pool = pool(vec![member.spec(), spare]);
    pool.retry.tries = 1;
    let cluster = cluster(&pool);
    assert_eq!(ask(&cluster, "/").await, "first");
    let going = async {
        until("it has the request", || member.requests() == 2).await;
        drop(member);
    };
    let (answer, ()) = tokio::join!(ask(&cluster, "/"), going);
    assert_eq!((answer.as_str(), next.requests()), ("hello", 1));
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
        let mut file = super::super::Buffers::default().temp_file().unwrap();
        file.write_at(&[b'f'; SIZE], 0).unwrap();
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

#[tokio::test]
async fn what_is_not_fastcgi_is_an_error_and_counts_against_the_member() {
    let member = Responder::start(4, |_| vec![Step::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")]).await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let error = cluster.send(get(&cluster, "/")).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Garbage(_)));
    assert_eq!(cluster.status().members[0].standing.to_string(), "suspect (1 of 3 failures: wrong FastCGI)");
    assert_eq!((member.requests(), idle(&cluster)), (1, 0));
}

#[tokio::test]
async fn refused_connections_cost_no_try_and_the_one_that_is_well_is_found() {
    let well = echo().await;
    let mut specs = Vec::new();
    for _ in 0..6 {
        specs.push(nobody_listens().await);
    }
    specs.push(well.spec());
    let mut pool = pool(specs);
    pool.retry.tries = 1;
    let cluster = cluster(&pool);
    text(cluster.send(post(&cluster, "/", upload(10))).await.unwrap().1).await;
    assert_eq!((well.requests(), cluster.status().retries), (1, Retries::default()));
}

#[tokio::test]
async fn retries_never_multiply_an_outage() {
    let members = [(); 2].map(|()| Responder::start(16, |_| vec![Step::Close]));
    let members = futures_all(members).await;
    let mut specs: Vec<_> = members.iter().map(Responder::spec).collect();
    specs.iter_mut().for_each(|spec| spec.rules.max_fails = 0);
    let cluster = cluster(&pool(specs));
    for _ in 0..100 {
        assert_eq!(cluster.send(get(&cluster, "/")).await.unwrap_err().fault, Fault::ClosedEarly);
    }
    let retries = cluster.status().retries;
    assert_eq!((retries.made, retries.denied), (30, 70), "ten, and a fifth of a hundred");
    assert_eq!(members.iter().map(Responder::requests).sum::<usize>(), 130);
}

/// php-fpm with `pm.max_requests = 1`, or one whose workers die as soon as they are reused.
#[tokio::test]
async fn stale_connections_are_replaced_whatever_the_budget_is() {
    let member = Responder::start(16, |request| match request.on_connection {
        0 => hello("hello"),
        _ => vec![Step::Close],
    })
    .await;
    let mut pool = pool(vec![member.spec()]);
    pool.retry.budget = 0;
    let cluster = cluster(&pool);
    for _ in 0..50 {
        assert_eq!(ask(&cluster, "/").await, "hello");
    }
    assert_eq!(cluster.status().retries, Retries::default());
}

async fn futures_all<const N: usize>(starting: [impl Future<Output = Responder>; N]) -> Vec<Responder> {
    let mut started = Vec::new();
    for member in starting {
        started.push(member.await);
    }
    started
}
