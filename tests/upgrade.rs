//! Another binary takes over while clients are served: none of them notices, and one that cannot leaves everything as it is.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::http::{self, Connection};
use support::{
    Answer, Fpm, Listen, Load, Long, Port, Process, Scratch, Signal, Tp, free_port, signal, wait_until,
};

const SOON: Duration = Duration::from_secs(30);

/// A cornac from a file of its own, which can be replaced, and whoever takes over from it.
struct Upgradable {
    first: Process,
    /// What systemd would hear.
    manager: UnixDatagram,
    port: Port,
    folder: Scratch,
}

impl Upgradable {
    fn start(tp: Tp) -> Self {
        Self::start_with(tp, |_| String::new())
    }

    /// With more of a configuration for that port.
    fn start_with(tp: Tp, more: impl FnOnce(&Port) -> String) -> Self {
        let (folder, port) = (Scratch::new(), free_port());
        let binary = folder.join("cornac");
        fs::copy(env!("CARGO_BIN_EXE_cornac"), &binary).expect("a copy of the binary");
        let pid_file = format!("pid_file = \"{}\"", folder.join("cornac.pid").display());
        let listen = format!("{port}\", \"unix:{}", folder.join("http.sock").display());
        let toml = tp.quiet().server(&pid_file).toml(&listen) + &more(&port);
        folder.write("cornac.toml", toml);
        let mut command = Command::new(binary);
        // Relative, as many a unit file has it.
        command.args(["run", "-c", "cornac.toml"]).current_dir(folder.path());
        let manager = UnixDatagram::bind(folder.join("notify.sock")).expect("a fresh name");
        manager.set_read_timeout(Some(SOON)).expect("a timeout that is not zero");
        command.env("NOTIFY_SOCKET", folder.join("notify.sock"));
        let mut first = Process::start("cornac", &mut command, folder.join("output.log"));
        first.wait_for_listener(&Listen::Tcp(port.address()), None);
        let started = Self { first, manager, port, folder };
        assert!(wait_until(SOON, || started.pid() == Some(started.first.pid())), "{}", started.log());
        started
    }

    fn address(&self) -> SocketAddr {
        self.port.address()
    }

    fn log(&self) -> String {
        self.first.log()
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("cornac.pid")
    }

    /// Of whoever is in office.
    fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()
    }

    /// What systemd hears next.
    fn told(&self) -> String {
        let mut datagram = [0; 256];
        let length = self.manager.recv(&mut datagram).expect("a datagram");
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    /// Another file takes the binary's name, as a package manager does it.
    fn replace_binary(&self, with: &[u8]) {
        let new = self.folder.write("cornac.new", with);
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("our own file");
        fs::rename(new, self.folder.join("cornac")).expect("our own folder");
    }

    /// Returns the successor's number when its predecessor is gone.
    fn upgrade(&mut self) -> u32 {
        let before = self.pid().expect("somebody is in office");
        signal(before, Signal::USR2);
        let done = wait_until(SOON, || {
            self.pid().is_some_and(|pid| pid != before) && !lives(before, &mut self.first)
        });
        assert!(done, "no upgrade:\n{}", self.log());
        self.pid().expect("it was read just now")
    }
}

impl Drop for Upgradable {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- cornac said:\n{}", self.log());
        }
        if let Some(pid) = self.pid() {
            signal(pid, Signal::TERM);
            wait_until(SOON, || !lives(pid, &mut self.first));
        }
        self.first.end(Signal::TERM);
    }
}

/// The first one stays a zombie until it is waited for.
fn lives(pid: u32, first: &mut Process) -> bool {
    if pid == first.pid() {
        return first.wait(Duration::ZERO).is_none();
    }
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(state.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()), None | Some("Z"))
}

#[test]
fn three_upgrades_in_a_row_under_load_fail_no_request() {
    let members = ["a", "b"].map(|name| Fpm::builder(name).workers(6).start());
    let mut cornac = Upgradable::start(Tp::over(&members));
    let load = Load::mixed(cornac.address());
    let long = Long::start(cornac.address());
    load.wait_for(50);
    for _ in 0..3 {
        cornac.replace_binary(&fs::read(env!("CARGO_BIN_EXE_cornac")).expect("the binary"));
        cornac.upgrade();
        load.wait_for(50);
        assert!(UnixStream::connect(cornac.folder.join("http.sock")).is_ok(), "its file was removed");
    }
    let answers = load.stop();
    let long = long.stop();
    Answer::all_are_200(&answers);
    Answer::each_post_ran_once(&answers, &members);
    eprintln!(
        "3 upgrades: {} requests sent, {} answered, 0 failed; uploads, streams, large replies: {long:?}",
        answers.len(),
        answers.len()
    );
}

/// Sockets that listen on a port.
fn listening(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let ours = format!("0100007F:{port:04X}");
    let listens = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&ours) && words.nth(1) == Some("0A")
    };
    table.lines().filter(listens).count()
}

#[test]
fn with_reuseport_each_thread_has_a_socket_and_all_are_handed_on_under_load() {
    let members = ["a", "b"].map(|name| Fpm::builder(name).workers(6).start());
    let mut cornac = Upgradable::start_with(Tp::over(&members).server("threads = 3"), |port| {
        format!(
            "[[sites]]\nlisten = {{ address = \"{port}\", reuseport = true }}\nnames = [\"other.example\"]\n\
             routes = [{{ match = \"/\", return = {{ status = 204 }} }}]\n"
        )
    });
    let port = cornac.address().port();
    assert_eq!(listening(port), 3);
    let load = Load::mixed(cornac.address());
    load.wait_for(50);
    for _ in 0..2 {
        cornac.upgrade();
        load.wait_for(50);
        assert_eq!(listening(port), 3, "the same ones");
    }
    let answers = load.stop();
    Answer::all_are_200(&answers);
    Answer::each_post_ran_once(&answers, &members);
}

#[test]
fn requests_in_flight_are_finished_by_the_old_process_and_kept_connections_are_closed() {
    let fpm = Fpm::start("a");
    let mut cornac = Upgradable::start(Tp::over([&fpm]));
    let old = cornac.first.pid();
    let mut flying = Connection::open(cornac.address());
    flying.send("GET /gate/flying HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("flying", 1);
    let mut idle = Connection::open(cornac.address());
    assert_eq!(idle.get("/json").status, 200);
    signal(old, Signal::USR2);
    assert!(wait_until(SOON, || cornac.pid() != Some(old)), "{}", cornac.log());
    let finishing = wait_until(SOON, || cornac.log().contains("finishing what is in flight"));
    assert!(finishing, "{}", cornac.log());
    assert_eq!(http::get(cornac.address(), "/json").status, 200, "the new one serves");
    assert!(idle.is_closed(SOON));
    assert!(lives(old, &mut cornac.first));
    fpm.open_gate("flying");
    assert_eq!(flying.response().text(), "through\n");
    let ended = cornac.first.wait(SOON).unwrap_or_else(|| panic!("it does not end:\n{}", cornac.log()));
    assert!(ended.success());
    assert!(cornac.pid_file().exists(), "the pid file is the successor's");
}

#[test]
fn a_binary_or_a_configuration_that_does_not_work_leaves_everything_as_it_is() {
    let fpm = Fpm::start("a");
    let cornac = Upgradable::start(Tp::over([&fpm]));
    let old = cornac.first.pid();
    let failures = || cornac.log().matches("upgrade failed, this process goes on").count();
    let fails = |times: usize, why: &str| {
        signal(old, Signal::USR2);
        assert!(wait_until(SOON, || failures() == times), "{times}: {}", cornac.log());
        assert!(cornac.log().contains(why), "{why}:\n{}", cornac.log());
        assert_eq!(http::get(cornac.address(), "/json").status, 200);
        assert_eq!(cornac.pid(), Some(old));
    };
    cornac.replace_binary(b"#!/bin/sh\nexit 7\n");
    fails(1, "ended before it served (exit status: 7)");
    cornac.replace_binary(b"no program at all");
    fails(2, "cannot start ");
    cornac.replace_binary(&fs::read(env!("CARGO_BIN_EXE_cornac")).expect("the binary"));
    let config = cornac.folder.join("cornac.toml");
    let good = fs::read_to_string(&config).expect("the configuration");
    fs::write(&config, good.replace("thinkphp", "thinkphd")).expect("our own file");
    fails(3, "cornac.toml:");
    fs::write(&config, good).expect("our own file");
    let mut cornac = cornac;
    assert_ne!(cornac.upgrade(), old, "and now it works");
    assert_eq!(http::get(cornac.address(), "/json").status, 200);
}

#[test]
fn an_upgrade_may_bring_another_configuration_with_other_listeners() {
    let fpm = Fpm::start("a");
    let mut cornac = Upgradable::start(Tp::over([&fpm]));
    assert_eq!(cornac.told(), format!("READY=1\nMAINPID={}", cornac.first.pid()));
    let comes = free_port();
    let config = cornac.folder.join("cornac.toml");
    let text = fs::read_to_string(&config).expect("the configuration");
    let socket = format!("unix:{}", cornac.folder.join("http.sock").display());
    fs::write(&config, text.replace(&socket, &comes.to_string())).expect("our own file");
    let successor = cornac.upgrade();
    assert_eq!(cornac.told(), format!("READY=1\nMAINPID={successor}"), "and not that the old one stops");
    assert_eq!(http::get(comes.address(), "/json").status, 200);
    assert_eq!(http::get(cornac.address(), "/json").status, 200);
    let gone = wait_until(SOON, || !cornac.folder.join("http.sock").exists());
    assert!(gone, "nobody listens there any more:\n{}", cornac.log());
    signal(successor, Signal::TERM);
    assert_eq!(cornac.told(), "STOPPING=1");
}
