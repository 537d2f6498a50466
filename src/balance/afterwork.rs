//! Which scripts go on after their reply (`fastcgi_finish_request()`, fpm-facts 16): learnt by evidence.
//!
//! Their END_REQUEST looks like any other, but whoever reuses the connection waits for the rest of the old script. So a first byte
//! that is late on a reused connection speaks against the request *before* it, unless its own script is known to be slow
//! (it was, on a fresh connection). Two such stalls, one after the other, within three reuses, and a route is suspected for a while: its
//! connections are not used again, so that nobody meets it. No request is ever sent twice to find out or to save time:
//! those that wait already go on waiting, and their answers are the evidence.
//!
//! A slow answer is rare by its nature; where there is none, nothing is remembered and nobody asks.

use std::time::{Duration, Instant};

/// A first byte later than this may be a stall.
pub const STALL: Duration = Duration::from_millis(50);
/// It is one if it is so many times the route's usual.
const FAR_ABOVE: u32 = 4;
/// Everything is forgotten this long after it was seen last.
const MEMORY: Duration = Duration::from_secs(300);
/// Most routes that are remembered.
const MOST: usize = 64;

/// A script and the path that it was asked by, as a hash.
pub type Route = u64;

/// What is known of the routes of a pool.
#[derive(Debug, Default)]
pub struct Afterwork(Vec<Known>);

#[derive(Debug, Clone, Copy)]
struct Known {
    route: Route,
    seen: Instant,
    /// Its slowest first byte where nothing else held it up.
    usual: Duration,
    evidence: Evidence,
}

/// What happened on connections that the route had used before.
#[derive(Debug, Clone, Copy, Default)]
struct Evidence {
    reuses: u32,
    stalls: u32,
    last: Option<Stall>,
}

#[derive(Debug, Clone, Copy)]
struct Stall {
    /// Who stalled: acquits the route if that turns out to be usual.
    victim: Route,
    took: Duration,
    ended: Instant,
}

impl Evidence {
    /// Stalls that overlap are one: when a database hangs, all that wait for it are late together.
    fn has_this_already(&self, took: Duration, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last.ended) < took)
    }

    fn convicts(&self) -> bool {
        self.stalls >= 2 && self.stalls * 3 >= self.reuses * 2
    }

    fn is_settled_in_favour(&self) -> bool {
        self.reuses > 3 && !self.convicts()
    }
}

impl Afterwork {
    /// A first byte that took longer than [`STALL`] on a connection that nobody had used before: the route is slow itself.
    pub fn slow(&mut self, route: Route, took: Duration, now: Instant) {
        let known = self.known(route, now);
        known.usual = known.usual.max(took);
        for other in &mut self.0 {
            let explains = |stall: Stall| stall.victim == route && stall.took < took * FAR_ABOVE;
            if other.evidence.last.is_some_and(explains) {
                other.evidence = Evidence::default();
            }
        }
    }

    /// A first byte that took so long on a connection that `before` had used. Whether `before` is suspected from now on, and
    /// was not.
    pub fn reused(&mut self, before: Route, route: Route, took: Duration, now: Instant) -> bool {
        let usual =
            self.0.iter().find(|known| known.route == route).map_or(Duration::ZERO, |known| known.usual);
        let stalled = took >= STALL && took >= usual * FAR_ABOVE;
        let has_evidence = self.0.iter().any(|known| known.route == before && known.evidence.reuses > 0);
        if !stalled && !has_evidence {
            return false;
        }
        let evidence = &mut self.known(before, now).evidence;
        let was_suspected = evidence.convicts();
        if stalled && evidence.has_this_already(took, now) {
            return false;
        }
        evidence.reuses += 1;
        if stalled {
            evidence.stalls += 1;
            evidence.last = Some(Stall { victim: route, took, ended: now });
        }
        if evidence.is_settled_in_favour() {
            *evidence = Evidence::default();
        }
        evidence.convicts() && !was_suspected
    }

    /// Whether a connection that the route has used had better not be used again.
    pub fn suspects(&mut self, route: Route, now: Instant) -> bool {
        self.forget(now);
        self.0.iter().any(|known| known.route == route && known.evidence.convicts())
    }

    /// Whether there is anything to ask about.
    pub fn has_evidence(&self) -> bool {
        self.0.iter().any(|known| known.evidence.reuses > 0)
    }

    fn known(&mut self, route: Route, now: Instant) -> &mut Known {
        self.forget(now);
        let place = match self.0.iter().position(|known| known.route == route) {
            Some(place) => place,
            None => self.make_room_for(Known {
                route,
                seen: now,
                usual: Duration::ZERO,
                evidence: Evidence::default(),
            }),
        };
        let known = &mut self.0[place];
        known.seen = now;
        known
    }

    fn make_room_for(&mut self, known: Known) -> usize {
        if self.0.len() < MOST {
            self.0.push(known);
            return self.0.len() - 1;
        }
        let oldest = self.0.iter().enumerate().min_by_key(|(_, known)| known.seen);
        let place = oldest.map_or(0, |(place, _)| place);
        self.0[place] = known;
        place
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|known| now.saturating_duration_since(known.seen) < MEMORY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINISHES: Route = 1;
    const QUICK: Route = 2;
    const REPORT: Route = 3;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// So many times a request on a connection that `before` had used, one after the other.
    fn reuse(scripts: &mut Afterwork, before: Route, route: Route, took: Duration, times: u32, now: Instant) {
        for time in 1..=times {
            scripts.reused(before, route, took, now + took * time);
        }
    }

    #[test]
    fn two_stalls_behind_a_route_make_it_suspected_and_minutes_make_it_forgotten() {
        let (mut scripts, now) = (Afterwork::default(), Instant::now());
        assert!(!scripts.reused(FINISHES, QUICK, SECOND, now));
        assert!(!scripts.suspects(FINISHES, now), "once is chance");
        assert!(!scripts.reused(FINISHES, QUICK, MS, now + MS));
        let now = now + 2 * SECOND;
        assert!(scripts.reused(FINISHES, QUICK, SECOND, now), "two of three");
        assert!(scripts.suspects(FINISHES, now) && !scripts.suspects(QUICK, now));
        assert!(scripts.suspects(FINISHES, now + 299 * SECOND));
        assert!(!scripts.suspects(FINISHES, now + 300 * SECOND));
        assert!(!scripts.has_evidence());
    }

    #[test]
    fn a_route_after_which_most_go_on_at_once_is_not_suspected() {
        let (mut scripts, now) = (Afterwork::default(), Instant::now());
        for round in 0..20 {
            reuse(&mut scripts, FINISHES, QUICK, SECOND, 1, now + round * 10 * SECOND);
            reuse(&mut scripts, FINISHES, QUICK, MS, 3, now + (round * 10 + 1) * SECOND);
            assert!(!scripts.suspects(FINISHES, now));
        }
    }

    #[test]
    fn many_that_are_late_together_are_one_stall() {
        let (mut scripts, now) = (Afterwork::default(), Instant::now());
        for late in 0..50 {
            scripts.reused(QUICK, FINISHES, SECOND + late * MS, now + late * MS);
        }
        assert!(!scripts.suspects(QUICK, now));
        reuse(&mut scripts, QUICK, FINISHES, MS, 3, now + SECOND);
        assert!(!scripts.has_evidence(), "and that was the database");
    }

    #[test]
    fn a_script_that_is_slow_by_itself_speaks_against_nobody() {
        let (mut scripts, now) = (Afterwork::default(), Instant::now());
        scripts.slow(REPORT, 300 * MS, now);
        reuse(&mut scripts, QUICK, REPORT, 900 * MS, 10, now);
        assert!(!scripts.suspects(QUICK, now) && !scripts.has_evidence());
        reuse(&mut scripts, FINISHES, REPORT, 5 * SECOND, 2, now);
        assert!(scripts.suspects(FINISHES, now), "but four times its usual does");
    }

    #[test]
    fn whoever_was_suspected_for_a_slow_script_is_acquitted_when_that_shows() {
        let (mut scripts, now) = (Afterwork::default(), Instant::now());
        reuse(&mut scripts, QUICK, REPORT, 300 * MS, 2, now);
        assert!(scripts.suspects(QUICK, now));
        scripts.slow(REPORT, 290 * MS, now);
        assert!(!scripts.suspects(QUICK, now));
    }

    #[test]
    fn a_route_that_follows_itself_is_recognised_too() {
        let (mut scripts, now) = (Afterwork::default(), Instant::now());
        reuse(&mut scripts, FINISHES, FINISHES, SECOND, 2, now);
        assert!(scripts.suspects(FINISHES, now));
    }

    #[test]
    fn in_normal_operation_nothing_is_remembered_and_never_more_than_a_little() {
        let (mut scripts, now) = (Afterwork::default(), Instant::now());
        scripts.reused(QUICK, REPORT, 49 * MS, now);
        assert!(scripts.0.is_empty());
        for route in 0..1_000 {
            scripts.slow(route, SECOND, now + Duration::from_millis(route));
        }
        assert_eq!(scripts.0.len(), MOST);
        assert!(scripts.0.iter().any(|known| known.route == 999), "the oldest makes room");
    }
}
