//! root's rights, which binding port 80 and reading keys take and serving does not: given up once the sockets stand and the logs are
//! open, for all threads and for good. What comes later (reloads, rotated logs, a successor) is done with what the user may.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, geteuid, initgroups, setgid, setuid};

use crate::config::model::Account;

/// Why the server does not begin: better not at all than as root.
#[derive(Debug, thiserror::Error)]
#[error("cannot become the user {user}: {reason}")]
pub struct NotGivenUp {
    user: String,
    reason: String,
}

/// Becomes the user, if there is one and this is root. libc's wrappers hold for the threads that are there already too.
///
/// # Errors
/// The kernel refuses, or the way back is open.
pub(super) fn give_up(account: Option<&Account>) -> Result<(), NotGivenUp> {
    let Some(account) = account else {
        warn_of_root();
        return Ok(());
    };
    let us = geteuid();
    if !us.is_root() {
        // A successor is the user already.
        if us.as_raw() != account.uid {
            tracing::warn!("server.user holds only where cornac is started by root; it goes on as user {us}");
        }
        return Ok(());
    }
    become_them(account)
        .map_err(|reason| NotGivenUp { user: account.name.clone(), reason: reason.to_string() })?;
    if account.uid != 0 && setuid(Uid::from_raw(0)).is_ok() {
        let reason = "it could become root again".to_owned();
        return Err(NotGivenUp { user: account.name.clone(), reason });
    }
    tracing::info!(user = account.name, "root's rights are given up");
    Ok(())
}

/// The groups first: the user may not change them any more.
fn become_them(account: &Account) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let name = CString::new(account.name.as_bytes()).map_err(|_| Errno::EINVAL)?;
    initgroups(&name, gid)?;
    setgid(gid)?;
    setuid(uid)
}

fn warn_of_root() {
    if geteuid().is_root() {
        tracing::warn!(
            "cornac runs as root, and so would whoever breaks into it: name a `user` in [server] (\"www-data\")"
        );
    }
}
