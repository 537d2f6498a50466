//! Accepting the clients of a door, until it is closed: by one loop for all threads, which gives each client to the thread with the
//! fewest, or with `reuseport` by a loop of each thread on a socket of its own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::error;

use super::listen::{Accepted, Listener};
use super::workers::{Arrival, Desk, Workers};
use crate::front::{Client, Drain, Lobby, Notes, Watcher};
use crate::route::Address;
use crate::site::{Generation, ListenerId};

/// After an accept failed for want of descriptors, so that the loop does not spin until one is given back.
pub(super) const BREATH: Duration = Duration::from_millis(50);

/// What a door is told when it closes: what its clients are served by from then on, if not by the current generation.
pub(super) type Closing = oneshot::Receiver<Option<Arc<Generation>>>;

/// What clients are accepted from.
#[derive(Debug)]
pub(super) enum Entrance {
    /// One socket.
    Shared(Listener),
    /// A socket for each thread: the kernel says who gets a client (SO_REUSEPORT).
    OfEach(Vec<OwnedFd>),
}

/// Where the clients of one door go.
#[derive(Debug, Clone)]
pub(super) struct Reception {
    pub(super) id: ListenerId,
    pub(super) bound: Option<SocketAddr>,
    /// What the last client had connected to, most often the next one's too.
    local: Option<Arc<Address>>,
    pub(super) lobby: Arc<Lobby>,
    pub(super) watcher: Watcher,
}

/// A door's whole life: until it is closed and its last client is gone.
pub(super) async fn live(
    entrance: Entrance,
    workers: Arc<Workers>,
    mut reception: Reception,
    drain: Drain,
    closed: Closing,
) {
    let mut closed = pin!(async { closed.await.ok().flatten() });
    let last = match entrance {
        Entrance::Shared(listener) => {
            let lobby = Arc::clone(&reception.lobby);
            accept(listener, |client| workers.take(reception.meets(client)), &lobby, closed).await
        }
        Entrance::OfEach(sockets) => {
            let loops: Vec<_> = workers
                .desks()
                .cycle()
                .zip(sockets)
                .map(|(desk, socket)| Loop::begin(desk, socket, &reception))
                .collect();
            let last = closed.as_mut().await;
            for each in loops {
                each.end().await;
            }
            last
        }
    };
    drop((reception, workers));
    drain.shutdown(last).await;
}

/// A thread's own loop. Dropped, it ends without being waited for.
struct Loop {
    goes_on: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Loop {
    fn begin(desk: &Desk, socket: OwnedFd, reception: &Reception) -> Self {
        let (goes_on, ends) = oneshot::channel();
        let task = desk.spawn(accept_here(desk.clone(), socket, reception.clone(), ends));
        Self { goes_on, task }
    }

    async fn end(self) {
        drop(self.goes_on);
        // Cancelled with its thread, or panicked: its socket is closed in any case.
        drop(self.task.await);
    }
}

async fn accept_here(desk: Desk, socket: OwnedFd, mut reception: Reception, ends: oneshot::Receiver<()>) {
    let listener = match Listener::of(socket) {
        Ok(listener) => listener,
        Err(error) => return error!(%error, "a thread cannot accept clients of its own"),
    };
    let ended = pin!(async { drop(ends.await) });
    let lobby = Arc::clone(&reception.lobby);
    accept(listener, |client| desk.take(reception.meets(client)), &lobby, ended).await;
}

/// Accepts until it is told to end, and returns what it is told.
async fn accept<T>(
    listener: Listener,
    mut take: impl FnMut((Accepted, Option<SocketAddr>)),
    lobby: &Lobby,
    mut end: Pin<&mut impl Future<Output = T>>,
) -> T {
    let told = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(client) => {
                    take(client);
                    // Not before there is a newcomer, so that nobody leaves for nothing.
                    tokio::select! {
                        () = lobby.has_room() => {}
                        told = &mut end => break told,
                    }
                }
                Err(error) if is_the_clients_own(&error) => {}
                Err(error) => {
                    if !lobby.dismisses_the_oldest() {
                        error!(%error, "cannot accept clients; is the limit of open files reached?");
                    }
                    tokio::time::sleep(BREATH).await;
                }
            },
            told = &mut end => break told,
        }
    };
    // Who has connected already would be cut off with the socket.
    listener.rest().for_each(take);
    told
}

impl Reception {
    pub(super) fn new(
        id: ListenerId,
        bound: Option<SocketAddr>,
        lobby: Arc<Lobby>,
        watcher: Watcher,
    ) -> Self {
        Self { id, bound, local: None, lobby, watcher }
    }

    fn meets(&mut self, (accepted, peer): (Accepted, Option<SocketAddr>)) -> Arrival {
        accepted.prepare();
        // Where it is not bound to every address, there is nothing to ask.
        let bound = self.bound.filter(|bound| !bound.ip().is_unspecified());
        let local = bound.or_else(|| accepted.local_addr()).or(self.bound).map(plainly);
        if self.local.as_ref().map(|known| known.socket()) != local {
            self.local = local.map(Address::from).map(Arc::new);
        }
        let (peer, local) = (peer.map(plainly).map(Address::from), self.local.clone());
        let (notes, watcher, presence) = (Notes::default(), self.watcher.clone(), self.lobby.enters());
        let client = Client { listener: self.id, peer, announced: None, local, session: None, notes };
        Arrival { accepted, client, watcher, presence }
    }
}

/// A socket of systemd's for both kinds of addresses shows those of IPv4 as `::ffff:192.0.2.1`, which no script expects.
fn plainly(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The client was gone before it was accepted.
pub(super) fn is_the_clients_own(error: &io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset)
}
