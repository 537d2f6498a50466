//! The end of a client's connection: so that the last reply arrives, and half a reply never looks whole.
//!
//! A socket that is closed while the client is still sending answers with RST, which makes the client's kernel throw away
//! what it has not read yet: the 413 that would have told it to stop. So our half is closed first, and what still comes is
//! read and dropped for a while (RFC 9112 §9.6; nginx: `lingering_close`). Where the client has said all that it began to say, and
//! nothing more has come, the connection is just closed, as nginx does.
//!
//! A reply that broke off is the other way round: to an HTTP/1.0 client the end of the connection is the end of the reply, so
//! there RST is what tells the truth (fpm-facts 3).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::heads::Heads;
use super::notes::Notes;
use super::sendfile::{self, Socket};

/// How long the client may go on sending. nginx: `lingering_time`, 30 s there.
const LONGEST: Duration = Duration::from_secs(5);
/// As much may come in that time: more is not a late packet but an upload that does not listen.
const MOST: u64 = 16 * 1024 * 1024;
/// What is written in one piece.
const SMALL: usize = 1024;

/// A client's stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes closing it an RST, as far as it has such a thing.
    fn close_by_reset(&self);

    /// Ready when reading would give bytes, the end or an error. What was read and decoded already counts too.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Where bytes go out as they are: a file's may go there without being read, and nothing has to be said before its end.
    fn socket(&self) -> Option<&dyn Socket> {
        None
    }
}

impl Stream for TcpStream {
    fn close_by_reset(&self) {
        if let Err(error) = SockRef::from(self).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a client's connection cannot be reset");
        }
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

impl Stream for UnixStream {
    fn close_by_reset(&self) {}

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    fn socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }
}

/// A stream that lingers when it is dropped before the client has closed its half.
#[derive(Debug)]
pub(super) struct Lingering<S: Stream> {
    /// `None` only while it is dropped.
    stream: Option<S>,
    client_is_done: bool,
    /// Was read, and is to be read again.
    again: Bytes,
    heads: Heads,
    notes: Notes,
}

impl<S: Stream> Lingering<S> {
    pub(super) fn new(stream: S, notes: Notes) -> Self {
        let (again, heads) = (Bytes::new(), Heads::default());
        Self { stream: Some(stream), client_is_done: false, again, heads, notes }
    }

    /// The same for a client of HTTP/1.1 that has said nothing yet.
    pub(super) fn watching_heads(stream: S, notes: Notes) -> Self {
        let mut lingering = Self::new(stream, notes);
        lingering.heads = Heads::watch();
        lingering
    }

    /// Gives back what was read and belongs to whoever reads next.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        // Even without a byte it would keep the whole buffer that it was read into.
        self.again = if bytes.is_empty() { Bytes::new() } else { bytes };
    }

    /// Whether files can go out unread.
    pub(super) fn sends_files(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.socket().is_some())
    }

    /// Ready when reading would give something.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.stream {
            Some(stream) if self.again.is_empty() => stream.poll_readable(cx),
            _ => Poll::Ready(()),
        }
    }

    /// What was promised of a file and does not come must not look whole.
    fn poll_write_with_files(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = self.stream.as_ref().and_then(Stream::socket) else {
            return Poll::Ready(Err(self.cut()));
        };
        let written = ready!(sendfile::poll_write(self.notes.regions(), socket, cx, slices));
        if written.is_err() {
            self.notes.broke_off();
            self.client_is_done = true;
        }
        Poll::Ready(written)
    }

    /// A marker came where it stands for nothing: the reply ends here.
    fn cut(&self) -> io::Error {
        self.notes.broke_off();
        io::Error::other("a file's marker where no file can be sent")
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut S> {
        Pin::new(self.get_mut().stream.as_mut().expect("it is taken by drop only"))
    }
}

impl<S: Stream> Drop for Lingering<S> {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        // Also to a client that has closed its half: it still reads.
        if self.notes.has_broken_off() {
            return stream.close_by_reset();
        }
        // One that is parked has all its replies, and nothing has come of another request.
        if self.client_is_done || self.notes.is_parked() {
            return;
        }
        let nothing_came = || stream.poll_readable(&mut Context::from_waker(Waker::noop())).is_pending();
        if self.notes.is_complete() && stream.socket().is_some() && nothing_came() {
            return;
        }
        // While the runtime ends, nothing can wait any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(timeout(LONGEST, linger(stream)));
    }
}

async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(MOST);
    let mut scratch = [0; 4096];
    while rest.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// Whether head and body of a reply go in one piece: copying them costs less than what the kernel does for a gathering write.
fn is_small(slices: &[IoSlice<'_>]) -> bool {
    slices.iter().map(|slice| slice.len()).sum::<usize>() <= SMALL
}

impl<S: Stream> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            let length = self.again.len().min(buffer.remaining());
            buffer.put_slice(&self.again.split_to(length));
            if self.again.is_empty() {
                self.again = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = ready!(self.as_mut().stream().poll_read(cx, buffer));
        let ended = buffer.filled().len() == before && buffer.remaining() > 0;
        self.client_is_done |= ended || read.is_err();
        if let Some((request, flaw)) = self.heads.pass(&buffer.filled()[before..]) {
            self.notes.found_flaw(request, flaw);
        }
        Poll::Ready(read)
    }
}

impl<S: Stream> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.notes.flushed(false);
        if sendfile::is_marker(bytes) {
            return Poll::Ready(Err(self.cut()));
        }
        let written = ready!(self.as_mut().stream().poll_write(cx, bytes));
        self.client_is_done |= written.is_err();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.notes.flushed(false);
        if self.notes.regions().wait() {
            return self.poll_write_with_files(cx, slices);
        }
        let stream = self.as_mut().stream();
        // Filled where it lies: handed out of a function it would be copied once more.
        let mut gathered = SmallVec::<[u8; SMALL]>::new();
        let written = ready!(match is_small(slices) {
            true => {
                slices.iter().for_each(|slice| gathered.extend_from_slice(slice));
                stream.poll_write(cx, &gathered)
            }
            false => stream.poll_write_vectored(cx, slices),
        });
        self.client_is_done |= written.is_err();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.as_mut().stream().poll_flush(cx));
        // hyper flushes only after it has written all it has.
        self.notes.flushed(true);
        Poll::Ready(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.notes.flushed(false);
        let stream = self.stream();
        // hyper lets go of the stream next: then it is closed, or lingers, which begins with this.
        if stream.socket().is_some() { Poll::Ready(Ok(())) } else { stream.poll_shutdown(cx) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::net::TcpListener;

    use super::*;

    impl Stream for DuplexStream {
        fn close_by_reset(&self) {}

        /// It cannot tell without reading.
        fn poll_readable(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    fn lingering<S: Stream>(stream: S) -> Lingering<S> {
        Lingering::new(stream, Notes::default())
    }

    #[tokio::test]
    async fn half_a_reply_ends_with_a_reset_and_never_looks_whole() {
        half_a_reply(false).await;
        half_a_reply(true).await;
    }

    async fn half_a_reply(client_has_said_all: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (server, _) = listener.accept().await.expect("it came");
        let notes = Notes::default();
        let mut server = Lingering::new(server, notes.clone());
        if client_has_said_all {
            client.shutdown().await.expect("connected");
            assert_eq!(server.read(&mut [0; 4]).await.expect("the end"), 0);
        }
        server.write_all(b"half").await.expect("there is room");
        notes.broke_off();
        drop(server);
        let error = client.read_to_end(&mut Vec::new()).await.expect_err("not a clean end");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_the_client_still_sends_is_read_and_it_gets_the_last_reply() {
        let (mut client, server) = duplex(16);
        let mut server = lingering(server);
        server.write_all(b"413 stop").await.expect("there is room");
        drop(server);
        // Far more than the pipe holds: somebody must be reading.
        client.write_all(&[b'x'; 4096]).await.expect("the other end is still there");
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.expect("our half is closed");
        assert_eq!(reply, "413 stop");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_is_let_go() {
        let (mut client, server) = duplex(16);
        drop(lingering(server));
        tokio::time::sleep(LONGEST + Duration::from_secs(1)).await;
        assert!(client.write_all(b"more").await.is_err());
    }

    #[tokio::test]
    async fn what_is_given_back_is_read_first() {
        let (mut client, server) = duplex(16);
        let mut server = lingering(server);
        server.unread(Bytes::from_static(b"GET / "));
        client.write_all(b"HTTP/1.1").await.expect("there is room");
        let mut all = [0; 14];
        server.read_exact(&mut all).await.expect("all of it");
        assert_eq!(&all, b"GET / HTTP/1.1");
    }

    /// Whether the end of a connection takes time, and what its client reads then.
    async fn end(prepare: impl FnOnce(&Notes), client_says: &[u8]) -> (bool, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (server, _) = listener.accept().await.expect("it came");
        let notes = Notes::default();
        let mut server = Lingering::new(server, notes.clone());
        client.write_all(b"request").await.expect("there is room");
        assert_eq!(server.read(&mut [0; 64]).await.expect("it came"), 7);
        server.write_all(b"reply").await.expect("there is room");
        client.write_all(client_says).await.expect("there is room");
        if !client_says.is_empty() {
            std::future::poll_fn(|cx| server.poll_readable(cx)).await;
        }
        prepare(&notes);
        server.shutdown().await.expect("there is nothing to wait for");
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        drop(server);
        let lingers = tasks() > before;
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).await.expect("no reset");
        (lingers, reply)
    }

    #[tokio::test]
    async fn only_a_client_that_may_still_be_sending_is_waited_for() {
        let unread = |notes: &Notes| {
            notes.ends_well();
            notes.leaves_unread();
        };
        for (what, (lingers, reply), waited_for) in [
            ("it has all its replies", end(Notes::ends_well, b"").await, false),
            ("it has said something more", end(Notes::ends_well, b"more").await, true),
            ("its body was not read", end(unread, b"").await, true),
            ("it was no HTTP", end(|_| {}, b"").await, true),
        ] {
            assert_eq!(lingers, waited_for, "{what}");
            assert_eq!(reply, b"reply", "{what}");
        }
    }

    #[tokio::test]
    async fn a_client_that_has_closed_costs_no_task() {
        let (client, server) = duplex(16);
        let mut server = lingering(server);
        drop(client);
        assert_eq!(server.read(&mut [0; 4]).await.expect("the end"), 0);
        assert!(server.client_is_done);
    }
}
