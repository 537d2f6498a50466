//! How long a connection's turn is when other front ends wait for the same workers.
//!
//! Alone, a connection is reused as long as `keepalive` allows. When our own fresh connections take markedly longer to their
//! first byte than requests on kept ones, somebody else stands in php-fpm's backlog before them. Then a connection serves
//! only as many requests as wait with us for it, as if each stood in the backlog itself: who asks more gets more, in proportion.

use std::time::Duration;

/// How fast the usual time follows.
const PACE: f64 = 0.1;
/// A fresh connection that took no longer than this many times the usual, and what connecting takes, has not waited for a
/// worker. One of four exceeds the usual time by itself, which makes no turn shorter; more patience costs the other front end:
/// with scripts of 0.1 ms it got a third less at 1.5 times and 0.2 ms.
const PATIENCE: f64 = 1.2;
const CONNECTING: f64 = 0.000_1;
/// What one fresh connection that waited, and one that did not, make of a turn. Where one in three waits, turns get shorter:
/// slow scripts are seldom that many, and behind another front end it is every second one.
const SHORTER: f64 = 0.4;
const LONGER: f64 = 1.5;
/// Longer turns are no turns: age and number of requests end a connection then.
const LONG: f64 = 8.0;
const LONGEST: f64 = 64.0;
/// So often a turn has a second request: the usual time is known from those only.
const REMINDER: u32 = 8;

#[derive(Debug)]
pub(super) struct Turns {
    /// Seconds to the first byte that three of four requests on kept connections do not reach.
    usual: Option<f64>,
    /// Requests that a connection may serve.
    length: f64,
    /// Fresh connections so far.
    fresh: u32,
}

impl Default for Turns {
    fn default() -> Self {
        Self { usual: None, length: LONGEST, fresh: 0 }
    }
}

impl Turns {
    /// A request on a kept connection had its first byte.
    pub(super) fn reused(&mut self, first_byte: Duration) {
        let took = first_byte.as_secs_f64();
        let usual = self.usual.get_or_insert(took);
        *usual *= if took > *usual { 1.0 + 0.75 * PACE } else { 1.0 - 0.25 * PACE };
        *usual = usual.max(1e-6);
    }

    /// One that might have gone on a kept connection had its first byte on a fresh one.
    pub(super) fn fresh(&mut self, first_byte: Duration) {
        let Some(usual) = self.usual else { return };
        let waited = first_byte.as_secs_f64() > PATIENCE * usual + CONNECTING;
        self.length = (self.length * if waited { SHORTER } else { LONGER }).clamp(1.0, LONGEST);
        self.fresh = self.fresh.wrapping_add(1);
    }

    pub(super) fn others_wait(&self) -> bool {
        self.length <= LONG
    }

    /// How many requests a connection may serve while others wait: the more, the more wait with us for each of ours.
    pub(super) fn requests(&self, connections: u32, queued: u32) -> u32 {
        let each = f64::from(connections + queued) / f64::from(connections.max(1));
        let least = if self.fresh.is_multiple_of(REMINDER) { 2 } else { 1 };
        ((self.length * each).round() as u32).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn others_wait_when_fresh_connections_regularly_take_longer_than_kept_ones() {
        let mut turns = Turns::default();
        // Three of a hundred are slow, fresh or not.
        let took = |request: u64| if request % 33 == 32 { ms(200) } else { ms(2) };
        for request in 0..2000 {
            turns.reused(took(request));
            turns.fresh(took(request + 7));
            assert!(!turns.others_wait(), "after {request}");
        }
        (0..4).for_each(|request| turns.fresh(ms(2) + took(request)));
        assert!(turns.others_wait());
        (0..8).for_each(|request| turns.fresh(took(request)));
        assert!(!turns.others_wait());
    }

    #[test]
    fn a_connections_turn_is_what_waits_for_it() {
        let turns = Turns { length: 1.0, fresh: 1, ..Turns::default() };
        assert_eq!(turns.requests(4, 0), 1);
        assert_eq!(turns.requests(4, 4), 2);
        assert_eq!(turns.requests(4, 20), 6);
        assert_eq!(turns.requests(0, 0), 1);
        let reminded = Turns { fresh: REMINDER, ..turns };
        assert_eq!(reminded.requests(4, 0), 2, "or the usual time would be forgotten");
    }
}
