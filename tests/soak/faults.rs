//! Faults at random, one member at a time, each over before the next begins.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clients::World;
use super::dice::Dice;
use super::support::{Fpm, Listen, Signal, signal, wait_until};

/// How long a fault lasts where the clients do not get on.
const LONGEST: Duration = Duration::from_secs(1);

/// How long a reload may take.
const OVER: Duration = Duration::from_secs(30);

type Fault = fn(&mut Fpm, &World, &mut Dice);

const FAULTS: [(&str, Fault); 8] = [
    ("kill -9 of a worker", |fpm, _, dice| hit_one(fpm, dice, Signal::KILL)),
    ("SIGSEGV in a worker", |fpm, _, dice| hit_one(fpm, dice, Signal::SEGV)),
    ("kill -9 of all", |fpm, world, dice| {
        fpm.kill();
        meanwhile(world, dice);
        fpm.restart();
    }),
    ("kill -9 of the master", |fpm, world, dice| {
        fpm.kill_master();
        meanwhile(world, dice);
        fpm.restart();
    }),
    ("restart", |fpm, world, dice| {
        fpm.stop();
        meanwhile(world, dice);
        fpm.restart();
    }),
    ("SIGUSR2 reload", |fpm, _, _| reload(fpm)),
    ("SIGSTOP of the workers", |fpm, world, dice| {
        let pids = fpm.worker_pids();
        pids.iter().for_each(|&pid| signal(pid, Signal::STOP));
        meanwhile(world, dice);
        pids.iter().for_each(|&pid| signal(pid, Signal::CONT));
    }),
    ("the socket's file is gone", |fpm, world, dice| {
        if let Listen::Unix(path) = fpm.listen() {
            drop(std::fs::remove_file(path));
            meanwhile(world, dice);
            fpm.restart();
        }
    }),
];

/// Until the world is over; returns how often each fault struck. All members are well then.
pub fn strike(pools: &mut [Fpm], world: &World, mut dice: Dice) -> BTreeMap<&'static str, u32> {
    let mut struck = BTreeMap::new();
    while !world.is_over() {
        meanwhile(world, &mut dice);
        let fpm = &mut pools[dice.below(3)];
        let (name, fault) = FAULTS[dice.below(FAULTS.len())];
        fault(fpm, world, &mut dice);
        *struck.entry(name).or_default() += 1;
    }
    struck
}

/// A worker, if one is there.
fn hit_one(fpm: &Fpm, dice: &mut Dice, how: Signal) {
    let pids = fpm.worker_pids();
    if !pids.is_empty() {
        signal(dice.pick(&pids), how);
    }
}

/// Until its new self is ready: the next fault is another's.
fn reload(fpm: &Fpm) {
    let starts = || fpm.log().matches("ready to handle connections").count();
    let before = starts();
    fpm.signal(Signal::USR2);
    assert!(wait_until(OVER, || starts() > before), "{} does not come back from a reload", fpm.member());
}

/// As long as the clients take for some requests.
fn meanwhile(world: &World, dice: &mut Dice) {
    let begun = Instant::now();
    let until = world.answers.load(Ordering::Relaxed) + dice.below(100) as u64;
    while world.answers.load(Ordering::Relaxed) < until && begun.elapsed() < LONGEST && !world.is_over() {
        std::thread::sleep(Duration::from_millis(2));
    }
}
