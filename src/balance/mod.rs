//! Which member a request should go to, whether it may be tried again, and how long a connection is worth keeping.
//!
//! This room only chooses. It has no clock, no socket and no random numbers of its own: time, chance and the members'
//! present state are arguments. What is done with a choice (permits, connections, the queue) is `upstream`'s.

mod afterwork;
mod budget;
mod checkup;
mod failure;
mod flapping;
mod hash;
mod health;
mod keepalive;
mod latency;
mod limit;
mod policy;
mod rarely;
mod report;
mod retry;
mod rules;
mod settle;
mod shed;
mod slow_start;
mod standing;
mod workers;

pub use afterwork::{Afterwork, Route, STALL};
pub use budget::Budget;
pub use checkup::Checkup;
pub use failure::Failure;
pub use flapping::Flapping;
pub use hash::hash;
pub use health::{Event, Health};
pub use keepalive::{CloseReason, Keep, Keepalive, Used, may_keep};
pub use latency::Latency;
pub use limit::{Limit, MaxConns};
pub use policy::{Members, Policy, PolicyKind, Tier};
pub use rarely::Rarely;
pub use report::{NotAReport, ProcessManager, Report};
pub use retry::{Again, Connection, Repeatable, Seen, Tries, decide};
pub use rules::{Backoff, Rules};
pub use settle::{Change, Settle};
pub use shed::{Line, Patience};
pub use slow_start::{WHOLE, part};
pub use standing::Standing;
pub use workers::{Answered, Kept, Slots, Taken, Ticket};
