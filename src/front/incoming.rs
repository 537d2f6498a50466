//! The request's body on its way in: taken off the client before a worker is taken (fpm-facts 10), in memory while it
//! is small and in an unlinked temp file when it is not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderValue, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep, timeout};

use super::notes::Notes;
use super::respond::Refusal;
use crate::upstream::{Buffers, RequestBody, Share, TempFile};

/// A body up to this size stays in memory. nginx: `client_body_buffer_size`, 16 KB there.
const IN_MEMORY: usize = 64 * 1024;

/// How a body may be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Largest size in bytes; 0: any.
    pub(super) max: u64,
    /// Whether it is taken whole before a worker is.
    pub(super) buffering: bool,
    /// Where it waits meanwhile.
    pub(super) buffers: &'a Buffers,
    /// Longest pause between two pieces.
    pub(super) patience: Duration,
}

/// Whether something of a request's body has not been read yet. A reply that goes out meanwhile is the connection's last: what
/// is left would be read as the next request.
#[derive(Debug, Clone)]
pub(super) struct Unread(Option<Arc<AtomicBool>>);

impl Unread {
    pub(super) fn of(body: &Incoming) -> Self {
        Self((!body.is_end_stream()).then(|| Arc::new(AtomicBool::new(true))))
    }

    /// The reply, which says that it is the last one if it is.
    pub(super) fn before<B>(&self, mut reply: Response<B>, notes: &Notes) -> Response<B> {
        if self.0.as_ref().is_some_and(|unread| unread.load(Ordering::Relaxed)) {
            notes.leaves_unread();
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }

    fn ended(&self) {
        if let Some(unread) = &self.0 {
            unread.store(false, Ordering::Relaxed);
        }
    }
}

/// Takes the body; its length is then known, whatever the client said of it. `None` where there was none to take.
pub(super) async fn take(
    body: Incoming,
    terms: Terms<'_>,
    unread: &Unread,
) -> Result<(RequestBody, Option<u64>), Refusal> {
    if body.is_end_stream() {
        return Ok((RequestBody::None, None));
    }
    let declared = body.size_hint().exact();
    if terms.max > 0 && declared.is_some_and(|length| length > terms.max) {
        return Err(Refusal::BodyTooLarge);
    }
    match declared {
        Some(length) if !terms.buffering => {
            let patient = Patient { body, patience: terms.patience, silence: None, unread: unread.clone() };
            Ok((RequestBody::Stream(Box::pin(patient), length), Some(length)))
        }
        _ => {
            let (body, length) = collect(body, declared.unwrap_or(0), terms).await?;
            unread.ended();
            Ok((body, Some(length)))
        }
    }
}

async fn collect(mut body: Incoming, declared: u64, terms: Terms<'_>) -> Result<(RequestBody, u64), Refusal> {
    let mut store = Store::Nothing;
    let mut length = 0;
    while let Some(frame) = timeout(terms.patience, body.frame()).await.map_err(|_| Refusal::BodyTimeout)? {
        let Ok(piece) = frame.map_err(Refusal::BodyBroken)?.into_data() else { continue };
        length += piece.len() as u64;
        if terms.max > 0 && length > terms.max {
            return Err(Refusal::BodyTooLarge);
        }
        store = store.add(piece, declared, terms.buffers).map_err(Refusal::TempFile)?;
    }
    Ok((store.into_body(length), length))
}

/// A body on its way to a worker, who must not be held by a client that has stopped: a silence is an error of kind
/// `TimedOut`. Time counts only while php-fpm would take more.
struct Patient {
    body: Incoming,
    patience: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    unread: Unread,
}

impl Body for Patient {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.silence = None;
            if self.body.is_end_stream() {
                self.unread.ended();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let patience = self.patience;
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(patience)));
        silence.as_mut().poll(cx).map(|()| Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }
}

/// Where the body lies so far.
#[derive(Debug)]
enum Store {
    Nothing,
    /// The common small form: one piece, not copied.
    One(Bytes),
    Memory(BytesMut, Share),
    /// With its length.
    File(TempFile, u64),
}

impl Store {
    /// Writes go to the page cache from this thread, as nginx's do: they wait for the disk only when the kernel makes them.
    fn add(self, piece: Bytes, declared: u64, buffers: &Buffers) -> io::Result<Self> {
        let whole = piece.len() as u64 >= declared && piece.len() <= IN_MEMORY;
        let (mut held, mut share) = match self {
            Self::File(mut file, length) => {
                file.write_at(&piece, length)?;
                return Ok(Self::File(file, length + piece.len() as u64));
            }
            Self::Nothing if whole => return Ok(Self::One(piece)),
            Self::Nothing => {
                (BytesMut::with_capacity(declared.min(IN_MEMORY as u64) as usize), buffers.memory())
            }
            Self::One(first) => (BytesMut::from(first), buffers.memory()),
            Self::Memory(memory, share) => (memory, share),
        };
        let fits = held.len() + piece.len() <= IN_MEMORY && declared <= IN_MEMORY as u64;
        if fits && share.grow(piece.len() as u64) {
            held.extend_from_slice(&piece);
            return Ok(Self::Memory(held, share));
        }
        let mut file = buffers.temp_file()?;
        file.write_at(&held, 0)?;
        file.write_at(&piece, held.len() as u64)?;
        Ok(Self::File(file, (held.len() + piece.len()) as u64))
    }

    fn into_body(self, length: u64) -> RequestBody {
        match self {
            Self::Nothing => RequestBody::None,
            Self::One(bytes) => RequestBody::Memory(bytes),
            Self::Memory(bytes, share) => {
                RequestBody::Memory(Bytes::from_owner(Counted { bytes: bytes.freeze(), _share: share }))
            }
            Self::File(file, _) => RequestBody::File(Arc::new(file), length),
        }
    }
}

/// A body in memory, counted until the last of its slices is gone.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(pieces: &[&'static [u8]], declared: u64) -> Store {
        let folder = Buffers::default();
        pieces.iter().fold(Store::Nothing, |store, piece| {
            store.add(Bytes::from_static(piece), declared, &folder).expect("the temp dir can be written")
        })
    }

    fn content(store: Store) -> Vec<u8> {
        match store {
            Store::Nothing => Vec::new(),
            Store::One(bytes) => bytes.to_vec(),
            Store::Memory(bytes, _) => bytes.to_vec(),
            Store::File(file, length) => {
                let size = usize::try_from(length).expect("it was in memory");
                file.read_at(0, size).expect("an open file")
            }
        }
    }

    #[test]
    fn a_body_is_the_same_wherever_it_lay() {
        static LARGE: [u8; IN_MEMORY] = [b'x'; IN_MEMORY];
        let (ab, cd, large) = (&b"ab"[..], &b"cd"[..], &LARGE[..]);
        for pieces in [&[][..], &[ab], &[ab, cd], &[large], &[ab, large], &[large, ab, large]] {
            assert_eq!(content(stored(pieces, 0)), pieces.concat());
        }
    }

    #[test]
    fn one_small_piece_of_the_declared_length_is_not_copied() {
        assert!(matches!(stored(&[b"abc"], 3), Store::One(_)));
    }

    #[test]
    fn a_body_declared_large_goes_to_the_file_at_once() {
        assert!(matches!(stored(&[b"abc"], 1 << 20), Store::File(..)));
    }
}
