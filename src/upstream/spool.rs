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
/// What a chunk costs beside its bytes: a reply of one-byte records must not take many times its length.
const CHUNK_COST: u64 = 64;
/// What is read from the temp file at a time.
const READ_SIZE: usize = 64 * 1024;

/// The bytes between writer and reader. Reading and writing the file is done in place: it was written a moment ago and
/// lies in the page cache, where a hop to another thread would cost more than the copy.
#[derive(Debug)]
pub(crate) struct Spool {
    chunks: VecDeque<Bytes>,
    in_memory: u64,
    share: Share,
    file: Option<TempFile>,
    /// The part of the file that is still to be read. While there is one, what comes new goes behind it; when all is read,
    /// the file begins anew.
    unread: std::ops::Range<u64>,
    /// What no file had room for: the writer waits until it is read.
    last: Option<Bytes>,
    buffers: Buffers,
}

impl Spool {
    pub(crate) fn new(buffers: &Buffers) -> Self {
        let (share, buffers) = (buffers.memory(), buffers.clone());
        Self { chunks: VecDeque::new(), in_memory: 0, share, file: None, unread: 0..0, last: None, buffers }
    }

    /// Whether the writer may go on. A full disk does not cut a reply short: it is taken at its reader's pace.
    pub(crate) fn has_room(&self) -> bool {
        self.last.is_none() && self.unread.end <= self.buffers.most_of_a_reply()
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        let cost = chunk.len() as u64 + CHUNK_COST;
        if self.unread.is_empty() && self.in_memory + cost <= MEMORY && self.share.grow(cost) {
            self.in_memory += cost;
            self.chunks.push_back(chunk);
        } else if self.put_aside(&chunk).is_err() {
            self.last = Some(chunk);
        }
    }

    fn put_aside(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.unread.end + chunk.len() as u64 > self.buffers.most_of_a_reply() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => {
                empty.insert(self.buffers.temp_file().inspect_err(|error| self.buffers.tell_no_room(error))?)
            }
        };
        file.write_at(chunk, self.unread.end)?;
        self.unread.end += chunk.len() as u64;
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(chunk) = self.chunks.pop_front() {
            let cost = chunk.len() as u64 + CHUNK_COST;
            self.in_memory -= cost;
            self.share.shrink(cost);
            return Ok(Some(chunk));
        }
        let Some(file) = self.file.as_ref().filter(|_| !self.unread.is_empty()) else {
            return Ok(self.last.take());
        };
        let size = (self.unread.end - self.unread.start).min(READ_SIZE as u64) as usize;
        let mut chunk = vec![0; size];
        file.read_exact_at(&mut chunk, self.unread.start)?;
        self.unread.start += size as u64;
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
        Ok(Some(chunk.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffers::testing::{buffers, without_a_disk};
    use super::*;

    fn spool() -> Spool {
        Spool::new(&Buffers::default())
    }

    fn chunk(number: usize, size: usize) -> Bytes {
        (0..size).map(|at| (number * 31 + at) as u8).collect::<Vec<_>>().into()
    }

    #[test]
    fn bytes_come_out_in_order_through_memory_and_file_and_memory_again() {
        let mut spool = spool();
        let (mut written, mut read) = (Vec::new(), Vec::new());
        for round in 0..3 {
            for number in 0..100 {
                let chunk = chunk(round * 100 + number, 10_000);
                written.extend_from_slice(&chunk);
                spool.push(chunk);
                if number % 7 == 0 {
                    read.extend_from_slice(&spool.pop().unwrap().unwrap());
                }
            }
            assert!(spool.in_memory <= MEMORY && !spool.unread.is_empty(), "the rest is in the file");
            while let Some(chunk) = spool.pop().unwrap() {
                read.extend_from_slice(&chunk);
            }
        }
        assert_eq!(read.len(), 3_000_000);
        assert!(read == written);
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
    fn without_a_disk_the_writer_waits_for_the_reader_and_nothing_is_lost() {
        let mut spool = Spool::new(&without_a_disk());
        let chunks = [chunk(1, 200_000), chunk(2, 100_000), chunk(3, 100_000)];
        spool.push(chunks[0].clone());
        assert!(spool.has_room(), "a small reply never touches the disk");
        spool.push(chunks[1].clone());
        assert!(!spool.has_room());
        assert_eq!(spool.pop().unwrap().map(|chunk| chunk.len()), Some(200_000));
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
        assert!(spool.chunks.len() < 5_000, "{} chunks in memory", spool.chunks.len());
        let mut read = 0;
        while let Some(chunk) = spool.pop().unwrap() {
            read += chunk.len();
        }
        assert_eq!(read, 50_000);
    }

    #[test]
    fn a_reply_runs_ahead_as_far_as_its_own_file_may_grow() {
        let mut spool = Spool::new(&buffers(1 << 30, 1 << 30, 500_000));
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
        5 * 50_000 + (pops - 5) * READ_SIZE
    }
}
