//! The operator's API on real php-fpm: what it tells is true, what it changes happens without a failed request, and who is not
//! the operator stays outside.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;
use support::http::{self, Connection};
use support::{Answer, Cornac, Fpm, JSON, Load, Operated, Scratch, Signal, Tp, free_port, wait_until};

const SOON: Duration = Duration::from_secs(10);
const KEEPS: &str = "keepalive = { mode = \"on\", idle = 4, timeout = \"10m\" }";

fn two() -> (Fpm, Fpm) {
    (Fpm::start("a"), Fpm::start("b"))
}

#[test]
fn the_pools_are_told_with_everything_an_operator_asks_for() {
    let (a, b) = two();
    let servers =
        vec![support::server(&a, "weight = 3, max_conns = 4"), support::server(&b, "backup = true")];
    let cornac = Operated::start(&Tp::with_servers(servers).pool(KEEPS), "");
    for _ in 0..4 {
        assert_eq!(cornac.get("/json").member(), "a");
    }
    let pools = cornac.ask("/api/v1/pools").json();
    let pool = &pools["pools"][0];
    assert_eq!((pool["name"].as_str(), pool["policy"].as_str()), (Some("php"), Some("least_conn")));
    assert_eq!((&pool["queue"]["waiting"], &pool["queue"]["size"]), (&json!(0), &json!(1024)));
    assert_eq!(cornac.ask("/api/v1/pools/php").json()["name"], "php", "one alone");
    let (first, second) = (cornac.member(&a), cornac.member(&b));
    for (key, value) in [
        ("state", json!("ready")),
        ("reason", json!(null)),
        ("weight", json!(3)),
        ("backup", json!(false)),
        ("in_flight", json!(0)),
        ("limit", json!(4)),
        ("limit_learnt", json!(false)),
        ("idle", json!(1)),
        ("reused", json!(3)),
        ("fresh", json!(1)),
        ("ejections", json!(0)),
    ] {
        assert_eq!(first[key], value, "{key} of {first:#}");
    }
    assert!(first["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{first:#}");
    assert_eq!((&second["backup"], &second["limit_learnt"]), (&json!(true), &json!(true)));
}

#[test]
fn a_drain_under_load_fails_nothing_and_sends_nothing_more_there() {
    let (a, b) = two();
    let cornac = Operated::start(&Tp::over([&a, &b]).pool(KEEPS), "");
    let mut flying = vec![];
    // One of them is on each member.
    for name in ["x", "y"] {
        let mut connection = Connection::open(cornac.address());
        connection.send(format!("GET /gate/{name} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(wait_until(SOON, || a.count(name) + b.count(name) == 1));
        flying.push(connection);
    }
    let load = Load::start(cornac.address(), 3, |_, _| "/count/hits");
    assert!(wait_until(SOON, || a.count("hits") > 0 && b.count("hits") > 0), "both work");

    cornac.order(&a, "drain");
    assert!(wait_until(SOON, || cornac.member(&a)["in_flight"] == 1), "what is in flight finishes");
    let drained = cornac.member(&a);
    assert_eq!((&drained["state"], &drained["reason"]), (&json!("draining"), &json!("1 in flight")));
    assert_eq!(drained["idle"], 0, "its idle connections are closed");
    let before = a.count("hits");
    load.wait_for(100);
    assert_eq!(a.count("hits"), before, "it got a request while it was draining");

    for (connection, name) in flying.iter_mut().zip(["x", "y"]) {
        a.open_gate(name);
        b.open_gate(name);
        assert_eq!(connection.response().text(), "through\n");
    }
    assert!(wait_until(SOON, || cornac.member(&a)["in_flight"] == 0));
    assert_eq!(cornac.member(&a)["idle"], 0, "nothing is kept there");

    cornac.order(&a, "ready");
    assert!(wait_until(SOON, || a.count("hits") > before), "it is back");
    Answer::all_are_200(&load.stop());
}

#[test]
fn a_drain_closes_what_lies_idle_at_once() {
    for state in ["drain", "down"] {
        let a = Fpm::start("a");
        let cornac = Operated::start(&Tp::over([&a]).pool(KEEPS), "");
        assert_eq!(cornac.get("/json").status, 200);
        assert!(wait_until(SOON, || cornac.member(&a)["idle"] == 1), "it is kept");
        assert_eq!(cornac.patch(&a, &json!({ "state": state })).json()["idle"], 0, "{state}");
    }
}

#[test]
fn down_is_down_over_failures_and_checks_until_it_is_put_back() {
    let (a, b) = two();
    let cornac = Operated::start(&Tp::over([&a, &b]).pool("health = { interval = \"50ms\" }"), "");
    cornac.order(&a, "down");
    cornac.wait_for_log("member is down (by hand)");
    let down = cornac.member(&a);
    assert_eq!((&down["state"], &down["reason"]), (&json!("down"), &json!("by hand")));
    for _ in 0..8 {
        assert_eq!(cornac.get("/json").member(), "b");
    }
    cornac.order(&a, "ready");
    let members = (0..8).map(|_| cornac.get("/json").member().to_owned()).collect::<Vec<_>>();
    assert!(members.contains(&"a".to_owned()), "{members:?}");
}

#[test]
fn a_weight_takes_effect_at_once_and_null_gives_it_back_to_the_configuration() {
    let (a, b) = two();
    let cornac = Operated::start(&Tp::over([&a, &b]).pool("policy = \"round_robin\""), "");
    let of_a = |requests: usize| (0..requests).filter(|_| cornac.get("/json").member() == "a").count();
    assert_eq!(of_a(10), 5);
    let changed = cornac.patch(&a, &json!({ "weight": 4 })).json();
    assert_eq!((&changed["weight"], &changed["state"]), (&json!(4), &json!("ready")));
    assert_eq!(of_a(10), 8);
    assert_eq!(cornac.patch(&a, &json!({ "weight": null })).json()["weight"], 1);
    assert_eq!(of_a(10), 5);
}

#[test]
fn state_and_weight_come_together_or_not_at_all() {
    let (a, b) = two();
    let cornac = Operated::over([&a, &b]);
    let changed = cornac.patch(&a, &json!({ "state": "drain", "weight": 7 })).json();
    assert_eq!((&changed["weight"], &changed["state"]), (&json!(7), &json!("draining")));
    let refused = cornac.patch(&b, &json!({ "state": "drain", "weight": 0 }));
    assert_eq!(refused.status, 400);
    assert_eq!(cornac.member(&b)["state"], "ready");
}

#[test]
fn a_wrong_request_is_told_what_would_be_a_right_one() {
    let a = Fpm::start("a");
    let cornac = Operated::over([&a]);
    let server = format!("/api/v1/pools/php/servers/{}", a.server());
    let big = "x".repeat(20_000);
    for (method, path, headers, body, status, says) in [
        ("GET", "/api/v1/pools/phq", &[][..], "", 404, "did you mean 'php'?"),
        (
            "PATCH",
            "/api/v1/pools/phq/servers/x",
            &[JSON],
            "{\"state\":\"drain\"}",
            404,
            "did you mean 'php'?",
        ),
        (
            "PATCH",
            "/api/v1/pools/php/servers/10.0.0.9:9000",
            &[JSON],
            "{\"state\":\"drain\"}",
            404,
            "servers: unix:",
        ),
        ("PATCH", &server, &[], "{\"state\":\"drain\"}", 415, "Content-Type: application/json"),
        ("PATCH", &server, &[("Content-Type", "text/plain")], "{\"state\":\"drain\"}", 415, "Content-Type"),
        ("PATCH", &server, &[JSON], "{state}", 400, "send {"),
        ("PATCH", &server, &[JSON], "", 400, "send {"),
        ("PATCH", &server, &[JSON], "{\"state\":\"off\"}", 400, "`ready`, `drain`, `down`"),
        ("PATCH", &server, &[JSON], "{}", 400, "nothing to change"),
        ("PATCH", &server, &[JSON], &big, 413, "larger than 16384 bytes"),
        ("POST", &server, &[JSON], "{}", 405, "takes PATCH"),
        ("DELETE", "/api/v1/pools", &[], "", 405, "takes GET, HEAD"),
        ("GET", "/api/v1/reload", &[], "", 405, "takes POST"),
        ("POST", "/api/v1/reload", &[], "", 415, "Content-Type"),
        ("GET", "/status", &[], "", 404, "GET / lists what is here"),
        ("GET", "/healthz", &[("Host", "evil.example")], "", 200, ""),
        ("GET", "/api/v1/pools", &[("Host", "evil.example")], "", 403, "evil.example"),
        ("GET", "/", &[("Host", "evil.example")], "", 403, "evil.example"),
    ] {
        let answer = http::request(cornac.admin(), method, path, headers, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path} {body:.40}: {}", answer.text());
        if status != 200 {
            let error = answer.json()["error"].as_str().expect("an error").to_owned();
            assert!(error.contains(says), "{method} {path}: {error}");
        }
    }
    assert_eq!(cornac.member(&a)["state"], "ready", "none of them changed anything");
}

#[test]
fn with_a_token_nobody_reads_or_changes_anything_without_it() {
    let a = Fpm::start("a");
    let scratch = Scratch::new();
    let file = scratch.write("token", "open-sesame\n");
    let cornac = Operated::start(&Tp::over([&a]), &format!("token = {{ file = \"{}\" }}", file.display()));
    let server = format!("/api/v1/pools/php/servers/{}", a.server());
    let ask = |method, path: &str, token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let authorization = bearer.iter().map(|bearer| ("Authorization", &**bearer));
        let headers: Vec<_> = std::iter::once(JSON).chain(authorization).collect();
        let body = if method == "GET" { "" } else { "{\"state\":\"drain\"}" };
        http::request(cornac.admin(), method, path, &headers, body.as_bytes())
    };
    for (method, path) in [
        ("GET", "/api/v1/pools"),
        ("PATCH", &*server),
        ("POST", "/api/v1/reload"),
        ("GET", "/metrics"),
        ("GET", "/x"),
    ] {
        for (token, says) in [(None, "a token is required"), (Some("open-sesamE"), "wrong token")] {
            let refused = ask(method, path, token);
            assert_eq!(
                (refused.status, refused.header("www-authenticate")),
                (401, Some("Bearer realm=\"cornac\""))
            );
            assert!(refused.text().contains(says), "{}", refused.text());
        }
    }
    assert_eq!(
        ask("GET", "/api/v1/pools", Some("open-sesame")).json()["pools"][0]["members"][0]["state"],
        "ready"
    );
    assert_eq!(ask("PATCH", &server, Some("open-sesame")).status, 200);
    assert_eq!((ask("GET", "/healthz", None).status, ask("GET", "/readyz", None).status), (200, 503));
    assert!(!cornac.log().contains("open-sesame"), "{}", cornac.log());
}

#[test]
fn a_reload_changes_the_token_but_not_the_address() {
    let a = Fpm::start("a");
    let scratch = Scratch::new();
    let file = scratch.write("token", "open-sesame\n");
    let cornac = Operated::start(&Tp::over([&a]), &format!("token = {{ file = \"{}\" }}", file.display()));
    let knows = |token: &str| {
        let bearer = format!("Bearer {token}");
        http::request(cornac.admin(), "GET", "/api/v1/pools", &[("Authorization", &bearer)], b"").status
            == 200
    };
    assert!(knows("open-sesame"));
    scratch.write("token", "open-barley\n");
    cornac.signal(Signal::HUP);
    assert!(wait_until(SOON, || knows("open-barley")), "{}", cornac.log());
    assert!(!knows("open-sesame"), "the old one is forgotten");

    let config = std::fs::read_to_string(cornac.config_file()).expect("the rig's own file");
    let (before, _) = config.split_once("[admin]").expect("it has one");
    std::fs::write(cornac.config_file(), before).expect("the rig's own file");
    cornac.signal(Signal::HUP);
    cornac.wait_for_log("[admin] holds from the next start on");
    assert!(knows("open-barley") && !knows("x"), "the door is where it was, and as closed");
}

#[test]
fn readyz_says_no_while_a_pool_has_nobody() {
    let (a, b) = two();
    let cornac = Operated::over([&a, &b]);
    let ready = || cornac.ask("/readyz");
    assert_eq!((ready().status, ready().text().to_owned()), (200, "ready\n".to_owned()));
    cornac.order(&a, "drain");
    assert_eq!(ready().status, 200);
    cornac.order(&b, "down");
    let not = ready();
    assert_eq!(not.status, 503);
    assert!(not.text().starts_with("not ready: pool php has no usable server: "), "{}", not.text());
    assert!(not.text().contains("is draining (0 in flight)") && not.text().contains("is down (by hand)"));
    assert_eq!(cornac.ask("/healthz").status, 200, "it lives");
    cornac.order(&a, "ready");
    assert_eq!(ready().status, 200);
}

#[test]
fn a_dead_php_fpm_makes_it_unready_and_its_return_ready_again() {
    let mut a = Fpm::start("a");
    let cornac = Operated::start(&Tp::over([&a]).pool("health = { interval = \"50ms\" }"), "");
    a.kill();
    assert!(wait_until(SOON, || cornac.ask("/readyz").status == 503), "{}", cornac.log());
    assert_eq!(cornac.member(&a)["state"], "ejected");
    a.restart();
    assert!(wait_until(SOON, || cornac.ask("/readyz").status == 200), "{}", cornac.log());
}

#[test]
fn readyz_says_no_while_requests_finish_and_the_api_still_answers() {
    let a = Fpm::start("a");
    let cornac = Operated::over([&a]);
    let mut flying = Connection::open(cornac.address());
    flying.send("GET /gate/flying HTTP/1.1\r\nHost: x\r\n\r\n");
    a.wait_for_count("flying", 1);
    cornac.signal(Signal::QUIT);
    assert!(wait_until(SOON, || cornac.ask("/readyz").status == 503), "{}", cornac.log());
    assert_eq!(cornac.ask("/readyz").text(), "not ready: stopping\n");
    assert_eq!(cornac.member(&a)["in_flight"], 1);
    a.open_gate("flying");
    assert_eq!(flying.response().text(), "through\n");
}

#[test]
fn a_unix_socket_does_as_well_and_is_taken_away_at_the_end() {
    let a = Fpm::start("a");
    let scratch = Scratch::new();
    let socket = scratch.join("admin.sock");
    let port = free_port();
    let toml = Tp::over([&a]).toml(&port.to_string());
    let cornac =
        Cornac::run(&format!("{toml}\n[admin]\nlisten = \"unix:{}\"\n", socket.display()), vec![port]);
    // A port is open before all is ready; an answer comes behind that.
    assert_eq!(cornac.get("/json").status, 200);
    let mut stream = UnixStream::connect(&socket).expect("the admin socket");
    stream
        .write_all(b"GET /api/v1/pools/php HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")
        .expect("it takes that");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"state\": \"ready\""), "{answer}");
    drop(cornac);
    assert!(!socket.exists(), "the socket is left");
}

#[test]
fn a_taken_admin_port_keeps_it_from_starting_and_says_so() {
    let (site, taken) = (free_port(), free_port());
    let _other = std::net::TcpListener::bind(taken.address()).expect("a free port");
    let scratch = Scratch::new();
    let toml = Tp::with_servers(vec!["\"127.0.0.1:9\"".to_owned()]).toml(&site.to_string());
    let file = scratch.write("cornac.toml", format!("{toml}\n[admin]\nlisten = \"{taken}\"\n"));
    let ended = Cornac::command(&["run", "-c", &file.display().to_string()]);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.text);
    assert!(ended.text.contains(&format!("cannot listen on {taken}")), "{}", ended.text);
}
