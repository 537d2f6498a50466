//! Reading a file for a body without holding up the thread: what is in the page cache is read in place, what is not
//! on tokio's blocking threads.
//!
//! RWF_NOWAIT (Linux 4.14) makes the difference: the kernel says EAGAIN where it would have to wait for the disk. Some
//! file systems (tmpfs, overlayfs, FUSE, NFS) do not know it.

use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, retry_on_intr};
use tokio::task::{JoinHandle, spawn_blocking};

use super::ranges::Span;
use super::region::{REGION, Region};
use super::spare::Buffer;

/// Up to this, a file is read where its response is made.
pub(super) const SMALL: u64 = 64 * 1024;

/// A large file is read in pieces of this: few calls, and the piece is still in the core's cache when it is written.
pub(super) const PIECE: usize = 128 * 1024;

/// The whole of a small span, or `None`: too large, not in the page cache, or not as it should be. Then a [`Reader`]
/// finds out.
///
/// Where the file system cannot say whether it would wait, this reads all the same, as nginx does for every file.
pub(super) fn read_small(file: &OwnedFd, span: &Span) -> Option<Bytes> {
    let len = span.end - span.start;
    if len > SMALL {
        return None;
    }
    let mut buffer = vec![0; usize::try_from(len).ok()?];
    let read = match read_cached(file, &mut buffer, span.start) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => retry_on_intr(|| pread(file, &mut buffer, span.start)),
        read => read,
    };
    (read == Ok(buffer.len())).then(|| Bytes::from(buffer))
}

fn read_cached(file: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    retry_on_intr(|| preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT))
}

/// A file, read piece by piece.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<OwnedFd>,
    knows_nowait: bool,
    /// What is read in place at once.
    piece: usize,
    /// A piece that is being read on a blocking thread.
    away: Option<JoinHandle<io::Result<Buffer>>>,
}

impl Reader {
    pub(super) fn new(file: OwnedFd) -> Self {
        Self { file: Arc::new(file), knows_nowait: true, piece: PIECE, away: None }
    }

    /// In smaller pieces, for a connection that writes many files side by side: a large piece would have left the core's cache
    /// before its turn. What needs a blocking thread goes in large ones all the same.
    pub(super) fn read_in_pieces_of(&mut self, bytes: usize) {
        self.piece = bytes.min(PIECE);
    }

    /// The next bytes of `span`, at least one, which are then taken off it.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends before the span, and whatever the disk says.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, span: &mut Span) -> Poll<io::Result<Bytes>> {
        let piece = match self.read_here(span)? {
            Some(piece) => piece,
            None => ready!(self.poll_away(cx, span))?,
        };
        if piece.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        span.start += piece.len() as u64;
        Poll::Ready(Ok(piece.into_bytes()))
    }

    /// The next bytes of `span`, which are then taken off it, for the kernel to send. `None`: it would have to wait for the disk.
    pub(super) fn region(&mut self, span: &mut Span) -> Option<Region> {
        let end = span.end.min(span.start + REGION);
        if span.is_empty() || self.away.is_some() || !self.is_cached(span.start) || !self.is_cached(end - 1) {
            return None;
        }
        let region = Region::new(Arc::clone(&self.file), span.start..end);
        span.start = end;
        Some(region)
    }

    /// Both ends of a region stand for all of it: the kernel reads ahead in larger steps. Where the file system cannot say, the
    /// kernel waits for the disk, as nginx does.
    fn is_cached(&mut self, at: u64) -> bool {
        if !self.knows_nowait {
            return true;
        }
        match read_cached(&self.file, &mut [0], at) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.knows_nowait = false;
                true
            }
            read => read == Ok(1),
        }
    }

    /// `None`: not without waiting.
    fn read_here(&mut self, span: &Span) -> io::Result<Option<Buffer>> {
        if self.away.is_some() || !self.knows_nowait {
            return Ok(None);
        }
        let mut buffer = Buffer::of(room_for(span).min(self.piece), self.piece);
        match buffer.fill(|room| read_cached(&self.file, room, span.start)) {
            Ok(()) => Ok(Some(buffer)),
            Err(Errno::AGAIN) => Ok(None),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.knows_nowait = false;
                Ok(None)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn poll_away(&mut self, cx: &mut Context<'_>, span: &Span) -> Poll<io::Result<Buffer>> {
        let away = self.away.get_or_insert_with(|| {
            let (file, span) = (Arc::clone(&self.file), span.clone());
            spawn_blocking(move || {
                let mut buffer = Buffer::of(room_for(&span), PIECE);
                buffer.fill(|room| retry_on_intr(|| pread(&*file, &mut *room, span.start)))?;
                Ok(buffer)
            })
        });
        let piece = ready!(Pin::new(away).poll(cx));
        self.away = None;
        Poll::Ready(piece.map_err(io::Error::other)?)
    }
}

fn room_for(span: &Span) -> usize {
    usize::try_from(span.end - span.start).map_or(PIECE, |left| left.min(PIECE))
}

#[cfg(test)]
mod tests {
    use super::super::open::{Opened, open};
    use super::super::testing::Root;
    use super::*;

    #[test]
    fn a_small_span_is_read_at_once_and_nothing_else_is() {
        let root = Root::with(&[("a", vec![7; SMALL as usize + 1])]);
        let file = open(&root.path("a"), None).unwrap().file();
        assert_eq!(read_small(&file, &(0..SMALL)).unwrap().len() as u64, SMALL);
        assert_eq!(read_small(&file, &(5..7)).unwrap(), [7, 7][..]);
        assert_eq!(read_small(&file, &(0..SMALL + 1)), None, "too large");
        assert_eq!(read_small(&file, &(SMALL..SMALL + 2)), None, "the file ends before");
    }

    #[tokio::test]
    async fn where_nowait_is_unknown_the_blocking_threads_read() {
        let Ok(file) = open("/proc/self/exe".as_ref(), None).map(Opened::file) else { return };
        let mut reader = Reader { knows_nowait: false, ..Reader::new(file) };
        let mut span = 0..PIECE as u64 + 4;
        let first = std::future::poll_fn(|cx| {
            let polled = reader.poll_read(cx, &mut span);
            assert!(polled.is_ready() || reader.away.is_some());
            polled
        });
        let first = first.await.unwrap();
        assert_eq!((&first[..4], first.len()), (&b"\x7fELF"[..], PIECE));
        assert_eq!(std::future::poll_fn(|cx| reader.poll_read(cx, &mut span)).await.unwrap().len(), 4);
        assert!(span.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_in_the_page_cache_is_read_all_the_same() {
        let content: Vec<u8> = (0..3 * PIECE).map(|at| (at % 251) as u8).collect();
        let root = Root::within(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), &[("a", &content)]);
        let file = open(&root.path("a"), None).unwrap().file();
        rustix::fs::fsync(&file).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let mut reader = Reader::new(file);
        let mut span = 0..content.len() as u64;
        // The kernel may keep what it likes; mostly it does as it is advised, and this is the way by EAGAIN.
        let mut got = Vec::new();
        while !span.is_empty() {
            let piece = std::future::poll_fn(|cx| reader.poll_read(cx, &mut span)).await.unwrap();
            got.extend_from_slice(&piece);
        }
        assert!(got == content);
    }

    #[tokio::test]
    async fn an_error_of_the_disk_is_an_error_of_the_body() {
        let dir = tempfile::tempdir().unwrap();
        let directory = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        let mut reader = Reader::new(directory);
        let read = std::future::poll_fn(|cx| reader.poll_read(cx, &mut (0..PIECE as u64))).await;
        assert!(read.is_err(), "a directory cannot be read");
    }
}
