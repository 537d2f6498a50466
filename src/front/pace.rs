//! Streams of HTTP/2 as tasks, and the end of those whose client takes nothing of the reply any more.
//!
//! A client may close its window for a stream and leave it so: the reply, and what it holds, would wait for ever. Over HTTP/1.1 the
//! socket says so; here the connection goes on, and only that stream is reset.
//!
//! As with nginx's `send_timeout`, any byte that leaves buys the time anew: a slow reader is none that takes nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

/// A frame of it, with its head of 9 bytes, fills one record of TLS. With as much as a frame may hold (16 KB), each would end in
/// a record of 9 bytes.
pub(super) const PIECE: usize = 16 * 1024 - 9;

/// Whose turn it is with one stream's reply.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// A piece was handed over, and the next one is not asked for yet.
    is_clients: AtomicBool,
    /// Something left since it was looked at last.
    moved: AtomicBool,
}

/// The streams of one connection.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    latest: Arc<Mutex<Option<Arc<Pace>>>>,
    patience: Duration,
}

impl Streams {
    /// Whose client may take nothing of a reply for so long.
    pub(super) fn new(patience: Duration) -> Self {
        Self { latest: Arc::default(), patience }
    }

    /// Of a request that has come just now. hyper starts the stream's task before it takes the next one.
    pub(super) fn begin(&self) -> Arc<Pace> {
        let pace = Arc::<Pace>::default();
        *self.latest.lock() = Some(Arc::clone(&pace));
        pace
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let pace = self.latest.lock().take().unwrap_or_default();
        tokio::spawn(InTime { stream: Box::pin(stream), pace, longest: self.patience, patience: None });
    }
}

/// A stream's task. Dropping the stream resets it.
struct InTime<F> {
    stream: Pin<Box<F>>,
    pace: Arc<Pace>,
    longest: Duration,
    /// Runs while it is the client's turn.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for InTime<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.pace.is_clients.load(Ordering::Relaxed) {
            self.patience = None;
            return Poll::Pending;
        }
        let moved = self.pace.moved.swap(false, Ordering::Relaxed);
        let longest = self.longest;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(longest)));
        if moved {
            patience.as_mut().reset(Instant::now() + longest);
        }
        ready!(patience.as_mut().poll(cx));
        tracing::debug!("a stream is reset: its client takes nothing of the reply");
        Poll::Ready(())
    }
}

/// A piece of a reply that tells when some of it leaves.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    pace: Arc<Pace>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.pace.moved.store(true, Ordering::Relaxed);
    }
}

/// A reply's body that tells whose turn it is.
#[derive(Debug)]
pub(super) struct Paced<B> {
    body: B,
    /// Of a piece that was too large to be handed over at once.
    rest: Bytes,
    pace: Arc<Pace>,
}

impl<B> Paced<B> {
    pub(super) fn new(body: B, pace: Arc<Pace>) -> Self {
        Self { body, rest: Bytes::new(), pace }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Paced<B> {
    /// In pieces, so that what waits for a slow client is little.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, B::Error>>> {
        if self.rest.is_empty() {
            let piece = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match piece.map(|piece| piece.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                // Trailers, which no reply has.
                Some(Ok(Err(_))) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.rest.len().min(PIECE);
        let (bytes, pace) = (self.rest.split_to(length), Arc::clone(&self.pace));
        Poll::Ready(Some(Ok(Frame::data(Piece { bytes, pace }))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let piece = self.poll_piece(cx);
        let handed_over = matches!(piece, Poll::Ready(Some(Ok(_))));
        self.pace.is_clients.store(handed_over, Ordering::Relaxed);
        self.pace.moved.store(handed_over, Ordering::Relaxed);
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
