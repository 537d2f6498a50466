//! A server's beginning and end: what it has promised is kept, what it made is taken away.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use support::http::{BodyReader, Connection};
use support::{Cornac, Fpm, Load, Scratch, Signal, Tp, big_bytes, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// Nobody is accepted any more.
fn wait_until_it_refuses(cornac: &Cornac) {
    let refused = || std::net::TcpStream::connect(cornac.address()).is_err();
    assert!(wait_until(SOON, refused), "it goes on accepting:\n{}", cornac.log());
}

fn assert_ended_well(cornac: &mut Cornac) {
    let status = cornac.wait(SOON).unwrap_or_else(|| panic!("it does not end:\n{}", cornac.log()));
    assert_eq!(status.code(), Some(0), "{}", cornac.log());
}

#[test]
fn sigquit_lets_requests_in_flight_and_in_the_queue_finish_and_accepts_no_more() {
    let fpm = Fpm::builder("a").workers(1).start();
    let servers = vec![support::server(&fpm, "max_conns = 1")];
    let mut cornac = Tp::with_servers(servers).start();
    let mut flying = Connection::open(cornac.address());
    flying.send("GET /gate/flying HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("flying", 1);
    let mut queued = Connection::open(cornac.address());
    queued.send("GET /count/queued HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(cornac.get("/robots.txt").status, 200);

    cornac.signal(Signal::QUIT);
    wait_until_it_refuses(&cornac);
    fpm.open_gate("flying");
    assert_eq!(flying.response().text(), "through\n");
    assert_eq!(queued.response().json()["runs"], 1);
    assert_ended_well(&mut cornac);
}

#[test]
fn sigquit_goes_on_accepting_for_shutdown_delay_and_a_second_one_cuts_it_short() {
    let fpm = Fpm::start("a");
    let mut cornac = Tp::over([&fpm]).server("shutdown_delay = \"1h\"").start();
    cornac.signal(Signal::QUIT);
    cornac.wait_for_log("clients are still accepted");
    let reply = support::http::get(cornac.address(), "/json");
    assert_eq!(reply.status, 200);
    let mut kept = Connection::open(cornac.address());
    assert_eq!(kept.get("/json").header("connection"), None, "nothing is closed yet");
    cornac.signal(Signal::QUIT);
    wait_until_it_refuses(&cornac);
    let last = kept.get("/json");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert_ended_well(&mut cornac);
}

#[test]
fn sigquit_lets_a_large_reply_reach_its_slow_reader_whole() {
    const SIZE: usize = 20_000_000;
    let fpm = Fpm::start("a");
    let mut cornac = Tp::over([&fpm]).start();
    let mut reader = Connection::open(cornac.address());
    reader.send(format!("GET /big/{SIZE} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let head = reader.head().expect("a head");
    cornac.signal(Signal::QUIT);
    wait_until_it_refuses(&cornac);
    let mut body = BodyReader::of(&head, "GET").expect("a body");
    let mut got = vec![];
    while let Some(piece) = body.next(&mut reader).expect("a whole body") {
        got.extend(piece);
    }
    assert!(got == big_bytes(SIZE), "{} bytes", got.len());
    assert_ended_well(&mut cornac);
}

#[test]
fn sigquit_waits_no_longer_than_shutdown_timeout_and_for_no_idle_client() {
    let fpm = Fpm::start("a");
    let mut cornac = Tp::over([&fpm]).start();
    let mut idle = Connection::open(cornac.address());
    assert_eq!(idle.get("/json").status, 200);
    let told = Instant::now();
    cornac.signal(Signal::QUIT);
    assert_ended_well(&mut cornac);
    assert!(told.elapsed() < Duration::from_secs(8), "it waited for an idle client: {:?}", told.elapsed());

    let mut cornac = Tp::over([&fpm]).server("shutdown_timeout = \"200ms\"").start();
    let mut stuck = Connection::open(cornac.address());
    stuck.send("GET /gate/stuck HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("stuck", 1);
    cornac.signal(Signal::QUIT);
    assert_ended_well(&mut cornac);
    assert!(stuck.try_response("GET").is_err(), "cut, not answered");
    fpm.open_gate("stuck");
}

#[test]
fn sigterm_and_sigint_stop_at_once_and_a_cut_reply_does_not_look_whole() {
    for signal in [Signal::TERM, Signal::INT] {
        let fpm = Fpm::start("a");
        let mut cornac = Tp::over([&fpm]).start();
        let mut stuck = Connection::open(cornac.address());
        stuck.send("GET /gate/stuck?first=begun&unbuffered=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = stuck.head().expect("a head");
        let mut body = BodyReader::of(&head, "GET").expect("a body");
        assert_eq!(body.next(&mut stuck).unwrap().unwrap(), b"begun");
        cornac.signal(signal);
        assert_ended_well(&mut cornac);
        assert!(body.next(&mut stuck).is_err(), "{signal:?}: half a reply ended cleanly");
    }
}

#[test]
fn a_stop_under_load_leaves_php_fpm_well() {
    let fpm = Fpm::builder("a").workers(2).start();
    let cornac = Tp::over([&fpm]).pool("keepalive = { mode = \"on\", timeout = \"60s\" }").start();
    let load = Load::start(cornac.address(), 4, |_, _| "/json");
    load.wait_for(50);
    cornac.signal(Signal::TERM);
    wait_until_it_refuses(&cornac);
    // The clients panic when nobody listens any more, which is what was asked for.
    drop(load);
    drop(cornac);
    let next = Tp::over([&fpm]).start();
    assert_eq!(next.get("/json").status, 200, "no worker is held by the one that ended");
}

#[test]
fn the_pid_file_is_there_while_it_runs_and_gone_afterwards() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let file = folder.join("cornac.pid");
    let mut cornac = Tp::over([&fpm]).server(&format!("pid_file = \"{}\"", file.display())).start();
    // It is written when the sockets stand, which is when the rig goes on.
    let own = cornac.pid().to_string();
    let written = || std::fs::read_to_string(&file).is_ok_and(|pid| pid.trim() == own);
    assert!(wait_until(SOON, written), "no pid file:\n{}", cornac.log());
    cornac.signal(Signal::TERM);
    assert_ended_well(&mut cornac);
    assert!(!file.exists());
}

#[test]
fn it_listens_on_unix_sockets_and_several_ports_and_removes_its_socket_at_the_end() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let socket = folder.join("http.sock");
    let ports = vec![support::free_port(), support::free_port()];
    let [first, second] = [ports[0].to_string(), ports[1].to_string()];
    let listen = format!("{first}\", \"{second}\", \"unix:{}", socket.display());
    let mut cornac = Cornac::run(&Tp::over([&fpm]).toml(&listen), ports);
    assert_eq!(cornac.get("/json").status, 200);
    assert_eq!(support::http::get(second.parse().expect("an address"), "/json").status, 200);
    let mut client = UnixStream::connect(&socket).expect("the socket is there");
    client.write_all(b"GET /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut reply = String::new();
    client.read_to_string(&mut reply).expect("a reply");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("\"ok\":true"), "{reply}");
    cornac.signal(Signal::TERM);
    assert_ended_well(&mut cornac);
    assert!(!socket.exists());
}

#[test]
fn it_starts_while_no_member_does_and_serves_when_one_comes() {
    let mut fpm = Fpm::builder("a").tcp().start();
    fpm.kill();
    let cornac = Tp::over([&fpm]).start();
    assert_eq!((cornac.get("/json").status, cornac.get("/style.css").status), (502, 200));
    fpm.restart();
    assert!(wait_until(SOON, || cornac.get("/json").status == 200), "{}", cornac.log());
}

#[test]
fn a_second_server_that_cannot_start_leaves_the_firsts_pid_file_alone() {
    let folder = Scratch::new();
    let file = folder.join("cornac.pid");
    let toml = |listen: &str| {
        let tp = Tp::with_servers(vec!["\"127.0.0.1:1\"".to_owned()]);
        tp.server(&format!("pid_file = \"{}\"", file.display())).toml(listen)
    };
    let first = Cornac::serving(toml);
    first.wait_for_log("listening");
    let config = first.config_file();
    let second = Cornac::command(&["run", "-c", &config.display().to_string()]);
    assert_eq!(second.status.code(), Some(3), "{}", second.text);
    let pid = std::fs::read_to_string(&file).expect("still there");
    assert_eq!(pid.trim(), first.pid().to_string());
}

#[test]
fn a_pid_file_that_cannot_be_written_is_named() {
    let port = support::free_port();
    let folder = Scratch::new();
    let tp = Tp::with_servers(vec!["\"127.0.0.1:1\"".to_owned()]);
    let toml = tp.server("pid_file = \"/proc/cornac.pid\"").toml(&port.to_string());
    let config = folder.write("cornac.toml", &toml);
    let failed = Cornac::command(&["run", "-c", &config.display().to_string()]);
    assert_eq!(failed.status.code(), Some(3), "{}", failed.text);
    assert!(failed.text.contains("the pid file /proc/cornac.pid: "), "{}", failed.text);
}
