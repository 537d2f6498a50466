//! The open listeners: each accepts clients until it is closed, and is over when its last client has gone.
//!
//! A door stays open over reloads that leave its address alone. Sockets are bound in `listen`, before anything depends on them.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::handover::{Handed, Inheritance};
use super::listen::{Accepted, BindError, Listener};
use super::workers::{Arrival, Workers};
use crate::config::model::Listen;
use crate::front::{Client, Drain, Lobby, Notes, Watcher};
use crate::route::Address;
use crate::site::{Generation, ListenerId};

/// After an accept failed for want of descriptors, so that the loop does not spin until one is given back.
pub(super) const BREATH: Duration = Duration::from_millis(50);

/// All listeners of the server.
#[derive(Debug)]
pub(super) struct Doors {
    workers: Arc<Workers>,
    lobby: Arc<Lobby>,
    open: Vec<Door>,
    /// One task a door: until it is closed and its last client is gone.
    lives: JoinSet<()>,
}

#[derive(Debug)]
struct Door {
    listen: Listen,
    bound: Option<SocketAddr>,
    /// The same socket, to be handed on.
    socket: OwnedFd,
    /// Whether a socket file is ours to remove.
    ours: bool,
    close: oneshot::Sender<Option<Arc<Generation>>>,
}

impl Doors {
    pub(super) fn new(workers: Arc<Workers>, lobby: Arc<Lobby>) -> Self {
        Self { workers, lobby, open: Vec::new(), lives: JoinSet::new() }
    }

    /// Accepts clients from now on. Must be called within a tokio runtime.
    pub(super) fn open(&mut self, id: ListenerId, listen: Listen, socket: Bound) {
        let Bound { listener, socket, ours } = socket;
        let (close, closed) = oneshot::channel();
        let (drain, bound) = (Drain::new(), listener.local_addr());
        let (workers, lobby) = (Arc::clone(&self.workers), Arc::clone(&self.lobby));
        let reception = Reception { id, bound, workers, lobby, watcher: drain.watcher() };
        self.lives.spawn(live(listener, reception, drain, closed));
        self.open.push(Door { listen, bound, socket, ours, close });
    }

    /// The addresses as they were bound, with real ports where 0 was asked for.
    pub(super) fn addresses(&self) -> Vec<Listen> {
        let bound = |door: &Door| door.bound.map_or_else(|| door.listen.clone(), Listen::Tcp);
        self.open.iter().map(bound).collect()
    }

    /// The sockets, by their addresses as they are configured.
    pub(super) fn sockets(&self) -> impl Iterator<Item = Handed<BorrowedFd<'_>>> {
        self.open.iter().map(|door| {
            let (address, socket, ours) = (door.listen.to_string(), door.socket.as_fd(), door.ours);
            Handed { address, socket, ours }
        })
    }

    pub(super) fn has(&self, listen: &Listen) -> bool {
        self.open.iter().any(|door| door.listen == *listen)
    }

    /// Closes those that `stays` does not want. Who came before is served by `last`.
    pub(super) fn retain(&mut self, stays: impl Fn(&Listen) -> bool, last: &Arc<Generation>) {
        while self.lives.try_join_next().is_some() {}
        let (open, gone) = std::mem::take(&mut self.open).into_iter().partition(|door| stays(&door.listen));
        self.open = open;
        for door in gone {
            door.removes_socket_file();
            door.closes(Some(Arc::clone(last)));
        }
    }

    /// Accepts nobody any more: asks everybody to leave, and returns when all have.
    pub(super) async fn finish(&mut self) {
        self.open.drain(..).for_each(|door| door.closes(None));
        while self.lives.join_next().await.is_some() {}
    }

    /// Accepts nobody any more, and waits for nobody.
    pub(super) async fn shut(&mut self) {
        self.open.clear();
        self.lives.shutdown().await;
    }

    pub(super) fn remove_socket_files(&self) {
        self.open.iter().for_each(Door::removes_socket_file);
    }
}

impl Door {
    fn removes_socket_file(&self) {
        if self.ours {
            remove_socket_file(&self.listen);
        }
    }

    fn closes(self, last: Option<Arc<Generation>>) {
        // A life that has ended already has panicked, and its clients are gone.
        drop(self.close.send(last));
    }
}

/// A socket that was bound, and the same once more.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: Listener,
    pub(super) socket: OwnedFd,
    /// Whether it was bound by cornac, now or before an upgrade.
    pub(super) ours: bool,
}

impl Bound {
    /// Binds and listens. Needs a tokio runtime.
    pub(super) fn new(listen: &Listen) -> Result<Self, BindError> {
        Self::of(listen, Listener::bind(listen)?, true)
    }

    /// As a predecessor or systemd has bound it, or anew.
    pub(super) fn inherited(listen: &Listen, from: &mut Inheritance) -> Result<Self, BindError> {
        match from.take(listen) {
            Some(handed) => Self::of(listen, Listener::inherited(listen, handed.socket)?, handed.ours),
            None => Self::new(listen),
        }
    }

    fn of(listen: &Listen, listener: Listener, ours: bool) -> Result<Self, BindError> {
        let socket = listener
            .as_fd()
            .try_clone_to_owned()
            .map_err(|source| BindError { listen: listen.to_string(), source })?;
        Ok(Self { listener, socket, ours })
    }
}

/// Where the clients of one door go.
struct Reception {
    id: ListenerId,
    bound: Option<SocketAddr>,
    workers: Arc<Workers>,
    lobby: Arc<Lobby>,
    watcher: Watcher,
}

impl Reception {
    fn takes(&self, (accepted, peer): (Accepted, Option<SocketAddr>)) {
        accepted.prepare();
        // Where it is not bound to every address, there is nothing to ask.
        let bound = self.bound.filter(|bound| !bound.ip().is_unspecified());
        let local = bound.or_else(|| accepted.local_addr()).or(self.bound);
        let (peer, local) = (peer.map(plainly), local.map(plainly));
        let (notes, watcher, presence) = (Notes::default(), self.watcher.clone(), self.lobby.enters());
        let client = Client { listener: self.id, peer, announced: None, local, session: None, notes };
        self.workers.take(Arrival { accepted, client, watcher, presence });
    }
}

async fn live(
    listener: Listener,
    reception: Reception,
    drain: Drain,
    mut closed: oneshot::Receiver<Option<Arc<Generation>>>,
) {
    let last = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(client) => {
                    reception.takes(client);
                    // Not before there is a newcomer, so that nobody leaves for nothing.
                    tokio::select! {
                        () = reception.lobby.has_room() => {}
                        last = &mut closed => break last.ok().flatten(),
                    }
                }
                Err(error) if is_the_clients_own(&error) => {}
                Err(error) => {
                    if !reception.lobby.dismisses_the_oldest() {
                        error!(%error, "cannot accept clients; is the limit of open files reached?");
                    }
                    tokio::time::sleep(BREATH).await;
                }
            },
            last = &mut closed => break last.ok().flatten(),
        }
    };
    // Who has connected already would be cut off with the socket.
    listener.rest().for_each(|client| reception.takes(client));
    drop(reception);
    drain.shutdown(last).await;
}

/// A socket of systemd's for both kinds of addresses shows those of IPv4 as `::ffff:192.0.2.1`, which no script expects.
fn plainly(address: SocketAddr) -> Address {
    SocketAddr::new(address.ip().to_canonical(), address.port()).into()
}

/// The client was gone before it was accepted.
pub(super) fn is_the_clients_own(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset)
}

/// Of an address as it prints, on which nobody listens any more.
pub(super) fn remove_socket_file_of(address: &str) {
    if let Some(path) = address.strip_prefix("unix:") {
        remove_socket_file(&Listen::Unix(path.into()));
    }
}

fn remove_socket_file(listen: &Listen) {
    let Listen::Unix(path) = listen else { return };
    if let Err(error) = std::fs::remove_file(path) {
        warn!(%error, socket = %listen, "a socket file is left");
    }
}
