//! The server's life: sockets bound before anything is promised, clients accepted, and the end in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::doors::{self, Bound, Doors};
use super::handover::Inheritance;
use super::listen::{self, BindError};
use super::open_files;
use super::operator::Operator;
use super::pid_file::PidFile;
use super::privileges::{self, NotGivenUp};
use super::reload::{ReloadError, Stamp};
use super::service_manager;
use super::signals::{Signals, Wish};
use super::upgrade::{Launch, Successor, UpgradeError};
use super::workers::Workers;
use crate::admin::{self, NotReloaded};
use crate::config::model::{Listen, Model};
use crate::front::{AccessLog, Front, Lobby, Means, Timeouts};
use crate::logs::{EventLog, EventLogError};
use crate::site::Generation;

/// How often the configuration file is looked at, where `reload_on_change` asks for it.
const LOOK: Duration = Duration::from_secs(1);

/// Why the server could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The event log.
    #[error(transparent)]
    EventLog(#[from] EventLogError),
    /// The access log.
    #[error("cannot open the access log or the slow log: {0}")]
    AccessLog(std::io::Error),
    /// The folder for large bodies.
    #[error("temp_dir {0} cannot be written: {1}; create it or choose another")]
    TempDir(PathBuf, std::io::Error),
    /// Threads and their pollers.
    #[error("cannot start the worker threads: {0}")]
    Threads(std::io::Error),
    /// root's rights.
    #[error(transparent)]
    NotGivenUp(#[from] NotGivenUp),
    /// The pid file.
    #[error("cannot write the pid file {0}: {1}{hint}", hint = permission_hint(.1))]
    PidFile(PathBuf, std::io::Error),
    /// What an upgrade hands on.
    #[error("cannot take over from the running cornac: {0}")]
    Handover(std::io::Error),
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
    pub(super) events: Arc<EventLog>,
    signals: Signals,
    pub(super) operator: Option<Operator>,
    pid_file: Option<PidFile>,
    inheritance: Inheritance,
    launch: Option<Launch>,
    successor: Option<Successor>,
}

/// How the serving ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Now,
    /// What is in flight is finished first.
    Finish,
    /// The same, and the sockets are another's.
    HandedOn,
}

/// What there is to do next.
enum Task {
    Heed(Wish),
    Grant(admin::Wish),
    Look,
    TakeOver(Result<(), UpgradeError>),
}

impl Server {
    /// Binds everything, or nothing. `source` is the file that a reload reads; `events` what it may change then.
    ///
    /// # Errors
    /// What the operator has to mend first.
    pub fn start(model: Model, source: Option<&Path>, events: &Arc<EventLog>) -> Result<Self, StartError> {
        open_files::allow_all();
        let signals = Signals::listen().map_err(StartError::Signals)?;
        let mut inheritance = Inheritance::receive().map_err(StartError::Handover)?;
        let generation = Generation::build(&model, None);
        let generation = Arc::new(ArcSwap::from_pointee(generation));
        // The operator first: who finds a site open finds him too.
        let operator = model
            .admin
            .as_ref()
            .map(|admin| Operator::start(admin, &generation, &mut inheritance))
            .transpose()?;
        let bind = |(id, listen): (_, &Listen)| {
            let threads = model.threads_that_listen_on(listen);
            Ok((id, listen.clone(), Bound::inherited(listen, threads, &mut inheritance)?))
        };
        let bound = generation.load().sites().listeners().map(bind).collect::<Result<Vec<_>, BindError>>()?;
        model.listeners.iter().try_for_each(listen::set_mode)?;
        let access_log = AccessLog::open(&model.server).map_err(StartError::AccessLog)?;
        if source.is_some() {
            privileges::give_up(model.server.account.as_ref())?;
        }
        try_temp_dir(&model.server.temp_dir)?;
        let (access_log, timeouts) = (access_log.map(Arc::new), Timeouts::of(&model.server));
        let means = Means { access_log, timeouts };
        let lobby = Lobby::new(open_files::most_clients(model.server.max_connections));
        let front = Arc::new(Front::new(Arc::clone(&generation), means, lobby));
        let workers = Workers::start(model.server.worker_threads(), &front).map_err(StartError::Threads)?;
        // Not before the sockets stand: a second cornac, which finds them taken, must not touch the first one's file.
        let pid_file = model.server.pid_file.as_deref().map(write_pid_file).transpose()?;
        let mut doors = Doors::new(Arc::new(workers), Arc::clone(front.lobby()));
        bound.into_iter().for_each(|(id, listen, bound)| doors.open(id, listen, bound));
        let (seen, source) = (Stamp::of(source.unwrap_or(Path::new(""))), source.map(Path::to_owned));
        let (launch, successor) = (Launch::of_this_process(), None);
        Ok(Self {
            front,
            generation,
            doors,
            model,
            source,
            seen,
            events: Arc::clone(events),
            signals,
            operator,
            pid_file,
            inheritance,
            launch,
            successor,
        })
    }

    /// The addresses as they were bound, with real ports where 0 was asked for.
    pub fn addresses(&self) -> Vec<Listen> {
        self.doors.addresses()
    }

    /// Where the operator is listened to, if anywhere.
    pub fn admin_address(&self) -> Option<&Listen> {
        self.operator.as_ref().map(Operator::address)
    }

    /// Serves until a signal ends it.
    pub async fn run(mut self) {
        match self.inheritance.is_served() {
            Ok(unwanted) => unwanted.iter().for_each(|address| doors::remove_socket_file_of(address)),
            Err(error) => warn!(%error, "the cornac before this one cannot be told, and may go on"),
        }
        service_manager::hears_that_we_serve();
        let mut end = self.until_the_end().await;
        if end != End::HandedOn {
            service_manager::hears_that_we_stop();
        }
        if let Some(operator) = &mut self.operator {
            operator.hears_of_the_end(end == End::HandedOn);
        }
        if end == End::Finish {
            end = self.lead().await;
        }
        if end != End::HandedOn {
            self.doors.remove_socket_files();
        }
        match end {
            End::Finish | End::HandedOn => self.finish().await,
            End::Now => info!("stopping"),
        }
        self.doors.shut().await;
        for cluster in self.generation.load().clusters() {
            cluster.drain();
        }
        // With the last door the threads end, and who is cut has its line in the log.
        drop(self.doors);
        self.front.flush_log();
    }

    /// Does what there is to do, until something ends the server.
    async fn until_the_end(&mut self) -> End {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = None;
        loop {
            let task = tokio::select! {
                wish = self.signals.next() => Task::Heed(wish),
                wish = Operator::next_wish(self.operator.as_mut()) => Task::Grant(wish),
                outcome = outcome_of(&mut self.successor) => Task::TakeOver(outcome),
                _ = looks.tick(), if self.model.server.reload_on_change => Task::Look,
            };
            let end = match task {
                Task::Heed(wish) => self.heed(wish).await,
                Task::Grant(admin::Wish::Reload(answer)) => {
                    // The operator may have left meanwhile.
                    drop(answer.send(self.reload().await.map_err(not_reloaded)));
                    None
                }
                Task::TakeOver(outcome) => self.taken_over(outcome),
                Task::Look => {
                    if self.has_settled(&mut changed) {
                        self.heed(Wish::Reload).await;
                    }
                    None
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    async fn heed(&mut self, wish: Wish) -> Option<End> {
        match wish {
            Wish::StopNow | Wish::Finish => {
                if let Some(mut successor) = self.successor.take() {
                    successor.ended().await;
                }
                return Some(if wish == Wish::Finish { End::Finish } else { End::Now });
            }
            Wish::ReopenLogs => self.reopen_logs(),
            // What it came to is in the log.
            Wish::Reload => drop(self.reload().await),
            Wish::Upgrade => self.upgrade(),
        }
        None
    }

    fn upgrade(&mut self) {
        let (Some(_), Some(launch)) = (&self.source, &self.launch) else {
            return warn!("upgrade (SIGUSR2) is for `cornac run` only; everything stays as it is");
        };
        if self.successor.is_some() {
            return warn!("an upgrade is under way already");
        }
        match Successor::start(launch, self.doors.sockets().chain(self.operator.iter().map(Operator::socket)))
        {
            Ok(successor) => {
                info!(pid = successor.pid(), "upgrade: the new process starts, with our sockets");
                self.successor = Some(successor);
            }
            Err(error) => error!("upgrade failed, this process goes on: {error}"),
        }
    }

    fn taken_over(&mut self, outcome: Result<(), UpgradeError>) -> Option<End> {
        let successor = self.successor.take();
        match outcome {
            Ok(()) => {
                let pid = successor.and_then(|successor| successor.pid());
                info!(pid, "upgrade: the new process serves; this one finishes and ends");
                Some(End::HandedOn)
            }
            Err(error) => {
                error!("upgrade failed, this process goes on: {error}");
                self.pid_file.iter().for_each(PidFile::write_again);
                None
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
        match self.events.reopen().and(self.front.reopen_log()) {
            Ok(()) => info!("logs reopened"),
            Err(error) => error!(%error, "a log cannot be reopened; its lines go to the old file"),
        }
    }

    /// Goes on as before for `shutdown_delay`, so that those who send clients here notice and send no more.
    async fn lead(&mut self) -> End {
        let delay = self.model.server.shutdown_delay;
        if delay.is_zero() {
            return End::Finish;
        }
        info!(?delay, "stopping; clients are still accepted");
        tokio::select! {
            () = tokio::time::sleep(delay) => End::Finish,
            wish = second_word(&mut self.signals) => match wish {
                Wish::StopNow => End::Now,
                _ => End::Finish,
            },
        }
    }

    async fn finish(&mut self) {
        let timeout = self.model.server.shutdown_timeout;
        info!(?timeout, "finishing what is in flight");
        let Self { doors, signals, .. } = self;
        tokio::select! {
            () = doors.finish() => info!("all requests are answered"),
            () = tokio::time::sleep(timeout) => warn!("shutdown_timeout has passed; what is left is cut"),
            _ = second_word(signals) => warn!("asked again; what is left is cut"),
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

/// Never where there is none.
async fn outcome_of(successor: &mut Option<Successor>) -> Result<(), UpgradeError> {
    match successor {
        Some(successor) => successor.serves().await,
        None => std::future::pending().await,
    }
}

fn write_pid_file(path: &Path) -> Result<PidFile, StartError> {
    PidFile::write(path).map_err(|error| StartError::PidFile(path.to_owned(), error))
}

/// It is written by who serves, who has to remove it too.
fn permission_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "; its folder must be the user's that cornac runs as",
        _ => "",
    }
}

/// While it stops already, only a word to stop is heard.
async fn second_word(signals: &mut Signals) -> Wish {
    loop {
        match signals.next().await {
            wish @ (Wish::StopNow | Wish::Finish) => return wish,
            other => info!(?other, "stopping already; nothing is done about it"),
        }
    }
}

pub(super) fn try_temp_dir(folder: &Path) -> Result<(), StartError> {
    tempfile::tempfile_in(folder).map(drop).map_err(|error| StartError::TempDir(folder.to_owned(), error))
}
