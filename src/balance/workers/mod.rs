//! What one member's php-fpm workers are doing, as far as it is known: the slots in use, the idle connections, the fresh ones
//! that may stand in its backlog, and what is learnt from all of that.
//!
//! - `backlog`: which fresh connections have a worker, and which wait for one.
//! - `learnt`: how many workers there are; `trial` the same where nobody reuses a connection.
//! - `turns`: whether other front ends wait for them, and how long a connection's turn is then.
//! - `lull`: how long an idle connection is worth keeping.
//!
//! [`Slots`] puts them together. `C` is a connection: this room opens and closes none, and has no clock.

mod backlog;
mod exchange;
mod learnt;
mod lull;
#[cfg(test)]
mod simulation;
mod slots;
mod trial;
mod turns;

pub use backlog::Ticket;
pub use exchange::{Answered, Kept, Taken};
pub use slots::Slots;
