//! Active health on real php-fpm: who is asked, what counts as an answer, and what an operator reads about it.

mod support;

use support::http::Connection;
use support::{Answer, Cornac, Fpm, FpmBuilder, Load, Signal, Tp, free_port};

const STATUS: &str = "health = { interval = \"50ms\", status_path = \"/fpm-status\" }";

fn over(fpm: &Fpm, health: &str) -> Cornac {
    Tp::over([fpm]).pool(health).start()
}

/// A php-fpm that logs what it was asked for and how it answered.
fn with_access_log(builder: FpmBuilder) -> (Fpm, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().expect("a temp file");
    let fpm = builder
        .directive("access.log", log.path().display())
        .directive("access.format", "\"%n %r %s\"")
        .start();
    (fpm, log)
}

fn wait_for_lines(log: &tempfile::NamedTempFile, line: &str, times: usize) {
    let read = || std::fs::read_to_string(log.path()).unwrap_or_default();
    let seen =
        support::wait_until(std::time::Duration::from_secs(20), || read().matches(line).count() >= times);
    assert!(seen, "{line:?} is not {times} times in php-fpm's access log:\n{}", read());
}

#[test]
fn a_php_fpm_that_died_is_out_and_back_without_any_request() {
    let (mut fpm, log) = with_access_log(Fpm::builder("a"));
    let cornac = over(&fpm, STATUS);
    // The second one is asked when the first has been read.
    wait_for_lines(&log, "/fpm-status 200", 2);
    fpm.kill();
    cornac.wait_for_log("member is ejected for 5 s (connection refused)");
    // php-fpm tells its start time in whole seconds.
    std::thread::sleep(std::time::Duration::from_secs(1));
    fpm.restart();
    cornac.wait_for_log("member is ready");
    cornac.wait_for_log("php-fpm was restarted");
    for (state, why) in [("is ejected", "it failed its checks"), ("is ready", "it passed its checks")] {
        let (log, state, why) = (cornac.log(), format!("member {state}"), format!("because={why}"));
        assert!(log.lines().any(|line| line.contains(&state) && line.contains(&why)), "{log}");
    }
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn a_busy_php_fpm_is_busy_and_never_ejected() {
    let fpm = Fpm::builder("a").workers(1).start();
    let cornac = over(&fpm, STATUS);
    let mut held = Connection::open(cornac.address());
    held.send("GET /gate/held HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("held", 1);
    cornac.wait_for_log("member is busy (no worker answered a check)");
    fpm.open_gate("held");
    assert_eq!(held.response().text(), "through\n");
    cornac.wait_for_log("member is not busy any more");
    assert!(!cornac.log().contains("ejected"), "{}", cornac.log());
}

const KEEPS: &str = "keepalive = { mode = \"on\", idle = 4, timeout = \"10m\" }";

/// To php-fpm a worker behind a connection that lies idle is a busy one.
#[test]
fn connections_that_we_keep_do_not_make_a_member_busy() {
    let (fpm, log) = with_access_log(Fpm::builder("a").workers(1));
    let cornac = over(&fpm, &format!("{STATUS}\n{KEEPS}"));
    for round in 1..=2 {
        assert_eq!(cornac.get("/json").status, 200);
        wait_for_lines(&log, "/fpm-status 200", round * 3);
    }
    assert!(!cornac.log().contains("busy"), "{}", cornac.log());
}

/// Its workers do not hear of the stop while they wait on a kept connection.
#[test]
fn a_php_fpm_that_stops_in_order_is_not_held_up_by_kept_connections() {
    let fpm = Fpm::builder("a").workers(2).global("process_control_timeout", "60s").start();
    let cornac = over(&fpm, &format!("{STATUS}\n{KEEPS}"));
    Answer::all_are_200(&Load::until(cornac.address(), 2, 20, |_, _| "/json").join());
    fpm.signal(Signal::QUIT);
    let ended = support::wait_until(std::time::Duration::from_secs(20), || fpm.worker_pids().is_empty());
    assert!(ended, "{:?} wait: {}", fpm.worker_pids(), cornac.log());
    cornac.wait_for_log("member is ejected");
}

#[test]
fn status_listen_answers_while_every_worker_is_busy() {
    let port = free_port();
    let fpm = Fpm::builder("a").tcp().workers(1).directive("pm.status_listen", port.address()).start();
    let status = format!(
        "health = {{ interval = \"50ms\", status_path = \"/fpm-status\", status_listen = \":{}\" }}",
        port.address().port()
    );
    let cornac = over(&fpm, &status);
    let mut held = Connection::open(cornac.address());
    held.send("GET /gate/held HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("held", 1);
    // Several rounds later nobody has been found busy.
    std::thread::sleep(std::time::Duration::from_millis(400));
    fpm.open_gate("held");
    assert_eq!(held.response().text(), "through\n");
    for word in ["busy", "ejected", "status page"] {
        assert!(!cornac.log().contains(word), "{}", cornac.log());
    }
}

#[test]
fn the_ping_page_is_asked_where_there_is_no_status_page_to_ask() {
    let (fpm, log) = with_access_log(Fpm::builder("a"));
    let _cornac = over(&fpm, "health = { interval = \"50ms\", ping_path = \"/fpm-ping\" }");
    wait_for_lines(&log, "/fpm-ping 200", 1);
}

#[test]
fn an_empty_health_asks_for_a_file_that_nobody_has_and_runs_nothing() {
    let (fpm, log) = with_access_log(Fpm::builder("a"));
    let cornac = over(&fpm, "health = { interval = \"50ms\" }");
    wait_for_lines(&log, "/cornac/asks/whether/anybody/is/there 404", 1);
    assert_eq!(cornac.get("/json").status, 200);
    assert!(!cornac.log().contains("member is"), "{}", cornac.log());
}

#[test]
fn a_wrong_status_path_is_said_once_and_is_not_held_against_the_member() {
    let (fpm, log) = with_access_log(Fpm::builder("a"));
    let cornac = over(&fpm, "health = { interval = \"50ms\", status_path = \"/nostatus\" }");
    cornac.wait_for_log(
        "/nostatus is not php-fpm's status page there (it answers 404): set pm.status_path to it",
    );
    wait_for_lines(&log, "/nostatus 404", 4);
    assert_eq!(cornac.get("/json").status, 200);
    assert_eq!(cornac.settled_log().matches("is not php-fpm's status page").count(), 1);
}

#[test]
fn a_host_that_php_fpm_does_not_allow_reads_so() {
    let fpm = Fpm::builder("a").tcp().directive("listen.allowed_clients", "10.99.99.99").start();
    let cornac = over(&fpm, STATUS);
    cornac.wait_for_log("closed at once, as listen.allowed_clients does");
}
