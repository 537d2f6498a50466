//! What an operator does to one member at run time: let it run empty, take it out, put it back, change its share.
//!
//! Who asks (an API, a signal) is above. A member keeps what it was told over a reload: an unrelated change of the
//! configuration does not put a server back that is being repaired.

use super::admission::Admission;
use crate::balance::Event;
use std::num::NonZeroU16;
use std::sync::Arc;
use thiserror::Error;
use tokio::time::Instant;

/// An operator's word about one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// No new requests; what is in flight finishes.
    Drain,
    /// The same, and it reads as taken out.
    TakeDown,
    /// Ready again, whatever took it out; begins with its slow start.
    PutBack,
    /// Its share from now on; `None`: as it is configured.
    Weight(Option<NonZeroU16>),
}

/// No member of the pool has this address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("pool {pool} has no server {address}")]
pub struct UnknownMember {
    /// The pool.
    pub pool: Arc<str>,
    /// What was asked for.
    pub address: Box<str>,
}

pub(super) fn obey(admission: &Arc<Admission>, address: &str, order: Order) -> Result<(), UnknownMember> {
    let pool = admission.pool();
    let Some(seat) = admission.seats().into_iter().find(|seat| **seat.member.name() == *address) else {
        return Err(UnknownMember { pool: Arc::clone(pool), address: address.into() });
    };
    let event = match order {
        Order::Drain => Some(Event::Drain),
        Order::TakeDown => Some(Event::TakenDown),
        Order::PutBack => Some(Event::PutBack),
        Order::Weight(weight) => {
            seat.member.set_weight(weight);
            tracing::info!(pool = &**pool, member = address, weight = seat.weight(), "weight set by hand");
            None
        }
    };
    if let Some(event) = event {
        seat.ordered(event, Instant::now(), pool);
    }
    // Who waits may have hope now, or none any more.
    admission.serve();
    Ok(())
}
