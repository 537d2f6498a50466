//! Members that Docker, Consul and etcd tell of: they come and go under load without a failed request, and a source that is gone
//! costs nobody anything. etcd is a real one; Docker and Consul are stand-ins that keep to what their manuals say.

mod support;

use std::cell::RefCell;
use std::time::Duration;

use serde_json::json;
use support::consul::{self, Consul};
use support::docker::Docker;
use support::etcd::Etcd;
use support::{Answer, Fleet, Fpm, Load, free_port, told_by, wait_until};

const SOON: Duration = Duration::from_secs(20);
const GONE: &str = "(draining";

fn docker_source(docker: &Docker) -> String {
    format!("{{ docker = \"unix:{}\", label = \"cornac.pool=php\" }}", docker.socket().display())
}

fn consul_source(consul: &Consul, more: &str) -> String {
    format!("{{ consul = \"{}\", service = \"php-fpm\", {more} }}", consul.url())
}

#[test]
fn containers_scale_under_load() {
    let (mut fleet, docker) = (Fleet::start(["a", "b", "c", "d", "e"]), Docker::start());
    let running = RefCell::new(vec![]);
    let tell = |which: &[usize], fleet: &Fleet| {
        let mut running = running.borrow_mut();
        let name = |index: usize| format!("app-fpm-{index}");
        running.iter().filter(|index| !which.contains(index)).for_each(|&index| docker.die(&name(index)));
        for &index in which.iter().filter(|index| !running.contains(index)) {
            docker.run(&name(index), &fleet.server(index), json!({}));
        }
        *running = which.to_vec();
    };
    tell(&[0, 1, 2], &fleet);
    let cornac = told_by(&docker_source(&docker)).start();
    fleet.scales_without_a_failed_request(&cornac, tell);
}

#[test]
fn a_container_that_is_unhealthy_is_left_out_and_labels_tell_weight_and_port() {
    let (fleet, docker) = (Fleet::start(["a", "b"]), Docker::start());
    docker.run("a", &fleet.server(0), json!({"cornac.weight": "3"}));
    docker.run("b", "127.0.0.3:1", json!({"cornac.port": fleet.port.number().to_string()}));
    docker.run("odd", &fleet.server(0), json!({"cornac.port": "fcgi"}));
    let cornac = told_by(&docker_source(&docker)).pool("policy = \"round_robin\"").start();
    cornac.wait_for_log("container odd is left out: its label cornac.port is 'fcgi'");
    let answers = Load::until(cornac.address(), 1, 8, |_, _| "/json").join();
    assert_eq!(["a", "b"].map(|name| Answer::of_member(&answers, name)), [6, 2]);
    docker.health("a", "unhealthy");
    cornac.wait_for_log(&format!("− {} {GONE}", fleet.server(0)));
    assert_eq!(cornac.get("/json").member(), "b");
    docker.health("a", "healthy");
    let back = || Answer::of_member(&Load::until(cornac.address(), 1, 8, |_, _| "/json").join(), "a") > 0;
    assert!(wait_until(SOON, back), "{}", cornac.log());
}

#[test]
fn a_container_that_docker_still_lists_when_it_tells_of_its_death_leaves_the_pool() {
    let (fleet, docker) = (Fleet::start(["a", "b"]), Docker::start());
    docker.run("a", &fleet.server(0), json!({}));
    docker.run("b", &fleet.server(1), json!({}));
    let cornac = told_by(&docker_source(&docker)).start();
    cornac.wait_for_log(&format!("+ {} (docker)", fleet.server(1)));
    docker.die_before_the_list_knows("a");
    cornac.wait_for_log(&format!("− {} {GONE}", fleet.server(0)));
}

#[test]
fn a_docker_that_is_not_there_is_told_and_one_that_goes_away_costs_nobody_anything() {
    let (fleet, mut docker) = (Fleet::start(["a", "b"]), Docker::start());
    docker.goes_away();
    docker.run("a", &fleet.server(0), json!({}));
    let cornac = told_by(&docker_source(&docker)).start();
    cornac.wait_for_log("docker.sock: No such file or directory");
    assert_eq!(cornac.get("/json").status, 502, "nobody is known yet");
    docker.comes_back();
    cornac.wait_for_log(&format!("+ {} (docker)", fleet.server(0)));
    docker.goes_away();
    let warned = || cornac.log().matches("a source of members fails").count() == 2;
    assert!(wait_until(SOON, warned), "{}", cornac.log());
    assert_eq!(cornac.get("/json").member(), "a");
    docker.run("b", &fleet.server(1), json!({}));
    docker.comes_back();
    cornac.wait_for_log(&format!("+ {} (docker)", fleet.server(1)));
    assert_eq!(cornac.log().matches("the source of members is well again").count(), 2);
}

fn token() -> (support::Scratch, String) {
    let folder = support::Scratch::new();
    let file = folder.write("token", "open-sesame\n");
    (folder, format!("token = {{ file = \"{}\" }}", file.display()))
}

#[test]
fn instances_in_consul_scale_under_load() {
    let (mut fleet, consul, (_folder, token)) =
        (Fleet::start(["a", "b", "c", "d", "e"]), Consul::start(100), token());
    let tell = |which: &[usize], fleet: &Fleet| {
        let servers: Vec<_> = which.iter().map(|&index| fleet.server(index)).collect();
        consul.register(
            &servers.iter().map(|at| (at.as_str(), Some(1), &["v1"][..], true)).collect::<Vec<_>>(),
        );
    };
    tell(&[0, 1, 2], &fleet);
    let cornac = told_by(&consul_source(&consul, &token)).start();
    fleet.scales_without_a_failed_request(&cornac, tell);
    // It waited for each change, and did not ask all the time.
    assert!(consul.queries().len() <= 6, "{:?}", consul.queries());
}

#[test]
fn consul_tells_who_passes_with_weights_tags_and_the_nodes_address() {
    let (fleet, consul, (_folder, token)) = (Fleet::start(["a", "b", "c", "d"]), Consul::start(100), token());
    let at: Vec<_> = (0..4).map(|index| fleet.server(index)).collect();
    consul.register(&[
        (&at[0], Some(3), &["v1"], true),
        (&at[1], None, &["v1", "x"], true),
        (&at[2], None, &["v1"], false),
        (&at[3], None, &["v2"], true),
    ]);
    let cornac = told_by(&consul_source(&consul, &format!("tags = [\"v1\"], {token}")))
        .pool("policy = \"round_robin\"")
        .start();
    let answers = Load::until(cornac.address(), 1, 8, |_, _| "/json").join();
    assert_eq!(["a", "b", "c", "d"].map(|name| Answer::of_member(&answers, name)), [6, 2, 0, 0]);
}

#[test]
fn a_consul_that_fails_or_begins_another_history_costs_nobody_anything() {
    let (fleet, consul, (_folder, token)) = (Fleet::start(["a", "b"]), Consul::start(100), token());
    let at: Vec<_> = (0..2).map(|index| fleet.server(index)).collect();
    consul.be(consul::Mood::NoLeader);
    let cornac = told_by(&consul_source(&consul, &token)).start();
    cornac.wait_for_log("answers 500 Internal Server Error: rpc error making call: No cluster leader");
    consul.register(&[(&at[0], None, &[], true)]);
    consul.be(consul::Mood::Answers);
    cornac.wait_for_log(&format!("+ {} (consul php-fpm)", at[0]));
    consul.be(consul::Mood::NoLeader);
    let warned = || cornac.log().matches("a source of members fails").count() == 2;
    assert!(wait_until(SOON, warned), "{}", cornac.log());
    assert_eq!(cornac.get("/json").member(), "a");
    consul.be(consul::Mood::Answers);
    let waits_again = || {
        consul.queries().ends_with(&[0, 110])
            && consul.queries().iter().filter(|&&index| index == 110).count() == 2
    };
    assert!(wait_until(SOON, waits_again), "{:?}", consul.queries());
    // Its index goes back: whoever stuck to the old one would hear nothing for long.
    consul.restore(7);
    assert!(wait_until(SOON, || consul.queries().last() == Some(&7)), "{:?}", consul.queries());
    consul.register(&[(&at[1], None, &[], true)]);
    cornac.wait_for_log(&format!("− {} {GONE}", at[0]));
    assert_eq!(cornac.get("/json").member(), "b");
}

#[test]
fn a_consul_that_is_dead_silent_or_refuses_the_token_is_told_and_cornac_is_up() {
    let (fpm, consul, dead) = (Fpm::start("a"), Consul::start(1), free_port());
    consul.be(consul::Mood::Silent);
    let (_folder, right) = token();
    let refuses = Consul::start(1);
    let sources = [
        format!("{{ consul = \"http://{dead}\", service = \"php-fpm\" }}"),
        consul_source(&consul, &right),
        format!("{{ consul = \"{}\", service = \"php-fpm\" }}", refuses.url()),
    ];
    let sources = format!("discover = [{}]", sources.join(", "));
    let cornac = support::Tp::over([&fpm]).pool(&sources).start();
    cornac.wait_for_log(&format!("cannot connect to http://{dead}: Connection refused"));
    cornac.wait_for_log("answers 403 Forbidden: Permission denied: anonymous token");
    assert_eq!(cornac.get("/json").member(), "a");
    let silent = format!("{} does not answer within 10 s", consul.url());
    assert!(wait_until(SOON, || cornac.log().contains(&silent)), "{}", cornac.log());
}

#[test]
fn keys_in_etcd_scale_under_load() {
    let (mut fleet, etcd) = (Fleet::start(["a", "b", "c", "d", "e"]), Etcd::start());
    let known = RefCell::new(vec![]);
    let tell = |which: &[usize], fleet: &Fleet| {
        let mut known = known.borrow_mut();
        let key = |index: usize| format!("/cornac/php/{index}");
        known.iter().filter(|index| !which.contains(index)).for_each(|&index| etcd.delete(&key(index)));
        for &index in which.iter().filter(|index| !known.contains(index)) {
            etcd.put(&key(index), &fleet.server(index));
        }
        *known = which.to_vec();
    };
    tell(&[0, 1, 2], &fleet);
    etcd.put("/cornac/php0", "127.0.0.1:1");
    let source = format!("{{ etcd = [\"{}\"], prefix = \"/cornac/php/\" }}", etcd.url());
    let cornac = told_by(&source).start();
    fleet.scales_without_a_failed_request(&cornac, tell);
}

#[test]
fn etcd_is_followed_over_a_dead_endpoint_a_compaction_a_wrong_value_and_its_own_restart() {
    let (fleet, mut etcd, dead) = (Fleet::start(["a", "b", "c"]), Etcd::start(), free_port());
    etcd.put("/cornac/php/a", &json!({"address": fleet.server(0), "weight": 3}).to_string());
    etcd.put("/cornac/php/odd", "nonsense");
    let source = format!("{{ etcd = [\"http://{dead}\", \"{}\"], prefix = \"/cornac/php/\" }}", etcd.url());
    let cornac = told_by(&source).start();
    cornac.wait_for_log(&format!("+ {} (etcd /cornac/php/, weight 3)", fleet.server(0)));
    cornac.wait_for_log("the value of /cornac/php/odd is left out: 'nonsense' is not an address");
    assert!(
        !cornac.log().contains("a source of members fails"),
        "one of two is no trouble:\n{}",
        cornac.log()
    );
    etcd.compact();
    etcd.put("/cornac/php/b", &fleet.server(1));
    cornac.wait_for_log(&format!("+ {} (etcd /cornac/php/)", fleet.server(1)));
    etcd.kill();
    cornac.wait_for_log("a source of members fails; the last known good is kept");
    Answer::all_are_200(&Load::until(cornac.address(), 2, 4, |_, _| "/json").join());
    etcd.restart();
    etcd.put("/cornac/php/c", &fleet.server(2));
    etcd.delete("/cornac/php/a");
    let told = || {
        let log = cornac.log();
        log.contains(&format!("+ {} (etcd", fleet.server(2)))
            && log.contains(&format!("− {} {GONE}", fleet.server(0)))
    };
    assert!(wait_until(SOON, told), "{}", cornac.log());
    assert_eq!(cornac.log().matches("is left out").count(), 1, "said once:\n{}", cornac.log());
}
