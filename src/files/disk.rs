//! The file system as the router asks for it: what lies at a path. Nothing is opened here, and what the router found is
//! not believed later either: `decide` looks again at what it opened.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::held;
use super::open::open_beneath;
use crate::route::{Kind, Lookup};

/// The machine's own files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Lookup for Disk {
    fn kind(&self, path: &Path) -> Kind {
        let Ok(stat) = rustix::fs::stat(path) else { return Kind::Missing };
        let kind = kind_of(&stat);
        if kind == Kind::File {
            held::saw(path, &stat);
        }
        kind
    }

    fn kind_beneath(&self, root: &Path, path: &Path) -> Kind {
        let (root, path) = (root.as_os_str().as_bytes(), path.as_os_str().as_bytes());
        let below = path.get(root.len()..).unwrap_or_default();
        let found = open_beneath(root, below, OFlags::PATH | OFlags::CLOEXEC).and_then(rustix::fs::fstat);
        match found {
            Ok(stat) => kind_of(&stat),
            Err(Errno::XDEV) => Kind::Outside,
            Err(_) => Kind::Missing,
        }
    }
}

fn kind_of(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::testing::Root;
    use super::*;

    #[test]
    fn the_router_is_told_what_a_link_leads_to() {
        let root = Root::with(&[("dir/file", "x")]);
        symlink("dir/file", root.path("to-file")).unwrap();
        symlink("dir", root.path("to-dir")).unwrap();
        symlink("nowhere", root.path("broken")).unwrap();
        for (name, kind) in [
            ("dir/file", Kind::File),
            ("to-file", Kind::File),
            ("to-dir/file", Kind::File),
            ("dir", Kind::Directory),
            ("dir/", Kind::Directory),
            ("to-dir", Kind::Directory),
            ("dir/file/", Kind::Missing),
            ("dir/file/below", Kind::Missing),
            ("broken", Kind::Missing),
            ("none", Kind::Missing),
            ("dir/file\0", Kind::Missing),
        ] {
            assert_eq!(Disk.kind(&root.path(name)), kind, "{name:?}");
        }
        assert_eq!(Disk.kind(Path::new("/dev/null")), Kind::Other);
    }
}
