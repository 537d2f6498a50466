//! The task that hears all sources of a pool, gathers what they tell, and seats what came of it.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant as Time};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::changes::Changes;
use super::found::{Origin, Outlet, Report};
use super::names::Lookup;
use super::roster::{Placed, Roster};
use super::{consul, dns, docker, etcd, file, names};
use crate::balance::Settle;
use crate::config::model::Source;
use crate::upstream::Endpoint;
use crate::upstream::admission::Admission;

/// For a first word that somebody waits for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Follows every source of the roster; each is asked at least after each `every`. Ends with the task that runs it, and the sources' own
/// tasks with it.
pub(crate) async fn follow(
    admission: Arc<Admission>,
    roster: Arc<Mutex<Roster>>,
    lookup: Lookup,
    every: Duration,
) {
    let (news, mut heard) = mpsc::channel(16);
    let _sources = start(roster.lock().sources(), &news, admission.pool(), &lookup, every);
    let mut settle = Settle::default();
    // Who flapped, and when he may be taken.
    let mut held: Vec<(Endpoint, Time)> = Vec::new();
    loop {
        let due = settle.due().into_iter().chain(held.iter().map(|&(_, until)| until)).min();
        tokio::select! {
            Some((place, report)) = heard.recv() => {
                if let Some(change) = roster.lock().hear(place, report, admission.pool()) {
                    settle.changed(change, Instant::now().into_std());
                }
            }
            () = until(due) => {
                let now = Instant::now();
                held = reseat(&admission, &mut roster.lock(), now, held);
                settle.acted(now.into_std());
            }
        }
    }
}

/// The first that a source of a pool tells: whoever does not go on listening asks so.
///
/// # Errors
/// What the log would say: why it cannot tell.
pub async fn told_by(source: &Source, pool: &str, every: Duration) -> Result<Vec<Endpoint>, String> {
    let (news, mut heard) = mpsc::channel(1);
    let origin = (0, Origin::Told(source.clone()));
    let _source = start(vec![origin], &news, pool, &names::system(), every);
    match timeout(PATIENCE, heard.recv()).await {
        Ok(Some((_, Ok(found)))) => Ok(found.into_iter().map(|found| found.endpoint).collect()),
        Ok(Some((_, Err(trouble)))) => Err(trouble.to_string()),
        Ok(None) | Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn until(due: Option<Time>) {
    match due {
        Some(due) => sleep_until(Instant::from_std(due)).await,
        None => pending().await,
    }
}

/// A task for each source. They end when the set is dropped.
fn start(
    sources: Vec<(usize, Origin)>,
    news: &mpsc::Sender<(usize, Report)>,
    pool: &str,
    lookup: &Lookup,
    every: Duration,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (place, origin) in sources {
        let outlet = Outlet::new(place, news.clone());
        if let Some(following) = following(origin, pool.to_owned(), Arc::clone(lookup), every, outlet) {
            tasks.spawn(following);
        }
    }
    tasks
}

/// What a source does all the time; nothing for what is written.
fn following(
    origin: Origin,
    pool: String,
    lookup: Lookup,
    every: Duration,
    outlet: Outlet,
) -> Option<Following> {
    let source = match origin {
        Origin::Written(_) => return None,
        Origin::Name(host, port) => {
            return Some(Box::pin(names::follow((host, port), lookup, every, outlet)));
        }
        Origin::Told(source) => source,
    };
    Some(match source {
        Source::Dns { host, port, resolver } => {
            Box::pin(dns::follow_addresses(host, port, resolver, every, outlet))
        }
        Source::Srv { name, resolver } => Box::pin(dns::follow_services(name, resolver, every, outlet)),
        Source::File(path) => Box::pin(file::follow(path, lookup, outlet)),
        Source::Docker(docker) => Box::pin(docker::follow(docker, pool, outlet)),
        Source::Consul(consul) => Box::pin(consul::follow(consul, lookup, every, outlet)),
        Source::Etcd(etcd) => Box::pin(etcd::follow(etcd, pool, lookup, outlet)),
    })
}

type Following = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Seats the members that are known now, and says what changed. Who comes with the first word of his source has been there from the start
/// as far as anybody knows; who comes later has just come up. Returns who is held now, of whom those in `held` are known.
fn reseat(
    admission: &Arc<Admission>,
    roster: &mut Roster,
    now: Instant,
    held: Vec<(Endpoint, Time)>,
) -> Vec<(Endpoint, Time)> {
    let pool = &**admission.pool();
    let before = admission.seats();
    let roll = roster.compose(&admission.members(), now.into_std());
    for (origin, clings) in roster.clinging(&roll.seats) {
        match clings {
            true => {
                tracing::warn!(pool, source = %origin, "it tells of no member, and the pool has no other: the last known are kept")
            }
            false => tracing::info!(pool, source = %origin, "its last known members are not needed any more"),
        }
    }
    let changes = Changes::between(&before, &roll.seats);
    if !changes.is_empty() {
        tracing::info!("pool {pool}: {changes}");
    }
    let is_new = |placed: &&Placed| !before.iter().any(|old| Arc::ptr_eq(&old.member, &placed.seat.member));
    for placed in roll.seats.iter().filter(is_new).filter(|placed| !placed.is_start) {
        placed.seat.member.is_back(now);
    }
    for (endpoint, until) in roll.held.iter().filter(|one| !held.contains(one)) {
        let seconds = until.duration_since(now.into_std()).as_secs();
        tracing::warn!(pool, member = %endpoint, "it comes and goes: taken again in {seconds} s");
    }
    roster.is_seated();
    let seats = roll.seats.into_iter().map(|placed| placed.seat).collect();
    admission.seat(seats, roster.has_pending());
    roll.held
}
