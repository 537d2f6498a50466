//! Closing a client's connection so that the last reply arrives.
//!
//! A socket that is closed while the client is still sending answers with RST, which makes the client's kernel throw away
//! what it has not read yet: the 413 that would have told it to stop. So our half is closed first, and what still comes is
//! read and dropped for a while (RFC 9112 §9.6; nginx: `lingering_close`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// How long the client may go on sending. nginx: `lingering_time`, 30 s there.
const LONGEST: Duration = Duration::from_secs(5);
/// As much may come in that time: more is not a late packet but an upload that does not listen.
const MOST: u64 = 16 * 1024 * 1024;

/// A stream that lingers when it is dropped before the client has closed its half.
#[derive(Debug)]
pub(super) struct Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// `None` only while it is dropped.
    stream: Option<S>,
    client_is_done: bool,
}

impl<S> Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(super) fn new(stream: S) -> Self {
        Self { stream: Some(stream), client_is_done: false }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut S> {
        Pin::new(self.get_mut().stream.as_mut().expect("it is taken by drop only"))
    }
}

impl<S> Drop for Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let Some(stream) = self.stream.take().filter(|_| !self.client_is_done) else { return };
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

impl<S> AsyncRead for Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(self.as_mut().stream().poll_read(cx, buffer));
        let ended = buffer.filled().len() == before && buffer.remaining() > 0;
        self.client_is_done |= ended || read.is_err();
        Poll::Ready(read)
    }
}

impl<S> AsyncWrite for Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.as_mut().stream().poll_write(cx, bytes));
        self.client_is_done |= written.is_err();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.as_mut().stream().poll_write_vectored(cx, slices));
        self.client_is_done |= written.is_err();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn what_the_client_still_sends_is_read_and_it_gets_the_last_reply() {
        let (mut client, server) = duplex(16);
        let mut server = Lingering::new(server);
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
        drop(Lingering::new(server));
        tokio::time::sleep(LONGEST + Duration::from_secs(1)).await;
        assert!(client.write_all(b"more").await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_has_closed_costs_no_task() {
        let (client, server) = duplex(16);
        let mut server = Lingering::new(server);
        drop(client);
        assert_eq!(server.read(&mut [0; 4]).await.expect("the end"), 0);
        assert!(server.client_is_done);
    }
}
