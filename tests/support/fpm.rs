//! A real php-fpm of a test's own: one master, one pool, private folder, private socket.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::child::{self, Listen, Process, Signal, find_program};
use super::{Port, Scratch, free_port};

const INSTALL: &str = "php-fpm is not installed; install it by:\n    scripts/install-deps.sh php\n(Debian: apt-get install php-fpm php-mbstring php-curl)";

/// php-fpm's process managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pm {
    Static,
    Dynamic,
    Ondemand,
}

/// What a pool shall be like. Defaults: `pm = static`, 4 workers, a unix socket.
#[derive(Clone, Debug)]
pub struct FpmBuilder {
    member: String,
    tcp: bool,
    at: Option<SocketAddr>,
    namespace: Option<String>,
    gentle: bool,
    pm: Pm,
    workers: u32,
    pool: Vec<(String, String)>,
    global: Vec<(String, String)>,
    ini: Vec<(String, String)>,
}

impl FpmBuilder {
    /// On a free TCP port of 127.0.0.1 instead of a unix socket.
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// On this TCP address, which somebody else keeps free.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.at = Some(address);
        self
    }

    /// In this network namespace (`ip netns`): a host of its own.
    pub fn inside(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Over TCP, on a socket of `docker/fpm/serve.pl`, as in a container: a stop ends listening first.
    pub fn gentle(self) -> Self {
        Self { gentle: true, ..self.tcp() }
    }

    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    pub fn pm(mut self, pm: Pm) -> Self {
        self.pm = pm;
        self
    }

    /// A worker ends after so many requests (`pm.max_requests`).
    pub fn max_requests(self, requests: u32) -> Self {
        self.directive("pm.max_requests", requests)
    }

    pub fn backlog(self, length: u32) -> Self {
        self.directive("listen.backlog", length)
    }

    /// Any directive of the pool; replaces the rig's own.
    pub fn directive(mut self, name: &str, value: impl ToString) -> Self {
        set(&mut self.pool, name, value);
        self
    }

    /// Any directive of the `[global]` section, such as `process_control_timeout`.
    pub fn global(mut self, name: &str, value: impl ToString) -> Self {
        set(&mut self.global, name, value);
        self
    }

    /// An environment variable of the workers.
    pub fn env(self, name: &str, value: impl ToString) -> Self {
        self.directive(&format!("env[{name}]"), value)
    }

    /// A php.ini setting.
    pub fn ini(mut self, name: &str, value: impl ToString) -> Self {
        set(&mut self.ini, name, value);
        self
    }

    /// Starts it, and returns when it accepts connections.
    pub fn start(self) -> Fpm {
        let scratch = Scratch::new();
        let port = self.tcp.then(free_port);
        let listen = match self.at.or(port.as_ref().map(Port::address)) {
            Some(address) => Listen::Tcp(address),
            None => Listen::Unix(scratch.join("fpm.sock")),
        };
        let counters = scratch.join("counters");
        std::fs::create_dir(&counters).expect("a folder in the scratch folder");
        std::fs::create_dir(scratch.join("sessions")).expect("a folder in the scratch folder");
        scratch.write("fpm.conf", self.config(&scratch, &listen));
        let host = Host { namespace: self.namespace, gentle: self.gentle };
        let process = host.launch(&scratch, &listen);
        let member = self.member;
        Fpm { member, process, orphans: vec![], listen, host, counters, scratch, _port: port }
    }

    fn config(&self, scratch: &Scratch, listen: &Listen) -> String {
        let at = |name: &str| scratch.join(name).display().to_string();
        let mut global = vec![];
        set(&mut global, "error_log", at("fpm.log"));
        set(&mut global, "daemonize", "no");
        overlay(&mut global, &self.global);

        let mut pool = vec![];
        set(&mut pool, "listen", address(listen));
        if rustix::process::geteuid().is_root() {
            // Workers as the user of the test (php-fpm -R), so that they reach its folders.
            set(&mut pool, "user", "root");
            set(&mut pool, "group", "root");
        }
        set(&mut pool, "pm", format!("{:?}", self.pm).to_lowercase());
        set(&mut pool, "pm.max_children", self.workers);
        if self.pm == Pm::Dynamic {
            set(&mut pool, "pm.start_servers", 1);
            set(&mut pool, "pm.min_spare_servers", 1);
            set(&mut pool, "pm.max_spare_servers", self.workers);
        }
        set(&mut pool, "pm.status_path", "/fpm-status");
        set(&mut pool, "ping.path", "/fpm-ping");
        set(&mut pool, "catch_workers_output", "yes");
        set(&mut pool, "env[FIXTURE_MEMBER]", &self.member);
        set(&mut pool, "env[COUNTER_DIR]", at("counters"));
        overlay(&mut pool, &self.pool);

        let mut ini = vec![];
        set(&mut ini, "session.save_path", at("sessions"));
        set(&mut ini, "upload_tmp_dir", scratch.path().display());
        set(&mut ini, "post_max_size", "1G");
        set(&mut ini, "upload_max_filesize", "1G");
        set(&mut ini, "log_errors", "on");
        set(&mut ini, "display_errors", "off");
        overlay(&mut ini, &self.ini);

        let mut text = section("global", &global);
        text += &section(&self.member, &pool);
        for (name, value) in &ini {
            let _ = writeln!(text, "php_admin_value[{name}] = {value}");
        }
        text
    }
}

fn set(list: &mut Vec<(String, String)>, name: &str, value: impl ToString) {
    list.retain(|(known, _)| known != name);
    list.push((name.to_owned(), value.to_string()));
}

fn overlay(list: &mut Vec<(String, String)>, over: &[(String, String)]) {
    for (name, value) in over {
        set(list, name, value);
    }
}

fn section(name: &str, lines: &[(String, String)]) -> String {
    let mut text = format!("[{name}]\n");
    for (key, value) in lines {
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

fn address(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => path.display().to_string(),
    }
}

/// What php-fpm is started in and by.
#[derive(Clone, Debug)]
struct Host {
    namespace: Option<String>,
    gentle: bool,
}

impl Host {
    fn launch(&self, scratch: &Scratch, listen: &Listen) -> Process {
        let mut command = self.command(listen);
        command.arg("--nodaemonize").arg("--fpm-config").arg(scratch.join("fpm.conf"));
        if rustix::process::geteuid().is_root() {
            command.arg("--allow-to-run-as-root");
        }
        let mut process = Process::start("php-fpm", &mut command, scratch.join("output.log"));
        process.wait_for_listener(listen, Some(&scratch.join("fpm.log")));
        process
    }

    fn command(&self, listen: &Listen) -> Command {
        if let Some(namespace) = &self.namespace {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(program());
            return command;
        }
        if self.gentle {
            let mut command = Command::new("perl");
            let serve = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/fpm/serve.pl");
            command.arg(serve).arg(address(listen)).arg(program());
            return command;
        }
        Command::new(program())
    }
}

fn program() -> PathBuf {
    let known = ["php-fpm", "php-fpm8.5", "php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm8.1"];
    find_program(&known).unwrap_or_else(|| panic!("{INSTALL}"))
}

/// A running php-fpm.
#[derive(Debug)]
pub struct Fpm {
    member: String,
    process: Process,
    /// Workers whose master was killed.
    orphans: Vec<u32>,
    listen: Listen,
    host: Host,
    counters: PathBuf,
    scratch: Scratch,
    _port: Option<Port>,
}

impl Fpm {
    /// `member` names the pool, and is what the fixtures print as FIXTURE_MEMBER.
    pub fn builder(member: &str) -> FpmBuilder {
        FpmBuilder {
            member: member.to_owned(),
            tcp: false,
            at: None,
            namespace: None,
            gentle: false,
            pm: Pm::Static,
            workers: 4,
            pool: vec![],
            global: vec![],
            ini: vec![],
        }
    }

    /// With all defaults.
    pub fn start(member: &str) -> Self {
        Self::builder(member).start()
    }

    pub fn member(&self) -> &str {
        &self.member
    }

    pub fn listen(&self) -> &Listen {
        &self.listen
    }

    /// As cornac's TOML names it: `127.0.0.1:PORT` or `unix:/path`.
    pub fn server(&self) -> String {
        match &self.listen {
            Listen::Tcp(address) => address.to_string(),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The master's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn worker_pids(&self) -> Vec<u32> {
        child::worker_pids(self.pid())
    }

    /// Reloads it (SIGUSR2) with another `pm.max_children`.
    pub fn reload_with(&self, workers: u32) {
        let path = self.scratch.join("fpm.conf");
        let config = std::fs::read_to_string(&path).expect("the rig's own file");
        let changed = config.lines().map(|line| match line.starts_with("pm.max_children = ") {
            true => format!("pm.max_children = {workers}\n"),
            false => format!("{line}\n"),
        });
        std::fs::write(&path, changed.collect::<String>()).expect("the rig's own file");
        self.signal(Signal::USR2);
    }

    /// Kills one worker, as a crash would. The master starts another.
    pub fn kill_worker(&self) -> u32 {
        let pid = *self.worker_pids().first().expect("a pool with a worker");
        child::signal(pid, Signal::KILL);
        pid
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Ends in order: what runs is finished (SIGQUIT).
    pub fn stop(&mut self) {
        self.end(Signal::QUIT);
    }

    /// Workers that outlive their master are killed.
    fn end(&mut self, signal: Signal) {
        let workers = self.worker_pids().into_iter().chain(std::mem::take(&mut self.orphans));
        let workers: Vec<u32> = workers.collect();
        self.process.end(signal);
        workers.into_iter().for_each(|pid| child::signal(pid, Signal::KILL));
    }

    /// Kills the master alone; its workers go on. They end with `restart` or with this value.
    pub fn kill_master(&mut self) {
        // It must not start one more after they were counted.
        child::freeze(self.pid());
        self.orphans = self.worker_pids();
        self.process.kill();
    }

    /// As a crash of the whole container: master and workers are gone at once.
    pub fn kill(&mut self) {
        self.kill_master();
        std::mem::take(&mut self.orphans).into_iter().for_each(|pid| child::signal(pid, Signal::KILL));
        // A worker that is just dying still holds the listening socket.
        let gone = child::wait_until(child::END, || !self.listen.accepts());
        assert!(gone, "somebody still listens on {}", self.server());
    }

    /// Starts again on the same address, after `stop` or `kill`; without either, it is stopped first.
    pub fn restart(&mut self) {
        self.stop();
        let gone = child::wait_until(child::END, || !self.listen.accepts());
        assert!(gone, "somebody still listens on {}", self.server());
        self.process = self.host.launch(&self.scratch, &self.listen);
    }

    /// How often the fixtures counted under this name (`?count=NAME`).
    pub fn count(&self, name: &str) -> u64 {
        std::fs::metadata(self.counters.join(name)).map_or(0, |file| file.len())
    }

    /// Waits until it was counted so often.
    pub fn wait_for_count(&self, name: &str, runs: u64) {
        let seen = child::wait_until(Duration::from_secs(20), || self.count(name) >= runs);
        assert!(seen, "{name} ran {} times in {}, not {runs}", self.count(name), self.member);
    }

    /// Lets every script through that waits at `/gate/NAME`, now and later.
    pub fn open_gate(&self, name: &str) {
        std::fs::write(self.counters.join(format!("{name}.open")), "").expect("the folder of the counters");
    }

    pub fn counters(&self) -> &Path {
        &self.counters
    }

    /// What php-fpm logged and printed.
    pub fn log(&self) -> String {
        self.process.log() + &child::read_log(&self.scratch.join("fpm.log"))
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- php-fpm {} said:\n{}", self.member, self.log());
        }
        // SIGTERM: at once, busy or not.
        self.end(Signal::TERM);
    }
}
