//! A reply on its way from a fast worker to a slow reader: memory first, then an unlinked temp file, then back-pressure.
//!
//! Whoever writes may run ahead as far as the spool is large, so that a slow reader holds no worker (fpm-facts 10). It
//! keeps bytes in order and knows nothing of FastCGI.

use super::buffers::{Buffers, Share, TempFile};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;

/// Bytes of a reply that are kept in memory, if the server has as many to spare.
const MEMORY: u64 = 256 * 1024;
/// The same while there is plenty: a reader who falls behind for a moment costs no file.
const AMPLE: u64 = 1024 * 1024;
/// A reader who is as far behind has its turn before more is fetched. Less than `MEMORY` by a read from php-fpm.
const BEHIND: u64 = MEMORY - 64 * 1024;
/// What a chunk costs beside its bytes: a reply of one-byte records must not take many times its length.
const CHUNK_COST: u64 = 64;
/// What is read from the temp file at a time.
const READ_SIZE: u64 = 64 * 1024;

/// The bytes between writer and reader. Reading and writing the file is done in place: it was written a moment ago and
/// lies in the page cache, where a hop to another thread would cost more than the copy.
#[derive(Debug)]
pub(crate) struct Spool {
    waiting: VecDeque<Part>,
    in_memory: u64,
    share: Share,
    file: Option<TempFile>,
    /// The part of the file that is still to be read; when all is read, the file begins anew.
    unread: std::ops::Range<u64>,
    /// What no file had room for: the writer waits until it is read.
    last: Option<Bytes>,
    buffers: Buffers,
}

/// What comes next, and where it lies.
#[derive(Debug)]
enum Part {
    Memory(Bytes),
    /// So many bytes of the file.
    File(u64),
}

impl Spool {
    pub(crate) fn new(buffers: &Buffers) -> Self {
        let (share, buffers) = (buffers.memory(), buffers.clone());
        Self { waiting: VecDeque::new(), in_memory: 0, share, file: None, unread: 0..0, last: None, buffers }
    }

    /// Whether the writer may go on. A full disk does not cut a reply short: it is taken at its reader's pace.
    pub(crate) fn has_room(&self) -> bool {
        self.last.is_none() && self.unread.end <= self.buffers.most_of_a_reply()
    }

    /// Whether the reader should have its turn first.
    pub(crate) fn is_behind(&self) -> bool {
        self.in_memory + (self.unread.end - self.unread.start) > BEHIND
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        let cost = chunk.len() as u64 + CHUNK_COST;
        if self.may_stay() && self.take_memory(cost) {
            self.waiting.push_back(Part::Memory(chunk));
        } else if self.put_aside(&chunk).is_err() {
            self.last = Some(chunk);
        }
    }

    /// Behind what is in the file memory is used again only when all of it was read: a chunk keeps the whole of what was read from
    /// php-fpm with it, so that small ones, picked out by their fitting in, would hold many times their size.
    fn may_stay(&self) -> bool {
        self.in_memory == 0 || matches!(self.waiting.back(), Some(Part::Memory(_)))
    }

    fn take_memory(&mut self, cost: u64) -> bool {
        let then = self.in_memory + cost;
        let taken = match then <= MEMORY {
            true => self.share.grow(cost),
            false => then <= AMPLE && self.share.grow_if_plenty(cost),
        };
        self.in_memory += if taken { cost } else { 0 };
        taken
    }

    fn put_aside(&mut self, chunk: &[u8]) -> io::Result<()> {
        let length = chunk.len() as u64;
        if self.unread.end + length > self.buffers.most_of_a_reply() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                empty.insert(self.buffers.temp_file().inspect_err(|error| self.buffers.tell_no_room(error))?)
            }
        };
        file.write_at(chunk, self.unread.end)?;
        self.unread.end += length;
        match self.waiting.back_mut() {
            Some(Part::File(before)) => *before += length,
            _ => self.waiting.push_back(Part::File(length)),
        }
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> io::Result<Option<Bytes>> {
        match self.waiting.pop_front() {
            Some(Part::Memory(chunk)) => {
                let cost = chunk.len() as u64 + CHUNK_COST;
                self.in_memory -= cost;
                self.share.shrink(cost);
                Ok(Some(chunk))
            }
            Some(Part::File(length)) => self.fetch(length).map(Some),
            None => Ok(self.last.take()),
        }
    }

    /// The first of the `length` bytes that come next.
    fn fetch(&mut self, length: u64) -> io::Result<Bytes> {
        let size = length.min(READ_SIZE);
        let file = self.file.as_ref().expect("what lies in a file was written to it");
        let chunk = file.read_at(self.unread.start, size as usize)?;
        if size < length {
            self.waiting.push_front(Part::File(length - size));
        }
        self.unread.start += size;
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
        Ok(chunk.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffers::testing::{buffers, without_a_disk};
    use super::*;

    fn spool() -> Spool {
        Spool::new(&Buffers::default())
    }

    /// Of a server that never has plenty.
    fn scanty_spool() -> Spool {
        Spool::new(&buffers(2 * MEMORY - 2, 1 << 30, 1 << 30))
    }

    fn chunk(number: usize, size: usize) -> Bytes {
        (0..size).map(|at| (number * 31 + at) as u8).collect::<Vec<_>>().into()
    }

    /// Everything that is in it, in order.
    fn drain(spool: &mut Spool) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(chunk) = spool.pop().unwrap() {
            read.extend_from_slice(&chunk);
        }
        read
    }

    #[test]
    fn bytes_come_out_in_order_through_memory_and_file_and_memory_again() {
        let mut spool = spool();
        let (mut written, mut read) = (Vec::new(), Vec::new());
        for round in 0..3 {
            for number in 0..500 {
                let chunk = chunk(round * 100 + number, 10_000);
                written.extend_from_slice(&chunk);
                spool.push(chunk);
                if number % 7 == 0 {
                    read.extend_from_slice(&spool.pop().unwrap().unwrap());
                }
            }
            assert!(spool.in_memory <= AMPLE && !spool.unread.is_empty(), "the rest is in the file");
            read.extend(drain(&mut spool));
        }
        assert_eq!(read.len(), 15_000_000);
        assert!(read == written);
    }

    #[test]
    fn a_reader_who_is_behind_for_a_moment_costs_no_file_and_what_it_reads_is_given_back() {
        let buffers = buffers(2 * AMPLE, 1 << 30, 1 << 30);
        let mut spool = Spool::new(&buffers);
        let most = (AMPLE / (50_000 + CHUNK_COST)) as usize;
        for number in 0..most {
            spool.push(chunk(number, 50_000));
        }
        assert_eq!(buffers.used(), (most as u64 * (50_000 + CHUNK_COST), 0));
        spool.push(chunk(most, 50_000));
        assert_eq!(buffers.used().1, 50_000, "a reply's part of the memory is full");
        for _ in 0..most - 1 {
            spool.pop().unwrap();
        }
        assert_eq!(buffers.used().0, 50_000 + CHUNK_COST);
        assert_eq!(drain(&mut spool).len(), 100_000);
        assert_eq!(buffers.used().0, 0);
    }

    #[test]
    fn while_many_are_slow_each_has_its_first_part_in_memory_and_half_of_it_is_left_for_those_who_have_none()
    {
        let memory = 8 * AMPLE;
        let buffers = buffers(memory, 1 << 30, 1 << 30);
        let mut greedy: Vec<_> = (0..8).map(|_| Spool::new(&buffers)).collect();
        let piece = chunk(1, 50_000);
        for _ in 0..80 {
            greedy.iter_mut().for_each(|spool| spool.push(piece.clone()));
        }
        let (used, in_files) = buffers.used();
        assert!((memory / 2 - 100_000..=memory / 2).contains(&used), "{used}");
        assert_eq!(used + in_files, 8 * 80 * 50_000 + greedy.iter().map(in_chunks).sum::<u64>());
        let mut next = Spool::new(&buffers);
        for number in 0..20 {
            next.push(chunk(number, 50_000));
        }
        assert_eq!(next.in_memory, 5 * (50_000 + CHUNK_COST), "no more than before, and no less");
        assert_eq!(next.unread, 0..750_000);
        drop(greedy);
        assert_eq!(drain(&mut next).len(), 1_000_000);
        assert_eq!(buffers.used().0, 0);
    }

    /// What its chunks cost beside their bytes.
    fn in_chunks(spool: &Spool) -> u64 {
        spool.waiting.iter().filter(|part| matches!(part, Part::Memory(_))).count() as u64 * CHUNK_COST
    }

    #[test]
    fn a_reader_who_keeps_a_little_behind_finds_memory_behind_the_file_again() {
        let mut spool = scanty_spool();
        for number in 0..8 {
            spool.push(chunk(number, 50_000));
        }
        assert_eq!(spool.unread, 0..150_000);
        // Not yet: small ones that happen to fit would hold all that was read with them.
        spool.pop().unwrap();
        spool.push(chunk(8, 50_000));
        assert_eq!(spool.unread, 0..200_000);
        for _ in 0..4 {
            spool.pop().unwrap();
        }
        assert_eq!(spool.in_memory, 0);
        spool.push(chunk(9, 50_000));
        assert_eq!((spool.in_memory, spool.unread.end), (50_000 + CHUNK_COST, 200_000));
        let rest: Vec<_> = (5..10).flat_map(|number| chunk(number, 50_000)).collect();
        assert!(drain(&mut spool) == rest);
    }

    #[test]
    fn without_a_disk_the_writer_waits_for_the_reader_and_nothing_is_lost() {
        let mut spool = Spool::new(&without_a_disk());
        let chunks = [chunk(1, 1_000_000), chunk(2, 100_000), chunk(3, 100_000)];
        spool.push(chunks[0].clone());
        assert!(spool.has_room(), "a small reply never touches the disk");
        spool.push(chunks[1].clone());
        assert!(!spool.has_room());
        assert_eq!(spool.pop().unwrap().map(|chunk| chunk.len()), Some(1_000_000));
        assert!(!spool.has_room(), "the last one is still there");
        assert_eq!(spool.pop().unwrap(), Some(chunks[1].clone()));
        assert!(spool.has_room());
        spool.push(chunks[2].clone());
        assert_eq!(drain(&mut spool), chunks[2]);
    }

    #[test]
    fn what_all_replies_take_together_is_bounded_and_comes_back() {
        let buffers = buffers(300_000, 250_000, 1 << 30);
        let mut spools: Vec<_> = (0..4).map(|_| Spool::new(&buffers)).collect();
        let mut written = vec![0; spools.len()];
        // Each as far as it may run ahead of a reader who does not read.
        for round in 0..100 {
            for (spool, written) in spools.iter_mut().zip(&mut written) {
                if spool.has_room() {
                    spool.push(chunk(round, 20_000));
                    *written += 20_000;
                }
            }
        }
        let (memory, temp_files) = buffers.used();
        assert!((280_000..=300_000).contains(&memory) && (230_001..=250_000).contains(&temp_files));
        assert!(spools.iter().all(|spool| !spool.has_room()));
        let read: Vec<_> = spools.iter_mut().map(|spool| drain(spool).len()).collect();
        assert_eq!(read, written);
        assert!(spools.iter().all(Spool::has_room));
        drop(spools);
        assert_eq!(buffers.used(), (0, 0));
    }

    #[test]
    fn a_reply_of_single_bytes_takes_bounded_memory() {
        let mut spool = spool();
        for _ in 0..50_000 {
            spool.push(Bytes::from_static(b"x"));
        }
        let in_memory = spool.waiting.len() as u64;
        assert!(in_memory * CHUNK_COST < AMPLE, "{in_memory} chunks in memory");
        assert_eq!(drain(&mut spool).len(), 50_000);
    }

    #[test]
    fn a_reply_runs_ahead_as_far_as_its_own_file_may_grow() {
        let mut spool = Spool::new(&buffers(2 * MEMORY, 1 << 30, 500_000));
        let mut written = 0;
        while spool.has_room() {
            spool.push(chunk(written, 50_000));
            written += 50_000;
        }
        assert_eq!(spool.unread, 0..500_000);
        assert_eq!(
            written,
            250_000 + 500_000 + 50_000,
            "in memory, in the file, and the one that had no room"
        );
        // A reader who keeps a little behind must not make the file grow with the reply.
        for _ in 0..8 {
            spool.pop().unwrap();
        }
        assert!(!spool.has_room());
        assert_eq!(drain(&mut spool).len(), written - taken(8));
        spool.push(chunk(1, 300_000));
        assert_eq!(spool.unread, 0..300_000, "from the file's beginning");
    }

    /// Of eight pops the first five are chunks of memory, the others are what is read at a time.
    fn taken(pops: usize) -> usize {
        5 * 50_000 + (pops - 5) * READ_SIZE as usize
    }

    #[test]
    fn a_reader_is_behind_before_a_further_read_would_go_to_the_file() {
        let mut spool = scanty_spool();
        let read = 64 * 1024 - CHUNK_COST as usize;
        (0..3).for_each(|number| spool.push(chunk(number, read)));
        assert!(!spool.is_behind());
        spool.push(Bytes::from_static(b"x"));
        assert!(spool.is_behind());
        spool.push(chunk(3, 60_000));
        assert!(spool.unread.is_empty());
        drain(&mut spool);
        assert!(!spool.is_behind());
    }
}
