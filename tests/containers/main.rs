//! The rig of `docker/` at work: containers come, go and are killed while requests run. It needs a Docker engine and the images,
//! and minutes, so it runs by `make test-docker` only.
//!
//! Bounds on time are the rig's own promise: who comes gets requests, and who is gone gets none, within five seconds.
#![allow(clippy::print_stdout, reason = "the sums are what one runs this for")]
#![allow(unreachable_pub, reason = "a test's modules are private to it; `pub` is what they offer each other")]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod engine;
mod images;
mod members;
mod order;
mod rig;
mod scale;
mod variants;
