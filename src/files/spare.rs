//! Buffers for pieces of files, lent to a body and taken back when the connection has written them. Fresh
//! memory would have to be zeroed for each piece before the kernel overwrites it.

use std::cell::RefCell;

use bytes::Bytes;

use super::reader::PIECE;

/// So many bytes a thread: as many pieces as are on their way at once while the sockets keep up.
const KEPT: usize = 8 * PIECE;

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer and how much of it was read.
#[derive(Debug)]
pub(super) struct Buffer {
    room: Box<[u8]>,
    /// How large the room is that is kept.
    piece: usize,
    wanted: usize,
    filled: usize,
}

impl Buffer {
    /// Room for `wanted` bytes of a file that is read in pieces of so many, which are at least as many. Little is not worth a whole
    /// piece: a slow reader would hold it for a few bytes.
    pub(super) fn of(wanted: usize, piece: usize) -> Self {
        let room = if wanted > piece / 2 { spare(piece) } else { fresh(wanted) };
        Self { room, piece, wanted, filled: 0 }
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

fn spare(piece: usize) -> Box<[u8]> {
    SPARE.with_borrow_mut(|spare| {
        let place = spare.iter().rposition(|room| room.len() == piece);
        place.map(|place| spare.swap_remove(place)).unwrap_or_else(|| fresh(piece))
    })
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
        if self.room.len() != self.piece {
            return;
        }
        let room = std::mem::take(&mut self.room);
        // Gone already where the thread itself is ending: then the memory just goes with it.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.iter().map(|room| room.len()).sum::<usize>() + room.len() <= KEPT {
                spare.push(room);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer for `wanted` bytes of which the first `read` came.
    fn lent(wanted: usize, read: usize, content: u8) -> Bytes {
        let mut buffer = Buffer::of(wanted, PIECE);
        let filled: Result<(), ()> = buffer.fill(|room| {
            room[..read].fill(content);
            Ok(read)
        });
        filled.unwrap();
        buffer.into_bytes()
    }

    #[test]
    fn a_buffer_is_lent_again_only_when_nobody_reads_it() {
        let first = lent(PIECE, PIECE, 1);
        let clone = first.slice(5..10);
        let was = first.as_ptr();
        drop(first);
        let second = lent(PIECE, PIECE, 2);
        assert_ne!(second.as_ptr(), was, "a slice of it is still out");
        assert_eq!(clone, [1; 5][..]);
        drop(clone);
        assert_eq!(lent(PIECE, PIECE, 3).as_ptr(), was);
    }

    #[test]
    fn a_short_read_shows_nothing_of_the_reader_before() {
        drop(lent(PIECE, PIECE, 0xAA));
        assert_eq!(lent(PIECE, 3, 1), [1; 3][..]);
        assert_eq!(lent(PIECE, 0, 1), [][..]);
    }

    #[test]
    fn few_bytes_hold_no_whole_piece() {
        drop(lent(10, 10, 1));
        assert_eq!(SPARE.with_borrow(Vec::len), 0);
    }

    #[test]
    fn no_more_than_a_few_are_kept() {
        let out: Vec<_> = (0..13).map(|_| lent(PIECE, PIECE, 1)).collect();
        drop(out);
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT / PIECE);
    }

    #[test]
    fn a_small_piece_is_lent_again_for_a_small_one_only() {
        let [small, large] = [1000, PIECE].map(|piece| Buffer::of(piece, piece));
        let was = small.room.as_ptr();
        drop((small, large));
        assert_ne!(Buffer::of(PIECE, PIECE).room.as_ptr(), was);
        assert_eq!(Buffer::of(900, 1000).room.as_ptr(), was);
    }
}
