//! A stream whose first bytes were read already, to see what it speaks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::linger::Stream;
use super::sendfile::Socket;

/// Gives the bytes back before it reads on.
#[derive(Debug)]
pub(super) struct Prefixed<S> {
    stream: S,
    /// Without memory of its own once all was given.
    prefix: Vec<u8>,
    given: usize,
}

impl<S: Stream> Prefixed<S> {
    /// Reads until `is_enough`, or until the client has nothing more to say.
    ///
    /// # Errors
    /// The stream's.
    pub(super) async fn read(mut stream: S, is_enough: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let mut prefix = Vec::with_capacity(1024);
        while !is_enough(&prefix) && stream.read_buf(&mut prefix).await? > 0 {}
        Ok(Self { stream, prefix, given: 0 })
    }

    /// What was read ahead.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl<S: Stream> Stream for Prefixed<S> {
    fn close_by_reset(&self) {
        self.stream.close_by_reset();
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.prefix.is_empty() {
            true => self.stream.poll_readable(cx),
            false => Poll::Ready(()),
        }
    }

    fn socket(&self) -> Option<&dyn Socket> {
        self.stream.socket()
    }
}

impl<S: Stream> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given == self.prefix.len() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(self.prefix.len() - self.given);
        buffer.put_slice(&self.prefix[self.given..self.given + count]);
        self.given += count;
        if self.given == self.prefix.len() {
            (self.prefix, self.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
