//! Which member a request should go to, whether it may be tried again, and how long a connection is worth keeping.
//!
//! This room only chooses. It has no clock, no socket and no random numbers of its own: time, chance and the members'
//! present state are arguments. What is done with a choice (permits, connections, the queue) is `upstream`'s.

mod hash;
mod health;
mod keepalive;
mod limit;
mod policy;
mod report;
mod retry;
mod standing;
mod workers;

pub use hash::hash;
pub use health::{Backoff, Event, Failure, Health, Rules};
pub use keepalive::{CloseReason, Keep, Keepalive, Used, may_keep};
pub use limit::{Limit, MaxConns};
pub use policy::{Members, Policy, PolicyKind};
pub use report::{NotAReport, ProcessManager, Report};
pub use retry::{Again, Connection, Repeatable, Seen, Tries, decide};
pub use standing::Standing;
pub use workers::{Answered, Kept, Slots, Taken, Ticket};
