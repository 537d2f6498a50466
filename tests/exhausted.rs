//! What this process may open is bounded by the system: how far it reaches, and what happens at its end.

mod support;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use support::http::{self, Connection};
use support::{Cornac, Fpm, Tp};

/// Sets the limit of open files of a running cornac.
fn limit(cornac: &Cornac, limit: Rlimit) {
    let pid = Pid::from_raw(cornac.pid().cast_signed()).expect("a process");
    prlimit(Some(pid), Resource::Nofile, limit).expect("an own child");
}

fn ask(client: &mut Connection) -> u16 {
    client.send("GET /json HTTP/1.1\r\nHost: x\r\n\r\n");
    client.response().status
}

#[test]
fn a_want_of_file_descriptors_is_a_503_that_says_so_and_is_held_against_no_member() {
    let [a, b] = ["a", "b"].map(Fpm::start);
    let health = "keepalive = { mode = \"off\" }\nhealth = { interval = \"50ms\", fails = 1 }";
    let cornac = Tp::over([&a, &b]).pool(health).start();
    let mut client = Connection::open(cornac.address());
    assert_eq!(ask(&mut client), 200);
    let all = getrlimit(Resource::Nofile);
    limit(&cornac, Rlimit { current: Some(3), ..all });
    for _ in 0..10 {
        assert_eq!(ask(&mut client), 503);
    }
    cornac.wait_for_log("cornac has no file descriptor or port left");
    limit(&cornac, all);
    assert_eq!(ask(&mut client), 200);
    assert_eq!(http::get(cornac.address(), "/json").status, 200);
    for word in ["suspect", "ejected", "busy"] {
        assert!(!cornac.log().contains(word), "{}", cornac.log());
    }
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let fpm = Fpm::start("a");
    // What cornac inherits, as a shell's soft limit.
    let ours = getrlimit(Resource::Nofile);
    let lower = Rlimit { current: ours.maximum.map(|most| most - 1).or(Some(4096)), ..ours };
    setrlimit(Resource::Nofile, lower).expect("lower is allowed");
    let cornac = Tp::over([&fpm]).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", cornac.pid())).expect("a running cornac");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("Linux tells it");
    let [soft, hard] = [3, 4].map(|column| files.split_whitespace().nth(column).expect("two limits"));
    assert_eq!(soft, hard);
}
