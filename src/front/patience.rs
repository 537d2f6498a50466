//! How long a connection waits for its client, and what else may end it between requests.
//!
//! It is looked at on every turn of the connection's task, so a look is two loads: the clock is asked twice a second
//! only, by a timer that is left alone in between.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep};

use super::drain::Watcher;
use super::notes::Notes;
use super::timeouts::Timeouts;

/// Asked to end, an idle connection waits so long for a request that may be on its way. nginx: `keepalive_min_timeout`.
pub(super) const LAST_WORD: Duration = Duration::from_secs(2);
/// How often a connection that is talked over is looked at; one that has nothing to say for as long is parked.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// The same where requests come side by side: there is nothing to park.
const LOOK: Duration = Duration::from_secs(2);

/// Why a talk should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client has let us wait too long: now.
    Patience,
    /// It has its replies, and says nothing more for now.
    Quiet,
    /// The server stops, and the client has nothing more to say. Said once.
    Drain,
}

/// Watches one connection.
pub(super) struct Patience<'a> {
    notes: &'a Notes,
    watcher: &'a Watcher,
    bell: Pin<&'a mut OwnedNotified>,
    tick: Pin<&'a mut Sleep>,
    timeouts: Timeouts,
    /// The bell knows the task's waker, which stays the same while the task lives.
    registered: bool,
    /// And the timer, since it was set.
    armed: bool,
    leaving: Leaving,
    /// Requests come side by side: it may be told to end while some are answered.
    of_many: bool,
    wait: Option<u32>,
    since: Instant,
    /// The wait in which the talk began.
    first: Option<u32>,
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
        timeouts: Timeouts,
    ) -> Self {
        let (wait, since) = (notes.waits(), Instant::now());
        let (registered, armed, leaving) = (false, false, Leaving::NotAsked);
        let (of_many, first) = (false, wait);
        Self { notes, watcher, bell, tick, timeouts, registered, armed, leaving, of_many, wait, since, first }
    }

    /// The same for a connection whose requests come side by side. It is never parked: [`End::Quiet`] is said again and again.
    pub(super) fn of_many(mut self) -> Self {
        self.of_many = true;
        self
    }

    /// The client is awaited from now on, with nothing under way: for its first request, or for the next.
    pub(super) fn parks(&mut self) {
        let most = if self.notes.requests() == 0 { self.timeouts.header } else { self.timeouts.keepalive };
        self.sets_timer(self.since + most);
    }

    /// It has begun to say something.
    pub(super) fn talks(&mut self) {
        let now = Instant::now();
        (self.wait, self.since) = (self.notes.waits(), now);
        self.first = self.wait;
        self.sets_timer(now + TICK);
    }

    /// Not while it counts a last word, which began before.
    fn sets_timer(&mut self, at: Instant) {
        if self.leaving == Leaving::NotAsked {
            self.tick.as_mut().reset(at);
            self.armed = false;
        }
    }

    /// Whether a parked connection should end.
    pub(super) fn poll_parked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.register(cx);
        if self.watcher.is_asked() {
            return self.poll_leave(cx).map(drop);
        }
        self.tick.as_mut().poll(cx)
    }

    /// Whether the talk should end.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.register(cx);
        if self.leaving != Leaving::Said && (self.watcher.is_asked() || self.has_had_its_requests()) {
            return self.poll_leave(cx);
        }
        while self.tick.is_elapsed() {
            let now = Instant::now();
            let end = self.end(now);
            self.tick.as_mut().reset(now + if self.of_many { LOOK } else { TICK });
            let _ = self.tick.as_mut().poll(cx);
            if let Some(end) = end {
                return Poll::Ready(end);
            }
        }
        Poll::Pending
    }

    /// Over HTTP/1.1 the last reply says it.
    fn has_had_its_requests(&self) -> bool {
        self.of_many && self.timeouts.is_last(self.notes.requests())
    }

    fn register(&mut self, cx: &mut Context<'_>) {
        if !self.registered {
            self.registered = true;
            let _ = self.bell.as_mut().poll(cx);
        }
        if !self.armed {
            self.armed = true;
            let _ = self.tick.as_mut().poll(cx);
        }
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

    fn end(&mut self, now: Instant) -> Option<End> {
        let wait = if self.of_many { self.notes.lull() } else { self.notes.waits() };
        if wait.is_none() || wait != self.wait {
            (self.wait, self.since) = (wait, now);
            return None;
        }
        let idle = now.duration_since(self.since);
        if self.of_many {
            return Some(if idle >= self.longest_lull() { End::Patience } else { End::Quiet });
        }
        if wait != self.first && idle >= TICK && !self.notes.is_unflushed() {
            return Some(End::Quiet);
        }
        (idle >= self.timeouts.header).then_some(End::Patience)
    }

    /// Between streams. What was on its way when GOAWAY was sent has had its time.
    fn longest_lull(&self) -> Duration {
        match (self.leaving, self.notes.requests()) {
            (Leaving::Said, _) => LAST_WORD,
            (_, 0) => self.timeouts.header,
            _ => self.timeouts.keepalive,
        }
    }
}
