//! The built cornac: as a server with a TOML of the test's own, or as a command that ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use super::child::{self, Listen, Process, Signal};
use super::http::{self, Response};
use super::{Port, Scratch, free_port};

const BINARY: &str = env!("CARGO_BIN_EXE_cornac");

/// A running `cornac run -c FILE`.
#[derive(Debug)]
pub struct Cornac {
    process: Process,
    ports: Vec<Port>,
    scratch: Scratch,
}

impl Cornac {
    /// One listener on a free port: `Cornac::serving(|listen| format!("… listen = [\"{listen}\"] …"))`.
    pub fn serving(toml: impl FnOnce(&str) -> String) -> Self {
        let port = free_port();
        let text = toml(&port.to_string());
        Self::run(&text, vec![port])
    }

    /// Returns when all `ports` accept; they are this server's until it is dropped.
    pub fn run(toml: &str, ports: Vec<Port>) -> Self {
        let scratch = Scratch::new();
        let file = scratch.write("cornac.toml", toml);
        let mut command = Command::new(BINARY);
        // As docs/operations.md has a service started.
        command.arg("run").arg("-c").arg(file).env("MIMALLOC_PURGE_EXTEND_DELAY", "0");
        let mut process = Process::start("cornac", &mut command, scratch.join("output.log"));
        for port in &ports {
            process.wait_for_listener(&Listen::Tcp(port.address()), None);
        }
        Self { process, ports, scratch }
    }

    /// Whether this machine lets us have namespaces: many a container does not.
    pub fn can_have_hosts() -> bool {
        let mut probe = Command::new("unshare");
        probe.args(["--user", "--map-root-user", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]);
        probe.output().is_ok_and(|output| output.status.success())
    }

    /// The same, with an `/etc/hosts` of the test's own: in a mount namespace, where no name server is asked.
    pub fn with_hosts(hosts: &Path, toml: impl FnOnce(&str) -> String) -> Self {
        let (port, scratch) = (free_port(), Scratch::new());
        let file = scratch.write("cornac.toml", toml(&port.to_string()));
        let switch = scratch.write("nsswitch.conf", "hosts: files\n");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-e", "-c"]);
        command.arg(
            r#"mount --bind "$1" /etc/hosts; mount --bind "$2" /etc/nsswitch.conf; exec "$3" run -c "$4""#,
        );
        command.arg("sh").arg(hosts).arg(switch).arg(BINARY).arg(file);
        let mut process = Process::start("cornac", &mut command, scratch.join("output.log"));
        process.wait_for_listener(&Listen::Tcp(port.address()), None);
        Self { process, ports: vec![port], scratch }
    }

    /// Any other command that goes on until it is ended, such as `serve`. Its folder is the current one.
    pub fn running(args: &[&str], ports: Vec<Port>) -> Self {
        let scratch = Scratch::new();
        let mut command = Command::new(BINARY);
        command.args(args).current_dir(scratch.path());
        let mut process = Process::start("cornac", &mut command, scratch.join("output.log"));
        for port in &ports {
            process.wait_for_listener(&Listen::Tcp(port.address()), None);
        }
        Self { process, ports, scratch }
    }

    /// A command that ends by itself: `check`, `explain`, or a `run` that must fail. Bounded in time.
    pub fn command(args: &[&str]) -> Finished {
        let scratch = Scratch::new();
        let output = scratch.join("output.log");
        let mut process = Process::start("cornac", Command::new(BINARY).args(args), output.clone());
        let status = process.wait(child::START);
        if status.is_none() {
            process.kill();
        }
        let text = child::read_log(&output);
        Finished {
            status: status.unwrap_or_else(|| panic!("cornac {args:?} did not end. It said:\n{text}")),
            text,
        }
    }

    /// The first listener.
    pub fn address(&self) -> SocketAddr {
        self.ports.first().expect("a server with a listener").address()
    }

    /// The configuration file: write it anew, then `signal(Signal::HUP)`.
    pub fn config_file(&self) -> PathBuf {
        self.scratch.join("cornac.toml")
    }

    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// With all that was said so far: the event log is written by a thread of its own, and this is behind it.
    pub fn settled_log(&self) -> String {
        let reopened = || self.log().matches("logs reopened").count();
        let before = reopened();
        self.signal(Signal::USR1);
        assert!(child::wait_until(child::START, || reopened() > before), "{}", self.log());
        self.log()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end after a signal. None when it still runs.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        self.process.wait(within)
    }

    /// Waits until the log holds the text.
    pub fn wait_for_log(&self, text: &str) {
        let seen = child::wait_until(Duration::from_secs(10), || self.log().contains(text));
        assert!(seen, "{text:?} is not in the log:\n{}", self.log());
    }

    /// The access log's JSON lines on standard output, in their order.
    pub fn entries(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the request's line in the access log; `target` is the raw one.
    pub fn entry(&self, target: &str) -> Value {
        self.entry_where(target, |entry| entry["target"] == target)
    }

    pub fn entry_where(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        child::wait_until(Duration::from_secs(10), || {
            found = self.entries().into_iter().find(&is_it);
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("no line in the access log for {what}:\n{}", self.log()))
    }

    /// Resident memory now, in KiB.
    pub fn rss_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The same without the program's code, of which the kernel maps now more and now less: what it has allocated.
    pub fn heap_kib(&self) -> u64 {
        self.memory("RssAnon:")
    }

    /// The most resident memory so far, in KiB.
    pub fn peak_rss_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, key: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a running cornac");
        let line =
            status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux tells VmRSS and VmHWM");
        line.trim().trim_end_matches(" kB").parse().expect("a number of kB")
    }

    /// One GET over a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        http::get(self.address(), target)
    }
}

impl Drop for Cornac {
    fn drop(&mut self) {
        let ended = self.process.end(Signal::TERM);
        if std::thread::panicking() {
            eprintln!("--- cornac said:\n{}", self.log());
        } else {
            assert!(ended.is_some(), "cornac did not end on SIGTERM. It said:\n{}", self.log());
        }
    }
}

/// What a command left.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    /// Standard output and standard error, in the order written.
    pub text: String,
}
