//! `X-Accel-Limit-Rate`: a reply that goes to its client at no more than so many bytes a second. Only the client waits: what a
//! script says is taken off its worker as before.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::body::{Body, BodyError};

/// A body with a pace.
#[derive(Debug)]
pub(super) struct Throttled {
    body: Body,
    /// Taken from the body, and too early to be handed on.
    held: Bytes,
    /// Bytes a second.
    rate: u64,
    sent: u64,
    began: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Throttled {
    /// `rate` is in bytes a second, and more than 0.
    pub(super) fn body(body: Body, rate: u64) -> Body {
        if body.is_over() {
            return body;
        }
        let held = Bytes::new();
        Body::Throttled(Box::new(Self { body, held, rate, sent: 0, began: Instant::now(), pause: None }))
    }

    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.held.is_empty() {
            match ready!(self.body.poll_piece(cx)) {
                Some(Ok(frame)) => self.held = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        loop {
            let allowed = self.allowed();
            if allowed > 0 {
                let piece = self.held.split_to(self.held.len().min(allowed));
                self.sent += piece.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let wait = self.wait();
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(wait)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
    }

    /// As nginx: what the time so far has room for, and one second's worth at once.
    fn allowed(&self) -> usize {
        let millis = self.began.elapsed().as_millis() + 1000;
        let so_far = millis * u128::from(self.rate) / 1000;
        usize::try_from(so_far.saturating_sub(u128::from(self.sent))).unwrap_or(usize::MAX)
    }

    /// Until a quarter of a second's worth may go.
    fn wait(&self) -> Duration {
        let next = (self.held.len() as u64).min(self.rate / 4).max(1);
        let due = u128::from(self.sent + next) * 1000 / u128::from(self.rate);
        let past = self.began.elapsed().as_millis() + 1000;
        Duration::from_millis(u64::try_from(due.saturating_sub(past)).unwrap_or(u64::MAX).max(1))
    }

    /// Whether no byte is left to send.
    pub(super) fn is_over(&self) -> bool {
        self.held.is_empty() && self.body.is_over()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let (inner, held) = (self.body.size_hint(), self.held.len() as u64);
        match inner.exact() {
            Some(exact) => SizeHint::with_exact(exact + held),
            None => SizeHint::default(),
        }
    }

    /// Another body at the same pace.
    pub(super) fn map(self, change: impl FnOnce(Body) -> Body) -> Self {
        Self { body: change(self.body), ..self }
    }

    /// What is throttled.
    pub(super) fn into_inner(self) -> Body {
        self.body
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn drained(rate: u64, size: usize) -> (Duration, Vec<usize>) {
        let mut body = Throttled::body(Body::text(vec![b'x'; size].into()), rate);
        assert_eq!(body.size_hint().exact(), Some(size as u64));
        let (began, mut pieces) = (Instant::now(), Vec::new());
        while let Some(frame) = poll_fn(|cx| body.poll_piece(cx)).await {
            pieces.push(frame.unwrap().into_data().unwrap().len());
        }
        assert!(body.is_over());
        (began.elapsed(), pieces)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_takes_as_long_as_its_rate_says() {
        let (took, pieces) = drained(1000, 5000).await;
        assert_eq!(pieces.iter().sum::<usize>(), 5000);
        assert_eq!(pieces[0], 1000, "one second's worth at once");
        assert!((Duration::from_millis(3900)..=Duration::from_millis(4100)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fits_into_a_second_is_not_held_up() {
        assert_eq!(drained(1000, 1000).await, (Duration::ZERO, vec![1000]));
        assert_eq!(drained(u64::MAX, 10).await.0, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn even_one_byte_a_second_ends() {
        let (took, pieces) = drained(1, 4).await;
        assert_eq!(pieces, [1, 1, 1, 1]);
        assert_eq!(took.as_secs(), 3);
    }
}
