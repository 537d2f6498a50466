//! How long a connection waits for its client to finish a request's head, and what else may end it between requests.
//!
//! It is looked at on every turn of the connection's task, so a look is two loads: the clock is asked every few seconds
//! only, by a timer that is left alone in between.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep};

use super::drain::Watcher;
use super::notes::Notes;

/// How long a client may take for a request's head, and lie idle between two requests; longer by one [`TICK`] at most.
/// nginx: `client_header_timeout` and `keepalive_timeout`, 60 and 75 s.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// Asked to end, an idle connection waits so long for a request that may be on its way. nginx: `keepalive_min_timeout`.
pub(super) const LAST_WORD: Duration = Duration::from_secs(2);
/// How often a connection is looked at.
const TICK: Duration = Duration::from_secs(10);

/// Why a connection should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client has let us wait too long: now.
    Patience,
    /// The server stops, and the client has nothing more to say. Said once.
    Drain,
}

/// Watches one connection.
pub(super) struct Patience<'a> {
    notes: &'a Notes,
    watcher: &'a Watcher,
    bell: Pin<&'a mut OwnedNotified>,
    tick: Pin<&'a mut Sleep>,
    /// Bell and timer know the task's waker, which stays the same while the task lives.
    registered: bool,
    leaving: Leaving,
    /// Requests come side by side: it may be told to end while some are answered.
    of_many: bool,
    wait: Option<u32>,
    since: Instant,
}

/// How far it is with the end that it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    NotAsked,
    LastWord,
    Said,
}

/// What [`Patience`] looks at; whoever holds the connection pins it.
pub(super) fn timer() -> Sleep {
    sleep(TICK)
}

impl<'a> Patience<'a> {
    pub(super) fn new(
        notes: &'a Notes,
        watcher: &'a Watcher,
        bell: Pin<&'a mut OwnedNotified>,
        tick: Pin<&'a mut Sleep>,
    ) -> Self {
        let (wait, since) = (notes.waits(), Instant::now());
        let leaving = Leaving::NotAsked;
        Self { notes, watcher, bell, tick, registered: false, leaving, of_many: false, wait, since }
    }

    /// The same for a connection whose requests come side by side.
    pub(super) fn of_many(self) -> Self {
        Self { of_many: true, ..self }
    }

    /// Whether the connection should end.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if !self.registered {
            self.registered = true;
            let _ = self.bell.as_mut().poll(cx);
            let _ = self.tick.as_mut().poll(cx);
        }
        if self.leaving != Leaving::Said && self.watcher.is_asked() {
            return self.poll_leave(cx);
        }
        while self.tick.is_elapsed() {
            let now = Instant::now();
            if self.is_over(now) {
                return Poll::Ready(End::Patience);
            }
            self.tick.as_mut().reset(now + if self.leaving == Leaving::Said { LAST_WORD } else { TICK });
            let _ = self.tick.as_mut().poll(cx);
        }
        Poll::Pending
    }

    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let wait = self.notes.waits();
        if self.of_many {
            let now = Instant::now();
            (self.leaving, self.wait, self.since) = (Leaving::Said, wait, now);
            self.tick.as_mut().reset(now + LAST_WORD);
            let _ = self.tick.as_mut().poll(cx);
            return Poll::Ready(End::Drain);
        }
        if self.leaving == Leaving::NotAsked || wait != self.wait {
            let now = Instant::now();
            (self.leaving, self.wait, self.since) = (Leaving::LastWord, wait, now);
            self.tick.as_mut().reset(now + LAST_WORD);
        }
        match (self.tick.as_mut().poll(cx), wait) {
            (Poll::Ready(()), Some(_)) => {
                self.leaving = Leaving::Said;
                Poll::Ready(End::Drain)
            }
            _ => Poll::Pending,
        }
    }

    fn is_over(&mut self, now: Instant) -> bool {
        let wait = self.notes.waits();
        if wait.is_none() || wait != self.wait {
            (self.wait, self.since) = (wait, now);
        }
        // What was on its way when GOAWAY was sent has had its time.
        let patience = if self.leaving == Leaving::Said { LAST_WORD } else { HEAD_PATIENCE };
        now.duration_since(self.since) >= patience
    }
}
