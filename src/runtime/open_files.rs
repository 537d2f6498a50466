//! How many files and sockets this process may have open: as many as the system lets it have without asking anybody.
//!
//! A request needs two, the client's and php-fpm's, and the usual soft limit of 1024 is there for programs that call select(2).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Raises the soft limit to the hard one.
pub(super) fn allow_all() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => debug!(before = current, now = maximum, "limit of open files raised"),
        Err(error) => warn!(limit = current, %error, "cannot raise the limit of open files"),
    }
}

/// How many clients there may be: as many as are asked for, or so many that a quarter of the limit is left for php-fpm, files and logs.
pub(super) fn most_clients(wanted: Option<usize>) -> usize {
    let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    match wanted {
        Some(wanted) if wanted > limit => {
            warn!(
                max_connections = wanted,
                limit, "the limit of open files is lower: raise it (LimitNOFILE, ulimit -n)"
            );
            limit
        }
        Some(wanted) => wanted,
        None => limit / 4 * 3,
    }
}
