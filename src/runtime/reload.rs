//! A new configuration while clients are served: all of it, or nothing.
//!
//! Everything that can fail comes first: reading the file, binding what is new, opening the log. Then the generation is swapped, what
//! is gone is closed, and whoever is there finishes. What stays the same is not touched.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{info, warn};

use super::changes::{self, Members};
use super::doors::Bound;
use super::listen::{self, BindError};
use super::open_files;
use super::server::{self, Server, StartError};
use crate::config::model::{Listen, Model};
use crate::config::{self, Mistakes};
use crate::front::{AccessLog, Means, Timeouts};
use crate::site::{Generation, Sites};
use crate::upstream::Cluster;

/// Why everything stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Started without a file, by `cornac serve`.
    #[error("there is no configuration file to read again")]
    NoFile,
    /// The file, with each mistake and its place.
    #[error("{0}")]
    Config(Mistakes),
    /// A socket, a log, a folder.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A socket that is new, where this process listens itself.
    #[error(
        "{0}; cornac itself listens on that port at another address: to change between the two, restart it"
    )]
    OwnPort(BindError),
    /// A socket that only root may bind, who started us.
    #[error("{0}; root's rights were given up when cornac had started (server.user): a restart opens it")]
    NotRoot(BindError),
}

/// What a file looked like when it was read or seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Option<(SystemTime, u64, u64)>);

impl Stamp {
    /// By its time, length and inode: whoever edits or replaces it changes one of them, also behind symbolic links, and also where
    /// inotify sees nothing, as on network folders and in mounted ConfigMaps.
    pub(super) fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let look = || -> io::Result<_> {
            let found = path.metadata()?;
            Ok((found.modified()?, found.len(), found.ino()))
        };
        Self(look().ok())
    }
}

impl Server {
    /// Reads the configuration file again and puts it in force; returns what changed, a line each.
    ///
    /// # Errors
    /// What is wrong with it: then nothing has changed.
    pub async fn reload(&mut self) -> Result<String, ReloadError> {
        let result = match &self.source {
            Some(path) => {
                let path = path.clone();
                self.reload_from(path).await
            }
            None => Err(ReloadError::NoFile),
        };
        match &result {
            Ok(summary) => summary.lines().for_each(|line| info!("reload: {line}")),
            Err(error) => tracing::error!("reload refused, everything stays as it is:\n{error}"),
        }
        result
    }

    async fn reload_from(&mut self, path: PathBuf) -> Result<String, ReloadError> {
        self.seen = Stamp::of(&path);
        // A large file with many folders to look up must not keep clients from being accepted.
        let loading = tokio::task::spawn_blocking(move || config::load(&path));
        let model = loading.await.map_err(|panic| StartError::Threads(io::Error::other(panic)))?;
        let mut model = model.map_err(ReloadError::Config)?;
        if !changes::same_door(&self.model, &model) {
            // Where he is not listened to any more he must not be told more than before.
            warn!("reload: [admin] holds from the next start on; until then it stays as it is");
            model.admin = self.model.admin.clone();
        }
        let new = self.bind_what_is_new(&model)?;
        let means = self.means_for(&model)?;
        self.events.follow(&self.model.server.log, &model.server.log).map_err(StartError::EventLog)?;
        // From here on nothing can fail.
        model.warn();
        let lines = self.put_in_force(&model, new, means);
        for key in changes::not_now(&self.model, &model) {
            warn!("reload: {key} holds from the next start on; until then it stays as it is");
        }
        (model.server.threads, model.server.pid_file) =
            (self.model.server.threads, self.model.server.pid_file.take());
        model.server.account = self.model.server.account.take();
        self.model = model;
        Ok(if lines.is_empty() { "nothing has changed".to_owned() } else { lines.join("\n") })
    }

    fn put_in_force(&mut self, model: &Model, new: Vec<(Listen, Bound)>, means: Means) -> Vec<String> {
        let old = self.generation.load_full();
        let before = Members::of(&old);
        let generation = Arc::new(Generation::build(model, Some(&old)));
        self.front.set_means(means);
        self.front.lobby().set_most(open_files::most_clients(model.server.max_connections));
        if let (Some(operator), Some(admin)) = (&self.operator, &model.admin) {
            operator.set_token(admin.token.clone());
        }
        self.generation.store(Arc::clone(&generation));
        let ids: Vec<_> = generation.sites().listeners().map(|(id, listen)| (id, listen.clone())).collect();
        for (listen, bound) in new {
            let id = ids.iter().find(|(_, known)| *known == listen).map(|(id, _)| *id);
            self.doors.open(id.expect("it was bound for this generation"), listen, bound);
        }
        for error in model.listeners.iter().filter_map(|listener| listen::set_mode(listener).err()) {
            warn!("reload: the mode of a socket stays: {error}");
        }
        self.doors.retain(|listen| ids.iter().any(|(_, known)| known == listen), &old);
        old.clusters().iter().for_each(Cluster::drain);
        changes::between(&self.model, model, &before, &Members::of(&generation))
    }

    fn bind_what_is_new(&self, model: &Model) -> Result<Vec<(Listen, Bound)>, ReloadError> {
        let sites = Sites::build(model, None);
        let new = sites.listeners().filter(|(_, listen)| !self.doors.has(listen));
        let bind = |(_, listen): (_, &Listen)| match Bound::new(listen, model.threads_that_listen_on(listen))
        {
            Ok(bound) => Ok((listen.clone(), bound)),
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse && self.has_port_of(listen) => {
                Err(ReloadError::OwnPort(error))
            }
            Err(error)
                if error.source.kind() == io::ErrorKind::PermissionDenied
                    && self.model.server.account.is_some() =>
            {
                Err(ReloadError::NotRoot(error))
            }
            Err(error) => Err(StartError::Bind(error).into()),
        };
        new.map(bind).collect()
    }

    fn has_port_of(&self, listen: &Listen) -> bool {
        let port = |listen: &Listen| match listen {
            Listen::Tcp(address) => Some(address.port()),
            Listen::Unix(_) => None,
        };
        port(listen).is_some() && self.doors.addresses().iter().any(|own| port(own) == port(listen))
    }

    /// The log stays open where it stays the same.
    fn means_for(&self, model: &Model) -> Result<Means, StartError> {
        let (old, new) = (&self.model.server, &model.server);
        let mut means = (*self.front.means()).clone();
        if (&old.access_log, &old.slow_log) != (&new.access_log, &new.slow_log) {
            means.access_log = AccessLog::open(new).map_err(StartError::AccessLog)?.map(Arc::new);
        }
        if old.temp_dir != new.temp_dir {
            server::try_temp_dir(&new.temp_dir)?;
        }
        means.timeouts = Timeouts::of(new);
        Ok(means)
    }
}
