//! What runs on the hosts: cornac with keepalived, or php-fpm, each with the configuration that `config/` has.

use crate::network::Host;
use crate::support::{
    Fpm, Process, Scratch, Signal, config_example, find_program, fixtures, signal, wait_until, worker_pids,
};
use std::time::Duration;

const START: Duration = Duration::from_secs(20);

/// One of the pair.
#[derive(Debug)]
pub struct Node {
    host: Host,
    cornac: Process,
    keepalived: Process,
    scratch: Scratch,
}

impl Node {
    pub fn start(host: Host) -> Self {
        let scratch = Scratch::new();
        let root = fixtures("tp/public").display().to_string();
        let site = config_example("ha.toml").replace("/srv/app/public", &root);
        assert!(site.contains(&root), "the example's root is another one");
        // Its fixtures route by PATH_INFO.
        scratch.write("ha.toml", site.replace("front-controller", "thinkphp"));
        // Nobody may not reach a folder of root's; nothing else of the file is changed.
        scratch.write(
            "keepalived.conf",
            config_example("keepalived.conf").replace("script_user nobody", "script_user root"),
        );
        let cornac = cornac(&host, &scratch);
        let keepalived = keepalived(&host, &scratch);
        let node = Self { host, cornac, keepalived, scratch };
        node.wait_for_cornac();
        node
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn start_cornac(&mut self) {
        self.cornac = cornac(&self.host, &self.scratch);
        self.wait_for_cornac();
    }

    fn wait_for_cornac(&self) {
        let url = "http://127.0.0.1:9180/readyz";
        let answers = || {
            self.host
                .command("curl")
                .args(["-fs", "-m", "1", url])
                .output()
                .is_ok_and(|done| done.status.success())
        };
        assert!(wait_until(START, answers), "no cornac on {}: {}", self.host.address(), self.cornac.log());
    }

    pub fn kill_cornac(&mut self) {
        self.cornac.kill();
    }

    pub fn begin_to_stop(&mut self) {
        self.cornac.signal(Signal::QUIT);
    }

    pub fn wait_for_the_end(&mut self) {
        assert!(self.cornac.wait(START).is_some_and(|status| status.success()), "{}", self.log());
    }

    pub fn pull_the_cable(&mut self) {
        self.host.run(&["ip", "link", "set", "eth0", "down"]);
    }

    pub fn plug_in(&mut self) {
        self.host.run(&["ip", "link", "set", "eth0", "up"]);
    }

    /// keepalived sees a cornac here, and is ready to take the address.
    pub fn is_fit(&self) -> bool {
        let log = self.keepalived.log();
        let last =
            log.lines().rev().find_map(|line| line.split_once("(site) Entering ").map(|(_, state)| state));
        let ready = log.lines().rev().find(|line| line.contains("VRRP_Script(ready)"));
        last == Some("BACKUP STATE") && ready.is_some_and(|line| line.ends_with("succeeded"))
    }

    pub fn log(&self) -> String {
        format!("{}: {}\n{}", self.host.address(), self.cornac.log(), self.keepalived.log())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A process of its own speaks VRRP, and would outlive the one that is killed.
        let speakers = worker_pids(self.keepalived.pid());
        self.keepalived.end(Signal::TERM);
        speakers.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        self.cornac.end(Signal::TERM);
    }
}

fn cornac(host: &Host, scratch: &Scratch) -> Process {
    let mut command = host.command(env!("CARGO_BIN_EXE_cornac"));
    command.args(["run", "-c"]).arg(scratch.join("ha.toml"));
    Process::start("cornac", &mut command, scratch.join("cornac.log"))
}

fn keepalived(host: &Host, scratch: &Scratch) -> Process {
    let program =
        find_program(&["keepalived"]).expect("keepalived is not installed: scripts/install-deps.sh ha");
    let mut command = host.command(program);
    command
        .args(["--dont-fork", "--log-console", "--vrrp", "--use-file"])
        .arg(scratch.join("keepalived.conf"));
    command.arg("--pid").arg(scratch.join("keepalived.pid")).arg("--vrrp_pid").arg(scratch.join("vrrp.pid"));
    Process::start("keepalived", &mut command, scratch.join("keepalived.log"))
}

/// A php-fpm on a host of its own.
pub type Php = Fpm;

/// Started by a thread of that host, so that it is there that it listens.
pub fn php(host: Host) -> Php {
    let started = std::thread::spawn(move || {
        host.enter();
        let address = format!("{}:9000", host.address()).parse().expect("an address");
        Fpm::builder(host.address()).at(address).start()
    });
    started.join().expect("php-fpm starts")
}
