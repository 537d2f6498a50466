//! The process's number in a file, as long as the process lives. After an upgrade the file is the successor's.

use std::io;
use std::path::{Path, PathBuf};

/// Removed with this value, if the number in it is still ours.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Whatever process it named before.
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        std::fs::write(path, format!("{}\n", std::process::id()))?;
        Ok(Self(path.to_owned()))
    }

    /// After a successor that wrote its own number has not come to serve.
    pub(super) fn write_again(&self) {
        if !self.is_ours()
            && let Err(error) = Self::write(&self.0).map(std::mem::forget)
        {
            tracing::warn!(%error, pid_file = %self.0.display(), "cannot be written again");
        }
    }

    fn is_ours(&self) -> bool {
        let written = std::fs::read_to_string(&self.0);
        written.is_ok_and(|pid| pid.trim() == std::process::id().to_string())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = std::fs::remove_file(&self.0)
        {
            tracing::warn!(%error, pid_file = %self.0.display(), "left behind");
        }
    }
}
