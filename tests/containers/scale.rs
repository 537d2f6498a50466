//! Replicas come and go, and one is killed, under load.

use std::time::Duration;

use jiff::Timestamp;

use crate::clients::{Clients, Sums};
use crate::engine::{self, Container};
use crate::rig::Rig;
use crate::support::wait_until;

/// The rig's promise.
const FIVE_SECONDS: f64 = 5.0;
const SOON: Duration = Duration::from_secs(30);

pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Until each of them answered a request.
pub fn wait_for_answers(clients: &Clients, of: &[String]) {
    let answered = |id: &String| clients.so_far().iter().any(|answer| answer.is_by(id));
    assert!(wait_until(SOON, || of.iter().all(answered)), "some of {of:?} never answer");
}

/// So many more requests are answered.
pub fn wait_for_more(clients: &Clients, more: usize) {
    let goal = clients.so_far().len() + more;
    assert!(wait_until(SOON, || clients.so_far().len() >= goal), "the clients stand still");
}

fn first_requests(sums: &Sums, new: &[Container]) {
    let members = sums.members();
    for container in new {
        let (first, _) = members[&*container.id];
        let after = seconds(container.started, first);
        println!("  {} got its first request {after:.2} s after its start", container.id);
        assert!(after < FIVE_SECONDS, "{} had to wait {after} s for a request", container.id);
    }
}

/// Three become five and two while clients ask.
fn five_and_two(rig: &Rig, title: &str) {
    let before = rig.ids("fpm");
    assert_eq!(before.len(), 3);
    let clients = Clients::start(rig.site());
    wait_for_answers(&clients, &before);
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| rig.scale_to(5));
        rig.wait_for_members(5);
        Timestamp::now()
    });
    let is_new = |one: &Container| !before.iter().any(|id| id.starts_with(&one.id));
    let new: Vec<_> = rig.containers("fpm").into_iter().filter(is_new).collect();
    assert_eq!(new.len(), 2);
    wait_for_answers(&clients, &rig.ids("fpm"));
    let asked = Timestamp::now();
    let gone = std::thread::scope(|scope| {
        scope.spawn(|| rig.scale_to(2));
        rig.wait_for_members(2);
        seconds(asked, Timestamp::now())
    });
    wait_for_more(&clients, 500);
    let sums = clients.stop();

    println!("{title}: {sums}");
    let started = new.iter().map(|container| container.started).max().expect("two new ones");
    println!("  five members were seen {:.2} s after the last one's start", seconds(started, seen));
    first_requests(&sums, &new);
    println!("  three members had left {gone:.2} s after they were told to go");
    assert!(gone < FIVE_SECONDS, "members that are gone stay for {gone} s");
    sums.assert_none_failed("GET");
    sums.assert_none_failed("POST");
}

#[test]
#[ignore = "needs Docker: make test-docker"]
fn replicas_come_and_go_within_five_seconds_and_no_request_fails() {
    let rig = Rig::up("compose.yml");
    five_and_two(&rig, "scale 3 → 5 → 2, round 1");
    rig.scale_to(3);
    five_and_two(&rig, "scale 3 → 5 → 2, round 2");
}

#[test]
#[ignore = "needs Docker: make test-docker"]
fn docker_itself_says_who_comes_and_goes() {
    let rig = Rig::up("compose.discover.yml");
    five_and_two(&rig, "by Docker's events, scale 3 → 5 → 2");
}

#[test]
#[ignore = "needs Docker: make test-docker"]
fn a_killed_replica_costs_no_get() {
    let rig = Rig::up("compose.yml");
    for round in 1..=2 {
        let fpms = rig.ids("fpm");
        let clients = Clients::start(rig.site());
        wait_for_answers(&clients, &fpms);
        let killed = Timestamp::now();
        engine::docker(&["kill", &fpms[0]]);
        wait_for_more(&clients, 1000);
        engine::docker(&["start", &fpms[0]]);
        let started = engine::inspect(&fpms[0]).started;
        let is_back = || clients.so_far().iter().any(|answer| answer.is_by(&fpms[0]) && answer.at > started);
        assert!(wait_until(SOON, is_back), "the replica that was started again gets no request");
        let sums = clients.stop();

        println!("docker kill, round {round}: {sums}");
        let answers = sums.0.iter().filter(|answer| answer.is_by(&fpms[0]));
        let back = answers.map(|answer| answer.at).filter(|at| *at > started).min();
        println!(
            "  {:.1} s after the kill it was started again, and got a request {:.2} s later",
            seconds(killed, started),
            seconds(started, back.expect("it is back"))
        );
        sums.assert_none_failed("GET");
    }
}
