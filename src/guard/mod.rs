//! Floor 1: who may come in, and how often. Lines of a password file, what a client claims in `Authorization`, and rates; no file is
//! read here and no clock is looked at.

mod apr1;
mod credentials;
mod hash;
mod htpasswd;
mod rate;

pub use credentials::Credentials;
pub use hash::{BadHash, Hash};
pub use htpasswd::{BadLine, Htpasswd};
pub use rate::{Rate, Turn};
