//! The queue in front of busy workers: ordered, bounded, and rid of those who left. One php-fpm worker, held at a gate, makes it full.

mod support;

use std::time::{Duration, Instant};

use support::http::{self, BodyReader, Connection, Response};
use support::{Answer, Cornac, Fpm, Load, Tp, server};

/// One worker, and a cornac that knows it. One thread, so that what was sent first is seen first.
fn one_worker(pool: &str) -> (Fpm, Cornac) {
    let fpm = Fpm::builder("a").workers(1).start();
    let cornac =
        Tp::with_servers(vec![server(&fpm, "max_conns = 1")]).server("threads = 1").pool(pool).start();
    (fpm, cornac)
}

fn send(cornac: &Cornac, target: &str) -> Connection {
    let mut connection = Connection::open(cornac.address());
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    connection
}

/// Takes the worker until its gate is opened.
fn take_worker(fpm: &Fpm, cornac: &Cornac) -> Connection {
    let held = send(cornac, "/gate/held");
    fpm.wait_for_count("held", 1);
    held
}

/// Whatever was sent before has been seen: the only thread has answered two later requests.
fn settle(cornac: &Cornac) {
    for _ in 0..2 {
        assert_eq!(cornac.get("/robots.txt").status, 200);
    }
}

fn assert_come_again_later(response: &Response) {
    assert_eq!(response.status, 503, "{response:?}");
    let seconds: u32 = response.header("retry-after").expect("Retry-After").parse().expect("in seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[test]
fn a_full_queue_is_a_503_with_retry_after_at_once() {
    let (fpm, cornac) = one_worker("queue = { size = 2, timeout = \"30s\" }");
    let mut held = take_worker(&fpm, &cornac);
    let mut waiting = ["/json?n=1", "/json?n=2"].map(|target| send(&cornac, target));
    settle(&cornac);
    for _ in 0..3 {
        let asked = Instant::now();
        assert_come_again_later(&cornac.get("/json?count=refused"));
        assert!(asked.elapsed() < Duration::from_secs(5), "as late as {:?}", asked.elapsed());
    }
    fpm.open_gate("held");
    assert_eq!(held.response().text(), "through\n");
    for connection in &mut waiting {
        assert_eq!(connection.response().status, 200);
    }
    assert_eq!(fpm.count("refused"), 0);
}

#[test]
fn without_a_queue_nobody_waits() {
    let (fpm, cornac) = one_worker("queue = { size = 0 }");
    let mut held = take_worker(&fpm, &cornac);
    assert_come_again_later(&cornac.get("/json"));
    fpm.open_gate("held");
    assert_eq!(held.response().status, 200);
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn files_are_served_while_every_worker_is_busy() {
    let (fpm, cornac) = one_worker("queue = { size = 0 }");
    let mut held = take_worker(&fpm, &cornac);
    assert_eq!(cornac.get("/style.css").status, 200);
    fpm.open_gate("held");
    assert_eq!(held.response().status, 200);
}

#[test]
fn who_waits_is_answered_in_the_order_of_arrival() {
    let (fpm, cornac) = one_worker("");
    let mut held = take_worker(&fpm, &cornac);
    let mut waiting = vec![];
    for _ in 0..8 {
        waiting.push(send(&cornac, "/count/turn"));
        settle(&cornac);
    }
    assert_eq!(fpm.count("turn"), 0);
    fpm.open_gate("held");
    assert_eq!(held.response().status, 200);
    let turns: Vec<_> = waiting.iter_mut().map(|waiting| waiting.response().json()["runs"].clone()).collect();
    assert_eq!(turns, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn who_waits_too_long_gets_a_503_and_its_script_never_runs() {
    let (fpm, cornac) = one_worker("queue = { timeout = \"150ms\" }");
    let mut held = take_worker(&fpm, &cornac);
    let asked = Instant::now();
    assert_come_again_later(&cornac.get("/json?count=late"));
    assert!(asked.elapsed() >= Duration::from_millis(150), "only {:?}", asked.elapsed());
    let entry = cornac.entry("/json?count=late");
    assert!(entry["queue_ms"].as_f64().is_some_and(|waited| waited >= 150.0), "{entry}");
    assert_eq!(entry["tries"], 0);
    fpm.open_gate("held");
    assert_eq!(held.response().status, 200);
    assert_eq!(cornac.get("/json").status, 200);
    assert_eq!(fpm.count("late"), 0);
}

#[test]
fn the_script_of_a_client_that_left_the_queue_never_runs() {
    let (fpm, cornac) = one_worker("");
    let mut held = take_worker(&fpm, &cornac);
    let leaver = send(&cornac, "/count/leaver");
    let mut stayer = send(&cornac, "/count/stayer");
    settle(&cornac);
    drop(leaver);
    // Its line in the access log is the sign that it was taken out.
    assert_eq!(cornac.entry("/count/leaver")["status"], 499);
    fpm.open_gate("held");
    assert_eq!((held.response().status, stayer.response().status), (200, 200));
    assert_eq!((fpm.count("leaver"), fpm.count("stayer")), (0, 1));
}

#[test]
fn a_place_in_the_queue_that_a_client_left_is_free_for_another() {
    let (fpm, cornac) = one_worker("queue = { size = 1 }");
    let mut held = take_worker(&fpm, &cornac);
    drop(send(&cornac, "/json?n=leaver"));
    assert_eq!(cornac.entry("/json?n=leaver")["status"], 499);
    let mut next = send(&cornac, "/json?n=next");
    settle(&cornac);
    assert_come_again_later(&cornac.get("/json?n=one-too-many"));
    fpm.open_gate("held");
    assert_eq!((held.response().status, next.response().status), (200, 200));
}

#[test]
fn a_client_that_leaves_a_running_script_frees_the_worker_when_php_notices() {
    let (fpm, cornac) = one_worker("");
    let mut leaver = send(&cornac, "/stream?chunks=20000&ms=5&unbuffered=1&count=streams");
    let head = leaver.head().expect("a head");
    BodyReader::of(&head, "GET").unwrap().next(&mut leaver).unwrap().expect("the first chunk");
    drop(leaver);
    // The script would print for 100 s.
    let asked = Instant::now();
    assert_eq!(cornac.get("/json").status, 200);
    assert!(asked.elapsed() < Duration::from_secs(20));
    let entry = cornac.entry("/stream?chunks=20000&ms=5&unbuffered=1&count=streams");
    assert_eq!(entry["end"], "client left", "{entry}");
    assert_eq!(fpm.count("streams"), 1);
}

#[test]
fn a_client_that_leaves_a_silent_script_costs_the_next_one_nothing_but_time() {
    let (fpm, cornac) = one_worker("");
    let leaver = take_worker(&fpm, &cornac);
    drop(leaver);
    assert_eq!(cornac.entry("/gate/held")["status"], 499);
    let mut next = send(&cornac, "/json");
    settle(&cornac);
    fpm.open_gate("held");
    assert_eq!(next.response().status, 200);
    assert_eq!(fpm.count("held"), 1);
}

#[test]
fn a_saturated_pool_is_busy_and_not_down() {
    let members = ["a", "b"].map(|name| Fpm::builder(name).workers(1).start());
    for limit in ["max_fails = 1, max_conns = 1", "max_fails = 1"] {
        let servers = members.each_ref().map(|fpm| server(fpm, limit)).to_vec();
        let cornac = Tp::with_servers(servers).start();
        let answers = Load::until(cornac.address(), 24, 10, |_, _| "/sleep/4").join();
        Answer::all_are_200(&answers);
        for member in ["a", "b"] {
            assert!(Answer::of_member(&answers, member) >= 30, "{limit}: {member} was left out");
        }
        assert!(!cornac.log().contains("ejected"), "{}", cornac.log());
    }
}

#[test]
fn server_timing_says_how_long_a_request_waited_where_the_pool_is_asked_to() {
    let (fpm, cornac) = one_worker("queue = { header = true }");
    let mut held = take_worker(&fpm, &cornac);
    let mut waiting = send(&cornac, "/json?n=waits");
    settle(&cornac);
    fpm.open_gate("held");
    assert_eq!(held.response().status, 200);
    let response = waiting.response();
    let told = response.header("server-timing").expect("Server-Timing");
    let waited: f64 = told.strip_prefix("queue;dur=").expect("its name").parse().expect("milliseconds");
    let logged = cornac.entry("/json?n=waits")["queue_ms"].as_f64().expect("a number");
    assert!(waited > 0.0 && (waited - logged).abs() < 0.002, "{waited} and {logged}");

    let (_fpm, cornac) = one_worker("");
    assert_eq!(cornac.get("/json").header("server-timing"), None);

    let (fpm, cornac) = one_worker("queue = { header = true, size = 0 }");
    let _held = take_worker(&fpm, &cornac);
    let refused = cornac.get("/json");
    assert_come_again_later(&refused);
    assert!(
        refused.header("server-timing").is_some_and(|told| told.starts_with("queue;dur=")),
        "{refused:?}"
    );
}

#[test]
fn a_slow_route_with_a_max_share_cannot_keep_the_others_from_being_answered() {
    let fpm = Fpm::builder("a").workers(4).start();
    let route = "[[sites.routes]]\nmatch = \"^~ /index.php/gate/\"\nfastcgi = true\nmax_share = \"50%\"\n";
    let cornac = Tp::with_servers(vec![server(&fpm, "max_conns = 4")])
        .server("threads = 1")
        .pool("queue = { timeout = \"60s\" }")
        .more(route)
        .start();
    let mut slow: Vec<_> = (0..6).map(|_| send(&cornac, "/index.php/gate/slow")).collect();
    settle(&cornac);
    fpm.wait_for_count("slow", 2);
    for _ in 0..5 {
        assert_eq!(cornac.get("/json?count=fast").status, 200);
    }
    assert_eq!((fpm.count("slow"), fpm.count("fast")), (2, 5), "four of them wait");
    fpm.open_gate("slow");
    for connection in &mut slow {
        assert_eq!(connection.response().text(), "through\n");
    }
    assert_eq!(fpm.count("slow"), 6);
}

#[test]
fn a_thousand_requests_on_one_connection_do_not_starve_another_client() {
    let fpm = Fpm::builder("a").workers(1).start();
    let cornac = Tp::with_servers(vec![server(&fpm, "max_conns = 1")]).quiet().start();
    let mut greedy = Connection::open(cornac.address());
    greedy.send("GET /count/greedy HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000));
    fpm.wait_for_count("greedy", 1);
    for _ in 0..3 {
        assert_eq!(cornac.get("/json").status, 200);
    }
    let before_it = fpm.count("greedy");
    assert!(before_it < 1_000, "the other client was answered behind all of them");
    for _ in 0..1_000 {
        assert_eq!(greedy.response().status, 200);
    }
    assert_eq!(fpm.count("greedy"), 1_000);
}

#[test]
fn pipelined_requests_wait_too_and_are_answered_in_order() {
    let (fpm, cornac) = one_worker("");
    let mut held = take_worker(&fpm, &cornac);
    let mut pipeline = Connection::open(cornac.address());
    let one = |n: u32| format!("GET /count/pipe?n={n} HTTP/1.1\r\nHost: x\r\n\r\n");
    pipeline.send((1..=4).map(one).collect::<String>());
    settle(&cornac);
    fpm.open_gate("held");
    assert_eq!(held.response().status, 200);
    for turn in 1..=4 {
        assert_eq!(pipeline.response().json()["runs"], turn);
    }
    assert_eq!(http::get(cornac.address(), "/count/pipe").json()["runs"], 5);
}

/// php-fpm's own backlog is short here: a unix socket then refuses at once, where TCP would wait (fpm-facts 14).
#[test]
fn a_full_backlog_of_php_fpm_is_waited_for() {
    let fpm = Fpm::builder("a").workers(2).backlog(2).start();
    let cornac = Tp::over([&fpm]).pool("timeouts = { connect = \"10s\" }").start();
    Answer::all_are_200(&Load::until(cornac.address(), 32, 5, |_, _| "/sleep/4").join());
    assert!(!cornac.log().contains("ejected"), "{}", cornac.log());
}

#[test]
fn a_backlog_that_stays_full_is_a_503_and_no_reason_to_eject() {
    let fpm = Fpm::builder("a").workers(1).backlog(1).start();
    let cornac = Tp::with_servers(vec![server(&fpm, "max_fails = 1")])
        .pool("timeouts = { connect = \"100ms\" }")
        .start();
    let mut held = take_worker(&fpm, &cornac);
    let answers = Load::until(cornac.address(), 8, 1, |_, _| "/json").join_after(|| {
        cornac.wait_for_log("its backlog is full");
        fpm.open_gate("held");
    });
    assert_eq!(held.response().status, 200);
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    assert!(refused > 0 && answers.iter().all(|answer| matches!(answer.status, 200 | 503)), "{answers:#?}");
    assert!(!cornac.log().contains("ejected") && !cornac.log().contains("suspect"), "{}", cornac.log());
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn an_upload_that_waited_and_one_that_is_tried_again_arrive_whole() {
    let (fpm, cornac) = one_worker("");
    let mut held = take_worker(&fpm, &cornac);
    let body = support::big_bytes(3_000_000);
    let mut waiting = Connection::open(cornac.address());
    waiting.send(format!("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
    waiting.send(&body);
    settle(&cornac);
    fpm.open_gate("held");
    assert_eq!(held.response().status, 200);
    let digest = cornac.get("/big/digest/bytes/3000000").json()["sha256"].clone();
    assert_eq!(waiting.response().json()["body"]["sha256"], digest);

    let closes = support::Responder::start(|_| false);
    let servers = vec![format!("{{ address = \"{}\", weight = 100 }}", closes.server()), server(&fpm, "")];
    let cornac = Tp::with_servers(servers).pool("policy = \"round_robin\"").start();
    let again = http::request(cornac.address(), "PUT", "/upload", &[], &body).json();
    assert_eq!((again["body"]["sha256"].clone(), closes.calls()), (digest, 1));
}
