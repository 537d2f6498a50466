//! What an operator wishes that only the runtime can do: it is above, so it is asked through a channel.

use tokio::sync::{mpsc, oneshot};

/// As many may wait for the runtime; it takes them one by one.
const PENDING: usize = 8;

/// A wish, with where its answer goes.
#[derive(Debug)]
pub enum Wish {
    /// Read the configuration again. The answer is one line for each thing that changed.
    Reload(oneshot::Sender<Result<String, NotReloaded>>),
}

/// Why everything stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    /// Started without a file, by `cornac serve`.
    #[error("there is no configuration file to read again")]
    NoFile,
    /// The new configuration is wrong; the diagnostics, as `cornac check` prints them.
    #[error("{0}")]
    Wrong(String),
}

/// Where wishes arrive.
pub type Wishes = mpsc::Receiver<Wish>;

/// A channel for wishes.
pub fn wishes() -> (mpsc::Sender<Wish>, Wishes) {
    mpsc::channel(PENDING)
}
