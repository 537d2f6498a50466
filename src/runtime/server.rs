//! The server's life: sockets bound before anything is promised, clients accepted, and the end in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::doors::{Bound, Doors};
use super::listen::BindError;
use super::open_files;
use super::operator::Operator;
use super::reload::{ReloadError, Stamp};
use super::signals::{Signals, Wish};
use super::workers::Workers;
use crate::admin::{self, NotReloaded};
use crate::config::model::{Listen, Model};
use crate::front::{AccessLog, Front, Means};
use crate::site::Generation;

/// How often the configuration file is looked at, where `reload_on_change` asks for it.
const LOOK: Duration = Duration::from_secs(1);

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
    TempDir(PathBuf, std::io::Error),
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
    pub(super) front: Arc<Front>,
    pub(super) generation: Arc<ArcSwap<Generation>>,
    pub(super) doors: Doors,
    pub(super) model: Model,
    /// Where the configuration is read again from.
    pub(super) source: Option<PathBuf>,
    /// How that file was when it was read last.
    pub(super) seen: Stamp,
    signals: Signals,
    pub(super) operator: Option<Operator>,
}

impl Server {
    /// Binds everything, or nothing. `source` is the file that a reload reads.
    ///
    /// # Errors
    /// What the operator has to mend first.
    pub fn start(model: Model, source: Option<&Path>) -> Result<Self, StartError> {
        open_files::allow_all();
        let signals = Signals::listen().map_err(StartError::Signals)?;
        try_temp_dir(&model.server.temp_dir)?;
        let generation = Generation::build(&model, None);
        let bind = |(id, listen): (_, &Listen)| Ok((id, listen.clone(), Bound::new(listen)?));
        let bound = generation.sites().listeners().map(bind).collect::<Result<Vec<_>, BindError>>()?;
        let access_log = AccessLog::open(&model.server.access_log).map_err(StartError::AccessLog)?;
        let means = Means { access_log: access_log.map(Arc::new), temp_dir: model.server.temp_dir.clone() };
        let generation = Arc::new(ArcSwap::from_pointee(generation));
        let operator = model.admin.as_ref().map(|admin| Operator::start(admin, &generation)).transpose()?;
        let front = Arc::new(Front::new(Arc::clone(&generation), means));
        let workers = Workers::start(model.server.threads, &front).map_err(StartError::Threads)?;
        let mut doors = Doors::new(Arc::new(workers));
        bound.into_iter().for_each(|(id, listen, bound)| doors.open(id, listen, bound));
        let (seen, source) = (Stamp::of(source.unwrap_or(Path::new(""))), source.map(Path::to_owned));
        Ok(Self { front, generation, doors, model, source, seen, signals, operator })
    }

    /// The addresses as they were bound, with real ports where 0 was asked for.
    pub fn addresses(&self) -> Vec<Listen> {
        self.doors.addresses()
    }

    /// Where the operator is listened to, if anywhere.
    pub fn admin_address(&self) -> Option<&Listen> {
        self.operator.as_ref().map(Operator::listen)
    }

    /// Serves until a signal ends it.
    pub async fn run(mut self) {
        let finishes = self.until_the_end().await;
        if let Some(operator) = &self.operator {
            operator.readiness().stops();
        }
        self.doors.remove_socket_files();
        match finishes {
            true => self.finish().await,
            false => info!("stopping"),
        }
        self.doors.shut().await;
        for cluster in self.generation.load().clusters() {
            cluster.drain();
        }
    }

    /// Heeds signals until one of them ends the server; whether it may finish what is in flight.
    async fn until_the_end(&mut self) -> bool {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = None;
        loop {
            let wish = tokio::select! {
                wish = self.signals.next() => wish,
                admin::Wish::Reload(answer) = Operator::next_wish(self.operator.as_mut()) => {
                    // The operator may have left meanwhile.
                    drop(answer.send(self.reload().await.map_err(not_reloaded)));
                    continue;
                }
                _ = looks.tick(), if self.model.server.reload_on_change => match self.has_settled(&mut changed) {
                    true => Wish::Reload,
                    false => continue,
                },
            };
            match wish {
                Wish::StopNow => return false,
                Wish::Finish => return true,
                Wish::ReopenLogs => self.reopen_logs(),
                // What it came to is in the log.
                Wish::Reload => drop(self.reload().await),
                Wish::Upgrade => warn!("upgrade (SIGUSR2) is not supported yet; everything stays as it is"),
            }
        }
    }

    /// Whether the file has changed and is written to its end: it was the same at two looks. Each state of it is read once.
    fn has_settled(&self, changed: &mut Option<Stamp>) -> bool {
        let Some(path) = &self.source else { return false };
        let now = Stamp::of(path);
        let settled = now != self.seen && changed.as_ref() == Some(&now);
        *changed = (now != self.seen).then_some(now);
        settled
    }

    fn reopen_logs(&self) {
        match self.front.reopen_log() {
            Ok(()) => info!("logs reopened"),
            Err(error) => error!(%error, "the access log cannot be reopened; lines go to the old file"),
        }
    }

    async fn finish(&mut self) {
        let timeout = self.model.server.shutdown_timeout;
        info!(?timeout, "finishing what is in flight");
        let Self { doors, signals, .. } = self;
        tokio::select! {
            () = doors.finish() => info!("all requests are answered"),
            () = tokio::time::sleep(timeout) => warn!("shutdown_timeout has passed; what is left is cut"),
            () = second_word(signals) => warn!("asked again; what is left is cut"),
        }
    }
}

/// For whoever asked for it.
fn not_reloaded(error: ReloadError) -> NotReloaded {
    match error {
        ReloadError::NoFile => NotReloaded::NoFile,
        error => NotReloaded::Wrong(error.to_string()),
    }
}

/// While it stops already, only a word to stop is heard.
async fn second_word(signals: &mut Signals) {
    loop {
        match signals.next().await {
            Wish::StopNow | Wish::Finish => return,
            other => info!(?other, "stopping already; nothing is done about it"),
        }
    }
}

pub(super) fn try_temp_dir(folder: &Path) -> Result<(), StartError> {
    tempfile::tempfile_in(folder).map(drop).map_err(|error| StartError::TempDir(folder.to_owned(), error))
}
