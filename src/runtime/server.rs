//! The server's life: sockets bound before anything is promised, clients accepted, and the end in order.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::listen::{BindError, Listener, written};
use super::open_files;
use super::operator::Operator;
use super::signals::{Signals, Wish};
use super::workers::{Arrival, Workers};
use crate::admin::{self, NotReloaded};
use crate::config::model::{Listen, Model};
use crate::front::{AccessLog, Client, Drain, Front, Notes};
use crate::site::{Generation, ListenerId};

/// After an accept failed for want of descriptors, so that the loop does not spin until one is given back.
pub(super) const BREATH: Duration = Duration::from_millis(50);

/// Why the server could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The access log.
    #[error("cannot open the access log: {0}")]
    AccessLog(std::io::Error),
    /// The folder for large bodies.
    #[error("temp_dir {0} cannot be written: {1}; create it or choose another")]
    TempDir(std::path::PathBuf, std::io::Error),
    /// Threads and their pollers.
    #[error("cannot start the worker threads: {0}")]
    Threads(std::io::Error),
    /// Signal handlers.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

/// A server whose sockets stand.
#[derive(Debug)]
pub struct Server {
    front: Arc<Front>,
    generation: Arc<ArcSwap<Generation>>,
    listeners: Vec<Listener>,
    workers: Arc<Workers>,
    signals: Signals,
    operator: Option<Operator>,
    shutdown_timeout: Duration,
}

impl Server {
    /// Binds everything, or nothing.
    ///
    /// # Errors
    /// What the operator has to mend first.
    pub fn start(model: &Model) -> Result<Self, StartError> {
        open_files::allow_all();
        let signals = Signals::listen().map_err(StartError::Signals)?;
        let temp_dir = &model.server.temp_dir;
        tempfile::tempfile_in(temp_dir).map_err(|error| StartError::TempDir(temp_dir.clone(), error))?;
        let generation = Generation::build(model, None);
        let listeners =
            generation.sites().listeners().iter().map(Listener::bind).collect::<Result<_, _>>()?;
        let access_log = AccessLog::open(&model.server.access_log).map_err(StartError::AccessLog)?;
        let generation = Arc::new(ArcSwap::from_pointee(generation));
        let operator = model.admin.as_ref().map(|admin| Operator::start(admin, &generation)).transpose()?;
        let front = Arc::new(Front::new(Arc::clone(&generation), access_log, temp_dir.clone()));
        let workers = Workers::start(model.server.threads, &front).map_err(StartError::Threads)?;
        let (workers, shutdown_timeout) = (Arc::new(workers), model.server.shutdown_timeout);
        Ok(Self { front, generation, listeners, workers, signals, operator, shutdown_timeout })
    }

    /// The addresses as they were bound, with real ports where 0 was asked for.
    pub fn addresses(&self) -> Vec<Listen> {
        let generation = self.generation.load();
        let asked = generation.sites().listeners().iter();
        asked
            .zip(&self.listeners)
            .map(|(asked, bound)| bound.local_addr().map_or_else(|| asked.clone(), Listen::Tcp))
            .collect()
    }

    /// Where the operator is listened to, if anywhere.
    pub fn admin_address(&self) -> Option<&Listen> {
        self.operator.as_ref().map(Operator::listen)
    }

    /// Serves until a signal ends it.
    pub async fn run(mut self) {
        let drain = Arc::new(Drain::new());
        let mut accepting = JoinSet::new();
        for (listener, index) in std::mem::take(&mut self.listeners).into_iter().zip(0..) {
            accepting.spawn(accept(
                listener,
                ListenerId(index),
                Arc::clone(&self.workers),
                Arc::clone(&drain),
            ));
        }
        let finishes = self.until_the_end().await;
        if let Some(operator) = &self.operator {
            operator.readiness().stops();
        }
        self.remove_socket_files();
        accepting.shutdown().await;
        match finishes {
            true => self.finish(drain).await,
            false => info!("stopping"),
        }
        for cluster in self.generation.load().clusters() {
            cluster.drain();
        }
    }

    /// Heeds signals until one of them ends the server; whether it may finish what is in flight.
    async fn until_the_end(&mut self) -> bool {
        loop {
            let signal = tokio::select! {
                signal = self.signals.next() => signal,
                admin::Wish::Reload(answer) = Operator::next_wish(self.operator.as_mut()) => {
                    // The operator may have left meanwhile.
                    drop(answer.send(Err(NotReloaded::Unsupported)));
                    continue;
                }
            };
            match signal {
                Wish::StopNow => return false,
                Wish::Finish => return true,
                Wish::ReopenLogs => match self.front.reopen_log() {
                    Ok(()) => info!("logs reopened"),
                    Err(error) => {
                        error!(%error, "the access log cannot be reopened; lines go to the old file")
                    }
                },
                Wish::Reload => warn!("reload (SIGHUP) is not supported yet; everything stays as it is"),
                Wish::Upgrade => warn!("upgrade (SIGUSR2) is not supported yet; everything stays as it is"),
            }
        }
    }

    async fn finish(&mut self, drain: Arc<Drain>) {
        info!(timeout = ?self.shutdown_timeout, "finishing what is in flight");
        // The accept loops are gone, and the connections hold watchers only, so this is the last owner.
        let Ok(drain) = Arc::try_unwrap(drain) else {
            return error!("connections are still being accepted; they are cut");
        };
        tokio::select! {
            () = drain.shutdown() => info!("all requests are answered"),
            () = tokio::time::sleep(self.shutdown_timeout) => warn!("shutdown_timeout has passed; what is left is cut"),
            _ = self.until_the_end() => warn!("asked again; what is left is cut"),
        }
    }

    fn remove_socket_files(&self) {
        for listen in self.generation.load().sites().listeners() {
            let Listen::Unix(path) = listen else { continue };
            if let Err(error) = std::fs::remove_file(path) {
                warn!(%error, socket = written(listen), "a socket file is left");
            }
        }
    }
}

async fn accept(listener: Listener, id: ListenerId, workers: Arc<Workers>, drain: Arc<Drain>) {
    let bound = listener.local_addr();
    loop {
        match listener.accept().await {
            Ok((accepted, peer)) => {
                let local = accepted.prepare().or(bound);
                let (peer, local) = (peer.map(Into::into), local.map(Into::into));
                let client = Client { listener: id, peer, local, notes: Notes::default() };
                workers.take(Arrival { accepted, client, watcher: drain.watcher() });
            }
            Err(error) if is_the_clients_own(&error) => {}
            Err(error) => {
                error!(%error, "cannot accept clients; is the limit of open files reached?");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// The client was gone before it was accepted.
pub(super) fn is_the_clients_own(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset)
}
