//! Nothing stays behind, however the bench ends. A second process reads from a pipe what was started and which folders
//! were made; when the pipe closes, by a normal end, a panic, Ctrl-C or SIGKILL, it ends what is left of them.

use std::cell::RefCell;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::support::{Signal, signal, wait_until, worker_pids};

/// The end of the pipe that this process holds.
#[derive(Debug)]
pub(crate) struct Reaper {
    pipe: RefCell<ChildStdin>,
    _child: Child,
}

impl Reaper {
    /// In a process group of its own, so that a Ctrl-C at the terminal does not end it first.
    pub(crate) fn start() -> Result<Self, String> {
        let itself = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(itself)
            .arg("--reap")
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start the reaper: {error}"))?;
        let pipe = RefCell::new(child.stdin.take().expect("stdin was piped"));
        Ok(Self { pipe, _child: child })
    }

    /// From now on this process must not outlive the bench.
    pub(crate) fn watch(&self, pid: u32) {
        self.tell(&format!("+{pid}"));
    }

    /// It has ended, and its number may soon be somebody else's.
    pub(crate) fn forget(&self, pid: u32) {
        self.tell(&format!("-{pid}"));
    }

    /// From now on this folder must not outlive the bench.
    pub(crate) fn watch_folder(&self, folder: &Path) {
        self.tell(&folder.display().to_string());
    }

    fn tell(&self, line: &str) {
        // Without its reaper the bench still cleans up after itself.
        let _ = writeln!(self.pipe.borrow_mut(), "{line}");
    }
}

/// The other end of the pipe.
pub(crate) fn reap(pipe: impl BufRead) -> io::Result<()> {
    let (mut pids, mut folders) = (vec![], vec![]);
    for line in pipe.lines() {
        let line = line?;
        match (line.strip_prefix('+'), line.strip_prefix('-')) {
            (Some(pid), _) => pids.extend(pid.parse::<u32>()),
            (_, Some(gone)) => pids.retain(|pid| gone.parse() != Ok(*pid)),
            _ => folders.push(line),
        }
    }
    for pid in &pids {
        // nginx and php-fpm take their workers with them.
        signal(*pid, Signal::TERM);
    }
    let runs = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
    wait_until(Duration::from_secs(3), || !pids.iter().any(runs));
    for pid in pids.iter().filter(|pid| runs(pid)) {
        worker_pids(*pid).into_iter().chain([*pid]).for_each(|pid| signal(pid, Signal::KILL));
    }
    folders.iter().for_each(|folder| drop(std::fs::remove_dir_all(folder)));
    Ok(())
}
