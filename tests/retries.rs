//! When a request is sent again, and above all when it is not. php-fpm's own deaths where they can be had, a scripted
//! responder where a member must fail in a way that php-fpm does not.

mod support;

use std::time::Duration;

use support::http::{self, Broken, Connection, Response};
use support::{Call, Cornac, Fpm, Responder, Tp, record, server, wait_until};

const STDOUT: u8 = 6;

fn quoted(server: &str) -> String {
    format!("\"{server}\"")
}

/// The scripted member is asked first; the real one only when the first cannot answer. Nobody is ever ejected.
fn first_then_real(first: &Responder, real: &Fpm, pool: &str) -> Cornac {
    let servers = vec![
        format!("{{ address = \"{}\", max_fails = 0, weight = 100 }}", first.server()),
        server(real, "max_fails = 0"),
    ];
    Tp::with_servers(servers).pool(&format!("policy = \"round_robin\"\n{pool}")).start()
}

fn method(cornac: &Cornac, method: &str, target: &str) -> Response {
    let body = if matches!(method, "POST" | "PATCH" | "PUT") { &b"body"[..] } else { b"" };
    http::request(cornac.address(), method, target, &[], body)
}

#[test]
fn a_post_whose_worker_dies_is_a_502_and_never_runs_again() {
    let [a, b] = ["a", "b"].map(Fpm::start);
    let cornac = Tp::over([&a, &b]).start();
    for (runs, name) in ["POST", "PATCH"].into_iter().enumerate() {
        let target = format!("/fatal/kill?count=killed&n={runs}");
        assert_eq!(method(&cornac, name, &target).status, 502);
        assert_eq!(a.count("killed") + b.count("killed"), runs as u64 + 1, "{name} ran again");
        assert_eq!(cornac.entry(&target)["tries"], 1);
    }
}

#[test]
fn a_get_whose_worker_dies_is_tried_on_another_member_once_each() {
    let [a, b] = ["a", "b"].map(Fpm::start);
    let cornac = Tp::over([&a, &b]).start();
    for (n, name) in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].into_iter().enumerate() {
        let target = format!("/fatal/kill?count={name}&n={n}");
        let reply = http::try_request(cornac.address(), name, &target, &[], b"").expect("a whole reply");
        assert_eq!(reply.status, 502, "{name}");
        assert_eq!((a.count(name), b.count(name)), (1, 1), "{name}");
        assert_eq!(cornac.entry(&target)["tries"], 2);
        for fpm in [&a, &b] {
            assert!(wait_until(Duration::from_secs(5), || fpm.worker_pids().len() == 4));
        }
    }
}

#[test]
fn the_log_names_member_and_phase_of_a_502() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    assert_eq!(method(&cornac, "POST", "/fatal/kill").status, 502);
    let member = fpm.server().trim_start_matches("unix:").to_owned();
    let entry = cornac.entry("/fatal/kill");
    assert!(entry["member"].as_str().is_some_and(|name| name.contains(&member)), "{entry}");
    let id = entry["request_id"].as_str().expect("an id").to_owned();
    cornac.wait_for_log("closed without an answer");
    let log = cornac.settled_log();
    let event = log.lines().find(|line| line.contains("closed without an answer") && line.contains(&id));
    let event = event.unwrap_or_else(|| panic!("no event of request {id}:\n{log}"));
    assert!(event.contains(&member) && event.contains("first byte"), "{event}");
}

#[test]
fn a_get_that_a_member_closes_without_an_answer_is_answered_by_the_next_and_a_post_is_not() {
    let closes = Responder::start(|_| false);
    let real = Fpm::start("real");
    let cornac = first_then_real(&closes, &real, "");
    assert_eq!(method(&cornac, "GET", "/json?n=1").member(), "real");
    assert_eq!((closes.calls(), &cornac.entry("/json?n=1")["tries"]), (1, &serde_json::json!(2)));
    assert_eq!(method(&cornac, "POST", "/json?count=posted").status, 502);
    assert_eq!((closes.calls(), real.count("posted")), (2, 0));
}

#[test]
fn non_idempotent_requests_are_repeated_only_where_the_operator_says_so() {
    let closes = Responder::start(|_| false);
    let real = Fpm::start("real");
    let cornac = first_then_real(&closes, &real, "retry = { non_idempotent = true }");
    assert_eq!(
        method(&cornac, "POST", "/upload?count=posted").json()["body"]["length"],
        4,
        "the body goes along"
    );
    assert_eq!((closes.calls(), real.count("posted")), (1, 1));
}

#[test]
fn a_post_with_an_idempotency_key_is_repeated_where_the_operator_relies_on_it() {
    let closes = Responder::start(|_| false);
    let real = Fpm::start("real");
    let key = [("Idempotency-Key", "8e03978e-40d5-43dd-bc93-6894a57f9324")];
    let post = |cornac: &Cornac, target: &str, headers: &[(&str, &str)]| {
        http::request(cornac.address(), "POST", target, headers, b"body").status
    };
    let trusting = first_then_real(&closes, &real, "retry = { idempotency_key = true }");
    assert_eq!(post(&trusting, "/json?count=keyed", &key), 200);
    assert_eq!((closes.calls(), real.count("keyed")), (1, 1));
    assert_eq!(post(&trusting, "/json?count=plain", &[]), 502);
    assert_eq!(post(&trusting, "/json?count=plain", &[("Idempotency-Key", "")]), 502);
    let wary = first_then_real(&closes, &real, "");
    assert_eq!(post(&wary, "/json?count=plain", &key), 502);
    assert_eq!((closes.calls(), real.count("plain")), (4, 0));
}

#[test]
fn a_pool_in_trouble_gets_no_more_than_a_few_retries_and_the_log_says_so() {
    let closes = [(); 3].map(|()| Responder::start(|_| false));
    let servers =
        closes.iter().map(|member| format!("{{ address = \"{}\", max_fails = 0 }}", member.server()));
    let cornac = Tp::with_servers(servers.collect()).pool("retry = { budget = 10 }").start();
    for _ in 0..40 {
        assert_eq!(cornac.get("/json").status, 502);
    }
    assert_eq!(closes.iter().map(Responder::calls).sum::<usize>(), 40 + 10 + 4);
    cornac.wait_for_log("retry.budget is spent");
}

#[test]
fn tries_bounds_the_attempts() {
    let closes = [(); 4].map(|()| Responder::start(|_| false));
    let servers = closes.iter().map(|member| quoted(&member.server())).collect();
    let cornac = Tp::with_servers(servers).pool("retry = { tries = 2 }").start();
    assert_eq!(cornac.get("/json").status, 502);
    assert_eq!(closes.iter().map(Responder::calls).sum::<usize>(), 2);
}

#[test]
fn nothing_is_sent_again_after_the_first_byte() {
    let halves: [(&str, &[u8]); 4] = [
        ("half a record header", b"\x01\x06"),
        ("half a head", b"Status: 200\r\nX-Half"),
        ("a head and no end", b"Content-Type: text/plain\r\n\r\n"),
        ("half a body", b"Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf"),
    ];
    for (what, half) in halves {
        let breaks = Responder::start(move |call: &mut Call| {
            let bytes = if half[0] == 1 { half.to_vec() } else { record(STDOUT, call.id, half) };
            call.send(&bytes);
            false
        });
        let real = Fpm::start("real");
        let cornac = first_then_real(&breaks, &real, "");
        let broken = http::try_request(cornac.address(), "GET", "/json?count=again", &[], b"");
        http::assert_never_a_clean_end(broken);
        assert_eq!((breaks.calls(), real.count("again")), (1, 0), "{what}");
    }
}

#[test]
fn a_first_byte_timeout_is_a_504_and_php_ran_once() {
    let [a, b] = ["a", "b"].map(Fpm::start);
    let cornac = Tp::over([&a, &b]).pool("timeouts = { first_byte = \"200ms\" }").start();
    for (n, name) in ["GET", "POST"].into_iter().enumerate() {
        assert_eq!(method(&cornac, name, "/gate/silent").status, 504, "{name}");
        assert_eq!(a.count("silent") + b.count("silent"), n as u64 + 1, "{name}");
    }
    [&a, &b].into_iter().for_each(|fpm| fpm.open_gate("silent"));
    assert_eq!(cornac.get("/json").status, 200);
    assert_eq!(a.count("silent") + b.count("silent"), 2);
}

#[test]
fn a_route_may_be_less_patient_than_its_pool() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm])
        .more("[[sites.routes]]\nmatch = '~ ^/index\\.php(/|$)'\nfastcgi = true\ntimeouts = { first_byte = \"100ms\" }\n")
        .start();
    assert_eq!(method(&cornac, "GET", "/index.php/gate/silent").status, 504);
    fpm.open_gate("silent");
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn a_reply_that_stops_in_the_middle_is_cut_off_after_between_reads() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).pool("timeouts = { between_reads = \"200ms\" }").start();
    let broken =
        http::try_request(cornac.address(), "GET", "/gate/stalls?first=begun&unbuffered=1", &[], b"");
    match broken {
        Err(Broken::Truncated { so_far }) => assert_eq!(so_far.body, b"begun"),
        other => panic!("{other:?}"),
    }
    fpm.open_gate("stalls");
}

#[test]
fn who_refuses_a_connection_is_passed_over_for_any_method() {
    let real = Fpm::start("real");
    let mut gone = Fpm::builder("gone").tcp().start();
    gone.kill();
    let no_socket = "{ address = \"unix:/nonexistent/fpm.sock\", max_fails = 0 }".to_owned();
    let servers = vec![server(&gone, "max_fails = 0"), no_socket, server(&real, "")];
    let cornac = Tp::with_servers(servers).pool("policy = \"round_robin\"").start();
    for n in 0..6 {
        for name in ["GET", "POST", "PATCH", "DELETE"] {
            let reply = method(&cornac, name, &format!("/json?count=passed&n={n}"));
            assert_eq!((reply.status, reply.member()), (200, "real"), "{name}");
        }
    }
    assert_eq!(real.count("passed"), 24);
}

#[test]
fn three_members_that_die_at_once_fail_no_request_while_a_fourth_is_well() {
    let mut dying = ["a", "b", "c"].map(|name| Fpm::builder(name).workers(1).start());
    let well = Fpm::start("well");
    let mut servers: Vec<_> = dying.iter().map(|fpm| server(fpm, "weight = 9")).collect();
    servers.push(server(&well, ""));
    let cornac = Tp::with_servers(servers).pool("policy = \"round_robin\"").start();
    dying.iter_mut().for_each(Fpm::kill);
    for name in ["POST", "GET", "POST", "GET", "GET"] {
        assert_eq!(method(&cornac, name, "/json").member(), "well");
    }
}

#[test]
fn a_pool_in_which_nobody_listens_is_a_502_that_says_why() {
    let mut gone = Fpm::builder("gone").tcp().start();
    let cornac = Tp::over([&gone]).start();
    gone.kill();
    for _ in 0..5 {
        assert_eq!(cornac.get("/json").status, 502);
    }
    cornac.wait_for_log("connection refused");
    gone.restart();
    let back = wait_until(Duration::from_secs(10), || cornac.get("/json").status == 200);
    assert!(back, "one member alone is asked again though it failed:\n{}", cornac.log());
}

#[test]
fn a_member_that_fails_is_ejected_and_the_log_says_so() {
    let real = Fpm::start("real");
    let closes = Responder::start(|_| false);
    let servers = vec![
        format!(
            "{{ address = \"{}\", weight = 100, max_fails = 2, fail_timeout = \"60s\" }}",
            closes.server()
        ),
        server(&real, ""),
    ];
    let cornac = Tp::with_servers(servers).pool("policy = \"round_robin\"").start();
    for _ in 0..10 {
        assert_eq!(cornac.get("/json").member(), "real");
    }
    assert_eq!(closes.calls(), 2, "asked until it was ejected, then no more");
    cornac.wait_for_log("ejected");
}

/// php-fpm closes an idle connection when a worker ends: that is no failure of anybody.
#[test]
fn a_stale_connection_costs_a_get_one_more_attempt_on_the_same_member_and_a_post_nothing() {
    let member = Responder::start(|call: &mut Call| {
        if call.request == 0 {
            call.reply("Content-Type: text/plain\r\n\r\nfirst on its connection");
            return true;
        }
        false
    });
    let cornac = Tp::with_servers(vec![quoted(&member.server())])
        .pool("keepalive = { mode = \"on\", idle = 4, timeout = \"30s\" }")
        .start();
    assert_eq!(cornac.get("/json").status, 200);
    assert_eq!((member.calls(), member.connections()), (1, 1));
    assert_eq!(cornac.get("/json").text(), "first on its connection");
    assert_eq!((member.calls(), member.connections()), (3, 2), "sent on the stale one, then on a fresh one");
    assert_eq!(method(&cornac, "POST", "/json").text(), "first on its connection");
    assert_eq!((member.calls(), member.connections()), (4, 3), "a POST never meets a kept connection");
    assert!(!cornac.log().contains("ejected"), "{}", cornac.log());
}

#[test]
fn a_client_that_keeps_its_connection_sees_nothing_of_a_retry() {
    let closes = Responder::start(|_| false);
    let real = Fpm::start("real");
    let cornac = first_then_real(&closes, &real, "");
    let mut client = Connection::open(cornac.address());
    for _ in 0..10 {
        assert_eq!(client.get("/json").member(), "real");
    }
    assert!(closes.calls() > 0, "the scripted member was asked");
}

/// `fastcgi_finish_request()`: the reply has ended, the script has not, and a kept connection is stuck behind it.
#[test]
fn a_script_that_goes_on_after_its_reply_is_recognised_and_nothing_runs_twice() {
    let fpm = Fpm::builder("a").workers(4).start();
    let cornac = Tp::over([&fpm]).pool("keepalive = { mode = \"on\", idle = 4, timeout = \"30s\" }").start();
    let mut reused = Vec::new();
    for n in 0..5 {
        assert_eq!(cornac.get("/finish?ms=300&name=tail&count=finish").status, 200);
        assert_eq!(cornac.get(&format!("/json?count=behind&n={n}")).status, 200);
        reused.push(cornac.entry(&format!("/json?count=behind&n={n}"))["reused"] == true);
    }
    cornac.wait_for_log("seems to go on after its reply");
    assert_eq!(reused, [true, true, false, false, false]);
    fpm.wait_for_count("tail", 5);
    assert_eq!((fpm.count("finish"), fpm.count("behind"), fpm.count("tail")), (5, 5, 5));
}
