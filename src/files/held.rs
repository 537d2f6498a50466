//! Small files that are held in memory: what they are is read once for a state of theirs, not at each request. nginx's
//! `open_file_cache`, which holds descriptors, for 60 s without another look; here the file is looked at for each request, by the one
//! `stat` that finding it takes anyway, and its bytes are held. So a file that is saved, replaced or taken away is seen at the next request,
//! and a `current` link that is set to another release leads there at once; no descriptor keeps a folder from being unmounted.
//!
//! Not held: what changed in the last two seconds, for it may change again without its stamp showing it, and what lies on a
//! file system of another machine, whose `stat` may be seconds old where `open` would ask.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use rustix::fd::OwnedFd;
use rustix::fs::Stat;

use super::absent::Absent;
use super::media::Media;
use super::open::{Opened, Ready, Source, State};
use super::reader;
use super::validators::Validators;
use crate::route::Coding;

/// Files up to this are held: their bytes cost less than opening them.
const LARGEST: u64 = 32 * 1024;
/// What the two header lines of its validators take, roughly.
const LINES: usize = 160;
/// What a file is thought to have on average.
const USUAL: u64 = 8 * 1024;
/// Fewer than there are by default: each must have room for many files.
const SHARDS: usize = 8;

/// ext2 to 4, XFS, Btrfs, F2FS, ZFS, bcachefs, tmpfs, and overlayfs, whose layers are these.
const LOCAL: [u32; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E, 0x0102_1994, 0x794C_7630];

/// The small files of a process, and which neighbours of a file are not there.
#[derive(Debug)]
pub struct Held {
    files: Cache<OsString, File, Weight>,
    absent: Absent,
}

#[derive(Debug, Clone)]
struct File {
    state: State,
    bytes: Bytes,
    ready: Ready,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<OsString, File> for Weight {
    fn weight(&self, path: &OsString, file: &File) -> u64 {
        (path.len() + file.bytes.len() + LINES + size_of::<(OsString, File)>()) as u64
    }
}

impl Held {
    /// In so many bytes; 0: nothing is held.
    #[must_use]
    pub fn new(room: u64) -> Option<Self> {
        if room == 0 {
            return None;
        }
        let options = OptionsBuilder::new()
            .weight_capacity(room)
            .estimated_items_capacity(usize::try_from(room / USUAL).unwrap_or(usize::MAX))
            .shards(SHARDS)
            .build()
            .expect("both capacities are named");
        let hasher = DefaultHashBuilder::default();
        let files = Cache::with_options(options, Weight, hasher, Default::default());
        Some(Self { files, absent: Absent::new() })
    }

    pub(super) const fn absent(&self) -> &Absent {
        &self.absent
    }

    /// The file as it is, if it is as it was.
    pub(super) fn get(&self, path: &OsStr) -> Option<Opened> {
        let file = self.files.get(path)?;
        let now = seen(path).or_else(|| State::of(&rustix::fs::stat(path).ok()?))?;
        if now == file.state {
            return Some(file.into());
        }
        self.files.remove(path);
        None
    }

    /// Reads a file to hold it, if it is one to be held. `coding`: as which it is sent.
    pub(super) fn hold(&self, path: &OsStr, opened: Opened, coding: Option<Coding>) -> Opened {
        let Source::File(file) = &opened.source else { return opened };
        let state = opened.state;
        if state.len == 0
            || state.len > LARGEST
            || !state.stamp.is_settled(SystemTime::now())
            || !is_local(file)
        {
            return opened;
        }
        let Some(bytes) = reader::read_small(file, &(0..state.len)) else { return opened };
        // What was read belongs to that state only if it is the state still.
        if rustix::fs::fstat(file).ok().and_then(|stat| State::of(&stat)) != Some(state) {
            return opened;
        }
        let validators = Validators::new(state.modified, state.len, coding, true);
        let ready = Ready { validators, media: Media::usual(Path::new(path)) };
        let file = File { state, bytes, ready };
        self.files.insert(path.to_owned(), file.clone());
        file.into()
    }
}

impl From<File> for Opened {
    fn from(file: File) -> Self {
        let File { state, bytes, ready } = file;
        Self { source: Source::Held(bytes), state, ready: Some(ready) }
    }
}

fn is_local(file: &OwnedFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| LOCAL.contains(&(system.f_type as u32)))
}

thread_local! {
    static SEEN: RefCell<Seen> = const { RefCell::new(Seen { path: Vec::new(), state: None }) };
}

/// What the router's last look at a file has shown on this thread: to open the file a moment later need not look again.
struct Seen {
    path: Vec<u8>,
    state: Option<State>,
}

/// Another request is to be routed: what the last one saw is of yesterday.
pub(super) fn forget() {
    SEEN.with_borrow_mut(|seen| seen.state = None);
}

/// The router looks at the same path again, as it does at what `try_files` has found.
pub(super) fn was_seen(path: &Path) -> bool {
    SEEN.with_borrow(|seen| seen.state.is_some() && seen.path.as_slice() == path.as_os_str().as_bytes())
}

/// The router has looked at a regular file.
pub(super) fn saw(path: &Path, stat: &Stat) {
    SEEN.with_borrow_mut(|seen| {
        seen.path.clear();
        seen.path.extend_from_slice(path.as_os_str().as_bytes());
        seen.state = State::of(stat);
    });
}

/// What a regular file was when the router looked at it for this request; told once.
pub(super) fn seen(path: &OsStr) -> Option<State> {
    SEEN.with_borrow_mut(|seen| seen.state.take_if(|_| seen.path.as_slice() == path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use http::header::{ACCEPT_ENCODING, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

    use super::super::open::open;
    use super::super::testing::bytes_of;
    use super::super::{Decision, FileBody, FileOptions, FileRequest, decide};
    use super::*;

    /// Its files are younger than the two seconds in which a change may not show: what is held of them, a test holds itself.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &[u8])]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            files.iter().for_each(|(name, content)| fs::write(folder.path(name), content).unwrap());
            folder
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn ask(&self, held: &Held, name: &str) -> Decision {
            forget();
            let (headers, options) = (HeaderMap::new(), FileOptions::default());
            let (method, path) = (&Method::GET, &*self.path(name));
            decide(FileRequest {
                method,
                headers: &headers,
                path,
                options: &options,
                beneath: None,
                held: Some(held),
            })
        }

        fn answer(&self, held: &Held, name: &str) -> Response<FileBody> {
            self.ask(held, name).render().unwrap()
        }
    }

    fn held_with(folder: &Folder, name: &str) -> Held {
        let held = Held::new(1 << 20).unwrap();
        add(&held, folder.path(name), None);
        held
    }

    fn add(held: &Held, path: PathBuf, coding: Option<Coding>) {
        let state = State::of(&rustix::fs::stat(&path).unwrap()).unwrap();
        let bytes = Bytes::from(fs::read(&path).unwrap());
        let ready = Ready {
            validators: Validators::new(state.modified, state.len, coding, true),
            media: Media::usual(&path),
        };
        held.files.insert(path.into(), File { state, bytes, ready });
    }

    fn is_held(opened: &Opened) -> bool {
        matches!(opened.source, Source::Held(_))
    }

    #[tokio::test]
    async fn a_held_file_is_answered_without_being_opened_and_a_saved_one_is_read_anew() {
        let folder = Folder::with(&[("a.css", b"old")]);
        let held = held_with(&folder, "a.css");
        // Only what is held says so: the file has other bytes, of the same state.
        let file = held.files.get(folder.path("a.css").as_os_str()).unwrap();
        held.files.insert(folder.path("a.css").into(), File { bytes: Bytes::from_static(b"HLD"), ..file });
        let first = folder.answer(&held, "a.css");
        let etag = first.headers()[ETAG].clone();
        assert_eq!(bytes_of(first.into_body()).await, b"HLD");
        fs::write(folder.path("a.css"), b"new and longer").unwrap();
        let second = folder.answer(&held, "a.css");
        assert_ne!(second.headers()[ETAG], etag);
        assert_eq!(bytes_of(second.into_body()).await, b"new and longer");
    }

    #[test]
    fn what_is_held_is_answered_as_what_is_opened() {
        let folder = Folder::with(&[("a.js", b"plain"), ("a.js.br", b"packed")]);
        let lines = |held: Option<&Held>, name: &str, asked: &[(HeaderName, &str)]| {
            forget();
            let asked = asked.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            let (headers, options) = (HeaderMap::from_iter(asked), FileOptions::default());
            let (method, path) = (&Method::GET, &*folder.path(name));
            let request =
                FileRequest { method, headers: &headers, path, options: &options, beneath: None, held };
            let answer = decide(request).render().unwrap();
            (answer.status(), super::super::testing::lines(&answer))
        };
        let tags = ["a.js", "a.js.br"].map(|name| folder.answer(&Held::new(1).unwrap(), name));
        let tags = tags.map(|answer| answer.headers()[ETAG].to_str().unwrap().to_owned());
        let modified = lines(None, "a.js", &[]).1[3].replace("last-modified: ", "");
        // As which the neighbour was first asked for.
        for coding in [None, Some(Coding::Brotli)] {
            let held = Held::new(1 << 20).unwrap();
            add(&held, folder.path("a.js"), None);
            add(&held, folder.path("a.js.br"), coding);
            for (name, asked) in [
                ("a.js", &[][..]),
                ("a.js.br", &[]),
                ("a.js", &[(ACCEPT_ENCODING, "br")]),
                ("a.js", &[(IF_NONE_MATCH, &*tags[0])]),
                ("a.js", &[(IF_NONE_MATCH, &*tags[0]), (ACCEPT_ENCODING, "br")]),
                ("a.js", &[(IF_MODIFIED_SINCE, &*modified)]),
                ("a.js", &[(IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")]),
                ("a.js.br", &[(IF_NONE_MATCH, &*tags[1])]),
            ] {
                let expected = lines(None, name, asked);
                assert_eq!(lines(Some(&held), name, asked), expected, "{name} {asked:?} {coding:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_release_that_is_switched_to_is_seen_at_once() {
        let folder = Folder::with(&[]);
        for release in ["1", "2"] {
            fs::create_dir(folder.path(release)).unwrap();
            fs::write(folder.path(release).join("a.js"), release).unwrap();
        }
        std::os::unix::fs::symlink("1", folder.path("current")).unwrap();
        let held = held_with(&folder, "current/a.js");
        assert_eq!(bytes_of(folder.answer(&held, "current/a.js").into_body()).await, b"1");
        std::os::unix::fs::symlink("2", folder.path("next")).unwrap();
        fs::rename(folder.path("next"), folder.path("current")).unwrap();
        assert_eq!(bytes_of(folder.answer(&held, "current/a.js").into_body()).await, b"2");
    }

    #[test]
    fn what_is_gone_forbidden_or_no_file_any_more_is_not_answered_from_memory() {
        let folder = Folder::with(&[("gone", b"x"), ("folder", b"x")]);
        let held = held_with(&folder, "gone");
        fs::remove_file(folder.path("gone")).unwrap();
        assert!(matches!(folder.ask(&held, "gone"), Decision::NotFound));
        let held = held_with(&folder, "folder");
        fs::remove_file(folder.path("folder")).unwrap();
        fs::create_dir(folder.path("folder")).unwrap();
        assert!(matches!(folder.ask(&held, "folder"), Decision::Directory));
    }

    #[test]
    fn only_what_has_settled_is_small_and_lies_here_is_held() {
        let folder =
            Folder::with(&[("fresh", b"x"), ("empty", b""), ("large", &[b'x'; LARGEST as usize + 1])]);
        let held = Held::new(1 << 20).unwrap();
        for name in ["fresh", "empty", "large"] {
            let path = folder.path(name);
            assert!(!is_held(&held.hold(path.as_os_str(), open(&path, None).unwrap(), None)), "{name}");
        }
        // A file that nobody has changed for long, on a file system that is not of this machine's disks.
        let foreign = Path::new("/proc/version");
        assert!(!is_local(&open(foreign, None).unwrap().file()));
        // One that is older than two seconds: this crate's.
        let old = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rustfmt.toml"));
        let settled = || open(old, None).unwrap();
        // What is not in the page cache is not waited for, so not held either.
        fs::read(old).unwrap();
        if settled().state.stamp.is_settled(SystemTime::now()) && is_local(&settled().file()) {
            assert!(is_held(&held.hold(old.as_os_str(), settled(), None)));
            assert!(held.get(old.as_os_str()).is_some_and(|opened| is_held(&opened)));
        }
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_read_from_it() {
        let folder = Folder::with(&[("a", b"0123456789")]);
        let held = held_with(&folder, "a");
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=2-4"))]);
        let (method, path, options) = (&Method::GET, &*folder.path("a"), FileOptions::default());
        let request = FileRequest {
            method,
            headers: &headers,
            path,
            options: &options,
            beneath: None,
            held: Some(&held),
        };
        assert_eq!(bytes_of(decide(request).render().unwrap().into_body()).await, b"234");
    }

    #[test]
    fn what_the_router_saw_is_believed_once_and_only_of_its_own_path() {
        let folder = Folder::with(&[("a", b"x"), ("b", b"x")]);
        let stat = rustix::fs::stat(folder.path("a")).unwrap();
        let (a, b) = (folder.path("a"), folder.path("b"));
        saw(&a, &stat);
        assert_eq!(seen(b.as_os_str()), None);
        assert_eq!(seen(a.as_os_str()), State::of(&stat));
        assert_eq!(seen(a.as_os_str()), None, "once");
        saw(&a, &stat);
        forget();
        assert_eq!(seen(a.as_os_str()), None, "another request came");
    }

    #[test]
    fn there_is_an_end_to_what_is_held() {
        let folder = Folder::with(&[("a", &[b'x'; 1000])]);
        let held = held_with(&folder, "a");
        let file = held.files.get(folder.path("a").as_os_str()).unwrap();
        (0..10_000).for_each(|number| held.files.insert(number.to_string().into(), file.clone()));
        assert!(held.files.weight() <= 1 << 20, "{}", held.files.weight());
        assert!(Held::new(0).is_none());
    }
}
