//! What a pool of real php-fpm members promises: who gets which request, and that nobody notices when a member goes or comes.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use support::http::Connection;
use support::{
    Answer, Cornac, Fpm, Listen, Load, Pm, Scratch, Signal, Tp, config_example, fixtures, free_port, server,
    wait_until,
};

/// How often each member answers `requests` GETs, one after another.
fn shares(cornac: &Cornac, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        *shares.entry(cornac.get("/json").member().to_owned()).or_default() += 1;
    }
    shares
}

fn of(shares: &[(&str, usize)]) -> BTreeMap<String, usize> {
    shares.iter().map(|&(member, share)| (member.to_owned(), share)).collect()
}

/// Waits until the member answers a request of ours.
fn wait_for_member(cornac: &Cornac, member: &str) {
    let seen = wait_until(Duration::from_secs(20), || cornac.get("/json").member() == member);
    assert!(seen, "{member} got no traffic:\n{}", cornac.log());
}

#[test]
fn a_member_killed_under_load_fails_no_request_and_gets_traffic_again_when_it_is_back() {
    let [a, mut b, c] =
        [Fpm::builder("a"), Fpm::builder("b").tcp(), Fpm::builder("c").tcp()].map(|f| f.start());
    let short = "max_fails = 1, fail_timeout = \"200ms\"";
    let cornac = Tp::with_servers([&a, &b, &c].map(|fpm| server(fpm, short)).to_vec()).start();

    let load =
        Load::start(cornac.address(), 6, |client, request| format!("/sleep/{}", (client + request) % 4));
    load.wait_for(100);
    b.kill();
    load.wait_for(200);
    b.restart();
    wait_for_member(&cornac, "b");
    load.wait_for(100);
    let answers = load.stop();
    Answer::all_are_200(&answers);
    for member in ["a", "b", "c"] {
        assert!(Answer::of_member(&answers, member) > 20, "{member}");
    }
}

#[test]
fn a_worker_killed_under_load_fails_no_get() {
    let [a, b] = ["a", "b"].map(Fpm::start);
    let cornac = Tp::over([&a, &b]).start();
    let load = Load::start(cornac.address(), 6, |_, _| "/sleep/3");
    for _ in 0..10 {
        load.wait_for(20);
        a.kill_worker();
        wait_until(Duration::from_secs(5), || a.worker_pids().len() == 4);
    }
    Answer::all_are_200(&load.stop());
}

#[test]
fn a_pool_reloaded_by_sigusr2_under_load_fails_no_get() {
    let [a, b] = ["a", "b"].map(Fpm::start);
    let cornac = Tp::over([&a, &b]).start();
    let load = Load::start(cornac.address(), 6, |client, _| format!("/sleep/{}", client % 4));
    for round in 1..=3 {
        load.wait_for(50);
        let before: BTreeSet<_> = a.worker_pids().into_iter().collect();
        a.signal(Signal::USR2);
        let renewed = || {
            let now: BTreeSet<_> = a.worker_pids().into_iter().collect();
            now.len() == 4 && now.is_disjoint(&before)
        };
        assert!(wait_until(Duration::from_secs(20), renewed), "round {round}: {}", a.log());
    }
    wait_for_member(&cornac, "a");
    Answer::all_are_200(&load.stop());
}

/// `config/weights.toml` as it stands, over pools of ours.
#[test]
fn the_example_of_weights_gives_exactly_4_3_2_1_and_the_backup_only_when_all_others_are_gone() {
    let mut members =
        ["a", "b", "c", "d", "backup", "down"].map(|name| Fpm::builder(name).workers(1).start());
    let cornac = Cornac::serving(|listen| {
        let mut toml = config_example("weights.toml")
            .replace("0.0.0.0:80", listen)
            .replace("/srv/app/public", &fixtures("tp/public").display().to_string())
            .replace("\"10s\"", "\"60s\"");
        for (i, fpm) in members.iter().enumerate() {
            let example = format!("10.0.0.{}:9000", i + 1);
            assert!(toml.contains(&example), "the example has changed: {toml}");
            toml = toml.replace(&example, &fpm.server());
        }
        toml
    });
    assert_eq!(shares(&cornac, 20), of(&[("a", 8), ("b", 6), ("c", 4), ("d", 2)]));
    members[..4].iter_mut().for_each(Fpm::kill);
    assert_eq!(shares(&cornac, 10), of(&[("backup", 10)]));
}

#[test]
fn round_robin_gives_everybody_the_same() {
    let members = ["a", "b", "c"].map(|name| Fpm::builder(name).workers(1).start());
    let cornac = Tp::over(&members).pool("policy = \"round_robin\"").start();
    assert_eq!(shares(&cornac, 12), of(&[("a", 4), ("b", 4), ("c", 4)]));
}

#[test]
fn least_conn_avoids_the_member_that_works() {
    let [a, b] = ["a", "b"].map(Fpm::start);
    let cornac = Tp::over([&a, &b]).pool("policy = \"least_conn\"").start();
    let mut slow = Connection::open(cornac.address());
    slow.send("GET /gate/busy HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(wait_until(Duration::from_secs(10), || a.count("busy") + b.count("busy") == 1));
    let (working, other) = if a.count("busy") == 1 { (&a, &b) } else { (&b, &a) };
    assert_eq!(shares(&cornac, 10), of(&[(other.member(), 10)]));
    working.open_gate("busy");
    assert_eq!(slow.response().text(), "through\n");
}

#[test]
fn least_time_avoids_the_member_that_is_slow() {
    let folder = Scratch::new();
    let nap = folder.write("nap.php", "<?php usleep(100000);");
    let [fast, slow] =
        [Fpm::start("fast"), Fpm::builder("slow").ini("auto_prepend_file", nap.display()).start()];
    let cornac = Tp::over([&slow, &fast]).pool("policy = \"least_time\"").start();
    let shares = shares(&cornac, 40);
    assert!(shares["fast"] >= 35 && shares["slow"] >= 1, "{shares:?}");
}

#[test]
fn random_uses_everybody() {
    let members = ["a", "b", "c"].map(|name| Fpm::builder(name).workers(1).start());
    let cornac = Tp::over(&members).pool("policy = \"random\"").start();
    let shares = shares(&cornac, 60);
    assert!(shares.len() == 3 && shares.values().all(|&share| share >= 5), "{shares:?}");
}

#[test]
fn hash_keeps_a_key_on_its_member_and_moves_only_the_keys_of_a_member_that_is_lost() {
    let mut members = ["a", "b", "c"].map(|name| Fpm::builder(name).workers(2).start());
    let cornac = Tp::with_servers(members.each_ref().map(|fpm| server(fpm, "max_fails = 1")).to_vec())
        .pool("policy = \"hash\"\nhash_key = \"$request_uri\"")
        .start();
    let places = || -> Vec<String> {
        (0..24).map(|key| cornac.get(&format!("/json?key={key}")).member().to_owned()).collect()
    };
    let before = places();
    assert_eq!(places(), before, "the same key, the same member");
    for member in ["a", "b", "c"] {
        assert!(before.iter().any(|place| place == member), "{member} has no key: {before:?}");
    }
    members[1].kill();
    for (key, (was, is)) in before.iter().zip(places()).enumerate() {
        match was.as_str() {
            "b" => assert_ne!(is, "b", "key {key}"),
            _ => assert_eq!(&is, was, "key {key} moved though its member is there"),
        }
    }
}

#[test]
fn ip_hash_keeps_a_client_on_its_member_and_spreads_clients() {
    let members = ["a", "b", "c"].map(|name| Fpm::builder(name).workers(2).start());
    let cornac = Tp::over(&members).pool("policy = \"ip_hash\"").start();
    let mut used = BTreeSet::new();
    for client in 1..=16 {
        let from = Ipv4Addr::new(127, client, client * 7, 1);
        let first = member_for(from, cornac.address());
        for _ in 0..3 {
            assert_eq!(member_for(from, cornac.address()), first, "{from}");
        }
        used.insert(first);
    }
    assert!(used.len() > 1, "all clients went to {used:?}");
}

/// Who answers a client with this address.
fn member_for(from: Ipv4Addr, to: SocketAddr) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("all of 127/8 is this machine");
    socket.connect(&to.into()).expect("cornac listens");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("not zero");
    stream.write_all(b"GET /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("cornac reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a reply in UTF-8");
    let json = text.split("\r\n\r\n").nth(1).expect("a body");
    let start = json.find("\"member\":\"").unwrap_or_else(|| panic!("no fixture answered: {text}")) + 10;
    json[start..].split('"').next().expect("split gives one piece").to_owned()
}

#[test]
fn unix_and_tcp_members_work_side_by_side() {
    let (unix, tcp) = (Fpm::start("unix"), Fpm::builder("tcp").tcp().start());
    let cornac = Tp::over([&unix, &tcp]).pool("policy = \"round_robin\"").start();
    assert_eq!(shares(&cornac, 8), of(&[("tcp", 4), ("unix", 4)]));
}

#[test]
fn a_backup_gets_nothing_while_another_member_answers() {
    let (mut primary, backup) = (Fpm::start("primary"), Fpm::start("backup"));
    let servers = vec![
        server(&primary, "max_fails = 1, fail_timeout = \"100ms\""),
        server(&backup, "backup = true, weight = 9"),
    ];
    let cornac = Tp::with_servers(servers).start();
    assert_eq!(shares(&cornac, 10), of(&[("primary", 10)]));
    primary.kill();
    assert_eq!(shares(&cornac, 10), of(&[("backup", 10)]));
    primary.restart();
    wait_for_member(&cornac, "primary");
    assert_eq!(shares(&cornac, 10), of(&[("primary", 10)]));
}

#[test]
fn a_member_that_is_down_by_hand_is_never_asked_not_even_when_it_is_the_last() {
    let (mut up, down) = (Fpm::start("up"), Fpm::start("down"));
    let servers = vec![server(&up, ""), server(&down, "down = true")];
    let cornac = Tp::with_servers(servers).start();
    assert_eq!(shares(&cornac, 10), of(&[("up", 10)]));
    up.kill();
    assert_eq!(cornac.get("/json?count=asked").status, 502);
    assert_eq!(down.count("asked"), 0);
}

#[test]
fn max_conns_is_never_exceeded_and_is_used_to_the_full() {
    let [a, b] = ["a", "b"].map(|name| Fpm::builder(name).workers(8).start());
    for keepalive in
        ["{ mode = \"auto\" }", "{ mode = \"on\", idle = 2, timeout = \"1s\" }", "{ mode = \"off\" }"]
    {
        let name = format!("m{}", keepalive.len());
        let cornac = Tp::with_servers(vec![server(&a, "max_conns = 2"), server(&b, "max_conns = 3")])
            .pool(&format!("keepalive = {keepalive}"))
            .start();
        let target = format!("/concurrent/{name}?ms=4");
        Answer::all_are_200(&Load::until(cornac.address(), 12, 20, move |_, _| target.clone()).join());
        for (fpm, limit) in [(&a, "2"), (&b, "3")] {
            let file =
                std::fs::read_to_string(fpm.counters().join(&name)).expect("the counter of the fixture");
            assert_eq!(file, format!("0 {limit}"), "now and most of {} with {keepalive}", fpm.member());
        }
    }
}

/// `localhost` is ::1 and 127.0.0.1 on most machines; php-fpm listens on one of them only.
#[test]
fn a_host_name_works_also_where_only_one_of_its_addresses_answers() {
    let fpm = Fpm::builder("a").tcp().start();
    let Listen::Tcp(address) = fpm.listen() else { unreachable!("asked for TCP") };
    let cornac = Tp::with_servers(vec![format!("\"localhost:{}\"", address.port())]).start();
    Answer::all_are_200(&Load::until(cornac.address(), 4, 25, |_, _| "/json").join());
}

#[test]
fn a_host_name_that_nobody_knows_is_a_502_with_its_name_in_the_log_and_the_others_answer() {
    let fpm = Fpm::start("a");
    let lost = "\"no-such-host.invalid:9000\"".to_owned();
    let alone = Tp::with_servers(vec![lost.clone()]).start();
    assert_eq!(alone.get("/json").status, 502);
    alone.wait_for_log("no-such-host.invalid");
    let beside = Tp::with_servers(vec![lost, server(&fpm, "")]).start();
    Answer::all_are_200(&Load::until(beside.address(), 2, 10, |_, _| "/json").join());
}

/// Each worker ends after one request, so every kept connection is stale.
#[test]
fn workers_that_end_after_each_request_cost_no_502_and_no_post_twice() {
    let [a, b] = ["a", "b"].map(|name| Fpm::builder(name).max_requests(1).start());
    for (name, keepalive) in
        [("on", "{ mode = \"on\", idle = 4, timeout = \"5s\" }"), ("auto", "{ mode = \"auto\" }")]
    {
        let cornac = Tp::over([&a, &b]).pool(&format!("keepalive = {keepalive}")).start();
        let load = Load::until(cornac.address(), 8, 125, move |_, request| match request % 5 {
            0 => format!("POST /json?count=post-{name}"),
            1 => "HEAD /json".to_owned(),
            _ => "/json".to_owned(),
        });
        let answers = load.join();
        assert_eq!(answers.len(), 1_000);
        Answer::all_are_200(&answers);
        let counter = format!("post-{name}");
        assert_eq!(a.count(&counter) + b.count(&counter), 200, "each POST ran once");
    }
}

#[test]
fn an_idle_cornac_holds_no_worker_back_from_another_front_end() {
    let fpm = Fpm::builder("a").workers(2).start();
    let cornac = Tp::over([&fpm]).start();
    let other = Tp::over([&fpm]).pool("keepalive = { mode = \"off\" }").start();
    Answer::all_are_200(&Load::until(cornac.address(), 4, 50, |_, _| "/json").join());
    // Two connections at once: both workers are free for somebody else.
    Answer::all_are_200(
        &Load::until(other.address(), 2, 1, |client, _| format!("/gate/pair{client}")).join_after(|| {
            fpm.wait_for_count("pair0", 1);
            fpm.wait_for_count("pair1", 1);
            fpm.open_gate("pair0");
            fpm.open_gate("pair1");
        }),
    );
}

#[test]
fn a_second_front_end_gets_its_answers_while_the_first_is_under_load() {
    let fpm = Fpm::builder("a").workers(2).start();
    let [first, second] = [(), ()].map(|()| Tp::over([&fpm]).start());
    let load = Load::start(first.address(), 6, |_, _| "/json");
    load.wait_for(50);
    Answer::all_are_200(&Load::until(second.address(), 2, 30, |_, _| "/json").join());
    Answer::all_are_200(&load.stop());
}

#[test]
fn a_script_that_asks_its_own_site_gets_its_answer_while_a_worker_is_free() {
    let fpm = Fpm::builder("a").workers(2).start();
    for (keys, pool) in [("", ""), ("max_conns = 2", "keepalive = { mode = \"on\", timeout = \"30s\" }")] {
        let cornac = Tp::with_servers(vec![server(&fpm, keys)]).pool(pool).start();
        for _ in 0..5 {
            for target in ["/self/json", "/self/json?method=POST"] {
                for method in ["GET", "POST"] {
                    let reply = asks_itself(&cornac, method, target);
                    assert!(
                        reply.text().starts_with("inner says: {"),
                        "{keys} {method} {target}: {}",
                        reply.text()
                    );
                }
            }
        }
    }
}

fn asks_itself(cornac: &Cornac, method: &str, target: &str) -> support::http::Response {
    let host = cornac.address().to_string();
    let mut client = Connection::open(cornac.address());
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
    client.response()
}

#[test]
fn a_pool_that_waits_for_itself_says_so_and_lives_on() {
    let fpm = Fpm::builder("a").workers(2).start();
    let cornac =
        Tp::with_servers(vec![server(&fpm, "max_conns = 2")]).pool("queue = { timeout = \"1s\" }").start();
    let replies: Vec<_> = std::thread::scope(|scope| {
        let ask = || asks_itself(&cornac, "GET", "/self/json?gate=outer");
        let outer = [scope.spawn(ask), scope.spawn(ask)];
        fpm.wait_for_count("outer", 2);
        fpm.open_gate("outer");
        outer.into_iter().map(|asking| asking.join().expect("an answer")).collect()
    });
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    cornac.wait_for_log("do scripts call their own site?");
    assert_eq!(cornac.settled_log().matches("do scripts call their own site?").count(), 1);
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn a_script_may_ask_its_own_site() {
    let fpm = Fpm::builder("a").workers(2).start();
    let folder = support::Scratch::new();
    folder.write(
        "self.php",
        "<?php echo 'inner says: ', file_get_contents('http://' . $_SERVER['HTTP_HOST'] . '/inner.php');",
    );
    folder.write("inner.php", "<?php echo 'hello';");
    let port = free_port();
    let address = port.to_string();
    let toml = format!(
        "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = [\"{address}\"]\nroot = \"{}\"\npreset = \"plain\"\n",
        fpm.server(),
        folder.path().display()
    );
    let cornac = Cornac::run(&toml, vec![port]);
    for _ in 0..10 {
        let mut client = Connection::open(cornac.address());
        client.send(format!("GET /self.php HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        let reply = client.response();
        assert_eq!((reply.status, reply.text()), (200, "inner says: hello"));
    }
}

/// Where few requests come, every member that is out is due for a probe by the time of the next one.
#[test]
fn a_request_that_finds_members_dead_does_not_spend_all_its_tries_on_probes() {
    let mut members = ["a", "b", "c", "d"].map(|name| Fpm::builder(name).workers(1).tcp().start());
    let short = "max_fails = 1, fail_timeout = \"1ms\"";
    let servers = members.each_ref().map(|fpm| server(fpm, short)).to_vec();
    let cornac = Tp::with_servers(servers).pool("policy = \"round_robin\"").start();
    assert_eq!(shares(&cornac, 4).len(), 4);
    members[..3].iter_mut().for_each(Fpm::kill);
    // Three attempts on three dead members: the first request is lost, and nobody else.
    let lost = (0..400).filter(|_| cornac.get("/json").status != 200).count();
    assert!(lost <= 1, "{lost} of 400 requests failed though a member is well");
}

/// A kept connection is a worker that php-fpm cannot reap (fpm-facts 13).
#[test]
fn workers_on_demand_come_under_load_and_go_when_it_ends() {
    for pm in [Pm::Ondemand, Pm::Dynamic] {
        let fpm = Fpm::builder("a").pm(pm).workers(6).directive("pm.process_idle_timeout", "1s").start();
        let cornac = Tp::over([&fpm]).start();
        Answer::all_are_200(&Load::until(cornac.address(), 8, 30, |_, n| format!("/sleep/{}", n % 5)).join());
        if pm == Pm::Ondemand {
            assert!(fpm.worker_pids().len() > 1, "{} workers", fpm.worker_pids().len());
            let reaped = wait_until(Duration::from_secs(20), || fpm.worker_pids().is_empty());
            assert!(reaped, "{} workers are held though nobody asks", fpm.worker_pids().len());
            assert_eq!(cornac.get("/json").status, 200);
        }
    }
}

#[test]
fn a_worker_killed_for_taking_too_long_is_a_502_and_hurts_nobody_else() {
    let fpm = Fpm::builder("a").workers(2).directive("request_terminate_timeout", "1s").start();
    let cornac = Tp::over([&fpm]).start();
    let mut slow = Connection::open(cornac.address());
    slow.send("POST /sleep/20000?count=slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    fpm.wait_for_count("slow", 1);
    let load = Load::start(cornac.address(), 1, |_, _| "/json");
    assert_eq!(slow.response().status, 502);
    Answer::all_are_200(&load.stop());
    assert_eq!(fpm.count("slow"), 1);
}
