//! Another binary takes over while clients are served (SIGUSR2): it is started with our listening sockets, and when it says that it serves
//! we accept nobody any more, finish what is in flight, and end. If it does not come that far, nothing has changed.
//!
//! Both share the sockets, those of each thread with `reuseport` too, so whoever waits in a backlog is accepted by one of them. (Sockets of
//! the successor's own would have backlogs of their own, and lose whoever waits in one that closes.)

use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::handover::{self, Handed, VARIABLE, VERSION};

/// How long it may take until it serves. It reads its configuration and binds what is new; php-fpm need not be there for that.
const START: Duration = Duration::from_secs(30);

/// How this process was started, and how its successor will be.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
}

/// A process that is to take over.
#[derive(Debug)]
pub(super) struct Successor {
    child: Child,
    word: UnixStream,
}

/// Why this process goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("cannot start {}: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the new process ended before it served ({0}); what it said stands above or on standard error")]
    Ended(ExitStatus),
    #[error("the new process closed its end before it served, and was ended")]
    Left,
    #[error("the new process did not serve within {} s, and was ended", START.as_secs())]
    Silent,
    #[error("the process is number 1, and its end would be the container's: replace the container instead")]
    Init,
}

impl Launch {
    /// By the words of the command line, not by what runs now: another file may have their name by then. Asked for at the start, as paths
    /// in them are relative to where that was.
    pub(super) fn of_this_process() -> Option<Self> {
        let mut words = std::env::args_os();
        let program = PathBuf::from(words.next()?);
        // A mere name is looked for in PATH then.
        let has_folder = program.parent().is_some_and(|folder| folder != Path::new(""));
        let program = if has_folder { std::path::absolute(program).ok()? } else { program };
        Some(Self { program, args: words.collect() })
    }
}

impl Successor {
    /// Starts it, and hands it the sockets. Must be called within a tokio runtime.
    pub(super) fn start<'a>(
        launch: &Launch,
        sockets: impl Iterator<Item = Handed<BorrowedFd<'a>>>,
    ) -> Result<Self, UpgradeError> {
        if std::process::id() == 1 {
            return Err(UpgradeError::Init);
        }
        let failed = |source| UpgradeError::Start { program: launch.program.clone(), source };
        let (here, there) = StdStream::pair().map_err(failed)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).env(VARIABLE, VERSION).stdin(OwnedFd::from(there));
        let mut child = command.spawn().map_err(failed)?;
        // It holds the successor's end, whose closing is a sign.
        drop(command);
        // One that is gone already says more by how it ended.
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        let given = handover::give(&here, sockets).or_else(|error| match is_gone(&error) {
            true => Ok(()),
            false => Err(error),
        });
        let given = given.and_then(|()| {
            here.set_nonblocking(true)?;
            UnixStream::from_std(here)
        });
        match given {
            Ok(word) => Ok(Self { child, word }),
            Err(error) => {
                drop(child.start_kill());
                Err(failed(error))
            }
        }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it serves, or is known not to.
    pub(super) async fn serves(&mut self) -> Result<(), UpgradeError> {
        let mut word = [0; 16];
        match timeout(START, self.word.read(&mut word)).await {
            Ok(Ok(length)) if handover::is_ready(&word[..length]) => Ok(()),
            Err(_) => Err(self.ended().await.map_or(UpgradeError::Silent, UpgradeError::Ended)),
            // Its end of the pair is closed by its end a moment before that can be seen.
            Ok(_) => match timeout(Duration::from_secs(1), self.child.wait()).await {
                Ok(Ok(status)) => Err(UpgradeError::Ended(status)),
                _ => Err(self.ended().await.map_or(UpgradeError::Left, UpgradeError::Ended)),
            },
        }
    }

    /// Ends it. Its status, if it had ended by itself.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        // It may have ended in this moment, which is what is wanted.
        drop(self.child.kill().await);
        None
    }
}
