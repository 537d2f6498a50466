//! How much may wait in memory and in temp files for those who are slow, of all requests and replies together: an account that
//! outlives the generations, and the unlinked files themselves.
//!
//! Who finds the account exhausted decides what that means: a reply goes on at its reader's pace, a request is refused.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use crate::balance::Rarely;
use crate::config::model;

/// Where bodies wait, and the account of it. Clones share both.
#[derive(Debug, Clone)]
pub struct Buffers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    temp_dir: PathBuf,
    limits: model::Buffers,
    used: Arc<Used>,
}

/// When the operator was told that there is no room.
#[derive(Debug)]
struct Told(Mutex<Rarely>);

impl Default for Told {
    fn default() -> Self {
        Self(Mutex::new(Rarely::every(Duration::from_secs(10))))
    }
}

/// Bytes that wait now, whichever generation took them.
#[derive(Debug, Default)]
struct Used {
    memory: AtomicU64,
    temp_files: AtomicU64,
    told: Told,
}

impl Buffers {
    /// What `server` grants; what is waiting already is counted on.
    #[must_use]
    pub fn new(server: &model::Server, old: Option<&Self>) -> Self {
        let used = old.map(|old| Arc::clone(&old.0.used)).unwrap_or_default();
        Self(Arc::new(Inner { temp_dir: server.temp_dir.clone(), limits: server.buffers, used }))
    }

    /// A share of the memory, with nothing in it yet.
    #[must_use]
    pub fn memory(&self) -> Share {
        Share { buffers: self.clone(), of: Of::Memory, held: 0 }
    }

    /// A new file without a name, which is gone when nobody has it open any more.
    ///
    /// # Errors
    /// The temp dir cannot be written.
    pub fn temp_file(&self) -> io::Result<TempFile> {
        let file = tempfile::tempfile_in(&self.0.temp_dir)?;
        Ok(TempFile { file, share: Share { buffers: self.clone(), of: Of::TempFiles, held: 0 } })
    }

    /// Largest file for one reply, in bytes.
    #[must_use]
    pub fn most_of_a_reply(&self) -> u64 {
        self.0.limits.reply
    }

    /// What is used now, in bytes: of memory, of temp files.
    #[must_use]
    pub fn used(&self) -> (u64, u64) {
        let used = &self.0.used;
        (used.memory.load(Ordering::Relaxed), used.temp_files.load(Ordering::Relaxed))
    }

    /// A line now and then, not one for each who finds no room.
    pub(crate) fn tell_no_room(&self, error: &io::Error) {
        if let Some(times) = self.0.used.told.0.lock().happened(Instant::now()) {
            let temp_dir = self.0.temp_dir.display();
            tracing::error!(%temp_dir, times, "no room for what slow clients leave waiting: {error}");
        }
    }
}

impl Default for Buffers {
    /// The system's temp dir, with the limits of a configuration that says nothing.
    fn default() -> Self {
        let limits = model::Buffers::default();
        Self(Arc::new(Inner { temp_dir: std::env::temp_dir(), limits, used: Arc::default() }))
    }
}

#[derive(Debug, Clone, Copy)]
enum Of {
    Memory,
    TempFiles,
}

/// Part of the account, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    buffers: Buffers,
    of: Of,
    held: u64,
}

impl Share {
    /// Takes so many bytes more, if there are as many.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let (_, limit) = self.account();
        self.grow_within(limit, bytes)
    }

    /// The same for somebody who can do without: half of it is left to those who cannot.
    #[must_use]
    pub fn grow_if_plenty(&mut self, bytes: u64) -> bool {
        let (_, limit) = self.account();
        self.grow_within(limit / 2, bytes)
    }

    fn grow_within(&mut self, most: u64, bytes: u64) -> bool {
        let (used, _) = self.account();
        let fits = |now: u64| now.checked_add(bytes).filter(|then| *then <= most);
        let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        self.held += if taken { bytes } else { 0 };
        taken
    }

    /// Gives so many back.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.account().0.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn account(&self) -> (&AtomicU64, u64) {
        let Inner { limits, used, .. } = &*self.buffers.0;
        match self.of {
            Of::Memory => (&used.memory, limits.memory),
            Of::TempFiles => (&used.temp_files, limits.temp_files),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.held);
    }
}

/// An unlinked file whose length is in the account.
#[derive(Debug)]
pub struct TempFile {
    file: File,
    share: Share,
}

impl TempFile {
    /// Writes all of it. After an error the file is as long as it was.
    ///
    /// # Errors
    /// `StorageFull` where the account is exhausted, and whatever the disk says.
    pub fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let end = at + bytes.len() as u64;
        let more = end.saturating_sub(self.share.held);
        if !self.share.grow(more) {
            let full = io::Error::new(io::ErrorKind::StorageFull, "server.buffers.temp_files is used up");
            self.share.buffers.tell_no_room(&full);
            return Err(full);
        }
        self.file.write_all_at(bytes, at).inspect_err(|error| {
            self.share.shrink(more);
            self.share.buffers.tell_no_room(error);
        })
    }

    /// So many bytes from there on.
    ///
    /// # Errors
    /// As the disk says; `UnexpectedEof` where they were never written.
    pub fn read_at(&self, at: u64, size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let next = at + bytes.len() as u64;
            match pread(&self.file, spare_capacity(&mut bytes), next) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(size);
        Ok(bytes)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// An account with these limits in bytes.
    pub(crate) fn buffers(memory: u64, temp_files: u64, reply: u64) -> Buffers {
        let limits = model::Buffers { memory, temp_files, reply };
        Buffers(Arc::new(Inner { temp_dir: std::env::temp_dir(), limits, used: Arc::default() }))
    }

    /// The same with a temp dir that cannot be written.
    pub(crate) fn without_a_disk() -> Buffers {
        let limits = model::Buffers::default();
        Buffers(Arc::new(Inner { temp_dir: "/nonexistent".into(), limits, used: Arc::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::buffers;
    use super::*;

    #[test]
    fn no_more_is_given_out_than_there_is_and_all_of_it_comes_back() {
        let buffers = buffers(100, 0, 0);
        let (mut one, mut other) = (buffers.memory(), buffers.memory());
        assert!(one.grow(60) && !other.grow(41) && other.grow(40) && !one.grow(1));
        one.shrink(20);
        assert!(other.grow(20) && !other.grow(u64::MAX));
        assert_eq!(buffers.used(), (100, 0));
        drop(other);
        assert_eq!(buffers.used(), (40, 0));
        drop(one);
        assert_eq!(buffers.used(), (0, 0));
    }

    #[test]
    fn who_can_do_without_leaves_half_of_it_to_the_others() {
        let buffers = buffers(100, 0, 0);
        let (mut one, mut other) = (buffers.memory(), buffers.memory());
        assert!(one.grow(20) && other.grow_if_plenty(30) && !other.grow_if_plenty(1));
        assert!(one.grow(50) && !one.grow(1));
        assert_eq!(buffers.used(), (100, 0));
        one.shrink(70);
        assert!(other.grow_if_plenty(20));
        drop((one, other));
        assert_eq!(buffers.used(), (0, 0));
    }

    #[test]
    fn a_temp_file_counts_as_long_as_it_is() {
        let buffers = buffers(0, 100, 0);
        let mut file = buffers.temp_file().unwrap();
        file.write_at(&[1; 80], 0).unwrap();
        file.write_at(&[2; 80], 0).unwrap();
        assert_eq!(buffers.used(), (0, 80), "the same bytes, written again");
        let full = file.write_at(&[3; 21], 80).unwrap_err();
        assert_eq!((full.kind(), buffers.used()), (io::ErrorKind::StorageFull, (0, 80)));
        file.write_at(&[4; 20], 80).unwrap();
        let read = file.read_at(79, 21).unwrap();
        assert_eq!((read.len(), &read[..2]), (21, &[2, 4][..]));
        assert_eq!(file.read_at(79, 22).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        drop(file);
        assert_eq!(buffers.used(), (0, 0));
    }

    #[test]
    fn a_new_generation_counts_what_the_old_one_holds() {
        let old = buffers(100, 0, 0);
        let mut held = old.memory();
        assert!(held.grow(70));
        let mut server = crate::config::parse(
            "[[sites]]\nlisten = [\":1\"]\nroot = \".\"\n",
            "c",
            std::path::Path::new("/"),
        )
        .unwrap()
        .server;
        server.buffers = model::Buffers { memory: 80, temp_files: 0, reply: 0 };
        let new = Buffers::new(&server, Some(&old));
        assert!(!new.memory().grow(11) && new.memory().grow(10));
        drop(held);
        assert_eq!(new.used(), (0, 0));
    }
}
