//! Listening sockets: binding them with an error that says what to do, and accepting from either kind.

use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::model::{self, Listen};

/// As much as the kernel grants: a burst waits here rather than being refused.
const BACKLOG: i32 = 4096;

/// A socket that accepts clients.
#[derive(Debug)]
pub(super) struct Listener {
    socket: AsyncFd<OwnedFd>,
    /// Or a unix socket.
    is_tcp: bool,
}

/// A client's connection as it was accepted: with no runtime yet.
#[derive(Debug)]
pub(super) enum Accepted {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

/// A socket that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}{}", remedy(listen, source))]
pub struct BindError {
    /// As it is written in the configuration.
    pub listen: String,
    /// What the kernel said.
    pub source: io::Error,
}

fn remedy(listen: &str, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has it: stop that, or choose another with `listen` (`--listen` for `cornac serve`)"
        }
        io::ErrorKind::PermissionDenied if listen.starts_with("unix:") => {
            "; its folder may not be written by the user that cornac runs as"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root or CAP_NET_BIND_SERVICE: choose one above, such as 8080"
        }
        io::ErrorKind::AddrNotAvailable => "; no network interface of this machine has that address",
        io::ErrorKind::NotFound => "; its folder does not exist",
        _ => "",
    }
}

/// Binds and listens; with `reuse_port` beside others that have it too.
pub(super) fn bind(listen: &Listen, reuse_port: bool) -> io::Result<OwnedFd> {
    match listen {
        Listen::Tcp(address) => bind_tcp(*address, reuse_port),
        Listen::Unix(path) => bind_unix(path),
    }
}

/// The address that a socket got: with the real port where 0 was asked for. `None` for a unix socket.
pub(super) fn address_of(socket: &OwnedFd) -> Option<SocketAddr> {
    rustix::net::getsockname(socket).ok().and_then(|address| SocketAddr::try_from(address).ok())
}

impl Listener {
    /// Of a socket that listens. It belongs to the runtime that this is called in.
    #[expect(
        deprecated,
        reason = "what took its place is unsafe, for types that may give another descriptor each time: OwnedFd does not"
    )]
    pub(super) fn of(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let is_tcp = address_of(&socket).is_some();
        Ok(Self { socket: AsyncFd::with_interest(socket, Interest::READABLE)?, is_tcp })
    }

    /// The next client, and its address, which a unix client has not. It belongs to no runtime yet: tokio's own listeners would sign
    /// it up with this one, for nothing.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Option<SocketAddr>)> {
        self.socket.async_io(Interest::READABLE, |socket| accept(socket, self.is_tcp)).await
    }

    /// Closes it, after everybody is accepted who has connected before.
    pub(super) fn rest(self) -> impl Iterator<Item = (Accepted, Option<SocketAddr>)> {
        std::iter::from_fn(move || accept(self.socket.get_ref(), self.is_tcp).ok())
    }
}

fn accept(socket: &OwnedFd, is_tcp: bool) -> io::Result<(Accepted, Option<SocketAddr>)> {
    let (client, peer) = acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    Ok(match is_tcp {
        true => (Accepted::Tcp(client.into()), peer.and_then(|peer| SocketAddr::try_from(peer).ok())),
        false => (Accepted::Unix(client.into()), None),
    })
}

impl Accepted {
    /// Makes it fit for replies.
    pub(super) fn prepare(&self) {
        let Self::Tcp(stream) = self else { return };
        // A reply's last segment must not wait for the acknowledgement of the one before. (A listening socket would hand this on, but
        // not to those who had connected before it was ours: systemd's first clients.)
        drop(stream.set_nodelay(true));
    }

    /// Its own end's address, which a unix client has not.
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<OwnedFd> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        // nginx's default: [::]:80 and 0.0.0.0:80 are two listeners.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Gives a unix socket's file the mode that the configuration says.
pub(super) fn set_mode(listener: &model::Listener) -> Result<(), BindError> {
    let (Listen::Unix(path), Some(mode)) = (&listener.listen, listener.mode) else { return Ok(()) };
    let set = path.metadata().and_then(|found| match found.permissions().mode() & 0o777 == mode {
        true => Ok(()),
        false => std::fs::set_permissions(path, Permissions::from_mode(mode)),
    });
    set.map_err(|source| BindError { listen: listener.listen.to_string(), source })
}

/// A socket file that nobody listens on any more is left by a crash, and is replaced.
fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
    let is_socket = path.metadata().is_ok_and(|found| found.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    UnixListener::bind(path).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_says_so_and_offers_another() {
        let first = bind(&Listen::Tcp("127.0.0.1:0".parse().expect("a literal")), false).expect("port 0");
        let taken = Listen::Tcp(address_of(&first).expect("tcp"));
        let source = bind(&taken, false).expect_err("it is taken");
        let text = BindError { listen: taken.to_string(), source }.to_string();
        assert!(text.contains(&taken.to_string()) && text.contains("--listen"), "{text}");
    }

    #[test]
    fn with_reuse_port_several_listen_and_nobody_else_does() {
        let first = bind(&Listen::Tcp("127.0.0.1:0".parse().expect("a literal")), true).expect("port 0");
        let taken = Listen::Tcp(address_of(&first).expect("tcp"));
        let _second = bind(&taken, true).expect("both have it");
        assert_eq!(bind(&taken, false).expect_err("it is taken").kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_socket_file_left_by_a_crash_is_replaced_but_a_living_one_is_not() {
        let folder = tempfile::tempdir().expect("a temp dir");
        let path = folder.path().join("s.sock");
        drop(UnixListener::bind(&path).expect("fresh"));
        let _living = bind(&Listen::Unix(path.clone()), false).expect("the stale file is replaced");
        let error = bind(&Listen::Unix(path), false).expect_err("somebody listens");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
