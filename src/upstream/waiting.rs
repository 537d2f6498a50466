//! A fresh connection's wait for its first byte, which is what a member's workers are known by.

use super::member::Member;
use crate::balance::Ticket;
use std::sync::Arc;
use tokio::time::Instant;

/// A fresh connection without a first byte yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    member: Arc<Member>,
    ticket: Option<Ticket>,
}

impl Waiting {
    pub(crate) fn starts(member: &Arc<Member>, begun: Instant, now: Instant) -> Self {
        let ticket = member.with_slots(|slots| slots.opened(begun.into_std(), now.into_std()));
        Self { member: Arc::clone(member), ticket: Some(ticket) }
    }

    /// It has its first byte; `any` when its request might have gone on a kept connection. Returns whether the member has
    /// room now that it had not before.
    pub(crate) fn ends(mut self, any: bool, now: Instant) -> bool {
        let ticket = self.ticket.take();
        ticket.is_some_and(|ticket| {
            self.member.with_slots(|slots| slots.first_byte(ticket, any, now.into_std()))
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.member.with_slots(|slots| slots.ended_silent(ticket));
        }
    }
}
