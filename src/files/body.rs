//! The body of a file's reply: a small file at once, a large one piece by piece, several parts with the text between
//! them. How a piece is read is `reader`'s.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;

use super::open::{Source, Stamp};
use super::ranges::Span;
use super::reader::{self, Reader};
use super::region::Region;

/// The bytes of a reply, of a length that is known before the first of them is sent.
///
/// The length is a promise: a file that became shorter meanwhile ends the body with an error, so that the client sees
/// a broken transfer and not a complete one.
///
/// Large files need a tokio runtime: what is not in the page cache is read on its blocking threads.
#[derive(Debug)]
pub struct FileBody {
    left: u64,
    content: Content,
    /// Of the file that it is the whole of.
    stamp: Option<Stamp>,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Ready(Bytes),
    /// Boxed: the body of a small file, moved about with its response, stays small itself.
    Pieces(Box<Pieces>),
}

#[derive(Debug)]
struct Pieces {
    reader: Reader,
    parts: VecDeque<Part>,
    /// It may go out unread.
    sendfile: bool,
}

/// A piece of the body, in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Bytes),
    Span(Span),
}

/// One for nearly every reply.
pub(super) type Parts = SmallVec<[Part; 1]>;

/// Length of the body that the parts make.
pub(super) fn length(parts: &[Part]) -> u64 {
    parts.iter().map(Part::len).sum()
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Span(span) => span.end - span.start,
        }
    }
}

impl FileBody {
    pub(super) const fn empty() -> Self {
        Self { left: 0, content: Content::Nothing, stamp: None }
    }

    /// One small span is read here and now.
    pub(super) fn new(source: Source, parts: Parts, sendfile: bool) -> Self {
        let left = length(&parts);
        if left == 0 {
            return Self::empty();
        }
        let file = match source {
            Source::File(file) => file,
            // What is held is held for whole files.
            Source::Held(bytes) => return Self { left, content: Content::Ready(bytes), stamp: None },
        };
        let content = match parts.as_slice() {
            [Part::Span(span)] => reader::read_small(&file, span).map(Content::Ready),
            _ => None,
        };
        let sendfile = sendfile && parts.len() == 1;
        let pieces =
            || Box::new(Pieces { reader: Reader::new(file), parts: parts.into_iter().collect(), sendfile });
        Self { left, content: content.unwrap_or_else(|| Content::Pieces(pieces())), stamp: None }
    }

    pub(super) fn is_all_of(&mut self, stamp: Stamp) {
        self.stamp = Some(stamp);
    }

    /// Reads a large file in pieces of so many bytes, where nothing has to be waited for.
    pub fn read_in_pieces_of(&mut self, bytes: usize) {
        if let Content::Pieces(pieces) = &mut self.content {
            pieces.reader.read_in_pieces_of(bytes);
        }
    }

    /// Which file this is the whole of; `None` for a part.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// The next bytes of a large file, to be sent by the kernel; then they are off the body. `None`: they should be read, because they are
    /// few, one part of several, or not in the page cache.
    pub fn region(&mut self) -> Option<Region> {
        let Content::Pieces(pieces) = &mut self.content else { return None };
        let region = pieces.region()?;
        self.left -= region.left() as u64;
        if self.left == 0 {
            self.content = Content::Nothing;
        }
        Some(region)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.content {
            Content::Nothing => Poll::Ready(None),
            Content::Ready(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Content::Pieces(pieces) => pieces.poll_chunk(cx),
        }
    }
}

impl Pieces {
    fn region(&mut self) -> Option<Region> {
        match self.parts.front_mut() {
            Some(Part::Span(span)) if self.sendfile => self.reader.region(span),
            _ => None,
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match self.parts.front_mut() {
                Some(Part::Span(span)) if !span.is_empty() => {
                    return self.reader.poll_read(cx, span).map(Some);
                }
                Some(Part::Span(_)) => self.parts.pop_front(),
                Some(Part::Text(text)) => {
                    let text = std::mem::take(text);
                    self.parts.pop_front();
                    return Poll::Ready(Some(Ok(text)));
                }
                None => return Poll::Ready(None),
            };
        }
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let chunk = ready!(self.poll_chunk(cx));
        if let Some(Ok(bytes)) = &chunk {
            self.left -= bytes.len() as u64;
        }
        if self.left == 0 || !matches!(chunk, Some(Ok(_))) {
            // The descriptor is closed with the last byte, not when the connection lets go of the body.
            self.content = Content::Nothing;
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use http::header::RANGE;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::super::reader::{PIECE, SMALL};
    use super::super::testing::{Root, bytes_of};
    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    fn frame(body: &mut FileBody) -> Option<io::Result<Bytes>> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())),
            Poll::Pending => panic!("the page cache has it"),
        }
    }

    #[tokio::test]
    async fn a_file_can_be_read_in_smaller_pieces() {
        let root = Root::with(&[("a", content(100_000))]);
        let mut body = root.ask("a").answer().into_body();
        body.read_in_pieces_of(40_000);
        let lengths: Vec<_> =
            std::iter::from_fn(|| frame(&mut body)).map(|piece| piece.unwrap().len()).collect();
        assert_eq!(lengths, [40_000, 40_000, 20_000]);
    }

    #[tokio::test]
    async fn every_length_around_the_borders_arrives_whole() {
        let (small, piece) = (SMALL as usize, PIECE);
        // /dev/shm: tmpfs knows no RWF_NOWAIT, and so takes the other way.
        for parent in [std::env::temp_dir(), "/dev/shm".into()].iter().filter(|parent| parent.is_dir()) {
            for len in [0, 1, small - 1, small, small + 1, piece, piece + 1, 3 * piece, 3 * piece + 7] {
                let root = Root::within(parent, &[("a", content(len))]);
                let body = root.ask("a").answer().into_body();
                assert!(bytes_of(body).await == content(len), "{len} bytes in {}", parent.display());
            }
        }
    }

    #[test]
    fn a_small_file_is_one_chunk_without_a_runtime() {
        let root = Root::with(&[("a", content(SMALL as usize))]);
        let mut body = root.ask("a").answer().into_body();
        assert_eq!(frame(&mut body).unwrap().unwrap().len() as u64, SMALL);
        assert!(body.is_end_stream());
        assert!(frame(&mut body).is_none());
    }

    #[test]
    fn what_the_page_cache_holds_never_leaves_the_thread() {
        let root = Root::within(Path::new(env!("CARGO_MANIFEST_DIR")), &[("a", content(3 * PIECE))]);
        let mut body = root.ask("a").answer().into_body();
        // No runtime is there to leave to: a hand-over would panic.
        for left in [2, 1, 0] {
            assert_eq!(frame(&mut body).unwrap().unwrap().len(), PIECE);
            assert_eq!(body.size_hint().exact(), Some((left * PIECE) as u64));
        }
        assert!(frame(&mut body).is_none());
    }

    #[tokio::test]
    async fn a_file_that_shrinks_ends_the_body_with_an_error() {
        for range in ["bytes=0-", "bytes=0-1,200000-"] {
            let root = Root::with(&[("a", content(3 * PIECE))]);
            let mut body = root.ask("a").header(RANGE, range).answer().into_body();
            assert!(body.frame().await.unwrap().is_ok());
            fs::File::options().write(true).open(root.path("a")).unwrap().set_len(5).unwrap();
            let error = loop {
                match body.frame().await.expect("an error, not an end") {
                    Ok(_) => assert!(!body.is_end_stream()),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{range}");
            assert!(!body.is_end_stream(), "{range}: what was promised did not come");
        }
    }

    #[tokio::test]
    async fn a_small_file_that_shrank_after_its_header_was_made_is_an_error_too() {
        let root = Root::with(&[("a", content(100))]);
        let decision = root.ask("a").decide();
        fs::File::options().write(true).open(root.path("a")).unwrap().set_len(5).unwrap();
        let body = decision.render().unwrap().into_body();
        assert_eq!(body.size_hint().exact(), Some(100));
        assert_eq!(body.collect().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_file_that_is_replaced_or_grows_is_sent_as_it_was_opened() {
        let root = Root::with(&[("a", content(2 * PIECE))]);
        let decision = root.ask("a").decide();
        fs::File::options()
            .append(true)
            .open(root.path("a"))
            .map(|file| file.set_len(9 * PIECE as u64))
            .unwrap()
            .unwrap();
        fs::remove_file(root.path("a")).unwrap();
        assert!(bytes_of(decision.render().unwrap().into_body()).await == content(2 * PIECE));
    }
}
