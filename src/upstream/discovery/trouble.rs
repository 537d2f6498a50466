//! Why a source cannot tell: who failed, and in which phase.

use std::io;
use std::path::PathBuf;

/// Why a source cannot tell who its members are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The system's resolver.
    #[error("{0} cannot be looked up: {1}")]
    Lookup(String, io::Error),
    /// A name that leads nowhere.
    #[error("{0} has no address")]
    NoAddress(String),
    /// A name server said so.
    #[error("{0} does not exist (NXDOMAIN)")]
    NoSuchName(String),
    /// A name server said nothing.
    #[error("{0} cannot be looked up: no name server answered in time")]
    SilentNameServer(String),
    /// A name server said anything else.
    #[error("{0} cannot be looked up: {1}")]
    Dns(String, String),
    /// `/etc/resolv.conf`.
    #[error("the system's resolver settings cannot be used: {0}")]
    ResolverSettings(String),
    /// A file that is not there, or not for us.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// A file with a mistake in it: `path:line:column: …`.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Malformed { path: PathBuf, line: usize, column: usize, message: String },
}
