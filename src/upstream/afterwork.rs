//! A pool's knowledge of the scripts that go on after their reply, kept where requests begin and end.
//!
//! What counts as evidence is `balance::Afterwork`'s. A request's route is read from the bytes that were sent for it, and only when somebody asks.

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
        before: Option<&[u8]>,
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
            Some(before) => scripts.reused(route(before), route(request), took, now),
            None => {
                if took >= STALL {
                    scripts.slow(route(request), took, now);
                }
                false
            }
        };
        self.evidence.store(scripts.has_evidence(), Ordering::Relaxed);
        drop(scripts);
        if let (true, Some(before)) = (newly_suspected, before) {
            let path = String::from_utf8_lossy(path_of(before)).chars().take(LONGEST).collect::<String>();
            tracing::info!(
                pool,
                ?path,
                "script seems to go on after its reply (fastcgi_finish_request): its connections are not used again for now"
            );
        }
    }

    /// Whether a connection that `request` has used had better not be used again.
    pub(crate) fn suspects(&self, request: &[u8]) -> bool {
        self.evidence.load(Ordering::Relaxed)
            && self.scripts.lock().suspects(route(request), Instant::now().into_std())
    }
}

/// The script and the path without its numbers: `/order/17/pay` and `/order/18/pay` are one route.
fn route(request: &[u8]) -> Route {
    let mut name = param_of(request, b"SCRIPT_FILENAME").unwrap_or_default().to_vec();
    name.push(b'\0');
    name.extend(path_of(request).iter().filter(|byte| !byte.is_ascii_digit()));
    balance::hash(&name)
}

fn path_of(request: &[u8]) -> &[u8] {
    let target = param_of(request, b"REQUEST_URI").unwrap_or_default();
    target.split(|&byte| byte == b'?').next().unwrap_or_default()
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
        let pay = route(&request("/index.php", "/order/17/pay?x=1"));
        assert_eq!(pay, route(&request("/index.php", "/order/8/pay?y")));
        assert_ne!(pay, route(&request("/index.php", "/order/17/show")));
        assert_ne!(pay, route(&request("/admin.php", "/order/17/pay")));
    }

    #[test]
    fn without_evidence_nobody_is_suspected() {
        let (finishes, quick) = (request("/a.php", "/finish"), request("/a.php", "/quick"));
        let (afterwork, now) = (Afterwork::default(), Instant::now());
        assert!(!afterwork.suspects(&finishes));
        let second = Duration::from_secs(1);
        for ended in [now, now + second] {
            afterwork.answered("php", Some(&finishes), &quick, second, ended);
        }
        assert!(afterwork.suspects(&finishes) && !afterwork.suspects(&quick));
    }
}
