//! What is wrong with single members of a source that is well: each is said once, and again when it was mended in between.

use std::collections::HashSet;

/// The complaints of the latest list.
#[derive(Debug, Default)]
pub(super) struct Complaints(HashSet<String>);

impl Complaints {
    /// These are left out of the list that is told now, and why.
    pub(super) fn tell(&mut self, now: Vec<String>, source: &str, pool: &str) {
        let now: HashSet<String> = now.into_iter().collect();
        for wrong in now.difference(&self.0) {
            tracing::warn!(pool, source, "{wrong}");
        }
        self.0 = now;
    }
}
