//! Opening a file: one `open`, one `fstat`, and what the kernel's refusals mean in HTTP. Which path, and what to do
//! with the open file, is `decide`'s.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::media::Media;
use super::validators::Validators;

/// NONBLOCK: a FIFO without a writer, or a device, would hold the thread in `open` itself.
/// NOCTTY: a terminal below a document root must not become ours.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A regular file, and where its bytes are.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) source: Source,
    pub(super) state: State,
    /// Where the file is held.
    pub(super) ready: Option<Ready>,
}

/// What a file's header says, made once and not at each request.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    /// As they were first asked for: a neighbour's tag names its coding.
    pub(super) validators: Validators,
    /// By the name alone.
    pub(super) media: Media<'static>,
}

/// Where a file's bytes come from.
#[derive(Debug)]
pub(super) enum Source {
    /// It is open for reading.
    File(OwnedFd),
    /// All of them are here.
    Held(Bytes),
}

/// What a regular file was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) len: u64,
    /// Modification time in seconds since 1970; negative before.
    pub(super) modified: i64,
    pub(super) stamp: Stamp,
}

impl State {
    /// `None`: not a regular file.
    pub(super) fn of(stat: &Stat) -> Option<Self> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        let changed = (stat.st_ctime, stat.st_ctime_nsec);
        let stamp = Stamp { device: stat.st_dev, inode: stat.st_ino, len, changed };
        Some(Self { len, modified: stat.st_mtime, stamp })
    }
}

/// Which bytes a file had: any change of it makes another stamp, as far as the clock of its file system goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    /// Of the inode: it cannot be set back, as the time of modification can.
    changed: (i64, u64),
}

impl Stamp {
    /// Length of the file in bytes.
    #[must_use]
    pub const fn file_len(&self) -> u64 {
        self.len
    }

    /// Whether a change from now on will show: a clock may tick as rarely as every two seconds (FAT), and what is written within
    /// one tick has one stamp.
    #[must_use]
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        i64::try_from(now).is_ok_and(|now| self.changed.0 < now - 2)
    }
}

/// Why there is nothing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unopened {
    NotFound,
    Forbidden,
    Directory,
    /// The server's own trouble, not the request's.
    Failed(StatusCode),
}

/// Opens `path` if it is a regular file. So many bytes of it are a folder which links behind it may not leave.
pub(super) fn open(path: &Path, beneath: Option<usize>) -> Result<Opened, Unopened> {
    let file = match beneath {
        None => rustix::fs::open(path, READ, Mode::empty())?,
        Some(length) => {
            let path = path.as_os_str().as_bytes();
            let (folder, below) = path.split_at_checked(length).unwrap_or((path, b""));
            open_beneath(folder, below, READ)?
        }
    };
    let stat = rustix::fs::fstat(&file)?;
    match State::of(&stat) {
        Some(state) => Ok(Opened { source: Source::File(file), state, ready: None }),
        None if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Err(Unopened::Directory),
        // nginx answers 404 for what is neither a file nor a directory.
        None => Err(Unopened::NotFound),
    }
}

/// What lies below the folder, to which links on the way may lead and the kernel holds them. The folder is opened each time: it may itself
/// be reached by a link that moves, such as `current`.
pub(super) fn open_beneath(folder: &[u8], below: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let slashes = below.iter().take_while(|&&byte| byte == b'/').count();
    let below = if below.len() == slashes { b"." } else { &below[slashes..] };
    rustix::fs::openat2(folder, below, flags, Mode::empty(), ResolveFlags::BENEATH)
}

impl From<Errno> for Unopened {
    fn from(errno: Errno) -> Self {
        match errno {
            // INVAL: a NUL in the name. NXIO: a socket, or a device without a driver.
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::INVAL | Errno::NXIO => {
                Self::NotFound
            }
            // XDEV: a link that leads out of the folder that it lies beneath.
            Errno::ACCESS | Errno::PERM | Errno::XDEV => Self::Forbidden,
            // Out of descriptors or memory, or a lease being broken: the next try may well succeed.
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
                Self::Failed(StatusCode::SERVICE_UNAVAILABLE)
            }
            _ => Self::Failed(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

#[cfg(test)]
impl Opened {
    pub(super) fn file(self) -> OwnedFd {
        match self.source {
            Source::File(file) => file,
            Source::Held(_) => panic!("nothing was held"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_else_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("loop", at("loop")).unwrap();

        let open = |path: PathBuf| super::open(&path, None);
        assert_eq!(open(at("file")).unwrap().state.len, 5);
        assert_eq!(open(at("link")).unwrap().state.len, 5);
        assert_eq!(open(dir.path().to_owned()).unwrap_err(), Unopened::Directory);
        assert_eq!(open(at("file/")).unwrap_err(), Unopened::NotFound, "a file has nothing below it");
        assert_eq!(open(at(&"x".repeat(300))).unwrap_err(), Unopened::NotFound);
        for name in ["none", "none/deeper", "fifo", "socket", "loop", "file\0"] {
            assert_eq!(open(at(name)).unwrap_err(), Unopened::NotFound, "{name}");
        }
        assert_eq!(open("/dev/null".into()).unwrap_err(), Unopened::NotFound);
    }

    #[test]
    fn links_that_may_not_lead_out_of_a_folder_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("v1/sub")).unwrap();
        fs::write(at("v1/sub/file"), "12345").unwrap();
        fs::write(at("secret"), "secret").unwrap();
        for (target, link) in [
            ("v1", "root"),
            ("sub/file", "v1/inside"),
            ("sub", "v1/folder"),
            ("../secret", "v1/outside"),
            ("..", "v1/above"),
            ("/etc", "v1/absolute"),
            ("../v1/sub/file", "v1/and-back"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let open = |name: &str| {
            super::open(&at(name), Some(at("root").as_os_str().len())).map(|opened| opened.state.len)
        };
        for (name, expected) in [
            ("root/sub/file", Ok(5)),
            ("root/inside", Ok(5)),
            ("root/folder/file", Ok(5)),
            ("root//sub/file", Ok(5)),
            ("root/outside", Err(Unopened::Forbidden)),
            ("root/above/secret", Err(Unopened::Forbidden)),
            ("root/absolute/passwd", Err(Unopened::Forbidden)),
            ("root/and-back", Err(Unopened::Forbidden)),
            ("root/none", Err(Unopened::NotFound)),
            ("root", Err(Unopened::Directory)),
            ("root/", Err(Unopened::Directory)),
        ] {
            assert_eq!(open(name), expected, "{name}");
        }
    }

    #[test]
    fn a_refusal_of_the_kernel_is_blamed_on_whom_it_belongs_to() {
        let unavailable = Unopened::Failed(StatusCode::SERVICE_UNAVAILABLE);
        let internal = Unopened::Failed(StatusCode::INTERNAL_SERVER_ERROR);
        for (errno, meaning) in [
            (Errno::ACCESS, Unopened::Forbidden),
            (Errno::PERM, Unopened::Forbidden),
            (Errno::MFILE, unavailable),
            (Errno::NFILE, unavailable),
            (Errno::NOMEM, unavailable),
            (Errno::IO, internal),
        ] {
            assert_eq!(Unopened::from(errno), meaning, "{errno}");
        }
    }
}
