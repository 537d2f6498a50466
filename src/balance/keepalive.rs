//! Whether a connection is worth keeping after a reply (fpm-facts 13).
//!
//! To php-fpm an open connection is a busy worker, also while it is idle. `auto` keeps one only while reuse is likely:
//! under load that is within a millisecond, so a short hold keeps nearly all of the gain. It also bounds a connection's age,
//! because a worker that is never let go starves whoever waits in php-fpm's backlog. Who closes is `upstream`'s.

use std::time::{Duration, Instant};

/// What the operator asked for, or the defaults of `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// Reuse only as far as no worker is held away from anyone else.
    Auto {
        /// How long a connection may lie idle.
        hold: Duration,
        /// How old it may get under steady load.
        max_age: Duration,
        /// How many requests it may serve.
        max_requests: u32,
    },
    /// Keep what the operator set.
    On {
        /// How long a connection may lie idle.
        timeout: Duration,
        /// How many idle connections a member may have.
        idle: u32,
        /// How many requests a connection may serve, if bounded.
        max_requests: Option<u32>,
        /// How old it may get, if bounded.
        max_age: Option<Duration>,
    },
    /// One request a connection.
    Off,
}

impl Keepalive {
    /// Reuse within 50 ms, until 300 ms old or after 32 requests: connecting once in 32 costs next to nothing, and with
    /// quick scripts it is what lets another front end in.
    pub const AUTO: Self =
        Self::Auto { hold: Duration::from_millis(50), max_age: Duration::from_millis(300), max_requests: 32 };

    /// Longer than this without a first byte, and a fresh connection is taken to wait for a worker. Shorter waits are
    /// php's own time: closing for them would cost reuse and help nobody.
    pub(super) const PATIENCE: Duration = Duration::from_millis(5);

    /// So many requests a connection serves before its age counts: slow scripts would never reuse one otherwise, and
    /// what has never been kept proves nothing of how many workers there are.
    const FEW: u32 = 4;

    /// How long a connection may lie idle.
    pub fn hold(&self) -> Duration {
        match *self {
            Self::Auto { hold, .. } => hold,
            Self::On { timeout, .. } => timeout,
            Self::Off => Duration::ZERO,
        }
    }

    /// Whether php-fpm should be asked to leave the connection open (FCGI_KEEP_CONN, FastCGI 1.0 §5.1).
    pub fn asks_to_keep(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Whether an idle connection is given back sooner than [`Keepalive::hold`] when its reuse gets unlikely: nobody told
    /// another time.
    pub fn adapts_hold(&self) -> bool {
        matches!(self, Self::Auto { .. }) && self.hold() == Self::AUTO.hold()
    }

    /// Whether opening a connection gives up the oldest idle one, so that the worker behind it is free for the new one.
    pub fn swaps_idle_for_fresh(&self) -> bool {
        matches!(self, Self::Auto { .. })
    }
}

/// A connection's past and its member's present, at the end of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// When it was opened.
    pub opened: Instant,
    /// Requests it has served.
    pub requests: u32,
    /// Idle connections that its member has already.
    pub idle: u32,
    /// The longest time that a fresh connection to the same member has been waiting for its first byte.
    pub oldest_waiting: Option<Duration>,
    /// How many requests it may serve while other front ends wait for the same workers; `None` when they do not.
    pub turn: Option<u32>,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It may serve the next request, or lie idle for [`Keepalive::hold`].
    Keep,
    /// It is closed, and its worker free.
    Close(CloseReason),
}

/// Why a healthy connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// Reuse is off.
    NotWanted,
    /// It has served its number of requests.
    Requests,
    /// It is old enough.
    Age,
    /// Others have been waiting for a worker of this member.
    OthersWait,
    /// Other front ends wait for the same workers, and it has served its share.
    OthersTurn,
    /// The member has its number of idle connections.
    EnoughIdle,
}

/// May this connection be used again?
pub fn may_keep(used: Used, now: Instant, mode: &Keepalive) -> Keep {
    let age = now.saturating_duration_since(used.opened);
    match *mode {
        Keepalive::Off => Keep::Close(CloseReason::NotWanted),
        Keepalive::Auto { max_age, max_requests, .. } => {
            let starving = used.oldest_waiting.is_some_and(|waited| waited > Keepalive::PATIENCE);
            match () {
                () if used.requests >= max_requests => Keep::Close(CloseReason::Requests),
                () if used.turn.is_some_and(|turn| used.requests >= turn) => {
                    Keep::Close(CloseReason::OthersTurn)
                }
                () if used.turn.is_none() && used.requests >= Keepalive::FEW && age >= max_age => {
                    Keep::Close(CloseReason::Age)
                }
                () if starving => Keep::Close(CloseReason::OthersWait),
                () => Keep::Keep,
            }
        }
        Keepalive::On { idle, max_requests, max_age, .. } => match () {
            () if max_requests.is_some_and(|most| used.requests >= most) => {
                Keep::Close(CloseReason::Requests)
            }
            () if max_age.is_some_and(|most| age >= most) => Keep::Close(CloseReason::Age),
            () if used.idle >= idle => Keep::Close(CloseReason::EnoughIdle),
            () => Keep::Keep,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Keepalive = Keepalive::On {
        timeout: Duration::from_secs(60),
        idle: 8,
        max_requests: Some(100),
        max_age: Some(Duration::from_secs(3600)),
    };

    fn after(age: Duration, change: impl FnOnce(&mut Used), mode: &Keepalive) -> Keep {
        let opened = Instant::now();
        let mut used = Used { opened, requests: 1, idle: 0, oldest_waiting: None, turn: None };
        change(&mut used);
        may_keep(used, opened + age, mode)
    }

    #[test]
    fn auto_reuses_a_young_connection_and_lets_its_worker_go_after_300_ms() {
        let (ms, few) = (Duration::from_millis, |used: &mut Used| used.requests = 4);
        assert_eq!(after(ms(299), few, &Keepalive::AUTO), Keep::Keep);
        assert_eq!(after(ms(300), few, &Keepalive::AUTO), Keep::Close(CloseReason::Age));
        assert_eq!(after(ms(900), |used| used.requests = 3, &Keepalive::AUTO), Keep::Keep, "slow scripts");
        assert_eq!(Keepalive::AUTO.hold(), ms(50));
    }

    #[test]
    fn auto_gives_the_worker_to_whoever_waits_in_the_backlog() {
        let waited = |ms| move |used: &mut Used| used.oldest_waiting = Some(Duration::from_millis(ms));
        assert_eq!(after(Duration::ZERO, waited(5), &Keepalive::AUTO), Keep::Keep, "php's own time");
        assert_eq!(after(Duration::ZERO, waited(6), &Keepalive::AUTO), Keep::Close(CloseReason::OthersWait));
        assert_eq!(after(Duration::ZERO, waited(600), &ON), Keep::Keep, "the operator's word overrules");
    }

    #[test]
    fn auto_ends_a_turn_while_other_front_ends_wait() {
        let served = |requests| move |used: &mut Used| (used.requests, used.turn) = (requests, Some(3));
        assert_eq!(after(Duration::ZERO, served(2), &Keepalive::AUTO), Keep::Keep);
        assert_eq!(after(Duration::ZERO, served(3), &Keepalive::AUTO), Keep::Close(CloseReason::OthersTurn));
        assert_eq!(after(Duration::ZERO, served(3), &ON), Keep::Keep, "the operator's word overrules");
    }

    #[test]
    fn a_number_of_requests_ends_a_connection() {
        let served = |requests| move |used: &mut Used| used.requests = requests;
        assert_eq!(after(Duration::ZERO, served(32), &Keepalive::AUTO), Keep::Close(CloseReason::Requests));
        assert_eq!(after(Duration::ZERO, served(99), &ON), Keep::Keep);
        assert_eq!(after(Duration::ZERO, served(100), &ON), Keep::Close(CloseReason::Requests));
    }

    #[test]
    fn on_keeps_no_more_idle_connections_than_it_was_told() {
        assert_eq!(after(Duration::ZERO, |used| used.idle = 7, &ON), Keep::Keep);
        assert_eq!(after(Duration::ZERO, |used| used.idle = 8, &ON), Keep::Close(CloseReason::EnoughIdle));
    }

    #[test]
    fn on_keeps_as_long_as_it_was_told() {
        assert_eq!(after(Duration::from_secs(3599), |_| {}, &ON), Keep::Keep);
        assert_eq!(after(Duration::from_secs(3600), |_| {}, &ON), Keep::Close(CloseReason::Age));
    }

    #[test]
    fn off_never_reuses_and_tells_php_so() {
        assert_eq!(after(Duration::ZERO, |_| {}, &Keepalive::Off), Keep::Close(CloseReason::NotWanted));
        assert!(!Keepalive::Off.asks_to_keep());
        assert!(ON.asks_to_keep());
    }
}
