//! What the parts of one client's connection tell each other: the pipeline, the reply's body, the stream, the patience.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::heads::Flaw;

/// Notes about one connection. All parts run in the connection's own task, or over HTTP/2 in tasks of its thread, so the order of
/// accesses needs no care.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    broke_off: AtomicBool,
    /// Requests that came.
    came: AtomicU32,
    /// Replies that went. As many as came: the client is to say something.
    went: AtomicU32,
    /// Counts what a client took of replies, where they wait for it after they went.
    taken: AtomicU32,
    /// Bytes were written and are not known to have left.
    unflushed: AtomicBool,
    /// Nothing is under way in either direction.
    parked: AtomicBool,
    /// The first head that must be refused though it could be parsed: of which request, and why.
    flaw: OnceLock<(u32, Flaw)>,
    /// A reply went before its request was read to the end.
    left_unread: AtomicBool,
    /// hyper has ended the connection itself, and not for an error.
    ended_well: AtomicBool,
}

impl Notes {
    /// A request's head is here.
    pub(super) fn request_came(&self) {
        one_more(&self.0.came);
    }

    /// hyper has let go of the reply.
    pub(super) fn reply_went(&self) {
        one_more(&self.0.went);
    }

    /// The client has taken some of what waits for it.
    pub(super) fn took_some(&self) {
        one_more(&self.0.taken);
    }

    /// Counts a reply that went, unless it is kept: for a request whose client may leave before there is a reply.
    pub(super) fn until_answered(&self) -> Unanswered {
        Unanswered(Some(self.clone()))
    }

    /// The reply is cut short.
    pub(super) fn broke_off(&self) {
        self.0.broke_off.store(true, Ordering::Relaxed);
    }

    /// Whether the connection's last reply is cut short.
    pub(super) fn has_broken_off(&self) -> bool {
        self.0.broke_off.load(Ordering::Relaxed)
    }

    /// Something is being written, or the last of it was.
    pub(super) fn flushed(&self, flushed: bool) {
        self.0.unflushed.store(!flushed, Ordering::Relaxed);
    }

    /// Whether the client has to take something first.
    pub(super) fn is_unflushed(&self) -> bool {
        self.0.unflushed.load(Ordering::Relaxed)
    }

    /// The connection is parked, or is talked over again.
    pub(super) fn parked(&self, parked: bool) {
        self.0.parked.store(parked, Ordering::Relaxed);
    }

    /// Whether it can be closed without a word.
    pub(super) fn is_parked(&self) -> bool {
        self.0.parked.load(Ordering::Relaxed)
    }

    /// The head of this request, counted from 1, must be refused.
    pub(super) fn found_flaw(&self, request: u32, flaw: Flaw) {
        // Behind the first nothing is served, so there is no other.
        let _ = self.0.flaw.set((request, flaw));
    }

    /// Why the request that came last must be refused.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        let (request, flaw) = self.0.flaw.get()?;
        (self.requests() >= *request).then_some(*flaw)
    }

    /// A reply goes while the client may still be sending what it answers.
    pub(super) fn leaves_unread(&self) {
        self.0.left_unread.store(true, Ordering::Relaxed);
    }

    /// The last reply is written, and nobody wants to go on.
    pub(super) fn ends_well(&self) {
        self.0.ended_well.store(true, Ordering::Relaxed);
    }

    /// Whether the client has said all that it began to say, and has all its replies.
    pub(super) fn is_complete(&self) -> bool {
        self.0.ended_well.load(Ordering::Relaxed) && !self.0.left_unread.load(Ordering::Relaxed)
    }

    /// How many requests have come, this one included.
    pub(super) fn requests(&self) -> u32 {
        self.0.came.load(Ordering::Relaxed)
    }

    /// Which of its waits for the client this is; `None` while a request is being answered.
    pub(super) fn waits(&self) -> Option<u32> {
        let (came, went) = (self.0.came.load(Ordering::Relaxed), self.0.went.load(Ordering::Relaxed));
        (came == went).then_some(came)
    }

    /// The same where replies may still be under way after they went: each piece that is taken begins another one.
    pub(super) fn lull(&self) -> Option<u32> {
        self.waits().map(|wait| wait.wrapping_add(self.0.taken.load(Ordering::Relaxed)))
    }
}

/// A request that has no reply yet.
#[derive(Debug)]
pub(super) struct Unanswered(Option<Notes>);

impl Unanswered {
    /// There is one: whoever has it counts it.
    pub(super) fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(notes) = &self.0 {
            notes.reply_went();
        }
    }
}

/// One writer at a time, so this needs no locked instruction.
fn one_more(count: &AtomicU32) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_for_the_client_is_another_one() {
        let notes = Notes::default();
        let first = notes.waits();
        notes.request_came();
        assert_eq!(notes.waits(), None);
        assert_eq!(notes.requests(), 1);
        notes.reply_went();
        assert!(notes.waits().is_some() && notes.waits() != first);
        assert_eq!(notes.requests(), 1);
    }
}
