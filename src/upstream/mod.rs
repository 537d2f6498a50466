//! Floor 4: choices turned into connections. A [`Cluster`] is a pool at work.
//!
//! - `cluster`: the order of things for one request; `request` what it takes, `reply` and `outcome` what it gives.
//! - `admission`: who gets a slot, and when, given out by its `desk`; `queue` who waits, `waits` for how long; `share` the part
//!   that one route may have; `waiting` for a first byte; `member` health and connections; `lease` a slot and its connection as one
//!   value.
//! - `by_hand`: what an operator does to one member at run time.
//! - `talk`: one exchange over one lease; `connection` its socket, `lane` the thread that polls it; `complaints` what php writes to STDERR.
//! - `afterwork`: whose scripts go on after their reply.
//! - `view`: the members as a policy sees them, `changed` whom it has to look at again; `pulse` and `troubles`: whether anything moves, and what goes wrong.
//! - `pump` and `spool`: a reply taken from php-fpm faster than its reader reads; `buffers` how much of that there may be in all.
//! - `checks`: active health: every member is asked every few seconds; `inquiry` one such question; `vitals` what is
//!   known from the answers.
//! - `discovery`: who the members are: written, or told by names and other sources; `status` the pool as an operator sees it.
//!
//! Which member, whether to try again, how long to keep: `balance`. What bytes mean: `fcgi`.

mod admission;
mod afterwork;
mod buffers;
mod by_hand;
mod changed;
mod checks;
mod cluster;
mod complaints;
mod connection;
mod desk;
mod discovery;
mod endpoint;
mod inquiry;
mod knock;
mod lane;
mod lease;
mod lifeline;
mod member;
mod outcome;
mod pulse;
mod pump;
mod queue;
mod repeats;
mod reply;
mod request;
mod share;
mod spool;
mod status;
mod talk;
mod troubles;
mod view;
mod vitals;
mod waiting;
mod waits;

#[cfg(test)]
mod promises;
#[cfg(test)]
mod responder;

pub use buffers::{Buffers, Share, TempFile};
pub use by_hand::{Order, UnknownMember};
pub use checks::status_door;
pub use cluster::Cluster;
pub use discovery::{SourceStatus, endpoints_of, told_by};
pub use endpoint::Endpoint;
pub use inquiry::{Answer, Question, Reaction, ask};
pub use outcome::{Ending, Fault, Observer, Outcome, ReplyError, SendError};
pub use reply::ReplyBody;
pub use request::{ClientBody, RequestBody, UpstreamRequest};
pub use status::{MemberStatus, PoolStatus, QueueStatus};
pub use troubles::Retries;
pub use vitals::Counts;
pub use waits::QueueTimes;
