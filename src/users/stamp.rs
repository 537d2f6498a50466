//! Whether a file is still the one that was read. nginx reads it at each request; one `stat` is as good, but for changes so quick
//! that the file system's clock does not show them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// No file system's clock is coarser.
const COARSE: Duration = Duration::from_secs(2);
/// A larger one is no password file.
const LARGEST: u64 = 64 << 20;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
    modified: (i64, i64),
    /// Read so soon after its last change that the next one may have the same stamp.
    fresh: bool,
}

impl Stamp {
    /// Whether what was read under this stamp still holds.
    pub(super) fn holds(&self, path: &Path) -> bool {
        !self.fresh && path.metadata().is_ok_and(|now| Self { fresh: false, ..Self::of(&now) } == *self)
    }

    fn of(file: &std::fs::Metadata) -> Self {
        let changed = (file.ctime(), file.ctime_nsec());
        let age = SystemTime::UNIX_EPOCH
            .checked_add(Duration::new(changed.0.try_into().unwrap_or(0), changed.1.try_into().unwrap_or(0)))
            .and_then(|changed| SystemTime::now().duration_since(changed).ok());
        Self {
            inode: (file.dev(), file.ino()),
            size: file.size(),
            changed,
            modified: (file.mtime(), file.mtime_nsec()),
            fresh: age.is_none_or(|age| age < COARSE),
        }
    }
}

/// The file's text, and the stamp that it had before it was read.
pub(super) fn read(path: &Path) -> io::Result<(String, Stamp)> {
    let mut file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    if stamp.size > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large for a password file"));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    // A name that is not UTF-8 can be claimed by nobody.
    Ok((String::from_utf8_lossy(&text).into_owned(), stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_just_changed_is_not_believed_to_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, "a").unwrap();
        let (text, stamp) = read(&path).unwrap();
        assert_eq!((text.as_str(), stamp.holds(&path)), ("a", false));
        let settled = Stamp { fresh: false, ..stamp };
        assert!(settled.holds(&path));
        std::fs::write(&path, "ab").unwrap();
        assert!(!settled.holds(&path), "another size");
        std::fs::remove_file(&path).unwrap();
        assert!(!settled.holds(&path), "gone");
    }
}
