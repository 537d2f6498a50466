//! A request as the cluster takes it, and the sending of its body in STDIN records, from memory, from a file or from
//! the client.

use super::buffers::TempFile;
use super::outcome::Observer;
use crate::config::model::Timeouts;
use crate::fcgi::{BodyRule, RequestId, stdin_header};
use crate::route::Label;
use bytes::{Buf, Bytes};
use http_body::Body;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The content of a STDIN record: large enough for few system calls, small enough for a record (65,535).
const RECORD_SIZE: usize = 0xfff8;

/// A request, encoded as far as that can be done before a worker is taken.
pub struct UpstreamRequest {
    /// From [`Cluster::next_request_id`](super::Cluster::next_request_id).
    pub id: RequestId,
    /// BEGIN_REQUEST and PARAMS, and the empty STDIN where there is no body.
    pub head: Bytes,
    /// What follows it.
    pub body: RequestBody,
    /// Whether a reply to it has a body (not for HEAD).
    pub body_rule: BodyRule,
    /// Whether it may be sent twice: GET HEAD OPTIONS PUT DELETE TRACE (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// What the hash policies hash.
    pub key: u64,
    /// Which of the pool's `shares` it belongs to.
    pub share: Option<usize>,
    /// Whether the reply is taken from php-fpm as fast as it comes, for a reader who may be slow.
    pub buffering: bool,
    /// The route's own timeouts.
    pub timeouts: Option<Timeouts>,
    /// How log lines name the request.
    pub label: Label,
    /// The SCRIPT_FILENAME sent: part of the advice when php-fpm cannot find it.
    pub script: Vec<u8>,
    /// Hears of the outcome.
    pub observer: Option<Observer>,
}

/// A body whose length is known (CONTENT_LENGTH is sent before it: fpm-facts 10).
pub enum RequestBody {
    /// None: the head ends the request.
    None,
    /// In memory.
    Memory(Bytes),
    /// In a file, from its beginning.
    File(Arc<TempFile>, u64),
    /// Straight from the client, who may fail or be slow; it can be sent once.
    Stream(ClientBody, u64),
}

/// A body that arrives from a client. An `io::Error` of kind `TimedOut` says that the client has stopped.
pub type ClientBody =
    Pin<Box<dyn Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Send>>;

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Memory(bytes) => write!(f, "Memory({})", bytes.len()),
            Self::File(_, length) => write!(f, "File({length})"),
            Self::Stream(_, length) => write!(f, "Stream({length})"),
        }
    }
}

/// What is left to send.
#[derive(Debug)]
pub(crate) struct Upload {
    id: RequestId,
    /// The encoded head, first.
    head: Bytes,
    /// The record on its way: its header, its content and, after the last one, the empty record that ends STDIN.
    header: Octets,
    content: Bytes,
    terminator: Octets,
    body: RequestBody,
    /// What is left of the client's latest piece.
    piece: Bytes,
    /// Bytes of the body not yet put into a record.
    unread: u64,
    /// Bytes given to the socket.
    sent: u64,
    /// A stream was read from and cannot begin again.
    begun: bool,
}

/// Why sending stopped.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The socket: php-fpm closed it, perhaps after an answer.
    Socket,
    /// The client's body failed, or a temp file could not be read.
    Body,
    /// The client stopped in the middle of its body.
    Silence,
}

impl Upload {
    pub(crate) fn new(id: RequestId, head: Bytes, body: RequestBody) -> Self {
        let unread = match &body {
            RequestBody::None => 0,
            RequestBody::Memory(bytes) => bytes.len() as u64,
            RequestBody::File(_, length) | RequestBody::Stream(_, length) => *length,
        };
        let ends_now = unread == 0 && !matches!(body, RequestBody::None);
        let terminator = if ends_now { Octets::from(stdin_header(id, 0)) } else { Octets::default() };
        Self {
            id,
            head,
            header: Octets::default(),
            content: Bytes::new(),
            terminator,
            body,
            piece: Bytes::new(),
            unread,
            sent: 0,
            begun: false,
        }
    }

    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// Bytes to send in all, but for the records' headers.
    pub(crate) fn size(&self) -> u64 {
        self.head.len() as u64 + self.unread
    }

    /// Bytes that the socket has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the socket has all that the client has given so far.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.in_hand() == 0 && self.unread > 0
    }

    /// Whether no byte has reached the socket.
    pub(crate) fn nothing_sent(&self) -> bool {
        self.sent == 0
    }

    /// The body, if it can still be sent from its first byte.
    pub(crate) fn reclaim(self) -> Option<RequestBody> {
        (!self.begun).then_some(self.body)
    }

    /// Sends as much as the socket takes; ready when all is sent.
    pub(crate) fn poll_send(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>], &mut Context<'_>) -> Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            if self.content.is_empty() && self.unread > 0 {
                let next = self.poll_next_record(cx);
                if next.is_pending() && self.head.is_empty() {
                    return Poll::Pending;
                }
                if let Poll::Ready(Err(error)) = next {
                    return Poll::Ready(Err(error));
                }
            }
            if self.in_hand() == 0 {
                return Poll::Ready(Ok(()));
            }
            let slices = [
                IoSlice::new(&self.head),
                IoSlice::new(self.header.rest()),
                IoSlice::new(&self.content),
                IoSlice::new(self.terminator.rest()),
            ];
            // The most usual request is its head alone.
            let used = if self.in_hand() == self.head.len() { &slices[..1] } else { &slices[..] };
            match ready!(write(used, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Err(UploadError::Socket)),
                Ok(written) => self.advance(written),
            }
        }
    }

    fn in_hand(&self) -> usize {
        self.head.len() + self.header.rest().len() + self.content.len() + self.terminator.rest().len()
    }

    fn advance(&mut self, written: usize) {
        self.sent += written as u64;
        let mut left = written;
        let mut take = |available: usize| {
            let taken = available.min(left);
            left -= taken;
            taken
        };
        self.head.advance(take(self.head.len()));
        self.header.advance(take(self.header.rest().len()));
        self.content.advance(take(self.content.len()));
        self.terminator.advance(take(self.terminator.rest().len()));
    }

    fn poll_next_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        let content = ready!(self.poll_content(cx))?;
        self.unread -= content.len() as u64;
        // The size is bounded by RECORD_SIZE, which a record's length field holds.
        self.header = Octets::from(stdin_header(self.id, content.len() as u16));
        if self.unread == 0 {
            self.terminator = Octets::from(stdin_header(self.id, 0));
        }
        self.content = content;
        Poll::Ready(Ok(()))
    }

    /// The next piece of the body, of at most a record's size, and never empty.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, UploadError>> {
        let size = self.unread.min(RECORD_SIZE as u64) as usize;
        match &mut self.body {
            RequestBody::None => Poll::Ready(Err(UploadError::Body)),
            RequestBody::Memory(bytes) => {
                let from = bytes.len() - self.unread as usize;
                Poll::Ready(Ok(bytes.slice(from..from + size)))
            }
            RequestBody::File(file, length) => {
                // Read in place: a spooled body was written a moment ago and lies in the page cache.
                let read = file.read_at(*length - self.unread, size);
                Poll::Ready(read.map(Bytes::from).map_err(|_| UploadError::Body))
            }
            RequestBody::Stream(body, _) => {
                self.begun = true;
                while self.piece.is_empty() {
                    self.piece = ready!(poll_piece(body, cx))?;
                }
                Poll::Ready(Ok(self.piece.split_to(size.min(self.piece.len()))))
            }
        }
    }
}

/// The next piece of a client's body, perhaps empty.
fn poll_piece(body: &mut ClientBody, cx: &mut Context<'_>) -> Poll<Result<Bytes, UploadError>> {
    match ready!(body.as_mut().poll_frame(cx)) {
        Some(Ok(frame)) => Poll::Ready(Ok(frame.into_data().unwrap_or_default())),
        Some(Err(error)) if is_silence(&*error) => Poll::Ready(Err(UploadError::Silence)),
        Some(Err(_)) | None => Poll::Ready(Err(UploadError::Body)),
    }
}

fn is_silence(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// A record header on its way out.
#[derive(Debug, Default)]
struct Octets {
    bytes: [u8; 8],
    left: usize,
}

impl From<[u8; 8]> for Octets {
    fn from(bytes: [u8; 8]) -> Self {
        Self { bytes, left: bytes.len() }
    }
}

impl Octets {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.bytes.len() - self.left..]
    }

    fn advance(&mut self, count: usize) {
        self.left -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    fn id() -> RequestId {
        RequestId::new(7).unwrap()
    }

    /// What the socket gets when it takes at most `most` bytes a write, and how many writes that took.
    fn sent(body: RequestBody, most: usize) -> (Vec<u8>, usize) {
        let mut upload = Upload::new(id(), Bytes::from_static(b"HEAD"), body);
        let (mut bytes, mut writes) = (Vec::new(), 0);
        let take = |slices: &[IoSlice<'_>], _: &mut Context<'_>| {
            let before = bytes.len();
            bytes.extend(slices.iter().flat_map(|slice| slice.iter()).take(most));
            writes += 1;
            Poll::Ready(Ok(bytes.len() - before))
        };
        let polled = upload.poll_send(take, &mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(()))));
        assert_eq!(upload.sent(), bytes.len() as u64);
        (bytes, writes)
    }

    fn record(content: &[u8]) -> Vec<u8> {
        [&stdin_header(id(), content.len() as u16)[..], content].concat()
    }

    #[test]
    fn a_small_post_is_one_write() {
        let (bytes, writes) = sent(RequestBody::Memory(Bytes::from_static(b"a=1")), usize::MAX);
        assert_eq!(bytes, [b"HEAD".to_vec(), record(b"a=1"), record(b"")].concat());
        assert_eq!(writes, 1);
        assert_eq!(sent(RequestBody::None, usize::MAX), (b"HEAD".to_vec(), 1));
        assert_eq!(
            sent(RequestBody::Memory(Bytes::new()), usize::MAX).0,
            [b"HEAD".to_vec(), record(b"")].concat()
        );
    }

    #[test]
    fn the_bytes_are_the_same_however_little_a_write_takes_and_wherever_the_body_lies() {
        let content: Vec<u8> = (0..150_000).map(|at| (at % 253) as u8).collect();
        let mut expected = b"HEAD".to_vec();
        content.chunks(RECORD_SIZE).for_each(|piece| expected.extend(record(piece)));
        expected.extend(record(b""));
        let mut file = super::super::Buffers::default().temp_file().unwrap();
        file.write_at(&content, 0).unwrap();
        let file = Arc::new(file);
        for most in [1_000, 7_777, usize::MAX] {
            let stream = Full::new(Bytes::from(content.clone())).map_err(Into::into);
            assert!(sent(RequestBody::Memory(content.clone().into()), most).0 == expected);
            assert!(sent(RequestBody::File(Arc::clone(&file), content.len() as u64), most).0 == expected);
            assert!(sent(RequestBody::Stream(Box::pin(stream), content.len() as u64), most).0 == expected);
        }
    }

    #[test]
    fn a_body_can_be_sent_again_unless_it_was_read_from_its_client() {
        let refuse = |_: &[IoSlice<'_>], _: &mut Context<'_>| Poll::Ready(Ok(0));
        let stream =
            || RequestBody::Stream(Box::pin(Full::new(Bytes::from_static(b"x")).map_err(Into::into)), 1);
        for (body, again) in [(RequestBody::Memory(Bytes::from_static(b"x")), true), (stream(), false)] {
            let mut upload = Upload::new(id(), Bytes::new(), body);
            let polled = upload.poll_send(refuse, &mut Context::from_waker(std::task::Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Err(UploadError::Socket))));
            assert!(upload.nothing_sent());
            assert_eq!(upload.reclaim().is_some(), again);
        }
        assert!(Upload::new(id(), Bytes::new(), stream()).reclaim().is_some(), "not begun");
    }
}
