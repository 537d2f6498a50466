//! Floor 6: the operator's door: what the pools are doing, and a word that changes it. On a listener of its own, never the clients'.
//!
//! | file | owns |
//! |---|---|
//! | `connection` | one operator's connection and its limits |
//! | `answers` | what lies at which path |
//! | `door` | who may come in: Host, token, content type |
//! | `refusal` | the one table from error to status and words |
//! | `view` | a pool and its members as JSON |
//! | `scrape` | `/metrics` |
//! | `orders` | a member's state and weight, changed by hand |
//! | `ready` | whether requests should be sent here at all; `readiness` what the runtime says about that |
//! | `wishes` | what only the runtime can do, asked of it |

mod answers;
mod connection;
mod door;
mod orders;
mod readiness;
mod ready;
mod refusal;
mod scrape;
mod view;
mod wishes;

pub use connection::Admin;
pub use readiness::Readiness;
pub use view::{Member, Pool, Pools, Workers};
pub use wishes::{NotReloaded, Wish, Wishes, wishes};
