//! Why a source cannot tell: who failed, and in which phase.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;

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
    /// Nobody listens at an interface, or nobody lets us in.
    #[error("cannot connect to {at}: {error}")]
    Unreachable { at: String, error: io::Error },
    /// It does not answer.
    #[error("{at} does not answer within {} s", patience.as_secs())]
    Silent { at: String, patience: Duration },
    /// The connection broke.
    #[error("the connection to {at} broke: {error}")]
    Broken { at: String, error: String },
    /// It refuses.
    #[error("{at} answers {status}: {said}")]
    Status { at: String, status: StatusCode, said: String },
    /// It says something else than it should.
    #[error("what {at} answers is not understood: {why}")]
    NotUnderstood { at: String, why: String },
    /// Such as one with a line break in it.
    #[error("the token cannot stand in a header")]
    BadToken,
}
