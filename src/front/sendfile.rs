//! Pieces of files that go from the page cache to the client's socket without being copied here: sendfile(2) below hyper, which
//! knows of no such thing.
//!
//! hyper writes what a body gives it by gathering writes, and asks of a piece no more than a length and a slice to write. A
//! [`Piece::Marker`] has the length of its region and a slice of one byte that lies in [`MARKERS`]; the region itself waits in the
//! connection's [`Regions`]. The stream below hyper knows the byte by its address, sends the region in its place and says that so
//! much was written. hyper never looks at the bytes of a slice.
//!
//! A marker's byte must never reach a client. Only `http1` makes a connection able to take regions, where the stream is a
//! socket itself; over TLS and HTTP/2 there is no type that could carry a marker, or none is made. And `linger`, which every byte of a
//! client's socket passes, writes no slice that lies in `MARKERS`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::files::Region;

/// Nobody reads them: their addresses are what counts. One for each of as many regions in a row, so that a marker which is not that of the
/// next region is noticed.
static MARKERS: [u8; 64] = *b"the mark of a file's bytes; whoever reads this has found a bug\r\n";

/// What a body hands to hyper over HTTP/1.1.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    /// So many bytes of the region with this number.
    Marker(usize, u8),
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Marker(left, _) => *left,
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Marker(0, _) => &[],
            Self::Marker(_, number) => std::slice::from_ref(&MARKERS[usize::from(*number)]),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(count),
            Self::Marker(left, _) => {
                *left = left.checked_sub(count).expect("no more is written than there is")
            }
        }
    }
}

/// The regions that one connection is to send, in their order.
#[derive(Debug, Default)]
pub(super) struct Regions {
    able: AtomicBool,
    waiting: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    regions: VecDeque<Region>,
    /// The first one's.
    number: usize,
}

impl Regions {
    /// The connection's stream can send them.
    pub(super) fn enable(&self) {
        self.able.store(true, Ordering::Relaxed);
    }

    /// Whether the connection takes any.
    pub(super) fn are_taken(&self) -> bool {
        self.able.load(Ordering::Relaxed)
    }

    /// Whether any is to be sent: without one, no slice can be a marker.
    pub(super) fn wait(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Will be sent where its marker stands.
    pub(super) fn push(&self, region: Region) -> Piece {
        let mut queue = self.queue.lock();
        let number = (queue.number + queue.regions.len()) % MARKERS.len();
        let piece = Piece::Marker(region.left(), u8::try_from(number).expect("there are 64"));
        queue.regions.push_back(region);
        self.waiting.store(queue.regions.len(), Ordering::Relaxed);
        piece
    }

    /// Lets `send` have the first one, which must be the one that `slice` stands for.
    fn with_first<T>(
        &self,
        slice: &[u8],
        send: impl FnOnce(&mut Region) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut queue = self.queue.lock();
        let number = queue.number;
        let Some(region) = queue.regions.front_mut().filter(|_| marker(slice) == Some(number)) else {
            return Poll::Ready(Err(io::Error::other("a file's marker without its region")));
        };
        let sent = send(region);
        if region.left() == 0 {
            queue.regions.pop_front();
            queue.number = (number + 1) % MARKERS.len();
            self.waiting.store(queue.regions.len(), Ordering::Relaxed);
        }
        sent
    }
}

/// Which marker a slice is. Two statics have no byte in common, and nobody else has a slice of this one; an empty slice may lie
/// anywhere.
fn marker(slice: &[u8]) -> Option<usize> {
    let at = slice.as_ptr().addr().wrapping_sub(MARKERS.as_ptr().addr());
    (at < MARKERS.len() && !slice.is_empty()).then_some(at)
}

/// Whether a slice is a marker, which is not to be written.
pub(super) fn is_marker(slice: &[u8]) -> bool {
    marker(slice).is_some()
}

/// A stream that sends regions: a socket.
pub trait Socket: AsFd + Send + Sync {
    /// When it may take something.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Does it, or notes that it took nothing.
    fn write_now(&self, write: &mut dyn FnMut() -> io::Result<usize>) -> io::Result<usize>;
}

impl Socket for TcpStream {
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn write_now(&self, write: &mut dyn FnMut() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, write)
    }
}

impl Socket for UnixStream {
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn write_now(&self, write: &mut dyn FnMut() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, write)
    }
}

/// Writes slices of which one may be a marker: what stands before it, and of the region what the socket takes. Returns how many bytes of the
/// reply went.
pub(super) fn poll_write(
    regions: &Regions,
    socket: &dyn Socket,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let at = slices.iter().position(|slice| is_marker(slice));
    let (before, marker) = match at {
        Some(at) => (&slices[..at], Some(&slices[at])),
        None => (slices, None),
    };
    let length: usize = before.iter().map(|slice| slice.len()).sum();
    let mut written = 0;
    if length > 0 {
        let flags = if marker.is_some() { SendFlags::MORE } else { SendFlags::empty() };
        let mut send =
            || sendmsg(socket, before, &mut SendAncillaryBuffer::default(), flags).map_err(io::Error::from);
        written = ready!(poll_now(socket, cx, &mut send))?;
    }
    match marker {
        Some(marker) if written == length => {
            match regions.with_first(marker, |first| poll_send(first, socket, cx)) {
                Poll::Pending if written > 0 => Poll::Ready(Ok(written)),
                sent => sent.map_ok(|sent| written + sent),
            }
        }
        _ => Poll::Ready(Ok(written)),
    }
}

fn poll_now(
    socket: &dyn Socket,
    cx: &mut Context<'_>,
    write: &mut dyn FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_writable(cx))?;
        match socket.write_now(write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

/// A file that became shorter ends the connection: the client was promised more.
fn poll_send(region: &mut Region, socket: &dyn Socket, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    let mut send = || match region.send(socket) {
        // FUSE and others without a splice of their own.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => copy(region, socket),
        sent => sent.map_err(io::Error::from),
    };
    match ready!(poll_now(socket, cx, &mut send))? {
        0 => {
            tracing::error!(
                "a reply was cut off, and the client's connection with it: its file became shorter meanwhile"
            );
            Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
        }
        sent => Poll::Ready(Ok(sent)),
    }
}

fn copy(region: &mut Region, socket: &dyn Socket) -> io::Result<usize> {
    let bytes = region.read()?;
    if bytes.is_empty() {
        return Ok(0);
    }
    let sent =
        sendmsg(socket, &[IoSlice::new(&bytes)], &mut SendAncillaryBuffer::default(), SendFlags::empty())?;
    region.skip(sent);
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use http::{HeaderMap, Method};
    use tokio::io::{AsyncReadExt, AsyncWrite, duplex};
    use tokio::net::TcpListener;

    use super::super::linger::{Lingering, Stream};
    use super::super::notes::Notes;
    use super::*;
    use crate::files::{FileOptions, FileRequest, decide};

    const LENGTH: usize = 300_000;

    fn content() -> Vec<u8> {
        (0..LENGTH).map(|at| (at % 251) as u8).collect()
    }

    fn region() -> Region {
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        std::fs::write(file.path(), content()).expect("writes");
        let (headers, options) = (HeaderMap::new(), FileOptions::default());
        let (method, path) = (&Method::GET, file.path());
        let request =
            FileRequest { method, headers: &headers, path, options: &options, beneath: None, held: None };
        let mut body = decide(request).render().expect("it is there").into_body();
        body.region().expect("it is large, and was written just now")
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        (client, listener.accept().await.expect("it came").0)
    }

    async fn write<S: Stream>(
        stream: &mut Lingering<S>,
        bufs: &mut std::collections::VecDeque<Piece>,
    ) -> io::Result<()> {
        while !bufs.is_empty() {
            let slices: Vec<_> = bufs.iter().map(|piece| IoSlice::new(piece.chunk())).collect();
            let mut written = poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, &slices)).await?;
            while let Some(first) = bufs.front_mut() {
                let taken = written.min(first.remaining());
                first.advance(taken);
                written -= taken;
                if first.has_remaining() {
                    break;
                }
                bufs.pop_front();
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn regions_go_out_between_the_slices_where_their_markers_stand() {
        let (mut client, server) = pair().await;
        let notes = Notes::default();
        let mut server = Lingering::new(server, notes.clone());
        let text = |text: &'static str| Piece::Bytes(Bytes::from_static(text.as_bytes()));
        let mut pieces = std::collections::VecDeque::from([text("head ")]);
        pieces.push_back(notes.regions().push(region()));
        pieces.push_back(text(" between "));
        pieces.push_back(notes.regions().push(region()));
        pieces.push_back(notes.regions().push(region()));
        pieces.push_back(text(" end"));
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.map(|_| got)
        });
        write(&mut server, &mut pieces).await.expect("the client reads");
        assert!(!notes.regions().wait());
        drop(server);
        let expected = [b"head ", &content()[..], b" between ", &content(), &content(), b" end"].concat();
        assert!(reading.await.expect("no panic").expect("a clean end") == expected);
    }

    #[tokio::test]
    async fn a_marker_never_reaches_a_client_that_files_cannot_be_sent_to() {
        let (mut client, server) = duplex(4096);
        let notes = Notes::default();
        let mut server = Lingering::new(server, notes.clone());
        assert!(!server.sends_files());
        let marker = notes.regions().push(region());
        let alone = poll_fn(|cx| Pin::new(&mut server).poll_write(cx, marker.chunk())).await;
        assert!(alone.is_err() && notes.has_broken_off());
        let among = [IoSlice::new(b"head"), IoSlice::new(marker.chunk())];
        assert!(poll_fn(|cx| Pin::new(&mut server).poll_write_vectored(cx, &among)).await.is_err());
        drop(server);
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.expect("it ends");
        assert_eq!(got, b"");
    }

    #[tokio::test]
    async fn a_marker_that_is_not_the_first_region_s_is_refused() {
        let (_client, server) = pair().await;
        let notes = Notes::default();
        let mut server = Lingering::new(server, notes.clone());
        let (_first, second) = (notes.regions().push(region()), notes.regions().push(region()));
        let slices = [IoSlice::new(second.chunk())];
        assert!(poll_fn(|cx| Pin::new(&mut server).poll_write_vectored(cx, &slices)).await.is_err());
        assert!(notes.has_broken_off());
    }

    #[tokio::test]
    async fn where_a_file_system_knows_no_sendfile_the_bytes_are_read() {
        let (mut client, server) = pair().await;
        let mut region = region();
        let mut got = vec![0; 100_000];
        let mut copied = 0;
        while copied < got.len() {
            copied += copy(&mut region, &server).expect("the client has room");
        }
        client.read_exact(&mut got).await.expect("as much was sent");
        assert!(got[..] == content()[..got.len()] && region.left() == LENGTH - copied);
    }

    #[test]
    fn every_marker_is_known_and_nothing_else_is_one() {
        let regions = Regions::default();
        assert!(!is_marker(b"") && !is_marker(b"m") && !is_marker(&content()));
        for number in 0..2 * MARKERS.len() {
            let piece = regions.push(region());
            assert_eq!(marker(piece.chunk()), Some(number % MARKERS.len()));
            assert!(matches!(
                regions.with_first(piece.chunk(), |first| {
                    first.skip(LENGTH);
                    Poll::Ready(Ok(()))
                }),
                Poll::Ready(Ok(()))
            ));
            assert!(!regions.wait());
        }
    }
}
