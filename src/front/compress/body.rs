//! A body compressed on its way. Whatever the source has is compressed in steps that no other client of the thread feels;
//! whenever it has nothing more for now, what is in the coder is flushed, so that php's `flush()` arrives at once.

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::{Buf, Bytes};
use http_body::Frame;

use super::super::body::{Body, BodyError};
use super::encoder::Encoder;
use super::kept::Place;
use crate::upstream::Share;

/// What is compressed at a time: about a millisecond at the default levels.
const STEP: usize = 16 * 1024;
/// What is compressed before the thread's other clients have their turn.
const TURN: usize = 64 * 1024;

/// A compressed body.
pub(in crate::front) struct Packed {
    source: Body,
    /// What the source gave and was not compressed yet.
    piece: Bytes,
    state: State,
    /// Bytes compressed in this turn.
    turn: usize,
    keep: Option<Place>,
    /// The coder's part of the server's memory.
    _room: Share,
}

#[expect(clippy::large_enum_variant, reason = "the body is in a box of its own, and nearly always open")]
enum State {
    Open {
        encoder: Encoder,
        /// The coder may hold bytes that were not sent.
        unflushed: bool,
    },
    /// The coder could not even be set up.
    Broken(io::Error),
    Over,
}

impl Packed {
    pub(super) fn new(
        source: Body,
        encoder: io::Result<Encoder>,
        (keep, room): (Option<Place>, Share),
    ) -> Self {
        let state = encoder.map_or_else(State::Broken, |encoder| State::Open { encoder, unflushed: false });
        Self { source, piece: Bytes::new(), state, turn: 0, keep, _room: room }
    }

    pub(in crate::front) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub(in crate::front) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.poll_packed(cx);
        match &polled {
            Poll::Ready(Ok(Some(packed))) => self.keep.iter_mut().for_each(|place| place.add(packed)),
            Poll::Ready(Err(_)) => (self.state, self.keep) = (State::Over, None),
            _ => {}
        }
        if self.is_over()
            && let Some(place) = self.keep.take()
        {
            place.keep(SystemTime::now());
        }
        polled.map(|packed| packed.map(|packed| packed.map(Frame::data)).transpose())
    }

    fn poll_packed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if self.turn >= TURN {
                self.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.piece.is_empty() {
                match self.step()? {
                    packed if packed.is_empty() => continue,
                    packed => return Poll::Ready(Ok(Some(packed))),
                }
            }
            match self.source.poll_piece(cx) {
                Poll::Ready(Some(frame)) => self.piece = frame?.into_data().unwrap_or_default(),
                Poll::Ready(None) => return Poll::Ready(self.finish()),
                Poll::Pending => {
                    self.turn = 0;
                    return self.flush().map_or(Poll::Pending, |flushed| Poll::Ready(flushed.map(Some)));
                }
            }
        }
    }

    fn step(&mut self) -> Result<Bytes, BodyError> {
        let State::Open { encoder, unflushed } = &mut self.state else { return Err(self.broken()) };
        let size = self.piece.len().min(STEP);
        encoder.write(&self.piece[..size]).map_err(BodyError::Compression)?;
        self.piece.advance(size);
        self.turn += size;
        *unflushed = true;
        Ok(encoder.take())
    }

    /// `None`: nothing is held back.
    fn flush(&mut self) -> Option<Result<Bytes, BodyError>> {
        let State::Open { encoder, unflushed } = &mut self.state else { return None };
        if !std::mem::take(unflushed) {
            return None;
        }
        Some(encoder.flush().map(|()| encoder.take()).map_err(BodyError::Compression))
    }

    fn finish(&mut self) -> Result<Option<Bytes>, BodyError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Open { encoder, .. } => encoder.finish().map(Some).map_err(BodyError::Compression),
            State::Broken(error) => Err(BodyError::Compression(error)),
            State::Over => Ok(None),
        }
    }

    fn broken(&mut self) -> BodyError {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Broken(error) => BodyError::Compression(error),
            State::Open { .. } | State::Over => BodyError::Compression(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("source", &self.source).finish_non_exhaustive()
    }
}
