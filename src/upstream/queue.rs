//! The queue in front of the members: who waits for a slot, in the order of arrival, and how fast the line moves.
//!
//! Requests of a route with `max_share` wait in a row of their own, so that those behind need not wait while the route has all that it
//! may have; across the rows the order is the order of arrival. A queue knows no lock and no clock; `admission` hands out
//! what gets free.
//!
//! One exception: a worker stands still until its next request is there, and a thread that has to be woken sends that later than the one
//! that has just read the reply. So of the first few the one whose lane it is comes first, and nobody is passed by more than twice.

use super::lane::Lane;
use super::lease::Grant;
use super::member::Member;
use super::waits::Waits;
use crate::balance::{Line, Patience};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// So many at the front may be looked at for one of the same lane.
const FRONT: usize = 4;
/// How often somebody may be passed by.
const PASSES: u8 = 2;

/// What a request wants of a member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    /// For the hash policies.
    pub(crate) key: u64,
    /// A connection that nobody used before: the request must not meet a stale one.
    pub(crate) fresh: bool,
    /// Which of the pool's shares it takes its slot from.
    pub(crate) share: Option<usize>,
    /// Members that it was sent to already.
    pub(crate) tried: SmallVec<[Arc<Member>; 2]>,
}

/// A request comes to the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coming {
    pub(crate) now: Instant,
    /// When it first came: one that was sent before keeps its place by age.
    pub(crate) first: Instant,
    /// How much of its patience is spent.
    pub(crate) waited: Duration,
}

impl Coming {
    /// For the first time.
    pub(crate) fn first(now: Instant) -> Self {
        Self { now, first: now, waited: Duration::ZERO }
    }
}

/// A waiter's place: by the time of its arrival, and among equals by the number of its ticket.
pub(crate) type Age = (Instant, u64);

/// What a waiter hears: its turn, or that nobody is left to wait for.
pub(crate) type Turn = oneshot::Sender<Option<Grant>>;

#[derive(Debug)]
pub(crate) struct Waiter {
    age: Age,
    since: Instant,
    pub(crate) wish: Wish,
    pub(crate) turn: Turn,
    /// Whose thread serves its client.
    lane: Lane,
    passed: u8,
}

/// First come, first served, and no longer than it is allowed to be.
#[derive(Debug)]
pub(crate) struct Queue {
    /// The first is for requests without a share.
    rows: Vec<Row>,
    waiting: usize,
    tickets: u64,
    waits: Waits,
}

#[derive(Debug)]
struct Row {
    waiters: VecDeque<Waiter>,
    line: Line,
}

/// A walk along those who wait, in the order of arrival: how far it has come in each row.
#[derive(Debug)]
pub(crate) struct Walk {
    here: Lane,
    places: SmallVec<[usize; 4]>,
}

impl Queue {
    /// With rows for so many shares.
    pub(crate) fn new(timeout: Duration, shares: usize) -> Self {
        let rows = std::iter::repeat_with(|| Row::new(timeout)).take(shares + 1).collect();
        Self { rows, waiting: 0, tickets: 0, waits: Waits::default() }
    }

    /// Another timeout and other shares from now on. Those who wait stay, each for as long as it was promised; whose share
    /// is gone waits among those without.
    pub(crate) fn follow(&mut self, timeout: Duration, shares: usize, now: Instant) {
        self.rows.resize_with(self.rows.len().max(shares + 1), || Row::new(timeout));
        let mut gone = self.rows.split_off(shares + 1);
        gone.iter_mut().flat_map(|row| &mut row.waiters).for_each(|waiter| waiter.wish.share = None);
        let without = &mut self.rows[0];
        let had_any = !without.waiters.is_empty();
        without.waiters.extend(gone.into_iter().flat_map(|row| row.waiters));
        without.waiters.make_contiguous().sort_by_key(|waiter| waiter.age);
        if !had_any && !without.waiters.is_empty() {
            without.line.forms(now.into_std());
        }
        self.rows.iter_mut().for_each(|row| row.line.set_patience(Patience::new(timeout)));
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many wait for the same share, or for none.
    pub(crate) fn ahead(&self, share: Option<usize>) -> usize {
        self.rows[self.row(share)].waiters.len()
    }

    /// Whether it makes sense to wait behind them for workers that are `running`.
    pub(crate) fn admits(&mut self, share: Option<usize>, running: usize, now: Instant) -> bool {
        let row = self.row(share);
        let row = &mut self.rows[row];
        row.line.admits(row.waiters.len(), running, now.into_std())
    }

    pub(crate) fn join(&mut self, wish: Wish, turn: Turn, coming: Coming, lane: Lane) -> Age {
        self.tickets += 1;
        self.waiting += 1;
        let age = (coming.first, self.tickets);
        let row = self.row(wish.share);
        let row = &mut self.rows[row];
        if row.waiters.is_empty() {
            row.line.forms(coming.now.into_std());
        }
        // Nearly always at the end.
        let younger = row.waiters.iter().rev().take_while(|waiter| waiter.age > age).count();
        row.waiters.insert(
            row.waiters.len() - younger,
            Waiter { age, since: coming.now, wish, turn, lane, passed: 0 },
        );
        age
    }

    /// Takes out a waiter who left; one who had its turn is not here any more.
    pub(crate) fn leave(&mut self, age: Age) {
        let place = |row: &Row| row.waiters.binary_search_by_key(&age, |waiter| waiter.age).ok();
        let found = self.rows.iter().map(place).zip(0..).find_map(|(place, row)| Some((row, place?)));
        if let Some((row, place)) = found {
            self.remove(row, place);
        }
    }

    /// Of each share, who comes first of those that have not been anywhere yet.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Wish> {
        let first = |row: &Row| row.waiters.iter().position(|waiter| waiter.wish.tried.is_empty());
        self.rows.iter().filter_map(move |row| Some(&row.waiters[first(row)?].wish))
    }

    /// By a thread that gives out what is free.
    pub(crate) fn walk(&self, here: Lane) -> Walk {
        Walk { here, places: SmallVec::from_elem(0, self.rows.len()) }
    }

    /// Who is next on this walk.
    pub(crate) fn next(&self, walk: &Walk) -> Option<&Wish> {
        let rows = self.rows.iter().zip(&walk.places);
        let next = rows.filter_map(|(row, &place)| row.waiters.get(row.turn(place, walk.here)));
        next.min_by_key(|waiter| waiter.age).map(|waiter| &waiter.wish)
    }

    /// Takes out who is next for that share on this walk: it has got a slot, or there is none to wait for.
    pub(crate) fn take(&mut self, walk: &Walk, share: Option<usize>) -> Option<Waiter> {
        let number = self.row(share);
        let (row, place) = (&mut self.rows[number], walk.places[number]);
        let turn = row.turn(place, walk.here);
        row.waiters.range_mut(place..turn).for_each(|passed| passed.passed += 1);
        self.remove(number, turn)
    }

    /// Somebody who waited has got a slot.
    pub(crate) fn served(&mut self, waiter: &Waiter, now: Instant) {
        let row = self.row(waiter.wish.share);
        self.rows[row].line.served(now.into_std());
        self.waits.ended(now.duration_since(waiter.since), now);
    }

    fn row(&self, share: Option<usize>) -> usize {
        row(share, self.rows.len())
    }

    fn remove(&mut self, row: usize, place: usize) -> Option<Waiter> {
        let row = &mut self.rows[row];
        let waiter = row.waiters.remove(place)?;
        self.waiting -= 1;
        if row.waiters.is_empty() {
            row.line.dissolves();
        }
        Some(waiter)
    }

    /// When it makes sense to come again, by the pace at which the line moves.
    pub(crate) fn retry_after(&self, share: Option<usize>, now: Instant) -> Duration {
        let row = &self.rows[self.row(share)];
        row.line.retry_after(row.waiters.len(), now.into_std())
    }

    /// How long those waited who were served lately, and how long the first of those who wait has.
    pub(crate) fn waits(&self, now: Instant) -> (Waits, Duration) {
        let heads = self.rows.iter().filter_map(|row| row.waiters.front());
        let first = heads.map(|waiter| waiter.since).min();
        (self.waits, first.map_or(Duration::ZERO, |since| now.duration_since(since)))
    }
}

impl Row {
    fn new(timeout: Duration) -> Self {
        Self { waiters: VecDeque::new(), line: Line::new(Patience::new(timeout)) }
    }

    /// Whose turn it is from that place on. One who was at php-fpm before neither passes nor is passed.
    fn turn(&self, place: usize, here: Lane) -> usize {
        for (waiter, turn) in self.waiters.iter().skip(place).zip(place..).take(FRONT) {
            if !waiter.wish.tried.is_empty() {
                break;
            }
            if waiter.lane == here {
                return turn;
            }
            if waiter.passed == PASSES {
                break;
            }
        }
        place
    }
}

impl Walk {
    /// Passes by the next of that share, who stays.
    pub(crate) fn passes(&mut self, share: Option<usize>) {
        let row = row(share, self.places.len());
        self.places[row] += 1;
    }

    /// Passes by all of that share.
    pub(crate) fn passes_all(&mut self, share: Option<usize>) {
        let row = row(share, self.places.len());
        self.places[row] = usize::MAX;
    }
}

/// A request that was on its way before a reload may name a share that is gone: then it has none.
fn row(share: Option<usize>, rows: usize) -> usize {
    share.map(|share| share + 1).filter(|&row| row < rows).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::endpoint::Endpoint;

    fn join(queue: &mut Queue, share: Option<usize>) -> (Age, oneshot::Receiver<Option<Grant>>) {
        join_from(queue, share, Lane::here())
    }

    fn join_from(
        queue: &mut Queue,
        share: Option<usize>,
        lane: Lane,
    ) -> (Age, oneshot::Receiver<Option<Grant>>) {
        let (turn, hears) = oneshot::channel();
        let wish = Wish { share, ..Wish::default() };
        (queue.join(wish, turn, Coming::first(Instant::now()), lane), hears)
    }

    fn take(queue: &mut Queue, walk: &Walk) -> Option<Age> {
        let share = queue.next(walk)?.share;
        queue.take(walk, share).map(|waiter| waiter.age)
    }

    #[test]
    fn who_leaves_gives_up_the_place_at_once_and_the_others_keep_theirs() {
        let mut queue = Queue::new(Duration::from_secs(30), 0);
        let [(first, _a), (second, _b), (third, _c)] = [(); 3].map(|()| join(&mut queue, None));
        queue.leave(second);
        queue.leave(second);
        assert_eq!(queue.len(), 2);
        let walk = queue.walk(Lane::here());
        assert_eq!([take(&mut queue, &walk), take(&mut queue, &walk)], [Some(first), Some(third)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_reload_keeps_everybody_in_the_order_of_arrival_whatever_becomes_of_the_shares() {
        let mut queue = Queue::new(Duration::from_secs(30), 2);
        let shares = [Some(1), None, Some(0), Some(1)];
        let (tickets, _hears): (Vec<_>, Vec<_>) =
            shares.map(|share| join(&mut queue, share)).into_iter().unzip();
        queue.follow(Duration::from_secs(5), 1, Instant::now());
        assert_eq!((queue.len(), queue.ahead(None), queue.ahead(Some(0))), (4, 3, 1));
        queue.leave(tickets[3]);
        queue.follow(Duration::from_secs(5), 3, Instant::now());
        let walk = queue.walk(Lane::here());
        let order = [(); 4].map(|()| take(&mut queue, &walk));
        assert_eq!(order, [Some(tickets[0]), Some(tickets[1]), Some(tickets[2]), None]);
    }

    #[test]
    fn the_order_of_arrival_holds_across_shares_and_passes_by_those_who_must_wait() {
        let mut queue = Queue::new(Duration::from_secs(30), 2);
        let shares = [Some(1), None, Some(0), Some(1), None];
        let tickets = shares.map(|share| join(&mut queue, share).0);
        assert_eq!((queue.ahead(None), queue.ahead(Some(1)), queue.len()), (2, 2, 5));
        let mut walk = queue.walk(Lane::here());
        assert_eq!(take(&mut queue, &walk), Some(tickets[0]));
        walk.passes_all(Some(1));
        walk.passes(None);
        assert_eq!(take(&mut queue, &walk), Some(tickets[2]));
        assert_eq!(take(&mut queue, &walk), Some(tickets[4]));
        assert_eq!(take(&mut queue, &walk), None);
        let walk = queue.walk(Lane::here());
        assert_eq!([take(&mut queue, &walk), take(&mut queue, &walk)], [Some(tickets[1]), Some(tickets[3])]);
    }

    #[test]
    fn who_was_at_php_fpm_before_has_its_place_by_its_age() {
        let mut queue = Queue::new(Duration::from_secs(30), 0);
        let early = Instant::now();
        let [(first, _a), (second, _b)] = [(); 2].map(|()| join(&mut queue, None));
        let (turn, _hears) = oneshot::channel();
        let again = queue.join(
            Wish::default(),
            turn,
            Coming { first: early, ..Coming::first(Instant::now()) },
            Lane::here(),
        );
        let walk = queue.walk(Lane::here());
        assert_eq!([(); 3].map(|()| take(&mut queue, &walk)), [Some(again), Some(first), Some(second)]);
    }

    #[test]
    fn one_of_the_same_lane_comes_first_among_the_first_four_and_nobody_is_passed_by_more_than_twice() {
        let (mut queue, here) = (Queue::new(Duration::from_secs(30), 0), Lane::here());
        let elsewhere = std::thread::spawn(Lane::here).join().unwrap();
        let lanes = [elsewhere, elsewhere, here, elsewhere, here, here, here];
        let (tickets, _hears): (Vec<_>, Vec<_>) =
            lanes.map(|lane| join_from(&mut queue, None, lane)).into_iter().unzip();
        let walk = queue.walk(here);
        let order: Vec<_> = std::iter::from_fn(|| take(&mut queue, &walk)).collect();
        assert_eq!(order, [2, 4, 0, 1, 5, 3, 6].map(|number| tickets[number]));
    }

    #[test]
    fn who_was_at_php_fpm_before_is_not_passed_by() {
        let (mut queue, here) = (Queue::new(Duration::from_secs(30), 0), Lane::here());
        let elsewhere = std::thread::spawn(Lane::here).join().unwrap();
        let [(first, _a), (second, _b)] = [elsewhere, here].map(|lane| join_from(&mut queue, None, lane));
        queue.rows[0].waiters[0].wish.tried.push(Member::new(Endpoint::Unix("/run/php.sock".into())));
        let walk = queue.walk(here);
        assert_eq!([(); 2].map(|()| take(&mut queue, &walk)), [Some(first), Some(second)]);
    }
}
