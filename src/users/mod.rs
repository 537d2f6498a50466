//! Floor 4: password files at work: read again when they change, asked without stopping anybody else.
//!
//! | file | owns |
//! |---|---|
//! | `stamp` | whether a file is still the one that was read |
//! | `known` | credentials that were right a moment ago, so that a costly hash is not computed for each request |
//! | `hashing` | how many costly hashes are computed at once, beside the threads that serve clients |
//! | `guesses` | wrong passwords, gathered for the log |
//! | `file` | one password file: what its lines say now, and who may in |

mod file;
mod guesses;
mod hashing;
mod known;
mod stamp;

pub use file::{Entry, Users};
pub use guesses::Guesses;
pub use hashing::Hashing;
