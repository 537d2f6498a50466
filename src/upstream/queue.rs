//! The queue in front of the members: who waits for a slot, in the order of arrival, and how fast the line moves.
//!
//! Requests of a route with `max_share` wait in a lane of their own, so that those behind need not wait while the route has all that it
//! may have; across the lanes the order is the order of arrival. A queue knows no lock and no clock; `admission` hands out
//! what gets free.

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
    /// When it first came, if it was sent before: it keeps its place by age.
    pub(crate) arrived: Option<Instant>,
    /// How much of its patience is spent.
    pub(crate) waited: Duration,
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
}

/// First come, first served, and no longer than it is allowed to be.
#[derive(Debug)]
pub(crate) struct Queue {
    /// The first is for requests without a share.
    lanes: Vec<Lane>,
    waiting: usize,
    tickets: u64,
    waits: Waits,
}

#[derive(Debug)]
struct Lane {
    waiters: VecDeque<Waiter>,
    line: Line,
}

/// A walk along those who wait, in the order of arrival: how far it has come in each lane.
#[derive(Debug)]
pub(crate) struct Walk {
    places: SmallVec<[usize; 4]>,
}

impl Queue {
    /// With lanes for so many shares.
    pub(crate) fn new(timeout: Duration, shares: usize) -> Self {
        let lane = || Lane { waiters: VecDeque::new(), line: Line::new(Patience::new(timeout)) };
        let lanes = std::iter::repeat_with(lane).take(shares + 1).collect();
        Self { lanes, waiting: 0, tickets: 0, waits: Waits::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many wait for the same share, or for none.
    pub(crate) fn ahead(&self, share: Option<usize>) -> usize {
        self.lanes[lane(share)].waiters.len()
    }

    /// Whether it makes sense to wait behind them for workers that are `running`.
    pub(crate) fn admits(&mut self, share: Option<usize>, running: usize, now: Instant) -> bool {
        let lane = &mut self.lanes[lane(share)];
        lane.line.admits(lane.waiters.len(), running, now.into_std())
    }

    pub(crate) fn join(&mut self, wish: Wish, turn: Turn, now: Instant) -> Age {
        self.tickets += 1;
        self.waiting += 1;
        let age = (wish.arrived.unwrap_or(now), self.tickets);
        let lane = &mut self.lanes[lane(wish.share)];
        if lane.waiters.is_empty() {
            lane.line.forms(now.into_std());
        }
        // Nearly always at the end.
        let younger = lane.waiters.iter().rev().take_while(|waiter| waiter.age > age).count();
        lane.waiters.insert(lane.waiters.len() - younger, Waiter { age, since: now, wish, turn });
        age
    }

    /// Takes out a waiter who left; one who had its turn is not here any more.
    pub(crate) fn leave(&mut self, share: Option<usize>, age: Age) {
        let waiters = &self.lanes[lane(share)].waiters;
        if let Ok(place) = waiters.binary_search_by_key(&age, |waiter| waiter.age) {
            self.remove(lane(share), place);
        }
    }

    /// Of each share, who comes first of those that have not been anywhere yet.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Wish> {
        let first = |lane: &Lane| lane.waiters.iter().position(|waiter| waiter.wish.tried.is_empty());
        self.lanes.iter().filter_map(move |lane| Some(&lane.waiters[first(lane)?].wish))
    }

    pub(crate) fn walk(&self) -> Walk {
        Walk { places: SmallVec::from_elem(0, self.lanes.len()) }
    }

    /// Who is next on this walk.
    pub(crate) fn next(&self, walk: &Walk) -> Option<&Wish> {
        let lanes = self.lanes.iter().zip(&walk.places);
        let next = lanes.filter_map(|(lane, &place)| lane.waiters.get(place));
        next.min_by_key(|waiter| waiter.age).map(|waiter| &waiter.wish)
    }

    /// Takes out who is next for that share on this walk: it has got a slot, or there is none to wait for.
    pub(crate) fn take(&mut self, walk: &Walk, share: Option<usize>) -> Option<Waiter> {
        self.remove(lane(share), walk.places[lane(share)])
    }

    /// Somebody who waited has got a slot.
    pub(crate) fn served(&mut self, waiter: &Waiter, now: Instant) {
        self.lanes[lane(waiter.wish.share)].line.served(now.into_std());
        self.waits.ended(now.duration_since(waiter.since), now);
    }

    fn remove(&mut self, lane: usize, place: usize) -> Option<Waiter> {
        let lane = &mut self.lanes[lane];
        let waiter = lane.waiters.remove(place)?;
        self.waiting -= 1;
        if lane.waiters.is_empty() {
            lane.line.dissolves();
        }
        Some(waiter)
    }

    /// When it makes sense to come again, by the pace at which the line moves.
    pub(crate) fn retry_after(&self, share: Option<usize>, now: Instant) -> Duration {
        let lane = &self.lanes[lane(share)];
        lane.line.retry_after(lane.waiters.len(), now.into_std())
    }

    /// How long those waited who were served lately, and how long the first of those who wait has.
    pub(crate) fn waits(&self, now: Instant) -> (Waits, Duration) {
        let heads = self.lanes.iter().filter_map(|lane| lane.waiters.front());
        let first = heads.map(|waiter| waiter.since).min();
        (self.waits, first.map_or(Duration::ZERO, |since| now.duration_since(since)))
    }
}

impl Walk {
    /// Passes by the next of that share, who stays.
    pub(crate) fn passes(&mut self, share: Option<usize>) {
        self.places[lane(share)] += 1;
    }

    /// Passes by all of that share.
    pub(crate) fn passes_all(&mut self, share: Option<usize>) {
        self.places[lane(share)] = usize::MAX;
    }
}

fn lane(share: Option<usize>) -> usize {
    share.map_or(0, |share| share + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(queue: &mut Queue, share: Option<usize>) -> (Age, oneshot::Receiver<Option<Grant>>) {
        let (turn, hears) = oneshot::channel();
        (queue.join(Wish { share, ..Wish::default() }, turn, Instant::now()), hears)
    }

    fn take(queue: &mut Queue, walk: &Walk) -> Option<Age> {
        let share = queue.next(walk)?.share;
        queue.take(walk, share).map(|waiter| waiter.age)
    }

    #[test]
    fn who_leaves_gives_up_the_place_at_once_and_the_others_keep_theirs() {
        let mut queue = Queue::new(Duration::from_secs(30), 0);
        let [(first, _a), (second, _b), (third, _c)] = [(); 3].map(|()| join(&mut queue, None));
        queue.leave(None, second);
        queue.leave(None, second);
        assert_eq!(queue.len(), 2);
        let walk = queue.walk();
        assert_eq!([take(&mut queue, &walk), take(&mut queue, &walk)], [Some(first), Some(third)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn the_order_of_arrival_holds_across_shares_and_passes_by_those_who_must_wait() {
        let mut queue = Queue::new(Duration::from_secs(30), 2);
        let shares = [Some(1), None, Some(0), Some(1), None];
        let tickets = shares.map(|share| join(&mut queue, share).0);
        assert_eq!((queue.ahead(None), queue.ahead(Some(1)), queue.len()), (2, 2, 5));
        let mut walk = queue.walk();
        assert_eq!(take(&mut queue, &walk), Some(tickets[0]));
        walk.passes_all(Some(1));
        walk.passes(None);
        assert_eq!(take(&mut queue, &walk), Some(tickets[2]));
        assert_eq!(take(&mut queue, &walk), Some(tickets[4]));
        assert_eq!(take(&mut queue, &walk), None);
        let walk = queue.walk();
        assert_eq!([take(&mut queue, &walk), take(&mut queue, &walk)], [Some(tickets[1]), Some(tickets[3])]);
    }

    #[test]
    fn who_was_at_php_fpm_before_has_its_place_by_its_age() {
        let mut queue = Queue::new(Duration::from_secs(30), 0);
        let early = Instant::now();
        let [(first, _a), (second, _b)] = [(); 2].map(|()| join(&mut queue, None));
        let (turn, _hears) = oneshot::channel();
        let wish = Wish { arrived: Some(early), ..Wish::default() };
        let again = queue.join(wish, turn, Instant::now());
        let walk = queue.walk();
        assert_eq!([(); 3].map(|()| take(&mut queue, &walk)), [Some(again), Some(first), Some(second)]);
    }
}
