//! Floor 4: how often and how many at once: the counts behind a route's `limits`.
//!
//! | file | owns |
//! |---|---|
//! | `table` | the rate of each key, in a fixed piece of memory |
//! | `in_flight` | how many requests of each key are at work |
//! | `limiter` | one limit of a route: its counts, its verdict, its word in the log |

mod in_flight;
mod limiter;
mod table;

pub use in_flight::Held;
pub use limiter::{Limiter, Reason, Verdict};
