//! The body of a reply, whatever floor it comes from, and the visit that ends with its last byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body::{Body as _, Frame, SizeHint};

use super::compress::Packed;
use super::notes::Notes;
use super::sendfile::Piece;
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
    /// Of a file, what is large goes out unread.
    by_kernel: bool,
}

impl Visited {
    /// Ties them together. Where hyper might send anything but the very bytes of the body, its length was set by hand.
    pub(super) fn new(body: Body, visit: Visit, notes: Notes, headers: &HeaderMap) -> Self {
        let framed_by_hand = |headers: &HeaderMap| {
            headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
        };
        let by_kernel =
            matches!(body, Body::File(_)) && notes.regions().are_taken() && !framed_by_hand(headers);
        Self { body, visit, notes, by_kernel }
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

impl Visited {
    /// A piece of a file that the kernel sends, where everything between it and the client lets it.
    fn region(&mut self) -> Option<Piece> {
        let Body::File(file) = &mut self.body else { return None };
        let region = if self.by_kernel { file.region()? } else { return None };
        self.visit.sent(region.left());
        if file.is_end_stream() {
            self.visit.complete();
        }
        Some(self.notes.regions().push(region))
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
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
}

/// Over HTTP/1.1.
impl http_body::Body for Visited {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        if let Some(piece) = self.region() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        self.poll_bytes(cx).map_ok(|frame| frame.map_data(Piece::Bytes))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Over HTTP/2, where every byte goes through our hands.
#[derive(Debug)]
pub(super) struct Framed(pub(super) Visited);

impl http_body::Body for Framed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_bytes(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
