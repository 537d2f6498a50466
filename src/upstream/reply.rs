//! The body of a reply, as it is handed on to the client.
//!
//! Three ways, by what is there when the head is: a whole reply needs nobody any more; a buffered one is taken from php-fpm
//! by a pump of its own, so that a slow reader holds no worker (fpm-facts 10); a streaming one is read as the reader reads. A
//! reply that broke off ends with an error, never as if it were complete (fpm-facts 3).

use super::buffers::Buffers;
use super::outcome::{Ending, Fault, Ledger, ReplyError};
use super::pump::Pump;
use super::talk::{Said, Talk};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What is gathered before a body is handed on in another way than whole.
const GATHERED: usize = 256 * 1024;

/// The body of a reply. Its end, or its drop, delivers the request's [`Outcome`](super::Outcome).
pub struct ReplyBody {
    /// What was gathered and not handed on yet, last piece first.
    first: SmallVec<[Bytes; 1]>,
    rest: Rest,
    /// What is missing of the declared Content-Length.
    missing: Option<u64>,
    ledger: Box<Ledger>,
}

/// Where the rest comes from.
enum Rest {
    /// END_REQUEST was seen.
    Nothing,
    Streaming(Box<Talk>),
    Buffered(Arc<Pump>),
}

/// How a reply's body is handed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Its length, where the head tells it; 0 where no body may follow.
    pub(crate) length: Option<u64>,
    /// Whether it is taken from php-fpm as fast as it comes.
    pub(crate) buffering: bool,
}

impl ReplyBody {
    /// Takes over after the head.
    pub(crate) fn begin(
        talk: Box<Talk>,
        Gathered { pieces: mut first, ended }: Gathered,
        mut ledger: Box<Ledger>,
        Reading { length, buffering }: Reading,
        buffers: &Buffers,
    ) -> Self {
        let rest = match ended {
            true => {
                ledger.worker_free(talk.heard_at());
                talk.finish();
                Rest::Nothing
            }
            // Nobody will read, but the script may still be at work.
            false if length == Some(0) => {
                Pump::drain(talk);
                Rest::Nothing
            }
            false if buffering => Rest::Buffered(Pump::start(talk, buffers)),
            false => Rest::Streaming(talk),
        };
        first.reverse();
        Self { first, rest, missing: length, ledger }
    }

    /// How long its request waited for a worker.
    pub fn queued(&self) -> Duration {
        self.ledger.queued()
    }

    /// Nobody will read it: the script runs to its end all the same, and its connection stays usable.
    pub fn discard(mut self) {
        self.first.clear();
        self.missing = Some(0);
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Fault>> {
        if let Some(chunk) = self.first.pop() {
            return Poll::Ready(Ok(Some(chunk)));
        }
        match &mut self.rest {
            Rest::Nothing => Poll::Ready(Ok(None)),
            Rest::Buffered(pump) => {
                let chunk = ready!(pump.poll_chunk(cx));
                if let Ok(None) = chunk {
                    self.worker_was_freed();
                }
                Poll::Ready(chunk)
            }
            Rest::Streaming(talk) => match ready!(talk.poll_next(cx))? {
                Said::Body(bytes) => Poll::Ready(Ok(Some(bytes))),
                Said::Head(_) | Said::End => {
                    self.finish_streaming();
                    Poll::Ready(Ok(None))
                }
            },
        }
    }

    fn finish_streaming(&mut self) {
        if let Rest::Streaming(talk) = std::mem::replace(&mut self.rest, Rest::Nothing) {
            self.ledger.worker_free(talk.heard_at());
            talk.finish();
        }
    }

    fn worker_was_freed(&mut self) {
        if let Rest::Buffered(pump) = &self.rest
            && let Some(at) = pump.ended_at()
        {
            self.ledger.worker_free(at);
        }
    }

    /// Cuts what exceeds the declared length, and ends with its last byte: whoever sends the body to a client counts as
    /// well, and does not ask again.
    fn count(&mut self, mut chunk: Bytes) -> Bytes {
        if let Some(missing) = &mut self.missing {
            chunk.truncate(usize::try_from(*missing).unwrap_or(usize::MAX));
            *missing -= chunk.len() as u64;
        }
        self.ledger.handed_on(chunk.len());
        if self.missing == Some(0) {
            self.worker_was_freed();
            self.ledger.ends(Ending::Complete);
        }
        chunk
    }

    fn fail(&mut self, fault: Fault) -> ReplyError {
        self.rest = Rest::Nothing;
        self.first.clear();
        self.missing = None;
        self.ledger.breaks_off(fault)
    }
}

/// What was there when the head was.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pieces: SmallVec<[Bytes; 1]>,
    /// That was all.
    ended: bool,
}

impl Gathered {
    /// Whether php-fpm has said all that it has to say.
    pub(crate) fn is_all(&self) -> bool {
        self.ended
    }

    /// Everything that is there already.
    pub(crate) fn from(talk: &mut Talk, cx: &mut Context<'_>) -> Result<Self, Fault> {
        let (mut gathered, mut size) = (Self::default(), 0);
        while size < GATHERED {
            match talk.poll_next(cx)? {
                Poll::Pending => break,
                Poll::Ready(Said::Body(bytes)) => {
                    size += bytes.len();
                    gathered.pieces.push(bytes);
                }
                Poll::Ready(Said::Head(_) | Said::End) => {
                    gathered.ended = true;
                    break;
                }
            }
        }
        Ok(gathered)
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let this = self.get_mut();
        if this.missing == Some(0) {
            return Poll::Ready(None);
        }
        match ready!(this.poll_chunk(cx)) {
            Ok(Some(chunk)) => Poll::Ready(Some(Ok(Frame::data(this.count(chunk))))),
            Ok(None) if this.missing.is_some() => Poll::Ready(Some(Err(this.fail(Fault::TooShort)))),
            Ok(None) => {
                this.ledger.ends(Ending::Complete);
                Poll::Ready(None)
            }
            Err(fault) => Poll::Ready(Some(Err(this.fail(fault)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.missing == Some(0)
            || (self.first.is_empty() && matches!(self.rest, Rest::Nothing) && self.missing.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        match (self.missing, &self.rest) {
            (Some(missing), _) => SizeHint::with_exact(missing),
            (None, Rest::Nothing) => {
                SizeHint::with_exact(self.first.iter().map(|chunk| chunk.len() as u64).sum())
            }
            (None, _) => SizeHint::default(),
        }
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        let complete = self.missing == Some(0) || self.is_end_stream();
        if complete {
            self.ledger.ends(Ending::Complete);
        }
        match std::mem::replace(&mut self.rest, Rest::Nothing) {
            // The client has all it was promised; the script may still be at its end.
            Rest::Streaming(talk) if complete => Pump::drain(talk),
            Rest::Buffered(pump) => pump.reader_left(complete),
            Rest::Nothing | Rest::Streaming(_) => {}
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match self.rest {
            Rest::Nothing => "whole",
            Rest::Streaming(_) => "streaming",
            Rest::Buffered(_) => "buffered",
        };
        f.debug_struct("ReplyBody")
            .field("rest", &rest)
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
