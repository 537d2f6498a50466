//! A pool's knowledge of the scripts that go on after their reply, kept where requests begin and end.
//!
//! What counts as evidence is `balance::Afterwork`'s. A request's route is read from the bytes that were sent for it.

use crate::balance::{self, Route, STALL};
use crate::fcgi::param_of;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Longest path that the log shows.
const LONGEST: usize = 200;

#[derive(Debug, Default)]
pub(crate) struct Afterwork {
    /// Whether there is any evidence: nobody looks further while there is none.
    evidence: AtomicBool,
    scripts: Mutex<balance::Afterwork>,
}

impl Afterwork {
    /// The first byte of `request` came so long after it was sent, on a connection that `before` had used, if anybody.
    pub(crate) fn answered(
        &self,
        pool: &str,
        before: Option<&Trail>,
        request: &[u8],
        took: Duration,
        now: Instant,
    ) {
        if took < STALL && !self.evidence.load(Ordering::Relaxed) {
            return;
        }
        let now = now.into_std();
        let mut scripts = self.scripts.lock();
        let newly_suspected = match before {
            Some(before) => scripts.reused(before.route(), Trail::of(request).route(), took, now),
            None => {
                if took >= STALL {
                    scripts.slow(Trail::of(request).route(), took, now);
                }
                false
            }
        };
        self.evidence.store(scripts.has_evidence(), Ordering::Relaxed);
        drop(scripts);
        if let (true, Some(before)) = (newly_suspected, before) {
            tracing::info!(
                pool,
                path = ?before.path(),
                "script seems to go on after its reply (fastcgi_finish_request): its connections are not used again for now"
            );
        }
    }

    /// Whether a connection that such a request has used had better not be used again.
    pub(crate) fn suspects(&self, trail: &Trail) -> bool {
        self.evidence.load(Ordering::Relaxed)
            && self.scripts.lock().suspects(trail.route(), Instant::now().into_std())
    }
}

/// What is remembered of a request: its script and its path. A copy, because the request itself would keep its cookies and
/// a cold buffer as long as its connection lives.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    bytes: Vec<u8>,
    /// Where the path begins.
    path: usize,
}

impl Trail {
    fn of(request: &[u8]) -> Self {
        let mut trail = Self::default();
        trail.follows(request);
        trail
    }

    /// From now on of this request.
    pub(crate) fn follows(&mut self, request: &[u8]) {
        let script = param_of(request, b"SCRIPT_FILENAME").unwrap_or_default();
        let target = param_of(request, b"REQUEST_URI").unwrap_or_default();
        self.bytes.clear();
        self.bytes.extend_from_slice(script);
        self.path = self.bytes.len();
        self.bytes.extend_from_slice(&target[..memchr::memchr(b'?', target).unwrap_or(target.len())]);
    }

    /// The path without its numbers: `/order/17/pay` and `/order/18/pay` are one route.
    fn route(&self) -> Route {
        let (script, path) = self.bytes.split_at(self.path);
        let mut name = [script, b"\0"].concat();
        name.extend(path.iter().filter(|byte| !byte.is_ascii_digit()));
        balance::hash(&name)
    }

    fn path(&self) -> String {
        String::from_utf8_lossy(&self.bytes[self.path..]).chars().take(LONGEST).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fcgi::{Keep, RequestEncoder, RequestId};

    fn request(script: &str, uri: &str) -> bytes::Bytes {
        let mut encoder = RequestEncoder::new(RequestId::new(7).unwrap(), Keep::Connection);
        encoder.param(b"SCRIPT_FILENAME", script.as_bytes()).unwrap();
        encoder.param(b"REQUEST_URI", uri.as_bytes()).unwrap();
        encoder.finish()
    }

    #[test]
    fn a_route_is_a_script_and_a_path_whatever_its_numbers_and_its_query() {
        let route = |request: &[u8]| Trail::of(request).route();
        let pay = route(&request("/index.php", "/order/17/pay?x=1"));
        assert_eq!(pay, route(&request("/index.php", "/order/8/pay?y")));
        assert_ne!(pay, route(&request("/index.php", "/order/17/show")));
        assert_ne!(pay, route(&request("/admin.php", "/order/17/pay")));
    }

    #[test]
    fn without_evidence_nobody_is_suspected() {
        let (finishes, quick) = (request("/a.php", "/finish"), request("/a.php", "/quick"));
        let (afterwork, now) = (Afterwork::default(), Instant::now());
        let trails = [&finishes, &quick].map(|request| Trail::of(request));
        assert!(!afterwork.suspects(&trails[0]));
        let second = Duration::from_secs(1);
        for ended in [now, now + second] {
            afterwork.answered("php", Some(&trails[0]), &quick, second, ended);
        }
        assert!(afterwork.suspects(&trails[0]) && !afterwork.suspects(&trails[1]));
    }
}
