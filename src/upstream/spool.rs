//! A reply on its way from a fast worker to a slow reader: memory first, then an unlinked temp file, then back-pressure.
//!
//! Whoever writes may run ahead as far as the spool is large, so that a slow reader holds no worker (fpm-facts 10). It
//! keeps bytes in order and knows nothing of FastCGI.

use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Bytes of a reply that are kept in memory.
const MEMORY: usize = 256 * 1024;
/// Bytes of a reply that are kept in all, and the size of the file. nginx: `fastcgi_max_temp_file_size`.
const MOST: u64 = 1 << 30;
/// What a chunk costs beside its bytes: a reply of one-byte records must not take many times its length.
const CHUNK_COST: usize = 64;
/// What is read from the temp file at a time.
const READ_SIZE: usize = 64 * 1024;

/// The bytes between writer and reader. Reading and writing the file is done in place: it was written a moment ago and
/// lies in the page cache, where a hop to another thread would cost more than the copy.
#[derive(Debug)]
pub(crate) struct Spool {
    chunks: VecDeque<Bytes>,
    in_memory: usize,
    file: Option<File>,
    /// The part of the file that is still to be read. While there is one, what comes new goes behind it; when all is read,
    /// the file begins anew.
    unread: std::ops::Range<u64>,
    directory: PathBuf,
}

impl Spool {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { chunks: VecDeque::new(), in_memory: 0, file: None, unread: 0..0, directory }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.unread.end + (self.in_memory as u64) < MOST
    }

    pub(crate) fn push(&mut self, chunk: Bytes) -> io::Result<()> {
        let cost = chunk.len() + CHUNK_COST;
        if self.unread.is_empty() && self.in_memory + cost <= MEMORY {
            self.in_memory += cost;
            self.chunks.push_back(chunk);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(tempfile::tempfile_in(&self.directory)?),
        };
        file.write_all_at(&chunk, self.unread.end)?;
        self.unread.end += chunk.len() as u64;
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(chunk) = self.chunks.pop_front() {
            self.in_memory -= chunk.len() + CHUNK_COST;
            return Ok(Some(chunk));
        }
        let Some(file) = self.file.as_ref().filter(|_| !self.unread.is_empty()) else { return Ok(None) };
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
    use super::*;

    fn spool() -> Spool {
        Spool::new(std::env::temp_dir())
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
                spool.push(chunk).unwrap();
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

    #[test]
    fn a_small_reply_never_touches_the_disk() {
        let mut spool = Spool::new("/nonexistent".into());
        spool.push(chunk(1, 200_000)).unwrap();
        assert!(spool.push(chunk(2, 100_000)).is_err(), "only now is a file needed");
        assert_eq!(spool.pop().unwrap().map(|chunk| chunk.len()), Some(200_000));
    }

    #[test]
    fn a_reply_of_single_bytes_takes_bounded_memory() {
        let mut spool = spool();
        for _ in 0..50_000 {
            spool.push(Bytes::from_static(b"x")).unwrap();
        }
        assert!(spool.chunks.len() < 5_000, "{} chunks in memory", spool.chunks.len());
        let mut read = 0;
        while let Some(chunk) = spool.pop().unwrap() {
            read += chunk.len();
        }
        assert_eq!(read, 50_000);
    }

    #[test]
    fn a_file_of_a_gigabyte_stops_the_writer_until_it_is_read() {
        let mut spool = spool();
        let file = tempfile::tempfile().unwrap();
        file.set_len(MOST).unwrap();
        (spool.file, spool.unread) = (Some(file), 0..MOST - 1);
        assert!(spool.has_room());
        spool.unread = 0..MOST;
        assert!(!spool.has_room());
        // A reader who keeps a little behind must not make the file grow with the reply.
        spool.unread = MOST - 10..MOST;
        assert!(!spool.has_room());
        assert_eq!(spool.pop().unwrap().map(|chunk| chunk.len()), Some(10));
        assert!(spool.has_room() && spool.pop().unwrap().is_none());
        spool.push(chunk(1, MEMORY)).unwrap();
        assert_eq!(spool.unread, 0..MEMORY as u64, "from the file's beginning");
    }
}
