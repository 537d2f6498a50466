//! Who the members of a pool are: those that are written, and those that sources tell of while it runs.
//!
//! - `found`: what a source tells, and why it cannot; `trouble` the words for that.
//! - `roster`: who is known from whom, and who is seated by that; `changes` the log line of it.
//! - `follow`: the task that hears all sources of a pool, and seats what came of it.
//! - The sources: `names` host names of `servers`, by the system's resolver; `dns` name servers; `file` a file that is watched, and `listing`
//!   what it says; `docker`, `consul` and `etcd`, which are asked by `http`, and after `pauses` again when they fail;
//!   `complaints` about single members.
//!
//! A source tells whole lists. Rules common to all: what it cannot tell changes nothing (the last known good is kept); changes are gathered for
//! a moment, and who flaps waits (`balance::Settle`, `balance::Flapping`); discovery never takes a pool's last member.

mod changes;
mod complaints;
mod consul;
mod dns;
mod docker;
mod etcd;
mod file;
mod follow;
mod found;
mod http;
mod listing;
mod names;
mod pauses;
mod roster;
mod trouble;

pub use follow::told_by;
pub use names::endpoints_of;
pub use roster::SourceStatus;

pub(crate) use follow::follow;
pub(crate) use names::{Lookup, system};
pub(crate) use roster::Roster;
