//! What a second front end gets of the same php-fpm pools: plain nginx without `keepalive`, alone and beside each contestant.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Scene;
use crate::backend::Backend;
use crate::contestant::{Contestant, Tuning};
use crate::crowd::{self, Asked, Crowd};
use crate::findings::Finding;

/// What both front ends' clients ask for, and how many they are.
#[derive(Clone, Copy, Debug)]
struct Load {
    target: &'static str,
    clients: u32,
}

/// The processors are what is short.
const QUICK: Load = Load { target: "/member.php", clients: 12 };
/// The workers are: scripts of 2 ms that compute nothing, and with two front ends four clients for a worker.
const SLOW: Load = Load { target: "/member.php?us=2000", clients: 24 };

impl Load {
    fn busy(self, to: SocketAddr) -> Crowd {
        Crowd { to, target: self.target, clients: self.clients, pause: Duration::ZERO }
    }

    fn trickling(self, to: SocketAddr) -> Crowd {
        Crowd { to, target: self.target, clients: 1, pause: TRICKLE }
    }
}

/// Between the end of the first one's load and what is called idle.
const REST: Duration = Duration::from_millis(300);
/// Until both have found their parts.
const SETTLING: Duration = Duration::from_secs(1);
/// How often in a turn the first comes and goes.
const SLICES: usize = 6;
const TRICKLE: Duration = Duration::from_millis(100);
const SECOND: Contestant = Contestant::Nginx(Tuning { keepalive: false, open_file_cache: false });

pub(crate) fn quick_turn(
    scene: Scene<'_>,
    first: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    turn(scene, QUICK, first, backend)
}

pub(crate) fn slow_turn(
    scene: Scene<'_>,
    first: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    turn(scene, SLOW, first, backend)
}

/// One turn of one contestant as the first front end: slice by slice, because what the processors give moves within a turn, too. The
/// second one's rate alone is taken before, between and after them.
fn turn(
    scene: Scene<'_>,
    load: Load,
    first: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let second_server = scene.start(SECOND, backend)?;
    let second = load.busy(second_server.address());
    for_a_while(&[second], REST);
    let window = scene.length.window() / 3;
    // After a rest, as it has one when the first is idle: who starts from rest is slower for a tenth of a second.
    let alone = || {
        sleep(REST);
        for_a_while(&[second], window)[0].rate
    };
    let (mut rates, mut sum) = (alone(), Slice::default());
    for _ in 0..SLICES {
        let server = scene.start(first, backend)?;
        let seen = slice(load, second, server.address(), window);
        sum.iter_mut().zip(&seen).for_each(|(sum, seen)| sum.add(seen));
        drop(server);
        rates += alone();
    }
    Ok(findings(&sum, rates / (SLICES + 1) as f64))
}

/// The second's clients while the first is idle after a load and while it trickles, and the first's; both until they have found their
/// parts, and after that.
type Slice = [Seen; 7];

fn slice(load: Load, second: Crowd, first: SocketAddr, window: Duration) -> Slice {
    let ours = load.busy(first);
    for_a_while(&[ours], window);
    sleep(REST);
    let [idle] = for_a_while(&[second], window);
    let [trickled, trickle] = for_a_while(&[second, load.trickling(first)], window);
    let [early, our_early] = for_a_while(&[second, ours], SETTLING);
    let [loaded, our_load] = for_a_while(&[second, ours], window);
    [idle, trickled, trickle, early, our_early, loaded, our_load]
}

/// Of all slices together; `alone` is the mean of what the second gets without a first, in answers a second.
fn findings(sum: &Slice, alone: f64) -> Vec<Finding> {
    let [idle, trickled, trickle, early, our_early, loaded, our_load] = sum;
    let rate = |seen: &Seen| seen.rate / SLICES as f64;
    let both = rate(loaded) + rate(our_load);
    vec![
        Finding::new("second alone, requests/s", alone),
        Finding::new("second ÷ alone, first idle after a load", rate(idle) / alone),
        Finding::new("second ÷ alone, first with 10 requests/s", rate(trickled) / alone),
        Finding::new("second ÷ alone, first loaded too", rate(loaded) / alone),
        Finding::new("both ÷ alone, first loaded too", both / alone),
        Finding::new("second's part of all, first loaded too", rate(loaded) / both.max(1.0)),
        Finding::new(
            "second's requests without an answer for 1 s",
            idle.hung + trickled.hung + early.hung + loaded.hung,
        ),
        Finding::new(
            "first's requests without an answer for 1 s",
            trickle.hung + our_early.hung + our_load.hung,
        ),
        Finding::new("errors of either", sum.iter().map(|seen| seen.errors).sum()),
        Finding::new("first's slowest while it trickles, ms", trickle.slowest.as_secs_f64() * 1e3),
    ]
}

/// What one crowd saw, in one window or in several.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Answers a second; of several windows the sum.
    rate: f64,
    hung: f64,
    /// Other than a hang.
    errors: f64,
    slowest: Duration,
}

impl Seen {
    fn add(&mut self, seen: &Self) {
        self.rate += seen.rate;
        self.hung += seen.hung;
        self.errors += seen.errors;
        self.slowest = self.slowest.max(seen.slowest);
    }
}

fn for_a_while<const CROWDS: usize>(crowds: &[Crowd; CROWDS], window: Duration) -> [Seen; CROWDS] {
    let started = Instant::now();
    let (diaries, until) = crowd::ask(crowds, || {
        sleep(window);
        Instant::now()
    });
    let seen = |diary: &Vec<Asked>| {
        let count = |is: &dyn Fn(&Asked) -> bool| diary.iter().filter(|asked| is(asked)).count() as f64;
        Seen {
            rate: count(&|asked| asked.succeeded() && asked.answered <= until)
                / until.duration_since(started).as_secs_f64(),
            hung: count(&|asked| asked.hung()),
            errors: count(&|asked| !asked.succeeded() && !asked.hung()),
            slowest: diary.iter().map(|asked| asked.took).max().unwrap_or_default(),
        }
    };
    std::array::from_fn(|place| seen(&diaries[place]))
}
