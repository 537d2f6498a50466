//! Knocks at the doors of members that are out because no connection came about, so that a short outage does not become a
//! long one by back-off.
//!
//! A connect without a request, closed at once: php-fpm takes it for a client that thought better of it. An open door is no
//! answer yet; it lets one request find out. Only for pools without `health`, whose checks ask more than that.

use super::admission::Admission;
use super::connection::Connection;
use super::member::Seat;
use crate::balance::Event;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How often, on average: front ends that lost a member at the same time do not knock in step.
const EVERY: Duration = Duration::from_secs(1);

/// Knocks while there is a shut door, and sleeps until there is one, until it is aborted.
pub(crate) async fn at_shut_doors(admission: Arc<Admission>, patience: Duration) {
    loop {
        while is_any_shut(&admission) {
            sleep(EVERY.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
            round(&admission, patience).await;
        }
        admission.shut_doors.notified().await;
    }
}

fn is_any_shut(admission: &Admission) -> bool {
    let now = Instant::now();
    admission.seats().iter().any(|seat| seat.member.waits_for_its_door(now))
}

async fn round(admission: &Arc<Admission>, patience: Duration) {
    let now = Instant::now();
    let mut knocking = JoinSet::new();
    for seat in admission.seats().into_iter().filter(|seat| seat.member.waits_for_its_door(now)) {
        knocking.spawn(async move {
            let opened = Connection::open(seat.member.endpoint(), patience).await;
            opened.is_ok().then_some(seat)
        });
    }
    while let Some(knocked) = knocking.join_next().await {
        if let Ok(Some(Seat { member, rules, .. })) = knocked {
            member.on(Event::DoorOpened, Instant::now(), &rules, admission.pool());
            // Somebody may wait for just this member.
            admission.freed();
        }
    }
}
