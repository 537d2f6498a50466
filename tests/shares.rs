//! How much of the traffic each real php-fpm gets, where it is not the same for all: who comes back, and who stands elsewhere.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::http::Connection;
use support::{Cornac, Fpm, Tp, server, wait_until};

/// How many of the next 20 GETs this member answers.
fn of_twenty(cornac: &Cornac, member: &str) -> usize {
    (0..20).filter(|_| cornac.get("/json").member() == member).count()
}

#[test]
fn a_restarted_member_with_slow_start_gets_a_small_share_that_grows_to_the_whole() {
    let [a, mut b] = ["a", "b"].map(Fpm::start);
    let keys = "max_fails = 1, fail_timeout = \"100ms\", slow_start = \"8s\"";
    let cornac =
        Tp::with_servers(vec![server(&a, keys), server(&b, keys)]).pool("policy = \"round_robin\"").start();
    assert_eq!(of_twenty(&cornac, "b"), 10, "who was there from the start has its whole share");
    b.kill();
    assert_eq!(of_twenty(&cornac, "b"), 0);
    b.restart();
    let back = || cornac.get("/json").member() == "b";
    assert!(wait_until(Duration::from_secs(20), back), "{}", cornac.log());
    let first = of_twenty(&cornac, "b");
    assert!((1..=6).contains(&first), "{first} of 20");
    let grown = wait_until(Duration::from_secs(25), || of_twenty(&cornac, "b") == 10);
    assert!(grown, "{} of 20", of_twenty(&cornac, "b"));
}

#[test]
fn servers_of_another_zone_are_asked_only_while_none_at_home_is_usable() {
    let [mut near, far] = ["near", "far"].map(Fpm::start);
    let keys = "max_fails = 1, fail_timeout = \"100ms\"";
    let servers = vec![
        server(&far, &format!("zone = \"b\", {keys}")),
        server(&near, &format!("zone = \"a\", max_conns = 1, {keys}")),
    ];
    let cornac = Tp::with_servers(servers).pool("prefer_zone = \"a\"").start();
    assert_eq!(of_twenty(&cornac, "near"), 20);

    let mut held = Connection::open(cornac.address());
    held.send("GET /gate/held HTTP/1.1\r\nHost: x\r\n\r\n");
    near.wait_for_count("held", 1);
    assert_eq!(of_twenty(&cornac, "far"), 20, "it has no slot free at home");
    near.open_gate("held");
    assert_eq!(held.response().text(), "through\n");
    assert_eq!(of_twenty(&cornac, "near"), 20);

    near.kill();
    assert_eq!(of_twenty(&cornac, "far"), 20, "nobody is at home");
    near.restart();
    let back = || cornac.get("/json").member() == "near";
    assert!(wait_until(Duration::from_secs(20), back), "{}", cornac.log());
}

/// A weight of 3 against 1, under either policy that draws or counts by load.
#[test]
fn random_and_least_conn_give_by_weight() {
    for policy in ["random", "least_conn"] {
        let [heavy, light] = ["heavy", "light"].map(|name| Fpm::builder(name).workers(8).start());
        let cornac = Tp::with_servers(vec![server(&heavy, "weight = 3"), server(&light, "")])
            .pool(&format!("policy = \"{policy}\""))
            .start();
        let mut waiting: Vec<_> = (0..8).map(|_| Connection::open(cornac.address())).collect();
        for (number, connection) in waiting.iter_mut().enumerate() {
            connection.send("GET /gate/all HTTP/1.1\r\nHost: x\r\n\r\n");
            let runs = || heavy.count("all") + light.count("all") == number as u64 + 1;
            assert!(wait_until(Duration::from_secs(20), runs), "{policy}: {}", cornac.log());
        }
        let share = heavy.count("all");
        assert!((5..=7).contains(&share), "{policy}: {share} of 8");
        [&heavy, &light].into_iter().for_each(|fpm| fpm.open_gate("all"));
        let members: BTreeSet<_> =
            waiting.iter_mut().map(|connection| connection.response().member().to_owned()).collect();
        assert_eq!(members.len(), 2, "{policy}");
    }
}
