//! Buffers for pieces of files, lent to a body and taken back when the connection has written them. Fresh
//! memory would have to be zeroed for each piece before the kernel overwrites it.

use std::cell::RefCell;

use bytes::Bytes;

use super::reader::PIECE;

/// 1 MB a thread: as many pieces as are on their way at once while the sockets keep up.
const KEPT: usize = 8;

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer and how much of it was read.
#[derive(Debug)]
pub(super) struct Buffer {
    room: Box<[u8]>,
    wanted: usize,
    filled: usize,
}

impl Buffer {
    /// Room for `wanted` bytes, at most [`PIECE`]. Little is not worth a whole piece: a slow reader would hold it for
    /// a few bytes.
    pub(super) fn of(wanted: usize) -> Self {
        let room = if wanted > PIECE / 2 { spare() } else { fresh(wanted) };
        Self { room, wanted, filled: 0 }
    }

    pub(super) fn fill<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        self.filled = read(&mut self.room[..self.wanted])?;
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.filled
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The bytes that were read. The buffer is spare again when the last clone of them is gone.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

fn spare() -> Box<[u8]> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| fresh(PIECE))
}

fn fresh(len: usize) -> Box<[u8]> {
    vec![0; len].into_boxed_slice()
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.room[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.room.len() != PIECE {
            return;
        }
        let room = std::mem::take(&mut self.room);
        // Gone already where the thread itself is ending: then the memory just goes with it.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(room);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(bytes: &Bytes) -> *const u8 {
        bytes.as_ptr()
    }

    fn piece(content: u8) -> Bytes {
        let mut buffer = Buffer::of(PIECE);
        buffer
            .fill(|room| {
                Ok::<_, ()>({
                    room.fill(content);
                    room.len()
                })
            })
            .unwrap();
        buffer.into_bytes()
    }

    #[test]
    fn a_buffer_is_lent_again_only_when_nobody_reads_it() {
        let first = piece(1);
        let clone = first.slice(5..10);
        let was = address(&first);
        drop(first);
        let second = piece(2);
        assert_ne!(address(&second), was, "a slice of it is still out");
        assert_eq!(clone, [1; 5][..]);
        drop(clone);
        assert_eq!(address(&piece(3)), was);
    }

    #[test]
    fn a_short_read_shows_nothing_of_the_reader_before() {
        drop(piece(0xAA));
        let mut buffer = Buffer::of(PIECE);
        buffer
            .fill(|room| {
                Ok::<_, ()>({
                    room[..3].fill(1);
                    3
                })
            })
            .unwrap();
        assert_eq!(buffer.into_bytes(), [1; 3][..]);
        let mut small = Buffer::of(10);
        small.fill(|room| Ok::<_, ()>(room.len())).unwrap();
        assert_eq!(small.into_bytes(), [0; 10][..]);
    }

    #[test]
    fn no_more_than_a_few_are_kept() {
        let out: Vec<_> = (0..KEPT as u8 + 5).map(piece).collect();
        drop(out);
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
    }
}
