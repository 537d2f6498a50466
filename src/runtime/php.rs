//! A php-fpm of our own for `cornac serve`: found, configured on a private unix socket, supervised, and ended with us.
//! The pools of `cornac run` are somebody else's processes; this file knows nothing of them.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// How long php-fpm may take until it accepts.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end before it is killed.
const STOP: Duration = Duration::from_secs(5);
/// Restarts wait this long, doubled each time up to [`SLOWEST`].
const SOONEST: Duration = Duration::from_millis(100);
/// See [`SOONEST`].
const SLOWEST: Duration = Duration::from_secs(5);
/// Having lived this long, the next end of it counts as the first.
const STABLE: Duration = Duration::from_secs(10);

/// Why there is no php-fpm.
#[derive(Debug, thiserror::Error)]
pub enum PhpError {
    /// Nothing of that name on the machine.
    #[error(
        "no php-fpm found in PATH or the usual folders; install it (Debian, Ubuntu: `apt-get install php-fpm`; Fedora: `dnf \
         install php-fpm`; Alpine: `apk add php84-fpm`; macOS: `brew install php`), or give a running one with `--fpm`"
    )]
    NotFound,
    /// Its folder, configuration or process could not be made.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Which one.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It ended before it accepted; what it said is in the log.
    #[error("{program} ended at once ({status}): {said}")]
    Ended {
        /// Which one.
        program: PathBuf,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// Its last words.
        said: String,
    },
    /// It lives but does not accept.
    #[error("{program} does not accept connections after {} s", START.as_secs())]
    Silent {
        /// Which one.
        program: PathBuf,
    },
}

/// A running php-fpm and the task that watches it.
#[derive(Debug)]
pub struct Php {
    socket: PathBuf,
    stop: tokio::sync::watch::Sender<bool>,
    watcher: JoinHandle<()>,
}

/// What is needed to start it, again and again.
#[derive(Debug)]
struct Recipe {
    program: PathBuf,
    folder: tempfile::TempDir,
    as_root: bool,
}

impl Php {
    /// Finds php-fpm and starts it with this many workers for the scripts below `root`.
    pub async fn start(root: &Path, workers: u32) -> Result<Self, PhpError> {
        let program = find().ok_or(PhpError::NotFound)?;
        let recipe = Recipe::write(program.clone(), root, workers)
            .map_err(|source| PhpError::Start { program, source })?;
        let child = recipe.launch().await?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let socket = recipe.socket();
        info!(program = %recipe.program.display(), workers, "php-fpm started");
        let watcher = tokio::spawn(watch(recipe, child, stopped));
        Ok(Self { socket, stop, watcher })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it and waits until it is gone.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if self.watcher.await.is_err() {
            error!("the watcher of php-fpm panicked; its process may be left");
        }
    }
}

/// Restarts php-fpm whenever it ends, with growing pauses, until told to stop.
async fn watch(recipe: Recipe, mut child: Child, mut stopped: tokio::sync::watch::Receiver<bool>) {
    let mut pause = SOONEST;
    loop {
        let born = Instant::now();
        let group = pid(&child);
        tokio::select! {
            status = child.wait() => warn!(status = ?status.ok(), "php-fpm ended; starting it again"),
            _ = stopped.changed() => return end(child).await,
        }
        end_orphans(group);
        if born.elapsed() > STABLE {
            pause = SOONEST;
        }
        child = loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => return,
            }
            pause = (pause * 2).min(SLOWEST);
            match recipe.launch().await {
                Ok(child) => break child,
                Err(error) => error!(%error, retry_in = ?pause, "php-fpm does not start"),
            }
        };
        info!("php-fpm is back");
    }
}

/// SIGTERM ends workers in the middle of a script; a development server that is told to stop should stop.
async fn end(mut child: Child) {
    let group = pid(&child);
    if let Some(Err(error)) = group.map(|master| kill_process(master, Signal::TERM)) {
        // It may have ended in this moment, which is what was wanted.
        debug!(%error, "php-fpm could not be told");
    }
    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
        end_orphans(group);
        drop(child.wait().await);
    }
    end_orphans(group);
    debug!("php-fpm stopped");
}

/// Workers outlive a master that was killed: they go on accepting, and the next master would find its socket in use.
/// They are in the group that the master was started with.
fn end_orphans(group: Option<Pid>) {
    if let Some(Ok(())) = group.map(|group| kill_process_group(group, Signal::KILL)) {
        debug!("php-fpm's workers had outlived it");
    }
}

/// `None` once its end was seen.
fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

impl Recipe {
    fn write(program: PathBuf, root: &Path, workers: u32) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("cornac-php-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        let recipe = Self { program, folder, as_root: rustix::process::geteuid().is_root() };
        let owner =
            recipe.as_root.then(|| root.metadata().map(|found| (found.uid(), found.gid()))).transpose()?;
        std::fs::write(recipe.config(), configuration(&recipe.socket(), workers, owner))?;
        Ok(recipe)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("php.sock")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("php-fpm.conf")
    }

    async fn launch(&self) -> Result<Child, PhpError> {
        let failed = |source| PhpError::Start { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.arg("--nodaemonize").arg("--force-stderr").arg("--fpm-config").arg(self.config());
        if self.as_root {
            command.arg("--allow-to-run-as-root");
        }
        // Its own process group: Ctrl-C reaches cornac, which then ends php-fpm in order.
        command.process_group(0).kill_on_drop(true);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let said = child.stderr.take().map(log_lines);
        self.until_it_accepts(&mut child, said).await?;
        Ok(child)
    }

    async fn until_it_accepts(
        &self,
        child: &mut Child,
        said: Option<JoinHandle<String>>,
    ) -> Result<(), PhpError> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if UnixStream::connect(self.socket()).await.is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = child.try_wait() {
                let said = match said {
                    Some(task) => task.await.unwrap_or_default(),
                    None => String::new(),
                };
                return Err(PhpError::Ended { program: self.program.clone(), status, said });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(PhpError::Silent { program: self.program.clone() })
    }
}

/// php-fpm's own log becomes ours; resolves to its last words when it ends.
fn log_lines(stderr: tokio::process::ChildStderr) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        let mut last = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            match line.contains("NOTICE") || line.contains("DEBUG") {
                true => debug!(target: "php-fpm", "{}", line.escape_debug()),
                false => warn!(target: "php-fpm", "{}", line.escape_debug()),
            }
            last = line;
        }
        last
    })
}

fn configuration(socket: &Path, workers: u32, owner: Option<(u32, u32)>) -> String {
    let user = match owner {
        // php-fpm takes numbers for names; it warns, and does what was meant.
        Some((uid, gid)) => format!("user = {uid}\ngroup = {gid}\n"),
        None => String::new(),
    };
    format!(
        "[global]\ndaemonize = no\nerror_log = /proc/self/fd/2\nlog_limit = 8192\n\n\
         [cornac]\n{user}listen = {}\nlisten.mode = 0600\npm = static\npm.max_children = {workers}\n\
         catch_workers_output = yes\ndecorate_workers_output = no\nclear_env = no\n",
        socket.display()
    )
}

/// The newest php-fpm in PATH and in the folders for servers' programs, which a user's PATH often lacks.
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin"].map(PathBuf::from);
    find_in(std::env::split_paths(&path).chain(usual))
}

/// `php-fpm` itself before `php-fpm8.3` (Debian) and `php-fpm83` (Alpine), and of those the highest.
fn find_in(folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let programs =
        folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().filter_map(Result::ok);
    programs
        .filter_map(|entry| {
            let version = version_of(entry.file_name().to_str()?)?;
            let runs =
                entry.path().metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0);
            runs.then(|| (version, entry.path()))
        })
        .max_by_key(|(version, _)| *version)
        .map(|(_, program)| program)
}

/// 803 for `php-fpm8.3` and `php-fpm83`; the plain name, which an administrator made, beats them.
fn version_of(name: &str) -> Option<u32> {
    let digits: String = name.strip_prefix("php-fpm")?.chars().filter(|&c| c != '.').collect();
    if digits.is_empty() {
        return (name == "php-fpm").then_some(u32::MAX);
    }
    let (major, minor) = digits.split_at(1);
    Some(major.parse::<u32>().ok()? * 100 + if minor.is_empty() { 0 } else { minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_name_wins_and_then_the_highest_version() {
        for (names, found) in [
            (&["php-fpm8.2", "php-fpm8.10", "php"][..], Some("php-fpm8.10")),
            (&["php-fpm8.2", "php-fpm"], Some("php-fpm")),
            (&["php-fpm83"], Some("php-fpm83")),
            (&["php-fpm.conf", "php-fpm-healthcheck", "php8.2"], None),
        ] {
            let folder = tempfile::tempdir().expect("a temp dir");
            for name in names {
                std::fs::write(folder.path().join(name), "").expect("writes");
                std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o755))
                    .expect("own file");
            }
            let got = find_in(std::iter::once(folder.path().to_path_buf()));
            let got = got.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
            assert_eq!(got, found, "{names:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_not_php_fpm() {
        let folder = tempfile::tempdir().expect("a temp dir");
        std::fs::write(folder.path().join("php-fpm"), "").expect("writes");
        assert_eq!(find_in(std::iter::once(folder.path().to_path_buf())), None);
    }

    #[tokio::test]
    async fn a_php_fpm_that_ends_at_once_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().expect("a temp dir");
        let program = folder.path().join("php-fpm");
        std::fs::write(&program, "#!/bin/sh\necho 'ERROR: no pool defined' >&2\nexit 78\n").expect("writes");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("own file");
        let recipe = Recipe::write(program, folder.path(), 2).expect("a temp dir");
        let error = recipe.launch().await.expect_err("it ended");
        assert!(error.to_string().contains("no pool defined"), "{error}");
    }
}
