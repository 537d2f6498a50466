//! Who is let into the queue, and what is known of it.

use super::*;
use crate::upstream::{Fault, SendError};
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

const TENTH: Duration = Duration::from_millis(100);

/// One worker that answers when it is told to, and so many requests that have come.
async fn waiting(requests: usize, timeout: Duration) -> (Arc<Cluster>, Arc<Semaphore>, JoinSet<String>) {
    let gate = gate();
    let member = gated(1, &gate).await;
    let mut pool = pool(vec![one_at_once(&member)]);
    pool.queue.timeout = timeout;
    let cluster = Arc::new(cluster(&pool));
    let mut clients = JoinSet::new();
    for number in 0..requests {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, "/").await });
        until("it waits", || cluster.status().queue.waiting + in_flight(&cluster) as usize > number).await;
    }
    // Its worker lives as long as the test.
    std::mem::forget(member);
    (cluster, gate, clients)
}

/// Lets the worker answer so many times, that far apart.
async fn moves(cluster: &Cluster, gate: &Semaphore, times: usize, gap: Duration) {
    for _ in 0..times {
        sleep(gap).await;
        let waiting = cluster.status().queue.waiting;
        gate.add_permits(1);
        until("the next runs", || cluster.status().queue.waiting + 1 == waiting).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_could_not_be_served_in_time_is_refused_at_once_and_who_is_let_in_is_served() {
    let (cluster, gate, mut clients) = waiting(30, Duration::from_secs(3)).await;
    moves(&cluster, &gate, 10, TENTH).await;
    assert_eq!(cluster.status().queue.waiting, 19);
    let mut admitted = 19;
    let refused: SendError = loop {
        let asking = Arc::clone(&cluster);
        let asked = Instant::now();
        let newcomer: JoinHandle<_> = tokio::spawn(async move { asking.send(get(&asking, "/")).await });
        until("it waits or not", || newcomer.is_finished() || cluster.status().queue.waiting > admitted)
            .await;
        if newcomer.is_finished() {
            assert_eq!(asked, Instant::now(), "at once");
            break newcomer.await.unwrap().map(drop).unwrap_err();
        }
        clients.spawn(async move { text(newcomer.await.unwrap().unwrap().1).await });
        admitted += 1;
    };
    assert_eq!((refused.fault, refused.member), (Fault::Overload, None));
    assert!((28..=31).contains(&admitted), "{admitted} places in three seconds at ten a second");
    assert!(refused.retry_after.is_some_and(|after| (3..=4).contains(&after.as_secs())));
    assert_eq!(cluster.status().queue.refused, 1);
    // A little faster: the last of them was predicted to be served in its last moment.
    moves(&cluster, &gate, admitted, TENTH * 9 / 10).await;
    gate.add_permits(1);
    assert!(clients.join_all().await.iter().all(|answer| answer == "late"));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_stopped_refuses_nobody() {
    let (cluster, gate, mut clients) = waiting(30, Duration::from_secs(30)).await;
    moves(&cluster, &gate, 20, TENTH).await;
    // Nine are left, and nothing moves for longer than the line ever stood.
    sleep(Duration::from_secs(9)).await;
    for newcomers in 1..=400 {
        let asking = Arc::clone(&cluster);
        clients.spawn(async move { ask(&asking, "/").await });
        until("it waits", || cluster.status().queue.waiting == 9 + newcomers).await;
    }
    gate.add_permits(410);
    assert_eq!((clients.join_all().await.len(), cluster.status().queue.refused), (430, 0));
}

#[tokio::test(start_paused = true)]
async fn the_status_says_how_long_requests_wait() {
    let (cluster, gate, _clients) = waiting(30, Duration::from_secs(30)).await;
    moves(&cluster, &gate, 12, TENTH).await;
    let queue = cluster.status().queue;
    assert_eq!((queue.waiting, queue.size, queue.first.as_millis()), (17, 1024, 1200));
    assert_eq!((queue.times.requests, queue.times.longest.as_millis()), (10, 1000));
    assert_eq!(queue.times.mean().as_millis(), 550);
}
