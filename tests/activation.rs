//! Sockets that systemd passes (sd_listen_fds(3)): who waits in them is served, and a socket file stays its owner's.

mod support;

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command};
use std::time::Duration;

use support::http::Connection;
use support::{Scratch, Signal, signal, wait_until};

/// A running cornac.
struct Activated {
    child: Child,
    scratch: Scratch,
}

impl Activated {
    /// `cornac run` with this as descriptor 3, as systemd would pass it.
    fn with(socket: OwnedFd, listen: &str) -> Self {
        let scratch = Scratch::new();
        let site = format!(
            "[[sites]]\nlisten = \"{listen}\"\n[[sites.routes]]\nmatch = \"/\"\nreturn = {{ status = 200, body = \"$remote_addr\" }}\n"
        );
        let file = scratch.write("cornac.toml", site);
        let log = File::create(scratch.join("output.log")).expect("a log");
        let mut command = Command::new("sh");
        command.arg("-c").arg(r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" run -c "$1""#);
        command.arg(env!("CARGO_BIN_EXE_cornac")).arg(file).stdin(socket).stderr(log);
        Self { child: command.spawn().expect("sh"), scratch }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("output.log")).expect("a log")
    }

    fn wait_for_log(&self, text: &str) {
        assert!(wait_until(Duration::from_secs(20), || self.log().contains(text)), "{}", self.log());
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        self.child.wait().expect("our child");
    }
}

#[test]
fn who_waits_in_a_passed_socket_is_served() {
    for (bind, written) in [("127.0.0.1:0", "127.0.0.1:PORT"), ("[::]:0", "PORT")] {
        let listener = TcpListener::bind(bind).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        // Before there is any cornac: no other socket than this one can have it.
        let mut waiting = Connection::open(([127, 0, 0, 1], port).into());
        let cornac = Activated::with(listener.into(), &written.replace("PORT", &port.to_string()));
        assert_eq!(waiting.get("/").text().trim(), "127.0.0.1", "{bind}: {}", cornac.log());
        drop(cornac);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the test's own copy was given away");
    }
}

#[test]
fn a_socket_file_of_systemd_s_is_not_removed() {
    let scratch = Scratch::new();
    let path = scratch.join("http.sock");
    let listener = UnixListener::bind(&path).expect("a short path");
    let _waiting = UnixStream::connect(&path).expect("it listens");
    let cornac = Activated::with(listener.into(), &format!("unix:{}", path.display()));
    cornac.wait_for_log("http.sock");
    drop(cornac);
    assert!(path.exists());
}

#[test]
fn a_socket_file_of_systemd_s_is_not_removed_by_a_successor_either() {
    let scratch = Scratch::new();
    let path = scratch.join("http.sock");
    let listener = UnixListener::bind(&path).expect("a short path");
    let mut cornac = Activated::with(listener.into(), &format!("unix:{}", path.display()));
    cornac.wait_for_log("listening on unix:");
    signal(cornac.child.id(), Signal::USR2);
    cornac.wait_for_log("this one finishes and ends");
    cornac.child.wait().expect("our child");
    let log = cornac.log();
    let started = log.lines().find(|line| line.contains("the new process starts")).expect("it was told");
    let pid = started.rsplit("pid=").next().and_then(|pid| pid.trim().parse::<u32>().ok()).expect(started);
    assert!(UnixStream::connect(&path).is_ok(), "the successor listens:\n{log}");
    signal(pid, Signal::TERM);
    let refused = || UnixStream::connect(&path).is_err();
    assert!(wait_until(Duration::from_secs(20), refused), "it ends:\n{}", cornac.log());
    assert!(path.exists(), "{}", cornac.log());
}

#[test]
fn a_passed_socket_that_no_site_wants_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let own = support::free_port();
    let cornac = Activated::with(listener.into(), &own.to_string());
    cornac.wait_for_log(&format!("systemd listens on 127.0.0.1:{port}, but no site does"));
    drop(cornac);
}
