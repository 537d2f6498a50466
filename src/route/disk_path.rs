//! The only way from a URI to a path on disk. A [`DiskPath`] is absolute, holds no NUL, and nothing that came from a
//! client climbs out of it; every look-up and every plan goes through here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Kind, Lookup, Settings, os_bytes};

/// A path that may be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiskPath {
    bytes: Vec<u8>,
    /// How much of it is a folder which links behind it may not leave; `None`: they may lead anywhere.
    beneath: Option<usize>,
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
            (None, _) | (_, Anchor::Root) => {
                Self::below(&settings.root, uri)?.held_by(&settings.root, settings)
            }
            // The file that the configuration names.
            (Some(alias), Anchor::Whole) => Some(Self { bytes: os_bytes(alias).to_vec(), beneath: None }),
            (Some(alias), Anchor::Prefix(prefix)) => match uri.strip_prefix(prefix) {
                Some(b"") if !alias.as_os_str().as_bytes().ends_with(b"/") => {
                    Self::replaced(alias, prefix, b"")
                }
                Some(rest) => Self::replaced(alias, prefix, rest)?.held_by(alias, settings),
                None => Self::below(alias, uri)?.held_by(alias, settings),
            },
        }
    }

    /// Links behind the folder, which it lies below, may not leave it where the settings say so.
    pub(super) fn held_by(self, folder: &Path, settings: &Settings) -> Option<Self> {
        let beneath = settings.beneath.then_some(os_bytes(folder).len());
        Some(Self { beneath, ..self })
    }

    /// Below `root`, which must be absolute; `uri` starts with `/`.
    pub(super) fn below(root: &Path, uri: &[u8]) -> Option<Self> {
        let root = os_bytes(root);
        let root = root.strip_suffix(b"/").unwrap_or(root);
        if uri.first() != Some(&b'/') || !is_plain(uri) {
            return None;
        }
        Some(Self { bytes: [root, uri].concat(), beneath: None })
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
            (true, true) => return Some(Self { bytes: [alias, &rest[1..]].concat(), beneath: None }),
            (true, false) | (false, true) => b"",
            (false, false) if rest.is_empty() => b"",
            (false, false) if prefix.ends_with(b"/") => b"/",
            (false, false) => return None,
        };
        Some(Self { bytes: [alias, glue, rest].concat(), beneath: None })
    }

    /// What lies there. A file asked for with a slash behind it is not there.
    pub(super) fn kind(&self, disk: &impl Lookup) -> Kind {
        let found = match self.folder() {
            Some(folder) => disk.kind_beneath(folder, self.as_path()),
            None => disk.kind(self.as_path()),
        };
        match found {
            Kind::File | Kind::Other if self.bytes.ends_with(b"/") => Kind::Missing,
            kind => kind,
        }
    }

    /// The same where a script is looked for.
    pub(super) fn script_kind(&self, disk: &impl Lookup) -> Kind {
        match (self.bytes.ends_with(b"/"), self.folder()) {
            (true, _) => Kind::Missing,
            (false, Some(folder)) => disk.kind_beneath(folder, self.as_path()),
            (false, None) => disk.script_kind(self.as_path()),
        }
    }

    fn folder(&self) -> Option<&Path> {
        Some(Path::new(OsStr::from_bytes(&self.bytes[..self.beneath?])))
    }

    /// How much of it is the folder that its links may not leave.
    pub(super) fn beneath(&self) -> Option<usize> {
        self.beneath
    }

    pub(super) fn as_path(&self) -> &Path {
        let bytes = match self.bytes.strip_suffix(b"/") {
            Some(b"") | None => &self.bytes,
            Some(shorter) => shorter,
        };
        Path::new(OsStr::from_bytes(bytes))
    }

    /// In the very memory that it was put together in.
    pub(super) fn into_path(self) -> PathBuf {
        let len = os_bytes(self.as_path()).len();
        let mut bytes = self.bytes;
        bytes.truncate(len);
        OsString::from_vec(bytes).into()
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

#[cfg(test)]
mod tests {
    use super::super::rig::{FakeDisk, settings};
    use super::*;

    fn aliased(alias: &str, prefix: &str, uri: &str) -> Option<String> {
        let settings = Settings { alias: Some(alias.into()), ..settings() };
        let path = DiskPath::of(&settings, Anchor::Prefix(prefix.as_bytes()), uri.as_bytes())?;
        Some(String::from_utf8_lossy(path.as_bytes()).into_owned())
    }

    #[test]
    fn a_path_lies_below_the_root() {
        for (root, uri, expected) in [
            ("/www", "/a/b.txt", Some("/www/a/b.txt")),
            ("/www/", "/a", Some("/www/a")),
            ("/", "/a", Some("/a")),
            ("/www", "/", Some("/www/")),
            ("/www", "/..a/b..", Some("/www/..a/b..")),
            ("/www", "/a\\..\\b", Some("/www/a\\..\\b")),
            ("/www", "/../b", None),
            ("/www", "/a/..", None),
            ("/www", "/a/./b", None),
            ("/www", "/a\0b", None),
            ("/www", "-private/x", None),
            ("/www", "", None),
        ] {
            let path = DiskPath::below(Path::new(root), uri.as_bytes());
            assert_eq!(path.as_ref().map(DiskPath::as_bytes), expected.map(str::as_bytes), "{root} {uri}");
        }
    }

    #[test]
    fn an_alias_replaces_what_the_location_matched() {
        for (alias, prefix, uri, expected) in [
            ("/x/", "/i/", "/i/a", Some("/x/a")),
            ("/x/", "/i", "/i/a", Some("/x/a")),
            ("/x", "/i", "/i/a", Some("/x/a")),
            ("/x", "/i", "/i", Some("/x")),
            ("/x", "/i/", "/i/a", Some("/x/a")),
            ("/x/f.txt", "/i", "/i", Some("/x/f.txt")),
            ("/x/", "/i/", "/i/", Some("/x/")),
        ] {
            assert_eq!(aliased(alias, prefix, uri).as_deref(), expected, "{alias} {prefix} {uri}");
        }
    }

    #[test]
    fn an_alias_off_by_a_slash_is_never_a_traversal() {
        for (alias, prefix, uri) in [
            ("/x/", "/i", "/i../secret"),
            ("/x/", "/i", "/i.."),
            ("/x/", "/i", "/i./a"),
            ("/x", "/i", "/i-private/key"),
            ("/x", "/i", "/i../secret"),
        ] {
            assert_eq!(aliased(alias, prefix, uri), None, "{alias} {prefix} {uri}");
        }
    }

    #[test]
    fn a_file_with_a_slash_behind_it_is_not_there() {
        let disk = FakeDisk::of(&["/www/a.txt", "/www/d/"]);
        let kind = |uri: &str| DiskPath::below(Path::new("/www"), uri.as_bytes()).unwrap().kind(&disk);
        assert_eq!([kind("/a.txt"), kind("/a.txt/")], [Kind::File, Kind::Missing]);
        assert_eq!([kind("/d"), kind("/d/")], [Kind::Directory, Kind::Directory]);
    }
}
