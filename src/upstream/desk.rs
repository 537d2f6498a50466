//! The desk of a pool: what must be seen together to give out slots, and the giving.
//!
//! Its members, the policy among them, the queue, and what each route may have. `admission` keeps it behind one short lock, and does
//! what must not happen under it.

use super::admission::{Admission, Refusal};
use super::changed::Changed;
use super::lane::Lane;
use super::lease::Grant;
use super::member::{Member, Seat};
use super::queue::{Queue, Wish};
use super::share::{self, Share};
use super::troubles::Troubles;
use super::view::View;
use crate::balance::{Keepalive, Policy};
use crate::config::model::Pool;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use smallvec::SmallVec;
use std::sync::{Arc, Weak};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) seats: Vec<Seat>,
    /// Whether weights are counted in parts, because some seat has a slow start. Fixed for as long as the seats are: turns
    /// by weight remember what they were given.
    in_parts: bool,
    policy: Policy,
    /// Of the seats, where the policy asks for it.
    changed: Arc<Changed>,
    /// The same as in the terms of `admission`: taking a slot under the lock loads nothing.
    keepalive: Keepalive,
    rng: SmallRng,
    /// One for each route with `max_share`.
    pub(super) shares: Vec<Arc<Share>>,
    pub(super) queue: Queue,
    pub(super) troubles: Troubles,
    /// Some server's name has not been resolved for the first time yet: whoever finds no member waits for it.
    pub(super) names_pending: bool,
    /// Members that were unseated, as long as they have something in flight.
    gone: Vec<Weak<Member>>,
}

/// What the desk says about a wish.
pub(super) enum Choice {
    Granted(Grant),
    /// A member could answer, but has no slot free.
    Wait,
    /// Its route has its part of the slots.
    WaitForShare,
    Nobody,
}

impl Desk {
    pub(super) fn new(pool: &Pool) -> Self {
        Self {
            seats: Vec::new(),
            in_parts: false,
            policy: Policy::new(pool.policy),
            changed: Arc::default(),
            keepalive: pool.keepalive,
            rng: SmallRng::from_rng(&mut rand::rng()),
            shares: pool.shares.iter().map(|&percent| Share::new(percent)).collect(),
            queue: Queue::new(pool.queue.timeout, pool.shares.len()),
            troubles: Troubles::new(pool.retry.budget),
            names_pending: false,
            gone: Vec::new(),
        }
    }

    /// What a newer configuration says. Turns, counts and those who wait stay.
    pub(super) fn follow(&mut self, pool: &Pool, now: Instant) {
        if self.policy.kind() != pool.policy {
            self.policy = Policy::new(pool.policy);
            self.marks_changes();
        }
        self.keepalive = pool.keepalive;
        let before = std::mem::take(&mut self.shares);
        let same =
            |place: usize, percent| before.get(place).filter(|share| share.percent() == percent).cloned();
        let shares = pool.shares.iter().enumerate();
        self.shares = shares
            .map(|(place, &percent)| same(place, percent).unwrap_or_else(|| Share::new(percent)))
            .collect();
        self.queue.follow(pool.queue.timeout, pool.shares.len(), now);
        self.troubles.set_budget(pool.retry.budget);
    }

    /// Seats others. Returns those who have to go.
    pub(super) fn seat(&mut self, seats: Vec<Seat>) -> Vec<Arc<Member>> {
        let before = std::mem::replace(&mut self.seats, seats);
        let is_seated =
            |member: &Arc<Member>| self.seats.iter().any(|seat| Arc::ptr_eq(&seat.member, member));
        let gone: Vec<_> =
            before.into_iter().map(|seat| seat.member).filter(|member| !is_seated(member)).collect();
        self.gone.retain(|known| known.upgrade().is_some_and(|member| !is_seated(&member)));
        self.gone.extend(gone.iter().map(Arc::downgrade));
        gone.iter().for_each(|member| member.marks_changes(None));
        self.marks_changes();
        gone
    }

    /// The members mark their changes for the policy, if it asks for them. To begin with everybody has changed.
    fn marks_changes(&mut self) {
        let asks = self.policy.looks_at_changes();
        self.changed = if asks { Changed::all(self.seats.len()) } else { Arc::default() };
        for (place, seat) in self.seats.iter().enumerate() {
            seat.member.marks_changes(asks.then(|| self.changed.mark_of(place)));
        }
    }

    /// Who was tried before is out for this wish.
    fn looks_at_tried(&self, wish: &Wish) {
        for tried in &wish.tried {
            if let Some(place) = self.seats.iter().position(|seat| Arc::ptr_eq(&seat.member, tried)) {
                self.changed.mark(place);
            }
        }
    }

    /// Its members, and those who have gone and are still answering: who comes back is the same, with what it has in use.
    pub(super) fn members(&self) -> Vec<Arc<Member>> {
        let seated = self.seats.iter().map(|seat| Arc::clone(&seat.member));
        seated.chain(self.gone.iter().filter_map(Weak::upgrade)).collect()
    }

    pub(super) fn count_in_parts(&mut self, in_parts: bool) {
        let in_parts = in_parts && !self.policy.kind().is_by_key();
        if in_parts != self.in_parts {
            self.in_parts = in_parts;
            self.policy = Policy::new(self.policy.kind());
        }
    }

    pub(super) fn choose_for_newcomer(
        &mut self,
        admission: &Arc<Admission>,
        wish: &Wish,
        now: Instant,
    ) -> Choice {
        // Those who wait were just offered what is free; the first of them who has tried nothing would have taken anything.
        let takes_any = |first: &Wish| !self.has_its_share(first.share, now);
        if !self.queue.is_empty() && self.queue.heads().any(takes_any) {
            return Choice::Wait;
        }
        self.choose(admission, wish, now)
    }

    /// `None` also for one that a reload has taken away.
    fn share(&self, place: Option<usize>) -> Option<&Arc<Share>> {
        self.shares.get(place?)
    }

    /// Whether the requests of a route have all the slots that they may have.
    pub(super) fn has_its_share(&self, share: Option<usize>, now: Instant) -> bool {
        self.share(share).is_some_and(|share| share.is_full(share::slots(&self.seats, now)))
    }

    /// Why a request that has to wait may not. One that was let in already does not come anew.
    pub(super) fn refuses(&mut self, wish: &Wish, size: usize, now: Instant) -> Option<Refusal> {
        if !wish.tried.is_empty() {
            return None;
        }
        let share = self.share(wish.share);
        let running = match share {
            Some(share) => share.in_use(),
            None => self.seats.iter().map(|seat| seat.member.in_flight()).sum(),
        };
        let has_no_place = share.is_some_and(|share| self.queue.ahead(wish.share) >= share.of(size));
        let full = self.queue.len() >= size || has_no_place;
        let sheds = !self.queue.admits(wish.share, running as usize, now);
        let retry_after = self.queue.retry_after(wish.share, now);
        match (full, sheds) {
            (true, _) => Some(Refusal::QueueFull { retry_after }),
            (_, true) => Some(Refusal::Overload { retry_after }),
            _ => None,
        }
    }

    pub(super) fn serve(&mut self, admission: &Arc<Admission>, now: Instant) -> SmallVec<[Grant; 1]> {
        let mut unwanted = SmallVec::new();
        let mut walk = self.queue.walk(Lane::here());
        while let Some(wish) = self.queue.next(&walk) {
            let wish = wish.clone();
            let grant = match self.choose(admission, &wish, now) {
                Choice::Granted(grant) => {
                    admission.pulse.beats(now);
                    Some(grant)
                }
                Choice::Nobody => None,
                Choice::Wait if wish.tried.is_empty() => break,
                Choice::Wait => {
                    walk.passes(wish.share);
                    continue;
                }
                Choice::WaitForShare => {
                    walk.passes_all(wish.share);
                    continue;
                }
            };
            let Some(waiter) = self.queue.take(&walk, wish.share) else { break };
            if grant.is_some() {
                self.queue.served(&waiter, now);
            }
            if let Err(Some(grant)) = waiter.turn.send(grant) {
                unwanted.push(grant);
            }
        }
        unwanted
    }

    fn choose(&mut self, admission: &Arc<Admission>, wish: &Wish, now: Instant) -> Choice {
        if self.has_its_share(wish.share, now) {
            return Choice::WaitForShare;
        }
        let panic = self.panics(now);
        // Who has met one dead member is not sent to find out about another while somebody is known to be well.
        let mut probes = wish.tried.is_empty() || panic;
        self.looks_at_tried(wish);
        loop {
            let (seats, in_parts, changed) = (&*self.seats, self.in_parts, &*self.changed);
            let view = View { seats, in_parts, changed, wish, now, panic, probes };
            let Some(index) = self.policy.prefer(&view, wish.key, &mut self.rng) else {
                if probes {
                    return self.without_choice(wish, now, panic);
                }
                probes = true;
                continue;
            };
            let seat = &self.seats[index];
            // A limit that is learnt may have been lowered since the view was asked: then it shows that now.
            if let Some(taken) = seat.member.take(seat.limit(), wish.fresh, &self.keepalive, now) {
                let probe = seat.member.is_out_by_failure() && !panic;
                if probe {
                    seat.member.is_probed(now, &seat.rules);
                }
                let share = self.share(wish.share).map(Share::occupy);
                return Choice::Granted(Grant::new(admission, seat, taken, (!wish.fresh, probe), share, now));
            }
        }
    }

    /// Every member is out: rather than fail for certain, those that are out by failures are used.
    pub(super) fn panics(&self, now: Instant) -> bool {
        self.seats.iter().all(|seat| seat.is_down() || !seat.member.takes_requests(now))
    }

    pub(super) fn without_choice(&self, wish: &Wish, now: Instant, panic: bool) -> Choice {
        let (seats, in_parts, changed) = (&*self.seats, self.in_parts, &*self.changed);
        let view = View { seats, in_parts, changed, wish, now, panic, probes: true };
        let could_answer = |index| view.answers(index) && self.seats[index].weight() > 0;
        let wait = self.names_pending || (0..self.seats.len()).any(could_answer);
        if wait { Choice::Wait } else { Choice::Nobody }
    }
}
