//! Sockets that systemd listens on for us (sd_listen_fds(3)): it may start us when the first client comes, and holds the sockets while
//! we are replaced. They are told apart by their addresses, as the configuration writes them.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::Socket;

use crate::config::model::Listen;

/// What was passed to this process, each socket with the address at which the configuration finds it.
pub(super) fn sockets() -> Vec<(String, OwnedFd)> {
    let mut passed = ListenFd::from_env();
    (0..passed.len()).filter_map(|place| take(&mut passed, place)).collect()
}

fn take(passed: &mut ListenFd, place: usize) -> Option<(String, OwnedFd)> {
    // Each of these looks what kind of socket it is, and leaves it where it is of another kind.
    if let Ok(Some(tcp)) = passed.take_tcp_listener(place) {
        let address = tcp.local_addr().ok()?;
        let socket = Socket::from(tcp);
        let listen = Listen::Tcp(serves(address, &socket));
        return Some((listen.to_string(), socket.into()));
    }
    if let Ok(Some(unix)) = passed.take_unix_listener(place) {
        return Some((path(&unix)?, unix.into()));
    }
    tracing::warn!("descriptor {} was passed to this process, but is no listening stream socket", 3 + place);
    None
}

/// systemd's `ListenStream=80` is `[::]:80` for IPv4 too, which is `listen = "80"` here.
fn serves(address: SocketAddr, socket: &Socket) -> SocketAddr {
    let both = address.is_ipv6() && address.ip().is_unspecified() && socket.only_v6().is_ok_and(|only| !only);
    if both { SocketAddr::from(([0, 0, 0, 0], address.port())) } else { address }
}

fn path(socket: &UnixListener) -> Option<String> {
    Some(Listen::Unix(socket.local_addr().ok()?.as_pathname()?.to_owned()).to_string())
}
