//! One limit of a route: its counts, its verdict, and its word in the log, now and then.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::in_flight::{Held, InFlight};
use super::table::Table;
use crate::balance::Rarely;
use crate::guard::{Rate, Turn};
use crate::route::Limit;

/// Who is over a limit is so often: not a line a request.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// A limit at work.
#[derive(Debug)]
pub struct Limiter {
    /// Whose, for the log.
    site: String,
    route: String,
    limit: Limit,
    rate: Option<(Rate, Table)>,
    in_flight: Arc<InFlight>,
    /// With keys of this process: nobody can make two of them meet.
    hasher: RandomState,
    began: Instant,
    said: Mutex<Rarely>,
}

/// Which part of a limit a request is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `rate` and `burst`.
    Rate,
    /// `connections`.
    Connections,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on after this time; it counts as long as `Held` is held.
    Free(Duration, Option<Held>),
    /// It is over the limit, and may come again in this time.
    Over(Reason, Duration),
}

impl Limiter {
    /// Nobody has come yet.
    pub fn new(site: &str, route: &str, limit: &Limit) -> Self {
        let rate = limit.rate.map(|rate| (Rate::new(rate.requests, rate.per, limit.burst), Table::new()));
        Self {
            site: site.to_owned(),
            route: route.to_owned(),
            limit: limit.clone(),
            rate,
            in_flight: Arc::new(InFlight::new()),
            hasher: RandomState::new(),
            began: Instant::now(),
            said: Mutex::new(Rarely::every(SAID_EVERY)),
        }
    }

    /// A request with this key is here. An empty key is not limited, as in nginx.
    pub fn ask(&self, key: &[u8], now: Instant) -> Verdict {
        if key.is_empty() {
            return Verdict::Free(Duration::ZERO, None);
        }
        let hash = self.hasher.hash_one(key);
        let since = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        // Connections first: who is over them has not used up any rate.
        let held = match self.limit.connections.map(|most| self.in_flight.hold(hash, most)) {
            Some(None) => return self.over(Reason::Connections, Duration::from_secs(1), key, now),
            Some(held) => held,
            None => None,
        };
        // A first request at 0 would look like a place that was never taken.
        match self.rate.as_ref().map(|(rate, table)| table.take(hash, *rate, since.saturating_add(1))) {
            Some(Turn::Full(wait)) => self.over(Reason::Rate, wait, key, now),
            Some(Turn::After(delay)) if self.limit.delay => Verdict::Free(delay, held),
            Some(Turn::After(_)) | None => Verdict::Free(Duration::ZERO, held),
        }
    }

    fn over(&self, reason: Reason, again: Duration, key: &[u8], now: Instant) -> Verdict {
        if let Some(times) = self.said.lock().happened(now) {
            let done = if self.limit.dry_run { "would be refused (dry_run)" } else { "refused with 429" };
            tracing::warn!(
                site = self.site,
                route = self.route,
                "{times} requests {done}: over limits {{ {} }}, the last by {}",
                self.limit,
                String::from_utf8_lossy(key).escape_debug()
            );
        }
        Verdict::Over(reason, again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{RequestRate, Template};

    fn limiter(requests: u32, connections: Option<u32>, delay: bool) -> Limiter {
        let limit = Limit {
            rate: Some(RequestRate { requests, per: Duration::from_secs(1) }),
            burst: 1,
            connections,
            by: Template::literal("x"),
            delay,
            dry_run: false,
        };
        Limiter::new("shop.example", "/", &limit)
    }

    fn free(verdict: Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Free(delay, _) => Some(delay),
            Verdict::Over(..) => None,
        }
    }

    #[test]
    fn an_empty_key_is_not_limited() {
        let (limiter, now) = (limiter(1, Some(0), false), Instant::now());
        assert!((0..100).all(|_| free(limiter.ask(b"", now)).is_some()));
        assert!(free(limiter.ask(b"a", now)).is_none());
    }

    #[test]
    fn a_burst_waits_for_its_turn_only_where_it_is_told_to() {
        for (delay, second) in [(false, 0), (true, 1)] {
            let (limiter, now) = (limiter(1, None, delay), Instant::now());
            assert_eq!(free(limiter.ask(b"a", now)), Some(Duration::ZERO));
            assert_eq!(free(limiter.ask(b"a", now)), Some(Duration::from_secs(second)));
            assert_eq!(free(limiter.ask(b"a", now)), None);
        }
    }

    #[test]
    fn who_has_too_many_at_work_uses_up_no_rate() {
        let (limiter, now) = (limiter(1, Some(1), false), Instant::now());
        let first = limiter.ask(b"a", now);
        assert!((0..9).all(|_| matches!(limiter.ask(b"a", now), Verdict::Over(Reason::Connections, _))));
        drop(first);
        assert!(free(limiter.ask(b"a", now)).is_some());
        assert!(matches!(limiter.ask(b"a", now), Verdict::Over(Reason::Rate, _)));
    }
}
