//! The end of serving: asks every connection to end after the request in flight, and waits until none is left.
//!
//! What a connection is asked holds for its replies from then on, which say `Connection: close`. One that is idle when it is asked has a
//! moment for a request that its client may have sent just then (`patience`): closing at once would lose that request.
//!
//! A connection looks at one flag whenever it has something to do, which costs a request nothing; the bell wakes those that
//! have nothing to do.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, mpsc};

use crate::site::Generation;

/// Whoever may end the serving.
#[derive(Debug)]
pub struct Drain {
    shared: Arc<Shared>,
    alive: mpsc::Sender<Infallible>,
    left: mpsc::Receiver<Infallible>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicBool,
    /// Where the listener is gone from the configuration: who answers its last requests.
    last: OnceLock<Arc<Generation>>,
    bell: Arc<Notify>,
}

/// One connection's end of it; as long as it lives, the drain is not over.
#[derive(Debug, Clone)]
pub struct Watcher {
    shared: Arc<Shared>,
    _alive: mpsc::Sender<Infallible>,
}

impl Drain {
    /// Nobody is asked to end yet.
    #[expect(clippy::new_without_default, reason = "it has an owner, and starts nothing by default")]
    pub fn new() -> Self {
        let (alive, left) = mpsc::channel(1);
        Self { shared: Arc::default(), alive, left }
    }

    /// For a new connection.
    pub fn watcher(&self) -> Watcher {
        Watcher { shared: Arc::clone(&self.shared), _alive: self.alive.clone() }
    }

    /// Asks all, and returns when the last watcher is gone. Until then they are answered by `last`, if the current generation knows
    /// nothing of them.
    pub async fn shutdown(self, last: Option<Arc<Generation>>) {
        let Self { shared, alive, mut left } = self;
        if let Some(last) = last {
            // It is set here only, and this consumes the drain.
            drop(shared.last.set(last));
        }
        shared.asked.store(true, Ordering::Release);
        shared.bell.notify_waiters();
        drop(alive);
        left.recv().await;
    }
}

impl Watcher {
    /// Whether the connection is to end.
    pub(super) fn is_asked(&self) -> bool {
        self.shared.asked.load(Ordering::Acquire)
    }

    /// Returns when the connection is to end.
    pub(super) async fn asked(&self) {
        let bell = self.bell();
        if !self.is_asked() {
            bell.await;
        }
    }

    /// Who answers instead of the current generation.
    pub(super) fn last(&self) -> Option<&Arc<Generation>> {
        self.shared.last.get()
    }

    /// Rings when it becomes so. Asked for before [`Watcher::is_asked`] is, none is missed.
    pub(super) fn bell(&self) -> OwnedNotified {
        Arc::clone(&self.shared.bell).notified_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_asks_everybody_and_is_over_when_the_last_has_gone() {
        let drain = Drain::new();
        let watchers = [drain.watcher(), drain.watcher()];
        let left = watchers.map(|watcher| {
            tokio::spawn(async move {
                let bell = watcher.bell();
                if !watcher.is_asked() {
                    bell.await;
                }
                watcher.is_asked()
            })
        });
        drain.shutdown(None).await;
        for asked in left {
            assert!(asked.await.expect("no panic"));
        }
    }
}
