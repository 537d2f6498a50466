//! A soak: three php-fpms that fail at random, clients that ask for everything at random, and at the end the sums must be right
//! and nothing may be left. A few seconds of it as a test; `make soak` for a minute, or as long as `SOAK_SECONDS` says, again
//! with the chance of an earlier one by `SOAK_SEED`.
#![allow(clippy::print_stdout, reason = "the seed and the sums are what one runs this for")]
#![allow(unreachable_pub, reason = "a test's modules are private to it; `pub` is what they offer each other")]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod dice;
mod faults;
mod ledger;

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use clients::World;
use dice::Dice;
use ledger::{End, Ledger};
use support::http::{self, Connection};
use support::{Cornac, Fpm, Scratch, Signal, Tp, big_bytes, server, wait_until};

const CLIENTS: usize = 10;
const WORKERS: u32 = 3;
/// What cornac may ever have resident; 40 to 50 MiB were seen.
const MOST_KIB: u64 = 128 * 1024;
const SOON: Duration = Duration::from_secs(30);

fn from_environment(name: &str, otherwise: impl FnOnce() -> u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
        Err(_) => otherwise(),
    }
}

fn pools() -> Vec<Fpm> {
    let fpm = |name: &str| Fpm::builder(name).workers(WORKERS).ini("enable_post_data_reading", "off");
    let pools = vec![fpm("a").start(), fpm("b").tcp().start(), fpm("c").max_requests(40).start()];
    pools.iter().for_each(|fpm| fpm.open_gate("soak"));
    pools
}

fn in_front_of(pools: &[Fpm], temp: &Scratch) -> Cornac {
    let keys = format!("max_conns = {WORKERS}, fail_timeout = \"200ms\"");
    Tp::with_servers(pools.iter().map(|fpm| server(fpm, &keys)).collect())
        .server(&format!("temp_dir = \"{}\"", temp.path().display()))
        .pool("timeouts = { connect = \"2s\", first_byte = \"5s\", between_reads = \"5s\" }\nqueue = { timeout = \"20s\" }")
        .more("[[sites.routes]]\nmatch = '~ ^/index\\.php/gate/soak/up'\nfastcgi = \"php\"\nbuffering = false\n")
        .start()
}

/// Says what was wrong last of all: the logs of four processes lie over a panic's own words.
#[test]
fn whatever_fails_no_request_is_lost_in_silence_no_post_runs_twice_and_nothing_is_left() -> Result<(), String>
{
    std::panic::catch_unwind(everything_fails).map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

fn everything_fails() {
    let seconds = from_environment("SOAK_SECONDS", || 4);
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = from_environment("SOAK_SEED", now);
    println!("SOAK_SEED={seed} SOAK_SECONDS={seconds}");
    let temp = Scratch::new();
    let mut pools = pools();
    let mut cornac = in_front_of(&pools, &temp);
    let before = at_rest(&cornac);

    let world = World {
        address: cornac.address(),
        until: Instant::now() + Duration::from_secs(seconds),
        answers: AtomicU64::new(0),
        bytes: big_bytes(3_000_000),
    };
    let ledger = soak(&mut pools, &world, seed);
    println!("{ledger}");

    assert_all_slots_work(&cornac, &pools);
    assert_sums(&ledger, &pools, &cornac);
    assert_nothing_is_left(&mut cornac, &before, &temp);
}

fn soak(pools: &mut [Fpm], world: &World, seed: u64) -> Ledger {
    let mut ledger = Ledger::default();
    std::thread::scope(|scope| {
        let faults = scope.spawn(|| faults::strike(pools, world, Dice::new(seed, 0)));
        let clients = (1..=CLIENTS)
            .map(|client| scope.spawn(move || clients::work(world, Dice::new(seed, client as u64), client)));
        let clients: Vec<_> = clients.collect();
        clients.into_iter().for_each(|client| ledger.add(client.join().expect("a client does not panic")));
        println!("struck: {:?}", faults.join().expect("the faults do not panic"));
    });
    ledger
}

/// sent = answered + cut visibly + left; every body right; and php and the access log tell the same.
fn assert_sums(ledger: &Ledger, pools: &[Fpm], cornac: &Cornac) {
    assert!(ledger.wrong.is_empty(), "{:#?}", ledger.wrong);
    assert_eq!(ledger.sent, ledger.ended.len(), "{ledger}");
    assert_eq!(ledger.count(End::Closed), 0, "closed without an answer, or a hint before it: {ledger}");
    assert!(ledger.count(End::Answered(200)) > ledger.sent / 3, "hardly anybody was served: {ledger}");
    let mut runs = HashMap::new();
    for fpm in pools {
        let log = fs::read_to_string(fpm.counters().join("runs")).expect("every member ran something");
        log.lines().for_each(|name| *runs.entry(name.to_owned()).or_insert(0) += 1);
    }
    ledger.agrees_with_php(&runs);
    // The log's thread may write the last of them a moment after the client has them.
    let mut disagreement = None;
    wait_until(SOON, || {
        disagreement = ledger.disagreement_with_the_log(&cornac.entries());
        disagreement.is_none()
    });
    assert_eq!(disagreement, None);
}

/// No permit is lost: as many scripts run at once as there are workers, on every member.
fn assert_all_slots_work(cornac: &Cornac, pools: &[Fpm]) {
    let mut seen: Vec<String> = vec![];
    let all_serve = || {
        let reply = http::get(cornac.address(), "/json");
        seen.extend((reply.status == 200).then(|| reply.member().to_owned()));
        pools.iter().all(|fpm| seen.iter().any(|member| member == fpm.member()))
    };
    // An ejection may last up to a minute.
    assert!(wait_until(3 * SOON, all_serve), "a member does not come back:\n{}", events(cornac));

    let slots = pools.len() * WORKERS as usize;
    let mut held: Vec<Connection> = (0..slots).map(|_| Connection::open(cornac.address())).collect();
    held.iter_mut().for_each(|client| client.send("GET /gate/slot HTTP/1.1\r\nHost: x\r\n\r\n"));
    for fpm in pools {
        fpm.wait_for_count("slot", u64::from(WORKERS));
    }
    pools.iter().for_each(|fpm| fpm.open_gate("slot"));
    held.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

/// No descriptor, no temp file, no panic; and a graceful stop, which waits for whatever is in flight, has nothing to wait for.
fn assert_nothing_is_left(cornac: &mut Cornac, before: &[String], temp: &Scratch) {
    let after = idle(cornac, before.len());
    assert!(after.len() <= before.len(), "open before {before:#?}, and after {after:#?}");
    assert!(after.iter().all(|file| !file.contains("(deleted)")), "{after:#?}");
    assert_eq!(fs::read_dir(temp.path()).expect("the folder is there").count(), 0);
    assert!(!cornac.log().contains("panicked"), "{}", events(cornac));
    assert!(cornac.peak_rss_kib() < MOST_KIB, "{} KiB", cornac.peak_rss_kib());
    println!(
        "{} descriptors before, {} after; peak memory {} KiB",
        before.len(),
        after.len(),
        cornac.peak_rss_kib()
    );
    cornac.signal(Signal::QUIT);
    let ended = cornac.wait(Duration::from_secs(20));
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}: something is in flight still");
}

/// What is open before anybody asked. A port accepts before the threads are there, and the rig's own look at it may still be among
/// it at first.
fn at_rest(cornac: &Cornac) -> Vec<String> {
    cornac.wait_for_log("listening on");
    let looks = (0..20).map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        descriptors(cornac.pid())
    });
    looks.min_by_key(Vec::len).expect("it was looked at")
}

/// What is open when no more than `most` is, or in the end.
fn idle(cornac: &Cornac, most: usize) -> Vec<String> {
    assert_eq!(cornac.get("/json").status, 200);
    let mut open = vec![];
    wait_until(SOON, || {
        open = descriptors(cornac.pid());
        open.len() <= most && !open.iter().any(|file| file.contains("(deleted)"))
    });
    open
}

fn descriptors(pid: u32) -> Vec<String> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd")).expect("Linux shows an own process");
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).map(|to| to.display().to_string()).ok();
    folder.flatten().filter_map(target).collect()
}

/// The log without the access log.
fn events(cornac: &Cornac) -> String {
    cornac.log().lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n")
}
