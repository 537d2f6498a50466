//! How long a connection's turn is when other front ends wait for the same workers.
//!
//! Alone, a connection is reused as long as `keepalive` allows. When our own fresh connections take markedly longer to their
//! first byte than requests on kept ones, somebody else stands in php-fpm's backlog before them. Then a connection serves
//! only as many requests as wait with us for it, as if each stood in the backlog itself: who asks more gets more, in proportion.

use std::time::Duration;

/// How fast the usual time follows.
const PACE: f64 = 0.1;
/// A fresh connection that took no longer than this beyond twice the usual time has not waited for a worker.
const MARGIN: f64 = 0.000_5;
/// The part of one fresh connection in the share of those that waited.
const WEIGHT: f64 = 0.25;
const MANY: f64 = 0.6;
const FEW: f64 = 0.3;

#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Seconds to the first byte that three of four requests on kept connections do not reach.
    usual: Option<f64>,
    /// Which share of the fresh connections waited.
    waited: f64,
    others_wait: bool,
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
        let waited = first_byte.as_secs_f64() > 2.0 * usual + MARGIN;
        self.waited += WEIGHT * (f64::from(u8::from(waited)) - self.waited);
        self.others_wait = self.waited > if self.others_wait { FEW } else { MANY };
    }

    pub(super) fn others_wait(&self) -> bool {
        self.others_wait
    }
}

/// How many requests a connection may serve while others wait: as many as wait with us for each of ours.
pub(super) fn requests(connections: u32, queued: u32) -> u32 {
    (connections + queued).div_ceil(connections.max(1)).max(1)
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
        (0..4).for_each(|request| turns.fresh(ms(8) + took(request)));
        assert!(turns.others_wait());
        (0..6).for_each(|request| turns.fresh(took(request)));
        assert!(!turns.others_wait());
    }

    #[test]
    fn a_connections_turn_is_what_waits_for_it() {
        assert_eq!(requests(4, 0), 1);
        assert_eq!(requests(4, 1), 2);
        assert_eq!(requests(4, 20), 6);
        assert_eq!(requests(0, 0), 1);
    }
}
