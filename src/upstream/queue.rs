//! The queue in front of the members: who waits for a slot, in the order of arrival, and how fast the line moves.
//!
//! It is a list with rules and knows no lock and no clock; `admission` hands out what gets free.

use super::lease::Grant;
use super::member::Member;
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
    /// Members that it was sent to already.
    pub(crate) tried: SmallVec<[Arc<Member>; 2]>,
}

/// What a waiter hears: its turn, or that nobody is left to wait for.
pub(crate) type Turn = oneshot::Sender<Option<Grant>>;

#[derive(Debug)]
pub(crate) struct Waiter {
    ticket: u64,
    pub(crate) wish: Wish,
    pub(crate) turn: Turn,
}

/// First come, first served, and no longer than it is allowed to be.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiters: VecDeque<Waiter>,
    tickets: u64,
    pace: Pace,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(crate) fn join(&mut self, wish: Wish, turn: Turn) -> u64 {
        self.tickets += 1;
        self.waiters.push_back(Waiter { ticket: self.tickets, wish, turn });
        self.tickets
    }

    /// Takes out a waiter who left; one who had its turn is not here any more.
    pub(crate) fn leave(&mut self, ticket: u64) {
        if let Ok(place) = self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
            self.waiters.remove(place);
        }
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Waiter> {
        self.waiters.get(place)
    }

    pub(crate) fn take(&mut self, place: usize) -> Option<Waiter> {
        self.waiters.remove(place)
    }

    /// Somebody got a slot: what the pace is measured by.
    pub(crate) fn served(&mut self, now: Instant) {
        self.pace.served(now);
    }

    /// When it makes sense to come again, by the pace at which slots have been getting free.
    pub(crate) fn retry_after(&self, now: Instant) -> Duration {
        self.pace.time_for(self.len() + 1, now)
    }
}

/// Requests served a second, over the latest whole second.
#[derive(Debug, Default)]
struct Pace {
    second_began: Option<Instant>,
    this_second: u32,
    last_second: u32,
}

impl Pace {
    const SECOND: Duration = Duration::from_secs(1);
    const LONGEST: u64 = 60;

    fn served(&mut self, now: Instant) {
        let began = *self.second_began.get_or_insert(now);
        let age = now.duration_since(began);
        if age >= Self::SECOND {
            self.last_second = if age < 2 * Self::SECOND { self.this_second } else { 0 };
            (self.this_second, self.second_began) = (0, Some(now));
        }
        self.this_second += 1;
    }

    /// Whole seconds, at least one and at most a minute; a standing line is given ten.
    fn time_for(&self, requests: usize, now: Instant) -> Duration {
        let is_old = self.second_began.is_none_or(|began| now.duration_since(began) >= 2 * Self::SECOND);
        let a_second = if is_old { 0 } else { self.last_second.max(self.this_second) };
        let seconds = match a_second {
            0 => 10,
            a_second => (requests as u64).div_ceil(u64::from(a_second)),
        };
        Duration::from_secs(seconds.clamp(1, Self::LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(queue: &mut Queue) -> (u64, oneshot::Receiver<Option<Grant>>) {
        let (turn, hears) = oneshot::channel();
        (queue.join(Wish::default(), turn), hears)
    }

    #[test]
    fn who_leaves_gives_up_the_place_at_once_and_the_others_keep_theirs() {
        let mut queue = Queue::default();
        let (first, _a) = join(&mut queue);
        let (second, _b) = join(&mut queue);
        let (third, _c) = join(&mut queue);
        queue.leave(second);
        queue.leave(second);
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.take(0).map(|waiter| waiter.ticket), Some(first));
        assert_eq!(queue.take(0).map(|waiter| waiter.ticket), Some(third));
        assert!(queue.is_empty());
    }

    #[test]
    fn retry_after_is_the_line_divided_by_its_pace() {
        let mut queue = Queue::default();
        let start = Instant::now();
        assert_eq!(queue.retry_after(start).as_secs(), 10, "a line that has never moved");
        for request in 0..20_u32 {
            queue.served(start + request * Duration::from_millis(100));
        }
        let now = start + Duration::from_secs(2);
        let mut hears = Vec::new();
        for _ in 0..49 {
            hears.push(join(&mut queue));
        }
        assert_eq!(queue.retry_after(now).as_secs(), 5, "50 requests at 10 a second");
        assert_eq!(queue.retry_after(now + Duration::from_secs(9)).as_secs(), 10, "a line that stands");
    }
}
