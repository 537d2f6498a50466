//! What the runtime says about readiness: whether it is about to stop.

use std::sync::atomic::{AtomicBool, Ordering};

/// Shared between whoever stops the server and whoever is asked about it.
#[derive(Debug, Default)]
pub struct Readiness {
    stopping: AtomicBool,
}

impl Readiness {
    /// From now on `/readyz` says no, so that balancers in front send nothing more.
    pub fn stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the end has begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
