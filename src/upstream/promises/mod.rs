//! What the room promises as a whole, on real sockets with scripted workers behind them.

mod afterwork;
mod attempts;
mod by_hand;
mod checks;
mod discovery;
mod learning;
mod members;
mod overload;
mod policies;
mod reloads;
mod replies;
mod shares;
mod slots;

use super::cluster::Cluster;
use super::request::RequestBody;
use super::responder::*;
use crate::balance::MaxConns;
use crate::config::model::ServerSpec;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

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

/// Answers after that time.
async fn slow(time: Duration) -> Responder {
    Responder::start(64, move |_| [vec![Step::Sleep(time)], hello("slow")].concat()).await
}

/// One worker, told so.
fn one_at_once(member: &Responder) -> ServerSpec {
    ServerSpec { max_conns: MaxConns::Most(1), ..member.spec() }
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
