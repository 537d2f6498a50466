//! Sockets that systemd passes (sd_listen_fds(3)): who waits in them is served, and a socket file stays its owner's.

mod support;

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::time::Duration;

use support::http::Connection;
use support::{Process, Scratch, Signal, wait_until};

/// `cornac run` with this as descriptor 3, as systemd would pass it.
fn activated(socket: OwnedFd, listen: &str, scratch: &Scratch) -> Process {
    let site = format!(
        "[[sites]]\nlisten = \"{listen}\"\n[[sites.routes]]\nmatch = \"/\"\nreturn = {{ status = 200, body = \"$remote_addr\" }}\n"
    );
    let file = scratch.write("cornac.toml", site);
    let mut command = Command::new("sh");
    command.arg("-c").arg(r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" run -c "$1""#);
    command.arg(env!("CARGO_BIN_EXE_cornac")).arg(file).stdin(socket);
    Process::start("cornac", &mut command, scratch.join("output.log"))
}

fn ends(mut cornac: Process) {
    assert!(cornac.end(Signal::TERM).is_some(), "{}", cornac.log());
}

#[test]
fn who_waits_in_a_passed_socket_is_served() {
    for (bind, written) in [("127.0.0.1:0", "127.0.0.1:PORT"), ("[::]:0", "PORT")] {
        let listener = TcpListener::bind(bind).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        // Before there is any cornac: no other socket than this one can have it.
        let mut waiting = Connection::open(([127, 0, 0, 1], port).into());
        let scratch = Scratch::new();
        let cornac = activated(listener.into(), &written.replace("PORT", &port.to_string()), &scratch);
        assert_eq!(waiting.get("/").text().trim(), "127.0.0.1", "{bind}: {}", cornac.log());
        ends(cornac);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the test's own copy was given away");
    }
}

#[test]
fn a_socket_file_of_systemd_s_is_not_removed() {
    let scratch = Scratch::new();
    let path = scratch.join("http.sock");
    let listener = UnixListener::bind(&path).expect("a short path");
    let _waiting = UnixStream::connect(&path).expect("it listens");
    let cornac = activated(listener.into(), &format!("unix:{}", path.display()), &scratch);
    assert!(wait_until(Duration::from_secs(10), || cornac.log().contains("http.sock")), "{}", cornac.log());
    ends(cornac);
    assert!(path.exists());
}

#[test]
fn a_passed_socket_that_no_site_wants_is_named() {
    let scratch = Scratch::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let own = support::free_port();
    let cornac = activated(listener.into(), &own.to_string(), &scratch);
    let said = format!("systemd listens on 127.0.0.1:{port}, but no site does");
    assert!(wait_until(Duration::from_secs(10), || cornac.log().contains(&said)), "{}", cornac.log());
    ends(cornac);
}
