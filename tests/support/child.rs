//! A started program: waiting for it, its log, its end. Knows nothing of what the program is.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// How long anything here may take to start. Generous: the machine may be busy with a build.
pub const START: Duration = Duration::from_secs(20);
/// How long it may take to end by itself before it is killed.
pub const END: Duration = Duration::from_secs(5);

/// A child process whose output goes to a file, and that ends with this value.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// `log` is appended to: a restart keeps what was said before.
    pub fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Self {
        let open = || File::options().create(true).append(true).open(&log).expect("the log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        Self { name, child, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        read_log(&self.log)
    }

    pub fn signal(&self, signal: Signal) {
        self::signal(self.pid(), signal);
    }

    /// Panics with the log when the program ended or nobody listens in time.
    pub fn wait_for_listener(&mut self, at: &Listen, more_log: Option<&Path>) {
        let deadline = Instant::now() + START;
        while !at.accepts() {
            let ended = self.child.try_wait().expect("waiting for an own child");
            if ended.is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(3));
                continue;
            }
            let what = ended.map_or("does not listen".to_owned(), |status| format!("ended ({status})"));
            let more = more_log.map(read_log).unwrap_or_default();
            panic!("{} {what}, expected on {at:?}. It said:\n{}{more}", self.name, self.log());
        }
    }

    /// None when the program still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let mut status = None;
        wait_until(within, || {
            status = self.child.try_wait().expect("waiting for an own child");
            status.is_some()
        });
        status
    }

    /// Sends the signal, waits, and kills what is still there.
    pub fn end(&mut self, signal: Signal) -> Option<ExitStatus> {
        if let Some(status) = self.child.try_wait().expect("waiting for an own child") {
            return Some(status);
        }
        self.signal(signal);
        let status = self.wait(END);
        if status.is_none() {
            self.kill();
        }
        status
    }

    pub fn kill(&mut self) {
        // Fails only when it is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Listen {
    pub fn accepts(&self) -> bool {
        match self {
            Self::Tcp(address) => TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok(),
            Self::Unix(path) => UnixStream::connect(path).is_ok(),
        }
    }
}

/// Asks until it is so or the time is over; says whether it is so.
pub fn wait_until(within: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Signals one process, by its id. One that is gone is fine.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id is a positive i32");
    let _ = kill_process(pid, signal);
}

/// Stops one process (SIGSTOP), and returns when it stands still.
pub fn freeze(pid: u32) {
    signal(pid, Signal::STOP);
    assert!(wait_until(END, || state(pid).is_none_or(|state| "TZ".contains(state))), "{pid} does not stop");
}

/// A process's state, as Linux abbreviates it; None when it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The direct children of a process: php-fpm's or nginx's workers. Linux lists them by the thread that started them.
pub fn worker_pids(parent: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let pids = |list: String| -> Vec<u32> {
        list.split_whitespace().map(|pid| pid.parse().expect("/proc lists numbers")).collect()
    };
    lists.flat_map(pids).collect()
}

pub fn read_log(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The full path of a program that must be installed. `sbin` is not in everybody's PATH.
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()))
}
