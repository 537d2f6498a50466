//! The open listeners: each accepts clients until it is closed, and is over when its last client has gone.
//!
//! A door stays open over reloads that leave its address alone. Sockets are bound in `listen`, before anything depends on them, and
//! accepted from in `reception`.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::warn;

use super::handover::{Handed, Inheritance};
use super::listen::{self, BindError, Listener};
use super::reception::{self, Entrance, Reception};
use super::workers::Workers;
use crate::config::model::Listen;
use crate::front::{Drain, Lobby};
use crate::site::{Generation, ListenerId};

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
    /// The same sockets, to be handed on.
    sockets: Vec<OwnedFd>,
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
        let Bound { entrance, bound, sockets, ours } = socket;
        let (close, closed) = oneshot::channel();
        let (drain, lobby) = (Drain::new(), Arc::clone(&self.lobby));
        let reception = Reception::new(id, bound, lobby, drain.watcher());
        self.lives.spawn(reception::live(entrance, Arc::clone(&self.workers), reception, drain, closed));
        self.open.push(Door { listen, bound, sockets, ours, close });
    }

    /// The addresses as they were bound, with real ports where 0 was asked for.
    pub(super) fn addresses(&self) -> Vec<Listen> {
        let bound = |door: &Door| door.bound.map_or_else(|| door.listen.clone(), Listen::Tcp);
        self.open.iter().map(bound).collect()
    }

    /// The sockets, by their addresses as they are configured.
    pub(super) fn sockets(&self) -> impl Iterator<Item = Handed<BorrowedFd<'_>>> {
        self.open.iter().flat_map(|door| {
            let handed = |socket| Handed { address: door.listen.to_string(), socket, ours: door.ours };
            door.sockets.iter().map(AsFd::as_fd).map(handed)
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

/// An address that is listened on.
#[derive(Debug)]
pub(super) struct Bound {
    entrance: Entrance,
    /// With the real port where 0 was asked for; `None`: a unix socket.
    bound: Option<SocketAddr>,
    /// The same sockets once more.
    sockets: Vec<OwnedFd>,
    /// Whether it was bound by cornac, now or before an upgrade.
    ours: bool,
}

impl Bound {
    /// Binds and listens, with a socket for each of so many threads or, with `None`, one for all. Needs a tokio runtime.
    pub(super) fn new(listen: &Listen, threads: Option<usize>) -> Result<Self, BindError> {
        Self::of(listen, Vec::new(), threads, true)
    }

    /// As a predecessor or systemd has bound it, or anew.
    pub(super) fn inherited(
        listen: &Listen,
        threads: Option<usize>,
        from: &mut Inheritance,
    ) -> Result<Self, BindError> {
        let handed: Vec<_> = std::iter::from_fn(|| from.take(listen)).collect();
        let ours = handed.iter().all(|handed| handed.ours);
        Self::of(listen, handed.into_iter().map(|handed| handed.socket).collect(), threads, ours)
    }

    /// With those sockets that are there already: each of them may have clients that wait to be accepted.
    fn of(
        listen: &Listen,
        mut sockets: Vec<OwnedFd>,
        threads: Option<usize>,
        ours: bool,
    ) -> Result<Self, BindError> {
        let fault = |source| BindError { listen: listen.to_string(), source };
        let mut bound = sockets.first().and_then(listen::address_of);
        // Beside what was handed on none is bound: without `reuseport` there the kernel would not have it.
        let more = if sockets.is_empty() { threads.unwrap_or(1) } else { 0 };
        for _ in 0..more {
            let at = bound.map_or_else(|| listen.clone(), Listen::Tcp);
            let socket = listen::bind(&at, threads.is_some()).map_err(fault)?;
            bound = bound.or_else(|| listen::address_of(&socket));
            sockets.push(socket);
        }
        let again = sockets.iter().map(AsFd::as_fd).map(|socket| socket.try_clone_to_owned());
        let kept = again.collect::<std::io::Result<_>>().map_err(fault)?;
        let entrance = match <[OwnedFd; 1]>::try_from(sockets) {
            Ok([only]) => Entrance::Shared(Listener::of(only).map_err(fault)?),
            Err(several) => Entrance::OfEach(several),
        };
        Ok(Self { entrance, bound, sockets: kept, ours })
    }
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
