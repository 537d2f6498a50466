//! The file system with a short memory for scripts. Each request for a script asks whether it is a regular file, and the
//! answer is nearly always that of a moment ago: to remember it saves a walk through the path's folders, 5 % of the CPU
//! of a small FastCGI request.
//!
//! Only "it is a regular file" is remembered, and only for scripts: a new script is seen at once, and one that is gone
//! makes php-fpm say so itself for that second. Files that are sent are opened anew each time (`open`).

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::{Disk, held};
use crate::route::{Kind, Lookup};

/// How long a script is believed to be there. nginx: `open_file_cache_valid`, 60 s there.
const MEMORY: Duration = Duration::from_secs(1);
/// More scripts than this are not remembered at once.
const MOST: usize = 4096;

/// The machine's own files, seen a moment ago.
#[derive(Debug, Default)]
pub struct Recent {
    /// By the path as it is spelt: hashing its bytes costs half of hashing its components.
    scripts: RwLock<HashMap<OsString, Instant>>,
}

impl Recent {
    /// Another request is to be routed.
    pub fn begin(&self) -> &Self {
        held::forget();
        self
    }

    fn script_kind_at(&self, path: &Path, now: Instant) -> Kind {
        let seen = self.scripts.read().get(path.as_os_str()).copied();
        if seen.is_some_and(|seen| now.saturating_duration_since(seen) < MEMORY) {
            return Kind::File;
        }
        let kind = Disk.kind(path);
        if kind == Kind::File {
            self.remember(path, now);
        }
        kind
    }

    fn remember(&self, path: &Path, now: Instant) {
        let mut scripts = self.scripts.write();
        if scripts.len() >= MOST {
            scripts.clear();
        }
        scripts.insert(path.into(), now);
    }
}

impl Lookup for Recent {
    fn kind(&self, path: &Path) -> Kind {
        if held::was_seen(path) { Kind::File } else { Disk.kind(path) }
    }

    fn script_kind(&self, path: &Path) -> Kind {
        self.script_kind_at(path, Instant::now())
    }

    fn kind_beneath(&self, root: &Path, path: &Path) -> Kind {
        Disk.kind_beneath(root, path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Root;
    use super::*;

    #[test]
    fn a_script_is_believed_to_be_there_for_a_second_and_no_longer() {
        let (root, recent, now) = (Root::with(&[("a.php", "x")]), Recent::default(), Instant::now());
        let script = root.path("a.php");
        assert_eq!(recent.script_kind_at(&script, now), Kind::File);
        std::fs::remove_file(&script).unwrap();
        assert_eq!(recent.script_kind_at(&script, now + MEMORY / 2), Kind::File);
        assert_eq!(recent.script_kind_at(&script, now + MEMORY), Kind::Missing);
        assert_eq!(recent.begin().kind(&script), Kind::Missing, "what is sent as a file is never remembered");
    }

    #[test]
    fn a_file_is_looked_at_once_for_a_request_and_anew_for_the_next() {
        let (root, recent) = (Root::with(&[("a.txt", "x"), ("b.txt", "x")]), Recent::default());
        let file = root.path("a.txt");
        assert_eq!(recent.begin().kind(&file), Kind::File);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(recent.kind(&file), Kind::File);
        assert_eq!(recent.kind(&root.path("b.txt")), Kind::File);
        assert_eq!(recent.kind(&file), Kind::Missing, "another was looked at meanwhile");
        assert_eq!(recent.begin().kind(&root.path("b.txt")), Kind::File);
    }

    #[test]
    fn a_new_script_is_seen_at_once() {
        let (root, recent, now) = (Root::with::<&str>(&[]), Recent::default(), Instant::now());
        let script = root.path("a.php");
        assert_eq!(recent.script_kind_at(&script, now), Kind::Missing);
        std::fs::write(&script, "x").unwrap();
        assert_eq!(recent.script_kind_at(&script, now), Kind::File);
    }

    #[test]
    fn the_memory_has_an_end() {
        let (root, recent, now) = (Root::with(&[("a.php", "x")]), Recent::default(), Instant::now());
        for number in 0..MOST {
            recent.remember(Path::new(&number.to_string()), now);
        }
        assert_eq!(recent.script_kind_at(&root.path("a.php"), now), Kind::File);
        assert_eq!(recent.scripts.read().len(), 1);
    }
}
