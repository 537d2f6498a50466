//! Scripts that go on after their reply: who is hurt by them, and for how long.

use super::*;
use tokio::time::Instant;

const AFTERWORK: Duration = Duration::from_secs(2);

/// `/finish` replies at once and keeps its worker for two seconds more; `/report` takes 300 ms to reply.
async fn finishing(workers: usize) -> Responder {
    Responder::start(workers, |request| {
        if request.params.contains("/finish") {
            [hello("finished"), vec![Step::Sleep(AFTERWORK)]].concat()
        } else if request.params.contains("/report") {
            [vec![Step::Sleep(Duration::from_millis(300))], hello("report")].concat()
        } else {
            hello("hello")
        }
    })
    .await
}

async fn time_of(cluster: &Cluster, uri: &str) -> Duration {
    let began = Instant::now();
    ask(cluster, uri).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn after_two_stalls_nobody_meets_a_script_that_goes_on_after_its_reply() {
    let member = finishing(64).await;
    let cluster = cluster(&pool(vec![member.spec()]));
    let mut times = Vec::new();
    for number in 0..6 {
        ask(&cluster, &format!("/finish/{number}?a")).await;
        times.push(time_of(&cluster, "/quick").await);
    }
    assert!(times[..2].iter().all(|&time| time >= AFTERWORK), "{times:?}");
    assert!(times[2..].iter().all(|&time| time < AFTERWORK / 10), "{times:?}");
    assert_eq!(member.requests(), 12, "each ran once");
    ask(&cluster, "/finish/7").await;
    assert_eq!(idle(&cluster), 0, "its connection is not even kept");
    let seen = member.seen.lock();
    let quick = seen.iter().filter(|request| request.params.contains("/quick"));
    assert_eq!(quick.map(|request| request.on_connection).collect::<Vec<_>>(), [1, 3, 0, 0, 0, 0]);
}

async fn all_at_once(cluster: &Arc<Cluster>, uri: &'static str, requests: usize) {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..requests {
        let asking = Arc::clone(cluster);
        clients.spawn(async move { ask(&asking, uri).await });
    }
    clients.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_such_a_script_has_left_idle_are_not_used_when_it_is_recognised() {
    let member = finishing(64).await;
    let cluster = Arc::new(cluster(&pool(vec![member.spec()])));
    all_at_once(&cluster, "/finish", 1).await;
    all_at_once(&cluster, "/victim", 1).await;
    all_at_once(&cluster, "/finish", 8).await;
    assert_eq!(idle(&cluster), 8);
    all_at_once(&cluster, "/victim", 1).await;
    all_at_once(&cluster, "/quick", 8).await;
    let seen = member.seen.lock();
    let fresh = seen.iter().filter(|request| request.params.contains("/quick") && request.on_connection == 0);
    assert_eq!(fresh.count(), 7, "the victim's own is used again, the other seven are not");
}

#[tokio::test(start_paused = true)]
async fn a_slow_script_takes_nobodys_connection_away() {
    let member = finishing(64).await;
    let cluster = cluster(&pool(vec![member.spec()]));
    ask(&cluster, "/report").await;
    for _ in 0..10 {
        ask(&cluster, "/quick").await;
        assert!(time_of(&cluster, "/report").await >= Duration::from_millis(300));
    }
    assert!(member.seen.lock().iter().skip(1).all(|request| request.on_connection > 0));
}
