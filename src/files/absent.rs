//! Precompressed neighbours that are not there, remembered for a second: a browser names three codings, and each of which a site has no
//! files would be a failed `open` at each request for text.
//!
//! Only that there is none is remembered. One that comes is sent a second later at the latest, and one that goes is missed at once.

use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use crate::route::Coding;

/// How long a neighbour is believed to be missing.
const MEMORY: Duration = Duration::from_secs(1);
/// So many files are remembered at once.
const MOST: usize = 4096;

/// By the path of the file whose neighbours they are.
#[derive(Debug)]
pub(super) struct Absent(Cache<OsString, Lack>);

/// Of which codings a file has no neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lack {
    since: Instant,
    codings: [bool; Coding::ALL.len()],
}

impl Absent {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    /// What is known of a file's neighbours.
    pub(super) fn of(&self, path: &OsStr, now: Instant) -> Lack {
        let known = self.0.get(path).filter(|lack| now.saturating_duration_since(lack.since) < MEMORY);
        known.unwrap_or(Lack { since: now, codings: [false; _] })
    }

    pub(super) fn remember(&self, path: &OsStr, lack: Lack) {
        self.0.insert(path.to_owned(), lack);
    }
}

impl Lack {
    pub(super) const fn has(&self, coding: Coding) -> bool {
        self.codings[coding as usize]
    }

    pub(super) const fn note(&mut self, coding: Coding) {
        self.codings[coding as usize] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_asked_for_again_after_a_second() {
        let (absent, path, now) = (Absent::new(), OsStr::new("/www/a.js"), Instant::now());
        let known = |later| Coding::ALL.map(|coding| absent.of(path, now + later).has(coding));
        assert_eq!(known(Duration::ZERO), [false; 3]);
        let mut lack = absent.of(path, now);
        lack.note(Coding::Brotli);
        absent.remember(path, lack);
        assert_eq!(known(MEMORY / 2), [true, false, false]);
        // Another that is missed later makes the memory of the first no longer.
        let mut lack = absent.of(path, now + MEMORY / 2);
        lack.note(Coding::Gzip);
        absent.remember(path, lack);
        assert_eq!(known(MEMORY / 2), [true, false, true]);
        assert_eq!(known(MEMORY), [false; 3]);
    }
}
