//! The only way from a URI to a path on disk. A [`DiskPath`] is absolute, holds no NUL, and nothing that came from a
//! client climbs out of it; every look-up and every plan goes through here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Kind, Lookup, Settings, os_bytes};

/// A path that may be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiskPath {
    bytes: Vec<u8>,
}

/// What an `alias` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor<'a> {
    /// No location, or a named one: there is nothing that an alias could replace.
    Root,
    /// This much of the path.
    Prefix(&'a [u8]),
    /// All of it: what a regex matched has no end to go on from.
    Whole,
}

impl DiskPath {
    /// Where `uri` lies; `None` for what no file can be asked for by.
    pub(super) fn of(settings: &Settings, anchor: Anchor<'_>, uri: &[u8]) -> Option<Self> {
        match (&settings.alias, anchor) {
            (None, _) | (_, Anchor::Root) => Self::below(&settings.root, uri),
            (Some(alias), Anchor::Whole) => Some(Self { bytes: os_bytes(alias).to_vec() }),
            (Some(alias), Anchor::Prefix(prefix)) => match uri.strip_prefix(prefix) {
                Some(rest) => Self::replaced(alias, prefix, rest),
                None => Self::below(alias, uri),
            },
        }
    }

    /// Below `root`, which must be absolute; `uri` starts with `/`.
    pub(super) fn below(root: &Path, uri: &[u8]) -> Option<Self> {
        let root = os_bytes(root);
        let root = root.strip_suffix(b"/").unwrap_or(root);
        if uri.first() != Some(&b'/') || !is_plain(uri) {
            return None;
        }
        Some(Self { bytes: [root, uri].concat() })
    }

    /// As a rule of the configuration composed it, such as `-f $document_root/x$1`.
    pub(super) fn absolute(path: &[u8]) -> Option<Self> {
        Self::below(Path::new("/"), path)
    }

    /// nginx joins alias and rest as they are, which leaves the alias when one of them ends without a slash.
    fn replaced(alias: &Path, prefix: &[u8], rest: &[u8]) -> Option<Self> {
        if !is_plain(rest) {
            return None;
        }
        let alias = os_bytes(alias);
        let glue: &[u8] = match (alias.ends_with(b"/"), rest.starts_with(b"/")) {
            (true, true) => return Some(Self { bytes: [alias, &rest[1..]].concat() }),
            (true, false) | (false, true) => b"",
            (false, false) if rest.is_empty() => b"",
            (false, false) if prefix.ends_with(b"/") => b"/",
            (false, false) => return None,
        };
        Some(Self { bytes: [alias, glue, rest].concat() })
    }

    /// What lies there. A file asked for with a slash behind it is not there.
    pub(super) fn kind(&self, disk: &impl Lookup) -> Kind {
        match disk.kind(self.as_path()) {
            Kind::File | Kind::Other if self.bytes.ends_with(b"/") => Kind::Missing,
            kind => kind,
        }
    }

    pub(super) fn as_path(&self) -> &Path {
        let bytes = match self.bytes.strip_suffix(b"/") {
            Some(b"") | None => &self.bytes,
            Some(shorter) => shorter,
        };
        Path::new(OsStr::from_bytes(bytes))
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.as_path().to_path_buf()
    }

    /// `$request_filename`: the slash of a directory's URI stays.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The last element.
    pub(super) fn name(&self) -> &[u8] {
        let path = os_bytes(self.as_path());
        memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
    }
}

/// No NUL, and no element that the file system reads as "here" or "above".
fn is_plain(uri: &[u8]) -> bool {
    !uri.contains(&0) && !uri.split(|&byte| byte == b'/').any(|element| matches!(element, b"." | b".."))
}
