//! What goes into the slots and what comes out: plain values, and what a connection must be able to tell.

use std::time::{Duration, Instant};

/// A connection that may lie idle.
pub trait Kept {
    /// When it was opened.
    fn opened(&self) -> Instant;
    /// Requests it has served.
    fn requests(&self) -> u32;
    /// The lane (thread) that can use it as it is, as a bit.
    fn lane(&self) -> u32 {
        0
    }
    /// Whether the calling thread can use it as it is: such a one goes first.
    fn is_near(&self) -> bool {
        true
    }
}

/// What came with a slot.
#[derive(Debug)]
pub struct Taken<C> {
    /// A connection to use again.
    pub idle: Option<C>,
    /// One to close before another is opened in its place.
    pub surplus: Option<C>,
}

/// A reply that ended cleanly.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// When its slot was given.
    pub sent: Instant,
    /// From then to the first byte.
    pub first_byte: Duration,
    /// Requests that wait in the queue for this member.
    pub queued: u32,
    /// The member's limit is the learnt one.
    pub learns: bool,
}
