//! One open connection to a member: the socket, its read buffer and its timer, kept together from request to request.
//!
//! It knows how to connect, read, write and look whether the peer is still there. What the bytes mean is `talk`'s, and who
//! may have the connection is `lease`'s.

use super::afterwork::Trail;
use super::endpoint::Endpoint;
use super::lane::Lane;
use super::lifeline::Lifeline;
use crate::balance::{Failure, Kept};
use crate::fcgi::RequestId;
use bytes::BytesMut;
use rustix::io::Errno;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

/// What one read may bring at first. A hello fits many times, so a kept connection seldom allocates.
const READ_SIZE: usize = 16 * 1024;
/// What one read may bring once a reply has shown to be large.
const LARGE_READ_SIZE: usize = 64 * 1024;

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    lifeline: Lifeline,
    buffer: BytesMut,
    reply_is_large: bool,
    timer: Timer,
    lane: Lane,
    opened: Instant,
    pub(crate) requests: u32,
    /// The id of its latest exchange: the next one must have another (fpm-facts 4).
    pub(crate) last_id: Option<RequestId>,
    /// Its latest request, whose script may still be at work.
    pub(crate) last_request: Trail,
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint, patience: Duration) -> Result<Box<Self>, Failure> {
        let connecting = async {
            match endpoint {
                Endpoint::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    let lifeline = Lifeline::tie(&stream, address.ip());
                    Ok((Socket::Tcp(stream), lifeline))
                }
                Endpoint::Unix(path) => Ok((Socket::Unix(connect_unix(path).await?), Lifeline::None)),
            }
        };
        match timeout(patience, connecting).await {
            Ok(Ok((socket, lifeline))) => Ok(Self::new(socket, lifeline)),
            Ok(Err(error)) => Err(failure_at(endpoint, &error)),
            Err(_) => Err(match endpoint {
                Endpoint::Tcp(_) => Failure::ConnectTimeout,
                // The kernel answers at once for a unix socket: what has taken so long is `connect_unix` asking again.
                Endpoint::Unix(_) => Failure::BacklogFull,
            }),
        }
    }

    /// In a box: it goes from hand to hand with every request.
    fn new(socket: Socket, lifeline: Lifeline) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            socket,
            lifeline,
            buffer: BytesMut::new(),
            reply_is_large: false,
            timer: Timer::default(),
            lane: Lane::here(),
            opened: now,
            requests: 0,
            last_id: None,
            last_request: Trail::default(),
        })
    }

    /// An idle connection, known to the poller of this lane.
    pub(crate) fn brought_here(self: Box<Self>) -> io::Result<Box<Self>> {
        let here = Lane::here();
        if self.lane == here {
            return Ok(self);
        }
        let brought = match self.socket {
            Socket::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Socket::Unix(stream) => Socket::Unix(UnixStream::from_std(stream.into_std()?)?),
        };
        Ok(Box::new(Self { socket: brought, timer: Timer::default(), lane: here, ..*self }))
    }

    /// Whether an idle connection has neither been closed by php-fpm nor said anything unasked. Costs no system call
    /// unless the poller has seen something.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let read = match &self.socket {
            Socket::Tcp(stream) => stream.try_read(&mut byte),
            Socket::Unix(stream) => stream.try_read(&mut byte),
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// A request of that size is to be sent.
    pub(crate) fn carries(&mut self, size: u64) {
        if let Socket::Tcp(stream) = &self.socket {
            self.lifeline.carries(size, stream);
        }
    }

    /// What arrived; empty when the peer closed.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        if self.reply_is_large {
            self.buffer.reserve(LARGE_READ_SIZE);
        } else if self.buffer.capacity() < READ_SIZE / 8 {
            self.buffer.reserve(READ_SIZE);
        }
        let capacity = self.buffer.capacity();
        let read = match &mut self.socket {
            Socket::Tcp(stream) => ready!(pin!(stream.read_buf(&mut self.buffer)).poll(cx)),
            Socket::Unix(stream) => ready!(pin!(stream.read_buf(&mut self.buffer)).poll(cx)),
        };
        self.reply_is_large = matches!(read, Ok(size) if size == capacity && size >= READ_SIZE / 2);
        Poll::Ready(read.map(|_| self.buffer.split()))
    }

    pub(crate) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // A send of one piece costs the kernel less than a gathering write.
        match (&mut self.socket, slices) {
            (Socket::Tcp(stream), [piece]) => Pin::new(stream).poll_write(cx, piece),
            (Socket::Tcp(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
            (Socket::Unix(stream), [piece]) => Pin::new(stream).poll_write(cx, piece),
            (Socket::Unix(stream), _) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    pub(crate) fn poll_expired(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_expired(deadline, cx)
    }
}

impl Kept for Box<Connection> {
    fn opened(&self) -> std::time::Instant {
        self.opened.into_std()
    }
    fn requests(&self) -> u32 {
        self.requests
    }
    fn lane(&self) -> u32 {
        self.lane.bit()
    }
    fn is_near(&self) -> bool {
        self.lane == Lane::here()
    }
}

/// A full backlog makes connect() on a unix socket fail at once with EAGAIN, where TCP would wait: so wait here. The
/// caller's timeout ends it.
async fn connect_unix(path: &std::path::Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(Duration::from_millis(5)).await,
            other => return other,
        }
    }
}

/// A firewall may deny a TCP connection too; a socket's file says whom it lets in.
fn failure_at(endpoint: &Endpoint, error: &io::Error) -> Failure {
    match (endpoint, error.kind()) {
        (Endpoint::Unix(_), io::ErrorKind::PermissionDenied) => Failure::Forbidden,
        _ => failure_of(error),
    }
}

fn failure_of(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ if is_ours(error) => Failure::Exhausted,
        _ => Failure::Unreachable,
    }
}

/// Whether it says something about this process or machine, and nothing about the peer: connect(2), socket(2).
fn is_ours(error: &io::Error) -> bool {
    let error = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(error, Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOBUFS | Errno::NOMEM))
}

/// A deadline that moves with every read, at the price of one timer registration for many requests: the timer is left
/// where it is while it fires too early, and is set again only then.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_expired(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (Box<Connection>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        let (connection, accepted) =
            tokio::join!(Connection::open(&endpoint, Duration::from_secs(5)), listener.accept());
        (connection.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn a_closed_connection_is_seen_before_it_is_used_again() {
        let (connection, peer) = pair().await;
        assert!(connection.is_quiet());
        drop(peer);
        readable(&connection).await;
        assert!(!connection.is_quiet());
    }

    #[tokio::test]
    async fn a_peer_that_speaks_unasked_is_not_quiet() {
        let (connection, mut peer) = pair().await;
        peer.write_all(b"x").await.unwrap();
        readable(&connection).await;
        assert!(!connection.is_quiet());
    }

    async fn readable(connection: &Connection) {
        match &connection.socket {
            Socket::Tcp(stream) => stream.readable().await.unwrap(),
            Socket::Unix(stream) => stream.readable().await.unwrap(),
        }
    }

    #[tokio::test]
    async fn what_a_connect_error_means() {
        let gone = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            Endpoint::Tcp(listener.local_addr().unwrap())
        };
        let patience = Duration::from_secs(5);
        assert_eq!(Connection::open(&gone, patience).await.unwrap_err(), Failure::Refused);
        let missing = Endpoint::Unix("/nonexistent/php.sock".into());
        assert_eq!(Connection::open(&missing, patience).await.unwrap_err(), Failure::Unreachable);
        for ours in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            let failure = failure_of(&ours.into());
            assert!(failure == Failure::Exhausted && !failure.blames_the_member(), "{ours}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_backlog_of_a_unix_socket_is_waited_for_and_is_not_held_against_the_member() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("php.sock");
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let endpoint = Endpoint::Unix(path);
        let second = Duration::from_secs(1);
        let _fills_it = Connection::open(&endpoint, second).await.unwrap();
        let busy = Connection::open(&endpoint, second).await.unwrap_err();
        assert!(busy == Failure::BacklogFull && !busy.blames_the_member());
        let (late, _) = tokio::join!(Connection::open(&endpoint, second), async {
            sleep(second / 2).await;
            socket.accept().unwrap()
        });
        assert!(late.is_ok(), "a worker took one out, and the next fits");
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_follows_a_deadline_that_moves_either_way() {
        let mut timer = Timer::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_expired(start + second, cx))).await.is_pending());
        poll_fn(|cx| timer.poll_expired(start + 60 * second, cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60, "later: it fires early, and waits on");
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_expired(start + 600 * second, cx))).await.is_pending());
        poll_fn(|cx| timer.poll_expired(start + 90 * second, cx)).await;
        assert_eq!(start.elapsed().as_secs(), 90, "earlier: it is set back");
    }
}
