//! Bytes of an open file that go to a socket without passing through this process: sendfile(2). Who may ask for them, and when
//! they go, is `front/sendfile`'s; which bytes, `body`'s.

use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::sendfile;
use rustix::io::{Errno, pread, retry_on_intr};

use super::ranges::Span;

/// At most so much in one piece. nginx: `sendfile_max_chunk`, 2 MB there. A piece may have to wait for the disk, and it is handed on in one
/// go to a client that reads fast: other clients of the thread wait as long.
pub(super) const REGION: u64 = 512 * 1024;

/// What is read at once where a file system knows no sendfile.
const SCRATCH: usize = 64 * 1024;

/// A piece of an open file.
#[derive(Debug, Clone)]
pub struct Region {
    file: Arc<OwnedFd>,
    span: Span,
}

impl Region {
    pub(super) const fn new(file: Arc<OwnedFd>, span: Span) -> Self {
        Self { file, span }
    }

    /// How many bytes are left of it.
    #[must_use]
    pub fn left(&self) -> usize {
        usize::try_from(self.span.end - self.span.start).unwrap_or(usize::MAX)
    }

    /// Hands the kernel as much as the socket takes now. 0: the file ends before the region does.
    ///
    /// # Errors
    /// AGAIN where the socket takes nothing; INVAL or NOSYS where the file system knows no sendfile; the disk's and the socket's.
    pub fn send(&mut self, socket: impl AsFd) -> Result<usize, Errno> {
        let left = self.left();
        let mut at = self.span.start;
        let sent = retry_on_intr(|| sendfile(socket.as_fd(), self.file.as_fd(), Some(&mut at), left))?;
        self.skip(sent);
        Ok(sent)
    }

    /// The next bytes, read. None: the file ends before the region does.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self) -> Result<Vec<u8>, Errno> {
        let mut scratch = vec![0; self.left().min(SCRATCH)];
        let read = retry_on_intr(|| pread(&*self.file, &mut scratch, self.span.start))?;
        scratch.truncate(read);
        Ok(scratch)
    }

    /// The next `count` bytes went some other way.
    pub fn skip(&mut self, count: usize) {
        self.span.start = self.span.end.min(self.span.start + count as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::super::open::open;
    use super::super::testing::Root;
    use super::*;

    fn region(root: &Root, span: Span) -> Region {
        Region::new(Arc::new(open(&root.path("a"), None).unwrap().file()), span)
    }

    #[test]
    fn a_region_is_sent_from_where_it_begins_to_where_it_ends() {
        let root = Root::with(&[("a", "0123456789")]);
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut region = region(&root, 2..8);
        region.skip(1);
        assert_eq!(region.read().unwrap(), b"34567");
        assert_eq!(region.send(&near), Ok(5));
        assert_eq!(region.left(), 0);
        drop(near);
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"34567");
    }

    #[test]
    fn a_full_socket_takes_nothing_and_a_short_file_gives_nothing() {
        let root = Root::with(&[("a", vec![b'x'; 1 << 20])]);
        let (near, _far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut all = region(&root, 0..1 << 20);
        let refused = loop {
            match all.send(&near) {
                Ok(sent) => assert!(sent > 0 && all.left() > 0, "no socket holds as much"),
                Err(errno) => break errno,
            }
        };
        assert_eq!(refused, Errno::AGAIN);
        let (near, _far) = UnixStream::pair().unwrap();
        let mut beyond = region(&root, (1 << 20)..(1 << 20) + 1);
        assert_eq!((beyond.send(&near), beyond.read()), (Ok(0), Ok(Vec::new())));
    }
}
