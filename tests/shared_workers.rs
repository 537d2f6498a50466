//! Limits that nobody told, on real php-fpm: every worker is used, none is held away from anyone else, and nobody hangs.

mod support;

use std::time::Duration;

use support::http::{self, Connection};
use support::{Answer, Cornac, Fpm, Listen, Load, Nginx, Pm, Tp, fixtures, wait_until};

/// Another front end on the same pool, that neither limits nor keeps anything.
fn nginx_beside(fpm: &Fpm) -> Nginx {
    let server = match fpm.listen() {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    };
    let root = fixtures("tp/public").display().to_string();
    Nginx::start(&format!(
        "location / {{
            include fastcgi_params;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param SCRIPT_FILENAME {root}/index.php;
            fastcgi_pass {server};
        }}"
    ))
}

/// Asks for as many gates as there should be workers, each when the one before runs: php-fpm's ondemand starts one worker only
/// for connections that come together. Lets them through when all of them run.
fn fill(cornac: &Cornac, members: &[&Fpm], requests: u64, name: &str) {
    let running = || members.iter().map(|fpm| fpm.count(name)).sum::<u64>();
    let mut waiting = vec![];
    for number in 1..=requests {
        let mut connection = Connection::open(cornac.address());
        connection.send(format!("GET /gate/{name} HTTP/1.1\r\nHost: x\r\n\r\n"));
        waiting.push(connection);
        let runs = wait_until(Duration::from_secs(25), || running() == number);
        assert!(runs, "only {} of {requests} run", running());
    }
    members.iter().for_each(|fpm| fpm.open_gate(name));
    waiting.iter_mut().for_each(|connection| assert_eq!(connection.response().status, 200));
}

/// The most scripts that ever ran at once.
fn most_at_once(fpm: &Fpm, name: &str) -> u32 {
    let counter = std::fs::read_to_string(fpm.counters().join(name)).unwrap_or_default();
    counter.split(' ').nth(1).and_then(|most| most.parse().ok()).unwrap_or_default()
}

#[test]
fn every_worker_of_three_pools_is_used_without_a_limit_told() {
    let [a, b, c] = ["a", "b", "c"].map(Fpm::start);
    let cornac = Tp::over([&a, &b, &c]).start();
    fill(&cornac, &[&a, &b, &c], 12, "all");
    for fpm in [&a, &b, &c] {
        assert_eq!(fpm.count("all"), 4, "{}", fpm.member());
    }
}

#[test]
fn a_pool_with_more_workers_than_the_first_guess_is_used_to_the_full() {
    let fpm = Fpm::builder("a").workers(12).start();
    let cornac = Tp::over([&fpm]).start();
    fill(&cornac, &[&fpm], 12, "many");
}

#[test]
fn more_workers_after_a_reload_are_noticed() {
    let fpm = Fpm::builder("a").workers(2).start();
    let cornac = Tp::over([&fpm]).start();
    Answer::all_are_200(&Load::until(cornac.address(), 16, 40, |_, _| "/sleep/2").join());
    fpm.reload_with(10);
    assert!(wait_until(Duration::from_secs(20), || fpm.worker_pids().len() == 10), "{}", fpm.log());
    let load = Load::start(cornac.address(), 24, |_, _| "/concurrent/most?ms=4");
    let used = wait_until(Duration::from_secs(25), || most_at_once(&fpm, "most") == 10);
    Answer::all_are_200(&load.stop());
    assert!(used, "at most {} at once", most_at_once(&fpm, "most"));
}

#[test]
fn no_worker_of_an_ondemand_pool_stays_after_the_load_and_all_come_again_with_it() {
    let fpm =
        Fpm::builder("a").pm(Pm::Ondemand).workers(2).directive("pm.process_idle_timeout", "1s").start();
    let cornac = Tp::over([&fpm]).start();
    for round in ["first", "second"] {
        fill(&cornac, &[&fpm], 2, round);
        Answer::all_are_200(&Load::until(cornac.address(), 8, 50, |_, _| "/json").join());
        let gone = wait_until(Duration::from_secs(20), || fpm.worker_pids().is_empty());
        assert!(gone, "{round}: {:?} are left", fpm.worker_pids());
    }
}

#[test]
fn a_dynamic_pool_grows_under_load_as_far_as_it_may() {
    let fpm = Fpm::builder("a").pm(Pm::Dynamic).workers(6).start();
    let cornac = Tp::over([&fpm]).start();
    let load = Load::start(cornac.address(), 16, |_, _| "/concurrent/most?ms=5");
    let grown = wait_until(Duration::from_secs(25), || most_at_once(&fpm, "most") == 6);
    Answer::all_are_200(&load.stop());
    assert!(grown, "at most {} at once", most_at_once(&fpm, "most"));
}

/// php-fpm's own count of the connections that it has taken, the one that asks included.
fn accepted(cornac: &Cornac) -> u64 {
    let status: serde_json::Value =
        serde_json::from_str(cornac.get("/fpm-status?json").text()).expect("JSON");
    status["accepted conn"].as_u64().expect("a number")
}

/// php-fpm closes a connection that says nothing for 5 s, and until then a worker waits on it.
#[test]
fn no_connection_is_opened_before_a_request_needs_it() {
    let fpm = Fpm::start("a");
    let off = "keepalive = { mode = \"off\" }";
    let status = "[[sites.routes]]\nmatch = \"= /fpm-status\"\nfastcgi = true\nscript = \"/fpm-status\"\n";
    let beside = Tp::over([&fpm]).pool(off).site("scripts = \"remote\"").more(status).start();
    let before = accepted(&beside);
    let _idle = Tp::over([&fpm]).start();
    let cornac = Tp::over([&fpm]).pool(off).start();
    assert_eq!(accepted(&beside), before + 1, "none for the start");
    for _ in 0..5 {
        assert_eq!(cornac.get("/json").status, 200);
    }
    assert_eq!(accepted(&beside), before + 5 + 2, "one for each request");
}

/// Both workers are behind connections of ours that lie idle when the other front end comes.
#[test]
fn another_front_end_is_answered_though_our_kept_connections_hold_every_worker() {
    let fpm = Fpm::builder("a").workers(2).start();
    let (cornac, nginx) = (Tp::over([&fpm]).start(), nginx_beside(&fpm));
    for round in 0..10 {
        fill(&cornac, &[&fpm], 2, &format!("pair{round}"));
        assert_eq!(http::get(nginx.address(), "/json").status, 200);
    }
}

#[test]
fn another_front_end_is_answered_under_our_load_and_so_are_we_under_its() {
    let fpm = Fpm::builder("a").tcp().workers(2).start();
    let (cornac, nginx) = (Tp::over([&fpm]).start(), nginx_beside(&fpm));
    for (under_load, beside) in [(cornac.address(), nginx.address()), (nginx.address(), cornac.address())] {
        let load = Load::start(under_load, 12, |_, _| "/sleep/1");
        load.wait_for(50);
        Answer::all_are_200(&Load::until(beside, 6, 20, |_, _| "/sleep/1").join());
        Answer::all_are_200(&load.stop());
    }
}

/// A POST wants a fresh connection, for which there is a worker only when a kept one is closed.
#[test]
fn posts_and_gets_that_compete_for_one_worker_are_all_answered() {
    for keepalive in ["{ mode = \"auto\" }", "{ mode = \"on\" }", "{ mode = \"off\" }"] {
        let fpm = Fpm::builder("a").workers(1).start();
        let cornac = Tp::over([&fpm]).pool(&format!("keepalive = {keepalive}")).start();
        let load = Load::until(cornac.address(), 6, 40, |client, request| match (client + request) % 3 {
            0 => "POST /json?count=posts",
            _ => "/json",
        });
        Answer::all_are_200(&load.join());
        assert_eq!(fpm.count("posts"), 80, "{keepalive}");
    }
}
