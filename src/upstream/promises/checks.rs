//! Active health: members that are asked by us, and what their answers do.

use super::*;
use crate::config::model::{HealthChecks, Pool, StatusListen};
use crate::upstream::{Counts, MemberStatus};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn checked(servers: Vec<ServerSpec>) -> Pool {
    let health = HealthChecks {
        interval: 2 * SECOND,
        fails: 3,
        passes: 2,
        ping_path: Some("/ping".into()),
        status_path: None,
        status_listen: None,
    };
    Pool { health: Some(health), ..pool(servers) }
}

fn with_status(servers: Vec<ServerSpec>, listen: Option<StatusListen>) -> Pool {
    let mut pool = checked(servers);
    let health = pool.health.as_mut().unwrap();
    (health.status_path, health.status_listen) = (Some("/status".into()), listen);
    pool
}

fn member(cluster: &Cluster) -> MemberStatus {
    cluster.status().members.remove(0)
}

fn says(cluster: &Cluster) -> String {
    member(cluster).standing.to_string()
}

/// Waits, at most so many seconds of paused time, until the member says so.
async fn until_it_says(cluster: &Cluster, text: &str, within: u64) {
    for _ in 0..within * 20 {
        if says(cluster).starts_with(text) {
            return;
        }
        tokio::time::sleep(SECOND / 20).await;
    }
    panic!("it says {:?}, not {text:?}", says(cluster));
}

fn page(start_time: u64) -> Vec<Step> {
    hello(&format!(
        r#"{{"pool":"www","process manager":"static","start time":{start_time},"start since":1,"accepted conn":7,"listen queue":0,"max listen queue":0,"listen queue len":511,"idle processes":3,"active processes":1,"total processes":4,"max active processes":2,"max children reached":0,"slow requests":0}}"#
    ))
}

#[tokio::test(start_paused = true)]
async fn without_health_in_the_configuration_nobody_is_asked() {
    let responder = echo().await;
    let _cluster = cluster(&pool(vec![responder.spec()]));
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(responder.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_answers_no_check_is_out_before_a_client_meets_it_and_is_back_by_itself() {
    let well = Arc::new(Mutex::new(false));
    let is_well = Arc::clone(&well);
    let responder = Responder::start(4, move |_| match *is_well.lock() {
        true => hello("pong"),
        false => vec![Step::ReadBody, Step::Close],
    })
    .await;
    let cluster = cluster(&checked(vec![responder.spec()]));
    until_it_says(&cluster, "ejected for 5 s (closed at once, as listen.allowed_clients does)", 8).await;
    assert!(responder.requests() >= 3 && responder.seen.lock()[0].params.contains("SCRIPT_NAME/ping"));
    *well.lock() = true;
    until_it_says(&cluster, "ready", 8).await;
    assert_eq!(member(&cluster).counts, Counts { ejections: 1, returns: 1, restarts: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_busy_member_is_busy_and_never_out() {
    let gate = gate();
    let responder = gated(1, &gate).await;
    let cluster = cluster(&checked(vec![responder.spec()]));
    until_it_says(&cluster, "busy (no free worker for", 8).await;
    tokio::time::sleep(60 * SECOND).await;
    assert!(says(&cluster).starts_with("busy"), "{}", says(&cluster));
    assert_eq!(member(&cluster).counts.ejections, 0);
    gate.add_permits(10_000);
    until_it_says(&cluster, "ready", 8).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_is_asked_once_at_a_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut pool = checked(vec![spec(listener.local_addr().unwrap())]);
    pool.health.as_mut().unwrap().interval = SECOND / 10;
    let _cluster = cluster(&pool);
    let (mut open, mut all, mut most) = (tokio::task::JoinSet::new(), 0, 0);
    while all < 20 {
        let (mut stream, _) = listener.accept().await.unwrap();
        all += 1;
        while open.try_join_next().is_some() {}
        // Reads what is asked, and says nothing until the one who asked has gone.
        open.spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        most = most.max(open.len());
    }
    assert_eq!(most, 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_takes_no_permit_and_waits_in_no_queue() {
    let gate = gate();
    let held = Arc::clone(&gate);
    let responder = Responder::start(4, move |request| match request.params.contains("/ping") {
        true => hello("pong"),
        false => [vec![Step::Wait(Arc::clone(&held))], hello("late")].concat(),
    })
    .await;
    let mut pool = checked(vec![ServerSpec { max_conns: MaxConns::Most(1), ..responder.spec() }]);
    pool.queue.size = 0;
    let cluster = cluster(&pool);
    let pings = || responder.seen.lock().iter().filter(|request| request.params.contains("/ping")).count();
    let (text, ()) = tokio::join!(ask(&cluster, "/"), async {
        until("the client's request has the only permit", || in_flight(&cluster) == 1).await;
        let before = pings();
        tokio::time::sleep(10 * SECOND).await;
        assert!(pings() > before + 2 && in_flight(&cluster) == 1);
        gate.add_permits(1);
    });
    assert_eq!(text, "late");
}

#[tokio::test(start_paused = true)]
async fn while_checks_fail_no_client_has_to_find_out() {
    let dead = Responder::start(4, |_| vec![Step::ReadBody, Step::Close]).await;
    let other = echo().await;
    let cluster = cluster(&checked(vec![dead.spec(), other.spec()]));
    until_it_says(&cluster, "ejected", 8).await;
    for _ in 0..600 {
        assert_eq!(ask(&cluster, "/client").await, "hello");
        tokio::time::sleep(SECOND / 5).await;
    }
    assert!(!dead.seen.lock().iter().any(|request| request.params.contains("/client")));
    assert!(member(&cluster).counts.ejections == 1, "one outage is one ejection");
}

#[tokio::test(start_paused = true)]
async fn what_it_answered_before_it_failed_brings_nobody_back() {
    let responder = Responder::start(4, |request| match request.params.contains("/ping") {
        true => hello("pong"),
        false => vec![Step::ReadBody, Step::Close],
    })
    .await;
    let cluster = cluster(&checked(vec![responder.spec()]));
    tokio::time::sleep(20 * SECOND).await;
    assert!(responder.requests() > 2, "it answered checks");
    for _ in 0..3 {
        cluster.send(get(&cluster, "/")).await.map(drop).unwrap_err();
    }
    assert_eq!(member(&cluster).standing.word(), "ejected");
    let before = responder.requests();
    until_it_says(&cluster, "ready", 8).await;
    assert!(responder.requests() >= before + 2, "two checks since");
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_counted_and_closes_the_connections_to_the_php_fpm_before() {
    let started = Arc::new(AtomicU64::new(100));
    let start_time = Arc::clone(&started);
    let responder = Responder::start(8, move |request| match request.params.contains("/status") {
        true => page(start_time.load(Ordering::SeqCst)),
        false => hello("hello"),
    })
    .await;
    let cluster = cluster(&with_status(vec![responder.spec()], None));
    assert_eq!(ask(&cluster, "/").await, "hello");
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(idle(&cluster), 1);
    assert_eq!(member(&cluster).report.map(|report| (report.start_time, report.total)), Some((100, 4)));
    started.store(200, Ordering::SeqCst);
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!((idle(&cluster), member(&cluster).counts.restarts), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn status_listen_answers_for_a_member_whose_workers_are_all_busy() {
    let gate = gate();
    let member_itself = gated(1, &gate).await;
    let status = Responder::start(1, |_| page(100)).await;
    let listen = StatusListen::Port(status.address.port());
    let cluster = cluster(&with_status(vec![member_itself.spec()], Some(listen)));
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!((says(&cluster).as_str(), member_itself.requests()), ("ready", 0));
    assert!(member(&cluster).report.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_status_listen_where_nobody_is_is_not_held_against_the_member() {
    let responder = Responder::start(4, |_| page(100)).await;
    let nobody = nobody_listens().await;
    let crate::config::model::EndpointSpec::Tcp { port, .. } = nobody.endpoint else { unreachable!() };
    let cluster = cluster(&with_status(vec![responder.spec()], Some(StatusListen::Port(port))));
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!((says(&cluster).as_str(), member(&cluster).counts.ejections), ("ready", 0));
    assert!(member(&cluster).report.is_some(), "it was asked itself");
}

#[tokio::test(start_paused = true)]
async fn an_error_page_is_an_answer() {
    let responder =
        Responder::start(4, |_| vec![Step::Stdout(b"Status: 500 Oops\r\n\r\n".to_vec()), Step::End]).await;
    let cluster = cluster(&with_status(vec![responder.spec()], None));
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!((says(&cluster).as_str(), member(&cluster).report), ("ready", None));
    assert!(responder.requests() >= 9);
}

#[tokio::test(start_paused = true)]
async fn a_reload_without_health_forgets_what_the_checks_said() {
    let gate = gate();
    let member_itself = gated(1, &gate).await;
    let before = cluster(&checked(vec![member_itself.spec()]));
    until_it_says(&before, "busy", 8).await;
    let after =
        Cluster::new(&pool(vec![member_itself.spec()]), &super::super::Buffers::default(), Some(&before));
    drop(before);
    assert_eq!(says(&after), "ready");
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(says(&after), "ready");
}
