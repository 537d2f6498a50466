//! Members that come and go while clients go on asking, as an operator makes them do it: scaled, restarted, made anew.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use support::http::Connection;
use support::{Answer, Cornac, Fpm, Hosts, Load, Port, Scripted, Signal, Tp, free_port, server, wait_until};

/// Php-fpms that one name may lead to.
struct Fleet {
    members: Vec<Fpm>,
    hosts: Hosts,
    port: Port,
}

impl Fleet {
    /// `None` where this machine refuses us the namespaces.
    fn start(names: &[&str]) -> Option<Self> {
        if !Cornac::can_have_hosts() {
            return None;
        }
        let port = free_port();
        let addresses: Vec<_> = (2..)
            .take(names.len())
            .map(|last| (Ipv4Addr::new(127, 0, 0, last), port.number()).into())
            .collect();
        // By default php-fpm stops at once and kills what runs, which hides who keeps it from stopping.
        let builder = |name: &str| Fpm::builder(name).global("process_control_timeout", "60s");
        let at = |(name, &address): (&&str, &SocketAddr)| builder(name).at(address).start();
        let members = names.iter().zip(&addresses).map(at).collect();
        Some(Self { members, hosts: Hosts::of(addresses), port })
    }

    fn cornac(&self, pool: &str) -> Cornac {
        let server = format!("\"{}:{}\"", Hosts::NAME, self.port.number());
        let tp = Tp::with_servers(vec![server]).pool("resolve = \"20ms\"").pool(pool);
        Cornac::with_hosts(self.hosts.file(), |listen| tp.toml(listen))
    }

    fn counts(&self, name: &str) -> Vec<u64> {
        self.members.iter().map(|fpm| fpm.count(name)).collect()
    }

    /// `sign` is `+` for who came, and `−` for who went.
    fn wait_for(&self, cornac: &Cornac, sign: char, which: &[usize]) {
        for &index in which {
            cornac.wait_for_log(&format!("{sign} {} (", self.hosts.address(index)));
        }
    }
}

#[test]
fn a_name_scaled_from_3_to_5_to_2_under_load_fails_no_request_and_new_members_get_traffic_at_once() {
    let Some(mut fleet) = Fleet::start(&["a", "b", "c", "d", "e"]) else { return };
    fleet.hosts.lead_to(&[0, 1, 2]);
    let cornac = fleet.cornac("");
    fleet.wait_for(&cornac, '+', &[0, 1, 2]);
    let load = Load::start(cornac.address(), 8, |client, request| match (client + request) % 4 {
        0 => "POST /json?count=runs".to_owned(),
        part => format!("/sleep/{part}?count=runs"),
    });
    load.wait_for(100);
    assert_eq!(fleet.counts("runs")[3..], [0, 0]);

    fleet.hosts.lead_to(&[0, 1, 2, 3, 4]);
    fleet.wait_for(&cornac, '+', &[3, 4]);
    let get_traffic = || fleet.counts("runs")[3..].iter().all(|&runs| runs >= 5);
    assert!(wait_until(Duration::from_secs(5), get_traffic), "{:?}", fleet.counts("runs"));

    fleet.hosts.lead_to(&[3, 4]);
    fleet.wait_for(&cornac, '−', &[0, 1, 2]);
    // As an orchestrator does it: who is gone from the name is stopped, and has what it has begun.
    fleet.members[..3].iter_mut().for_each(Fpm::stop);
    load.wait_for(200);
    let answers = load.stop();
    Answer::all_are_200(&answers);
    assert_eq!(fleet.counts("runs").iter().sum::<u64>(), answers.len() as u64, "each ran once");
}

/// A worker that waits on a kept connection does not hear its master's SIGQUIT: so nothing may be left open.
#[test]
fn a_member_that_its_name_leaves_finishes_what_it_has_and_is_not_held_up_by_kept_connections() {
    let Some(fleet) = Fleet::start(&["a", "b"]) else { return };
    fleet.hosts.lead_to(&[0]);
    let cornac = fleet.cornac("keepalive = { mode = \"on\", idle = 8, timeout = \"10m\" }");
    Answer::all_are_200(&Load::until(cornac.address(), 6, 20, |_, _| "/sleep/1").join());
    let mut held = Connection::open(cornac.address());
    held.send("GET /gate/held HTTP/1.1\r\nHost: x\r\n\r\n");
    let a = &fleet.members[0];
    a.wait_for_count("held", 1);
    fleet.hosts.lead_to(&[1]);
    fleet.wait_for(&cornac, '−', &[0]);
    a.signal(Signal::QUIT);
    let alone = wait_until(Duration::from_secs(20), || a.worker_pids().len() == 1);
    assert!(alone, "workers wait on kept connections: {:?}", a.worker_pids());
    a.open_gate("held");
    assert_eq!(held.response().text(), "through\n");
    let ended = wait_until(Duration::from_secs(20), || a.worker_pids().is_empty());
    assert!(ended, "{:?}", a.worker_pids());
}

#[test]
fn one_of_three_restarted_in_order_under_load_fails_no_get() {
    let [a, mut b, c] =
        [Fpm::builder("a"), Fpm::builder("b").tcp(), Fpm::builder("c")].map(|builder| builder.start());
    let short = "max_fails = 1, fail_timeout = \"100ms\"";
    let cornac = Tp::with_servers([&a, &b, &c].map(|fpm| server(fpm, short)).to_vec()).start();
    let load =
        Load::start(cornac.address(), 6, |client, request| format!("/sleep/{}", (client + request) % 4));
    for _ in 0..3 {
        load.wait_for(50);
        b.restart();
        let back = || cornac.get("/json").member() == "b";
        assert!(wait_until(Duration::from_secs(20), back), "{}", cornac.log());
    }
    Answer::all_are_200(&load.stop());
}

/// Nobody answers a connect there, and nobody refuses it.
#[test]
fn a_member_that_swallows_connections_hurts_a_few_requests_and_is_out() {
    let (a, b) = (Fpm::start("a"), Fpm::start("b"));
    let mut hole = Scripted::start("hole");
    hole.be(support::Mode::Blackhole);
    let mut servers = [&a, &b].map(|fpm| server(fpm, "")).to_vec();
    servers.push(format!("\"{}\"", hole.server()));
    let cornac = Tp::with_servers(servers).pool("timeouts = { connect = \"300ms\" }").start();
    let clients = 6;
    let load = Load::until(cornac.address(), clients, 100, |client, _| match client {
        0 => "POST /sleep/3",
        _ => "/sleep/3",
    });
    Answer::all_are_200(&load.join());
    cornac.wait_for_log("member is ejected for 5 s (connect timed out)");
    let entries = cornac.entries();
    let hurt = entries.iter().filter(|entry| entry["tries"].as_u64() > Some(1)).count();
    // Those that were there at once, less than three that failed before, and one for each time it is asked again.
    assert!((3..=clients + 2 + 4).contains(&hurt), "{hurt} of {}", entries.len());
}
