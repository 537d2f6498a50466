//! The seats of a pool as a policy sees them for one request.

use super::changed::Changed;
use super::lane::Lane;
use super::member::Seat;
use super::queue::Wish;
use crate::balance::{Members, Tier, WHOLE};
use std::sync::Arc;
use tokio::time::Instant;

/// The seats as a policy sees them for one wish.
pub(super) struct View<'a> {
    pub(super) seats: &'a [Seat],
    pub(super) in_parts: bool,
    pub(super) changed: &'a Changed,
    pub(super) wish: &'a Wish,
    pub(super) now: Instant,
    /// Every member is out by failures: rather than fail for certain, use them all.
    pub(super) panic: bool,
    /// Whether this wish may find out that an ejected member is back.
    pub(super) probes: bool,
}

impl View<'_> {
    /// Whether the member would answer this wish if it had a slot free.
    pub(super) fn answers(&self, index: usize) -> bool {
        let member = &self.seats[index].member;
        let serves = member.takes_requests(self.now) || (self.panic && member.is_out_by_failure());
        let wanted = self.probes || !member.is_out_by_failure();
        serves && wanted && !self.seats[index].is_down() && !self.was_tried(index)
    }

    fn was_tried(&self, index: usize) -> bool {
        self.wish.tried.iter().any(|tried| Arc::ptr_eq(tried, &self.seats[index].member))
    }

    /// How many parts of its weight it has.
    fn part(&self, index: usize) -> u32 {
        let seat = &self.seats[index];
        seat.member.part(seat.slow_start, self.now)
    }

    /// Whether it looks as it does to this wish or at this moment only.
    fn passes(&self, index: usize) -> bool {
        let troubled = self.seats[index].member.is_troubled();
        troubled || self.was_tried(index) || (self.in_parts && self.part(index) < WHOLE)
    }
}

impl Members for View<'_> {
    fn len(&self) -> usize {
        self.seats.len()
    }
    fn weight(&self, index: usize) -> u32 {
        let seat = &self.seats[index];
        match self.in_parts {
            true => seat.weight() * self.part(index),
            false => seat.weight(),
        }
    }
    fn in_flight(&self, index: usize) -> u32 {
        self.seats[index].member.in_flight()
    }
    fn usable(&self, index: usize) -> bool {
        self.seats[index].limit().has_room(self.in_flight(index)) && self.answers(index)
    }
    fn tier(&self, index: usize) -> Tier {
        self.seats[index].tier
    }
    fn key(&self, index: usize) -> u64 {
        self.seats[index].member.key()
    }
    fn latency(&self, index: usize) -> Option<f64> {
        self.seats[index].member.latency(self.now)
    }
    fn kept_in(&self, index: usize) -> u32 {
        self.seats[index].member.kept_in()
    }
    fn lane(&self) -> u32 {
        Lane::here().bit()
    }
    fn changed(&self, mut each: impl FnMut(usize)) {
        self.changed.drain(|index| {
            // Seats are marked by the word; the last one may have some to spare.
            if index < self.seats.len() {
                if self.passes(index) {
                    self.changed.mark(index);
                }
                each(index);
            }
        });
    }
}
