//! Whether the host at the other end of a TCP connection still lives: a dead one says nothing, not even that it is gone.
//!
//! A kernel that lives acknowledges what it gets, whatever its php-fpm does and even while that is stopped: so no slow
//! script is ever cut, and a host that lost its power or its network is noticed long before a timeout of the script's.
//! Where the peer is this very kernel (loopback, unix sockets) there is nothing to watch, and nothing is paid.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// So long a connection on which nothing is on its way lies quiet before the host is asked (TCP keepalive).
const QUIET: Duration = Duration::from_secs(5);
/// How often it is asked then, and how often in vain.
const EVERY: Duration = Duration::from_secs(5);
const TIMES: u32 = 3;
/// So long sent bytes may go without acknowledgement (TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);
/// A request of this size fits into any receive buffer. Behind a larger one the buffer may be full for as long as its worker
/// is busy, and Linux takes a full buffer for silence too (tcp_probe_timer).
const FITS: u64 = 32 * 1024;

/// The watch over one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifeline {
    /// The peer is this machine.
    None,
    /// Also what was sent is to be acknowledged in time.
    Taut,
    /// A large request is on its way, which may stop for long.
    Loose,
}

impl Lifeline {
    /// Begins with a connection to `host`.
    pub(super) fn tie(stream: &TcpStream, host: IpAddr) -> Self {
        if host.to_canonical().is_loopback() {
            return Self::None;
        }
        // A peer that has reset it already is seen by the request that follows.
        Self::watch(stream).map_or(Self::None, |()| Self::Taut)
    }

    fn watch(stream: &TcpStream) -> io::Result<()> {
        let keepalive = TcpKeepalive::new().with_time(QUIET).with_interval(EVERY).with_retries(TIMES);
        let socket = SockRef::from(stream);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
    }

    /// A request of that size is to be sent.
    pub(super) fn carries(&mut self, size: u64, stream: &TcpStream) {
        let wanted = if size <= FITS { Self::Taut } else { Self::Loose };
        if *self == Self::None || *self == wanted {
            return;
        }
        let patience = (wanted == Self::Taut).then_some(UNACKNOWLEDGED);
        // It was set before, on the same socket: what might fail then has not.
        if SockRef::from(stream).set_tcp_user_timeout(patience).is_ok() {
            *self = wanted;
        }
    }
}

/// Whether an error says that the host is gone, or its network.
pub(super) fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn stream() -> (TcpStream, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (TcpStream::connect(listener.local_addr().unwrap()).await.unwrap(), listener)
    }

    #[tokio::test]
    async fn nothing_is_paid_where_the_peer_is_this_machine() {
        let (stream, _listener) = stream().await;
        let mut lifeline = Lifeline::tie(&stream, stream.peer_addr().unwrap().ip());
        lifeline.carries(1 << 30, &stream);
        assert_eq!(lifeline, Lifeline::None);
        assert!(!SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn a_large_request_may_stop_for_long_and_the_next_small_one_may_not() {
        let (stream, _listener) = stream().await;
        let mut lifeline = Lifeline::Taut;
        let patience = || SockRef::from(&stream).tcp_user_timeout().unwrap();
        for (size, expected) in
            [(FITS + 1, None), (FITS + 1, None), (FITS, Some(UNACKNOWLEDGED)), (1 << 30, None)]
        {
            lifeline.carries(size, &stream);
            assert_eq!(patience(), expected, "{size}");
        }
    }
}
