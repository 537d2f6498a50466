//! The body of a reply, whatever floor it comes from, and the visit that ends with its last byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::compress::Packed;
use super::notes::Notes;
use super::throttle::Throttled;
use super::visit::Visit;
use crate::files::FileBody;
use crate::upstream::{ReplyBody, ReplyError};

/// A reply's body.
#[derive(Debug)]
pub(super) enum Body {
    /// No byte, or no byte any more.
    Empty,
    /// From memory.
    Text(Bytes),
    /// A file.
    File(FileBody),
    /// A script's output as it comes.
    Script(ReplyBody),
    /// One of the others, compressed on its way.
    Packed(Box<Packed>),
    /// Any of them, at a pace.
    Throttled(Box<Throttled>),
}

/// Why a body broke off: the client's connection is closed in the middle, never ended as if all was well.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The file could not be read to its end.
    #[error("file: {0}")]
    File(#[from] std::io::Error),
    /// The script's reply is not whole.
    #[error(transparent)]
    Script(#[from] ReplyError),
    /// A coder did not do its work.
    #[error("compression: {0}")]
    Compression(std::io::Error),
}

impl Body {
    /// From memory.
    pub(super) fn text(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Text(bytes) }
    }

    pub(super) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Text(bytes) => {
                let all = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(all))))
            }
            Self::File(file) => Pin::new(file).poll_frame(cx).map_err(BodyError::File),
            Self::Script(reply) => Pin::new(reply).poll_frame(cx).map_err(BodyError::Script),
            Self::Packed(packed) => packed.poll_piece(cx),
            Self::Throttled(body) => body.poll_piece(cx),
        }
    }

    /// Whether no byte is left to send.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(_) => false,
            Self::File(file) => file.is_end_stream(),
            Self::Script(reply) => reply.is_end_stream(),
            Self::Packed(packed) => packed.is_over(),
            Self::Throttled(body) => body.is_over(),
        }
    }

    /// How much is left to send, as far as that is known.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Text(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File(file) => file.size_hint(),
            Self::Script(reply) => reply.size_hint(),
            Self::Packed(_) => SizeHint::default(),
            Self::Throttled(body) => body.size_hint(),
        }
    }

    /// The body changed, at the pace that it had.
    pub(super) fn below_pace(self, change: impl FnOnce(Self) -> Self) -> Self {
        match self {
            Self::Throttled(body) => Self::Throttled(Box::new(body.map(change))),
            body => change(body),
        }
    }

    /// Nobody will get it, but a script may run to its end.
    pub(super) fn discard(self) {
        match self {
            Self::Script(reply) => reply.discard(),
            Self::Throttled(body) => body.into_inner().discard(),
            // Nothing is compressed before it is the reply.
            Self::Empty | Self::Text(_) | Self::File(_) | Self::Packed(_) => {}
        }
    }
}

/// A reply's body with the visit it belongs to, which is logged when hyper lets go of this.
#[derive(Debug)]
pub(super) struct Visited {
    body: Body,
    visit: Visit,
    notes: Notes,
}

impl Visited {
    /// Ties them together.
    pub(super) fn new(body: Body, visit: Visit, notes: Notes) -> Self {
        Self { body, visit, notes }
    }

    /// With a large file read in such pieces.
    pub(super) fn in_pieces_of(mut self, bytes: usize) -> Self {
        if let Body::File(file) = &mut self.body {
            file.read_in_pieces_of(bytes);
        }
        self
    }
}

impl Drop for Visited {
    fn drop(&mut self) {
        self.notes.reply_went();
    }
}

impl http_body::Body for Visited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = ready!(self.body.poll_piece(cx));
        match &piece {
            Some(Ok(frame)) => self.visit.sent(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(error)) => {
                self.notes.broke_off();
                self.visit.broke_off(error);
            }
            None => self.visit.complete(),
        }
        if self.body.is_over() && matches!(piece, Some(Ok(_))) {
            // hyper does not ask again once the body says that it is at its end.
            self.visit.complete();
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
