//! Bringing back a reply: whole or an error, at the pace of whoever is faster, and to nobody else.

use super::*;
use crate::fcgi::BodyRule;
use crate::upstream::{Ending, Fault};
use http_body_util::BodyExt;

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
