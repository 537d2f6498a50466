//! A php-fpm that is only a calculation: workers, a backlog that is first in, first out, scripts that take their time, clients
//! that ask again when they are answered, and another front end beside ours. What the room promises holds there.

use super::{Answered, Kept, Slots, Ticket};
use crate::balance::{Keepalive, Limit};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How long a script takes.
type Script = fn(&mut SmallRng) -> Duration;

fn hello(_: &mut SmallRng) -> Duration {
    Duration::from_micros(400)
}

fn quick(_: &mut SmallRng) -> Duration {
    ms(2)
}

/// Three of a hundred take a hundred times as long.
fn mixed(rng: &mut SmallRng) -> Duration {
    if rng.random_ratio(3, 100) { ms(200) } else { ms(2) }
}

fn varied(rng: &mut SmallRng) -> Duration {
    ms(20).mul_f64(-rng.random_range(0.001..1.0_f64).ln())
}

fn slow(_: &mut SmallRng) -> Duration {
    ms(500)
}

#[derive(Debug)]
struct Ours {
    opened: Instant,
    requests: u32,
    ticket: Option<Ticket>,
    sent: Instant,
    number: usize,
}

impl Kept for Ours {
    fn opened(&self) -> Instant {
        self.opened
    }
    fn requests(&self) -> u32 {
        self.requests
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A script on the connection of this number ends.
    Done(usize),
    House,
}

struct World {
    now: Instant,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    order: u64,
    rng: SmallRng,
    script: Script,
    /// Clients of ours ask for something that wants a fresh connection.
    posts: bool,
    free: u32,
    max_children: u32,
    backlog: VecDeque<usize>,
    slots: Slots<Ours>,
    /// By number; `None` is the other front end's, or gone.
    in_use: Vec<Option<Ours>>,
    queued: u32,
    answered: [u32; 2],
    worked: Duration,
    most_in_backlog: usize,
}

impl World {
    fn new(max_children: u32, script: Script) -> Self {
        let now = Instant::now();
        let mut world = Self {
            now,
            events: BinaryHeap::new(),
            order: 0,
            rng: SmallRng::seed_from_u64(7),
            script,
            posts: false,
            free: max_children,
            max_children,
            backlog: VecDeque::new(),
            slots: Slots::default(),
            in_use: Vec::new(),
            queued: 0,
            answered: [0; 2],
            worked: Duration::ZERO,
            most_in_backlog: 0,
        };
        world.at(ms(5), Event::House);
        world
    }

    fn at(&mut self, later: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((self.now + later, self.order, event)));
    }

    /// So many clients of ours, and of another front end that neither limits nor keeps anything.
    fn clients(&mut self, ours: u32, others: u32) {
        self.queued += ours;
        self.pump();
        (0..others).for_each(|_| self.other_asks());
    }

    fn other_asks(&mut self) {
        self.in_use.push(None);
        self.connect(self.in_use.len() - 1);
    }

    fn pump(&mut self) {
        while self.queued > 0 {
            let limit = Limit::Learnt(self.slots.learnt());
            let Some(taken) = self.slots.take(limit, self.posts, &Keepalive::AUTO, self.now) else { return };
            self.queued -= 1;
            if taken.surplus.is_some() {
                self.worker_is_free();
            }
            match taken.idle {
                Some(kept) => {
                    let number = kept.number;
                    self.in_use[number] = Some(Ours { sent: self.now, ..kept });
                    self.runs(number, Duration::ZERO);
                }
                None => self.open(),
            }
        }
    }

    fn open(&mut self) {
        let number = self.in_use.len();
        let ticket = Some(self.slots.opened(self.now, self.now));
        self.in_use.push(Some(Ours { opened: self.now, requests: 0, ticket, sent: self.now, number }));
        self.connect(number);
    }

    fn connect(&mut self, number: usize) {
        self.backlog.push_back(number);
        self.accept();
        self.most_in_backlog = self.most_in_backlog.max(self.ours_in_backlog());
    }

    fn ours_in_backlog(&self) -> usize {
        self.backlog.iter().filter(|&&number| self.in_use[number].is_some()).count()
    }

    fn accept(&mut self) {
        while self.free > 0
            && let Some(number) = self.backlog.pop_front()
        {
            self.free -= 1;
            // What a new connection costs.
            self.runs(number, Duration::from_micros(50));
        }
    }

    fn runs(&mut self, number: usize, cost: Duration) {
        let took = (self.script)(&mut self.rng);
        self.worked += took;
        self.at(took + cost, Event::Done(number));
    }

    fn worker_is_free(&mut self) {
        self.free += 1;
        self.accept();
    }

    fn done(&mut self, number: usize) {
        let Some(mut ours) = self.in_use[number].take() else {
            self.answered[1] += 1;
            self.worker_is_free();
            return self.other_asks();
        };
        self.answered[0] += 1;
        if let Some(ticket) = ours.ticket.take() {
            self.slots.first_byte(ticket, !self.posts, self.now);
        }
        ours.requests += 1;
        let (sent, queued) = (ours.sent, self.queued);
        let reply = Answered { sent, first_byte: self.now - sent, queued, learns: true };
        if self.slots.keep(ours, reply, &Keepalive::AUTO, self.now).is_some() {
            self.slots.release_unopened(self.now);
            self.worker_is_free();
        }
        self.queued += 1;
        self.pump();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.events.peek().is_some_and(|Reverse((at, _, _))| *at <= end)
            && let Some(Reverse((at, _, event))) = self.events.pop()
        {
            self.now = at;
            match event {
                Event::Done(number) => self.done(number),
                Event::House => {
                    let closing = self.slots.reap(&Keepalive::AUTO, true, self.now, |_| true);
                    closing.iter().for_each(|_| self.worker_is_free());
                    self.slots.tick(self.now);
                    self.pump();
                    self.at(ms(5), Event::House);
                }
            }
        }
        self.now = end;
    }

    /// Runs and returns which part of the workers' time was work.
    fn measure(&mut self, time: Duration) -> f64 {
        (self.worked, self.answered, self.most_in_backlog) = (Duration::ZERO, [0; 2], 0);
        self.run(time);
        self.worked.as_secs_f64() / (time.as_secs_f64() * f64::from(self.max_children))
    }

    fn reuse_rate(&self) -> f64 {
        let (reused, fresh) = self.slots.reuse();
        reused as f64 / (reused + fresh) as f64
    }
}

#[test]
fn the_limit_becomes_the_number_of_workers_and_nearly_nothing_waits_in_the_backlog() {
    for script in [quick, mixed, varied] {
        for workers in [1, 4, 20] {
            let mut world = World::new(workers, script);
            world.clients(4 * workers, 0);
            world.run(ms(3000));
            let goodput = world.measure(ms(10_000));
            let seen = (workers, world.slots.learnt(), world.most_in_backlog, goodput, world.reuse_rate());
            assert!(world.slots.learnt().abs_diff(workers) <= 1, "{seen:?}");
            assert!(world.most_in_backlog <= 2, "{seen:?}");
            assert!(goodput > 0.96, "{seen:?}");
            assert!(world.reuse_rate() > 0.9, "{seen:?}");
        }
    }
}

#[test]
fn fewer_clients_than_workers_have_all_they_need() {
    let mut world = World::new(4, mixed);
    world.clients(4, 0);
    world.run(ms(1000));
    assert!(world.measure(ms(10_000)) > 0.96);
    assert!(world.reuse_rate() > 0.9, "{}", world.reuse_rate());
}

#[test]
fn posts_alone_find_the_limit_too() {
    for script in [quick, mixed, varied] {
        for workers in [2, 4, 20] {
            let mut world = World::new(workers, script);
            world.posts = true;
            world.clients(4 * workers, 0);
            world.run(ms(20_000));
            let goodput = world.measure(ms(20_000));
            let seen = (workers, world.slots.learnt(), world.most_in_backlog, goodput);
            assert!(goodput > 0.95, "{seen:?}");
            assert!(world.most_in_backlog as u32 <= workers / 2 + 5, "{seen:?}");
        }
    }
}

#[test]
fn workers_that_come_later_are_found_within_two_seconds() {
    for script in [quick, mixed, varied] {
        let mut world = World::new(4, script);
        world.clients(48, 0);
        world.run(ms(5000));
        (world.free, world.max_children) = (world.free + 12, 16);
        world.accept();
        world.run(ms(2000));
        let goodput = world.measure(ms(3000));
        assert!(goodput > 0.95 && world.slots.learnt() >= 15, "{goodput} {}", world.slots.learnt());
    }
}

#[test]
fn slow_scripts_use_every_worker() {
    let mut world = World::new(16, slow);
    world.clients(64, 0);
    world.run(ms(4000));
    assert!(world.measure(ms(10_000)) > 0.95);
}

#[test]
fn another_front_end_has_its_part_in_proportion() {
    // A connection for each request costs 50 µs beside the 400 µs of hello.
    for (script, least) in [(hello as Script, 0.88), (quick, 0.97), (mixed, 0.97), (varied, 0.97)] {
        for (ours, others) in [(4, 4), (12, 12), (24, 12), (12, 24)] {
            let mut world = World::new(4, script);
            world.clients(ours, 0);
            world.run(ms(2000));
            world.clients(0, others);
            world.run(ms(2000));
            let goodput = world.measure(ms(10_000));
            let [we, they] = world.answered.map(f64::from);
            let fair = f64::from(others) / f64::from(ours + others);
            let part = they / (we + they);
            assert!(part > 0.75 * fair && part < 1.75 * fair, "{ours}:{others}: {part} of {fair}");
            assert!(goodput > least, "{goodput}");
        }
    }
}
