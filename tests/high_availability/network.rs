//! Hosts that are network namespaces, and a switch between them that is another one. Nothing of the machine's own network is touched.

use std::fs::File;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

/// Hosts on one switch. All gone with the value.
#[derive(Debug)]
pub struct Network {
    switch: String,
    hosts: Vec<Host>,
}

/// A network namespace with an `eth0` on the switch.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    address: String,
}

impl Network {
    /// Panics with the remedy where namespaces cannot be had.
    pub fn new() -> Self {
        let switch = format!("cornac-ha-{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &switch]).output();
        let why = match &made {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        assert!(
            why.is_none(),
            "no network namespaces here (root? a container without CAP_SYS_ADMIN?): {why:?}"
        );
        let network = Self { switch, hosts: vec![] };
        network.on_switch("ip link add switch type bridge");
        network.on_switch("ip link set switch up");
        network
    }

    /// Another host.
    pub fn host(&mut self, address: &str) -> Host {
        let number = self.hosts.len();
        let host = Host { name: format!("{}-{number}", self.switch), address: address.into() };
        ip(&["netns", "add", &host.name]);
        self.hosts.push(host.clone());
        let port = format!("port{number}");
        ip(&["-n", &self.switch, "link", "add", &port, "type", "veth", "peer", "eth0", "netns", &host.name]);
        self.on_switch(&format!("ip link set {port} master switch up"));
        host.run(&["ip", "link", "set", "lo", "up"]);
        host.run(&["ip", "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        host.run(&["ip", "link", "set", "eth0", "up"]);
        host
    }

    pub fn by_address(&self, address: &str) -> Host {
        self.hosts.iter().find(|host| host.address == address).expect("a host of this network").clone()
    }

    fn on_switch(&self, command: &str) {
        let words: Vec<_> = command.split(' ').collect();
        run(Command::new("ip").args(["netns", "exec", &self.switch]).args(words));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let names = self.hosts.iter().map(|host| &host.name).chain([&self.switch]);
        for name in names {
            let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
        }
    }
}

impl Host {
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A program on this host. It is the child itself: `ip` becomes it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    pub fn run(&self, words: &[&str]) -> String {
        run(self.command(words[0]).args(&words[1..]))
    }

    pub fn has(&self, address: &str) -> bool {
        self.run(&["ip", "-brief", "address", "show", "dev", "eth0"]).contains(&format!(" {address}/"))
    }

    /// From here on the calling thread's sockets are this host's.
    pub fn enter(&self) {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("a namespace of ours");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("we are root");
    }
}

fn ip(words: &[&str]) {
    run(Command::new("ip").args(words));
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
