//! root opens what only root may, and a user serves: what that user may not do later is refused in words, and nothing that stands falls.
//! These tests start cornac as root.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::http;
use support::pki::Authority;
use support::tls::Trust;
use support::{Fpm, Listen, Port, Process, Scratch, Signal, fixtures, free_port, signal, wait_until};

const SOON: Duration = Duration::from_secs(30);
/// `nobody` and its group, on every Linux.
const NOBODY: u32 = 65_534;

/// A site in clear text and over TLS, and folders of root's and of the user's.
struct Dropped {
    process: Process,
    ports: [Port; 2],
    authority: Authority,
    /// Nobody but root may look into it.
    vault: Scratch,
    home: Scratch,
}

impl Dropped {
    fn start(fpm: &Fpm, lines: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "root's rights are needed here: run these tests as root"
        );
        let (ports, vault, home) = ([free_port(), free_port()], Scratch::new(), Scratch::new());
        chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        let authority = Authority::new("Test");
        authority.signs(&["a.test"]).write(&vault, "a");
        fs::set_permissions(vault.join("a.key"), fs::Permissions::from_mode(0o600)).expect("our own file");
        home.write("cornac.toml", toml(fpm, lines, &ports, &vault));
        let mut process = Process::start("cornac", &mut command(&home), home.join("output.log"));
        ports.iter().for_each(|port| process.wait_for_listener(&Listen::Tcp(port.address()), None));
        Self { process, ports, authority, vault, home }
    }

    fn log(&self) -> String {
        self.process.log()
    }

    fn waits_for_log(&self, text: &str) {
        assert!(
            wait_until(SOON, || self.log().contains(text)),
            "{text:?} is not in the log:\n{}",
            self.log()
        );
    }

    /// Changes the configuration and asks for it.
    fn reloads(&self, change: impl FnOnce(String) -> String) {
        let file = self.home.join("cornac.toml");
        let text = fs::read_to_string(&file).expect("our own file");
        fs::write(&file, change(text)).expect("our own file");
        self.process.signal(Signal::HUP);
    }

    fn answers(&self) -> bool {
        let trust = Trust::of(&self.authority);
        let over_tls =
            trust.connect(self.ports[1].address(), "a.test").map(|mut tls| tls.get("a.test", "/json"));
        http::get(self.ports[0].address(), "/json").status == 200
            && over_tls.is_ok_and(|reply| reply.starts_with("HTTP/1.1 200 "))
    }

    fn access_log(&self) -> usize {
        fs::read_to_string(self.vault.join("access.log")).expect("root may").lines().count()
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- cornac said:\n{}", self.log());
        }
        self.process.end(Signal::TERM);
    }
}

fn command(home: &Scratch) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cornac"));
    command.args(["run", "-c", "cornac.toml"]).current_dir(home.path());
    command
}

fn toml(fpm: &Fpm, lines: &str, [plain, secure]: &[Port; 2], vault: &Scratch) -> String {
    let at = |name: &str| vault.join(name).display().to_string();
    format!(
        "[server]\nthreads = 2\naccess_log = \"{}\"\n{lines}\n\
         [pools.php]\nservers = [\"{}\"]\n\
         [[sites]]\nlisten = [{{ address = \"{plain}\", tls = false }}, \"{secure}\"]\n\
         tls = {{ cert = \"{}\", key = \"{}\" }}\nroot = \"{}\"\npreset = \"thinkphp\"\n",
        at("access.log"),
        fpm.server(),
        at("a.crt"),
        at("a.key"),
        fixtures("tp/public").display()
    )
}

/// Who the threads of a process are: each line of each that tells a user or a group, once.
fn identities(pid: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    // One that has ended meanwhile is nobody any more.
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).ok();
    let statuses: Vec<_> = threads.flatten().filter_map(status).collect();
    assert!(statuses.len() >= 3, "{} threads", statuses.len());
    let tells = |line: &&str| {
        ["Uid:", "Gid:", "Groups:", "CapEff:", "CapPrm:"].iter().any(|key| line.starts_with(key))
    };
    let lines = statuses.iter().flat_map(|status| status.lines().filter(tells));
    let mut lines: Vec<_> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines.dedup();
    lines
}

const NOBODY_IS: [&str; 5] = [
    "CapEff: 0000000000000000",
    "CapPrm: 0000000000000000",
    "Gid: 65534 65534 65534 65534",
    "Groups: 65534",
    "Uid: 65534 65534 65534 65534",
];

#[test]
fn root_opens_sockets_keys_and_logs_and_every_thread_is_the_user_then() {
    let fpm = Fpm::builder("a").tcp().start();
    let cornac = Dropped::start(&fpm, "user = \"nobody\"");
    // The sockets stand before: who connects waits.
    assert!(cornac.answers());
    assert_eq!(identities(cornac.process.pid()), NOBODY_IS);
    assert!(
        wait_until(SOON, || cornac.access_log() == 2),
        "both requests are in a log that only root may open"
    );
    cornac.waits_for_log("root's rights are given up");
    assert!(!cornac.log().contains("runs as root"), "{}", cornac.log());

    // The log cannot be opened again, and is not lost.
    cornac.process.signal(Signal::USR1);
    cornac.waits_for_log("a log cannot be reopened; its lines go to the old file");
    assert!(cornac.answers());
    assert!(wait_until(SOON, || cornac.access_log() == 4), "{}", cornac.access_log());
}

#[test]
fn what_only_root_may_is_refused_at_a_reload_in_words_and_everything_stays() {
    let fpm = Fpm::builder("a").tcp().start();
    let cornac = Dropped::start(&fpm, "user = \"nobody\"");
    // The vault is shut for the user: neither certificate nor key can be read again.
    cornac.reloads(|text| text);
    cornac.waits_for_log("reload refused, everything stays as it is");
    cornac.waits_for_log("a.key may not be read by this user");
    assert!(cornac.answers());

    fs::set_permissions(cornac.vault.path(), fs::Permissions::from_mode(0o711)).expect("our own folder");
    chown(cornac.vault.join("a.key"), Some(NOBODY), None).expect("root may");
    let socket = cornac.vault.join("http.sock");
    cornac.reloads(|text| text.replace("listen = [", &format!("listen = [\"unix:{}\", ", socket.display())));
    cornac.waits_for_log("its folder may not be written by the user that cornac runs as");
    cornac.waits_for_log("a restart opens it");
    assert!(cornac.answers());

    // And what the user may is done: another certificate.
    let other = cornac.authority.signs(&["a.test"]);
    other.write(&cornac.vault, "a");
    cornac.reloads(|text| text.replace(&format!("\"unix:{}\", ", socket.display()), ""));
    let shown = || {
        Trust::of(&cornac.authority).connect(cornac.ports[1].address(), "a.test").map(|tls| tls.certificate())
    };
    assert!(wait_until(SOON, || shown().is_ok_and(|shown| shown == other.der)), "{}", cornac.log());
    cornac.reloads(|text| text.replace("user = \"nobody\"", ""));
    cornac.waits_for_log("server.user holds from the next start on");
    assert_eq!(identities(cornac.process.pid()), NOBODY_IS);
}

#[test]
fn a_successor_is_the_user_from_its_beginning() {
    let fpm = Fpm::builder("a").tcp().start();
    let home = Scratch::new();
    chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    let pid_file = home.join("cornac.pid");
    let mut cornac =
        Dropped::start(&fpm, &format!("user = \"nobody\"\npid_file = \"{}\"", pid_file.display()));
    fs::set_permissions(cornac.vault.path(), fs::Permissions::from_mode(0o755)).expect("our own folder");
    chown(cornac.vault.join("a.key"), Some(NOBODY), None).expect("root may");
    chown(cornac.vault.join("access.log"), Some(NOBODY), None).expect("root may");
    let first = cornac.process.pid();
    let in_office = || fs::read_to_string(&pid_file).ok().and_then(|pid| pid.trim().parse::<u32>().ok());
    assert!(wait_until(SOON, || in_office() == Some(first)), "{}", cornac.log());
    cornac.process.signal(Signal::USR2);
    let ended = cornac.process.wait(SOON);
    let successor = in_office().filter(|pid| *pid != first);
    let told = successor.map(identities);
    let answers = cornac.answers();
    successor.into_iter().for_each(|pid| signal(pid, Signal::TERM));
    assert!(ended.is_some_and(|status| status.success()), "{}", cornac.log());
    assert_eq!(told.expect("it is in office"), NOBODY_IS);
    assert!(answers);
    assert!(wait_until(SOON, || !pid_file.exists()), "the user removes it:\n{}", cornac.log());
    assert!(!cornac.log().contains("server.user holds only"), "{}", cornac.log());
}

#[test]
fn who_needs_a_user_is_told_and_who_cannot_have_one_too() {
    let fpm = Fpm::builder("a").tcp().start();
    let cornac = Dropped::start(&fpm, "");
    cornac.waits_for_log("cornac runs as root");
    drop(cornac);

    // Started by somebody else than root.
    let (home, port) = (Scratch::new(), free_port());
    chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    let routes = "routes = [{ match = \"/\", return = { status = 204 } }]";
    home.write(
        "cornac.toml",
        format!("[server]\nuser = \"root\"\n[[sites]]\nlisten = \"{port}\"\n{routes}\n"),
    );
    let log: PathBuf = home.join("output.log");
    let mut process = Process::start("cornac", command(&home).uid(NOBODY).gid(NOBODY), log);
    process.wait_for_listener(&Listen::Tcp(port.address()), None);
    let told = || process.log().contains("server.user holds only where cornac is started by root");
    assert!(wait_until(SOON, told), "{}", process.log());
    process.end(Signal::TERM);
}

#[test]
fn a_socket_of_php_that_the_user_may_not_open_is_told_with_the_remedy() {
    let (fpm, tcp) = (Fpm::builder("a").start(), Fpm::builder("b").tcp().start());
    let folder =
        PathBuf::from(fpm.server().trim_start_matches("unix:")).parent().expect("a folder").to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711)).expect("our own folder");
    let cornac = Dropped::start(&tcp, "user = \"nobody\"");
    fs::set_permissions(cornac.vault.path(), fs::Permissions::from_mode(0o711)).expect("our own folder");
    chown(cornac.vault.join("a.key"), Some(NOBODY), None).expect("root may");
    cornac.reloads(|text| text.replace(&tcp.server(), &fpm.server()));
    cornac.waits_for_log("reload: pool php: + unix:");
    assert_eq!(http::get(cornac.ports[0].address(), "/json").status, 502);
    cornac.waits_for_log("listen.owner, listen.group or listen.mode of php-fpm must let cornac's user in");
}
