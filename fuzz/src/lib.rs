//! What arbitrary bytes are held to, one function a target. A broken promise is a panic.
//!
//! `fuzz_targets/` gives them to libFuzzer, `tests/fuzz.rs` of the main crate to a bounded runner on the stable toolchain.

mod config;
mod record;
mod reply_head;
mod target;

pub use config::config;
pub use record::record;
pub use reply_head::reply_head;
pub use target::target;
