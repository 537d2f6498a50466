//! When a request may be sent again, and where to. The table of fpm-facts ("When is a retry safe"), as a table.
//!
//! It decides by what was seen on the wire only; what an operator may switch (how often, how long, whether
//! non-idempotent requests too) comes in as the request's and the tries' properties.

/// What was seen of an exchange that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// No connection came about, and that was clear at once: nobody listens.
    Refused,
    /// No connection came about in time.
    NotConnected,
    /// The connection was found closed before a byte of the request was sent.
    NothingSent(Connection),
    /// The request was sent, at least in part; the connection closed without one byte of a reply.
    ClosedBeforeFirstByte(Connection),
    /// Part of a reply arrived.
    SomeReply,
    /// php-fpm has the request and did not answer in time: the script may be running.
    Silence,
}

impl Seen {
    /// Whether php-fpm had the request: sending it again may be its work again, and counts against the pool's budget.
    pub fn is_work_again(self) -> bool {
        matches!(self, Self::ClosedBeforeFirstByte(_) | Self::SomeReply | Self::Silence)
    }
}

/// Whether a connection had served a request before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Opened for this request.
    Fresh,
    /// Kept from an earlier one.
    Reused,
}

/// What of the request matters for sending it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeatable {
    /// Running it twice is as good as once (RFC 9110 §9.2.2), or the operator said to take it so.
    pub idempotent: bool,
    /// Its body can still be sent from the first byte.
    pub whole: bool,
}

/// How often the request was tried, and how often it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Attempts made, the failed one included; those that were refused at once do not count.
    pub made: u32,
    /// Attempts allowed (`retry.tries`).
    pub allowed: u32,
    /// A stale connection was already replaced by a fresh one.
    pub stale_replaced: bool,
    /// `retry.timeout` has passed.
    pub expired: bool,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Send it to another member.
    NextMember,
    /// Send it to the same member, on a connection opened for it.
    SameMemberFresh,
    /// Never again: the client gets the error.
    No,
}

impl Tries {
    /// The first attempt of `allowed` has failed.
    pub fn first(allowed: u32) -> Self {
        Self { made: 1, allowed, stale_replaced: false, expired: false }
    }

    /// A refused connection costs neither a worker nor time, so it costs no try: each member is asked once, and one that is
    /// well is found however many have died.
    fn next_after_refusal(self) -> Again {
        if self.expired { Again::No } else { Again::NextMember }
    }

    fn next_member(self) -> Again {
        if self.made < self.allowed && !self.expired { Again::NextMember } else { Again::No }
    }

    /// A stale connection says nothing about the member, so its replacement costs no try; but it is made once.
    fn same_member_fresh(self) -> Again {
        if self.stale_replaced { self.next_member() } else { Again::SameMemberFresh }
    }
}

/// May the request be sent again, and where?
pub fn decide(seen: Seen, request: &Repeatable, tries: Tries) -> Again {
    if !request.whole {
        return Again::No;
    }
    match (seen, request.idempotent) {
        (Seen::Refused, _) => tries.next_after_refusal(),
        (Seen::NothingSent(Connection::Reused), _)
        | (Seen::ClosedBeforeFirstByte(Connection::Reused), true) => tries.same_member_fresh(),
        (Seen::NotConnected | Seen::NothingSent(Connection::Fresh), _)
        | (Seen::ClosedBeforeFirstByte(Connection::Fresh), true) => tries.next_member(),
        (Seen::ClosedBeforeFirstByte(_), false) | (Seen::SomeReply | Seen::Silence, _) => Again::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Repeatable = Repeatable { idempotent: true, whole: true };
    const POST: Repeatable = Repeatable { idempotent: false, whole: true };
    const FRESH: Seen = Seen::ClosedBeforeFirstByte(Connection::Fresh);
    const REUSED: Seen = Seen::ClosedBeforeFirstByte(Connection::Reused);
    const UNSENT: Seen = Seen::NothingSent(Connection::Fresh);
    const UNSENT_REUSED: Seen = Seen::NothingSent(Connection::Reused);
    const EVERYTHING: [Seen; 8] = [
        Seen::Refused,
        Seen::NotConnected,
        UNSENT,
        UNSENT_REUSED,
        FRESH,
        REUSED,
        Seen::SomeReply,
        Seen::Silence,
    ];

    #[test]
    fn what_never_reached_php_goes_to_the_next_member_whatever_the_method() {
        for seen in [Seen::Refused, Seen::NotConnected, UNSENT] {
            assert_eq!(decide(seen, &GET, Tries::first(3)), Again::NextMember, "{seen:?}");
            assert_eq!(decide(seen, &POST, Tries::first(3)), Again::NextMember, "{seen:?}");
        }
    }

    #[test]
    fn a_post_that_reached_php_is_never_sent_again() {
        for seen in [FRESH, REUSED, Seen::SomeReply, Seen::Silence] {
            assert_eq!(decide(seen, &POST, Tries::first(3)), Again::No, "{seen:?}");
        }
    }

    #[test]
    fn a_get_on_a_stale_connection_gets_one_fresh_connection_at_the_same_member() {
        assert_eq!(decide(REUSED, &GET, Tries::first(3)), Again::SameMemberFresh);
        assert_eq!(decide(REUSED, &GET, Tries::first(1)), Again::SameMemberFresh, "and that costs no try");
        let replaced = Tries { stale_replaced: true, ..Tries::first(3) };
        assert_eq!(decide(REUSED, &GET, replaced), Again::NextMember);
    }

    #[test]
    fn a_kept_connection_that_takes_nothing_is_replaced_at_the_same_member_whatever_the_method() {
        for request in [&GET, &POST] {
            assert_eq!(decide(UNSENT_REUSED, request, Tries::first(3)), Again::SameMemberFresh);
            assert_eq!(decide(UNSENT_REUSED, request, Tries::first(1)), Again::SameMemberFresh, "no try");
            let replaced = Tries { stale_replaced: true, ..Tries::first(3) };
            assert_eq!(decide(UNSENT_REUSED, request, replaced), Again::NextMember);
        }
    }

    #[test]
    fn a_get_that_a_fresh_connection_dropped_goes_to_the_next_member() {
        assert_eq!(decide(FRESH, &GET, Tries::first(3)), Again::NextMember);
    }

    #[test]
    fn a_reply_that_began_and_a_first_byte_timeout_are_never_tried_again() {
        for seen in [Seen::SomeReply, Seen::Silence] {
            assert_eq!(decide(seen, &GET, Tries::first(3)), Again::No, "{seen:?}");
        }
    }

    #[test]
    fn the_tries_are_bounded_by_number_and_by_time() {
        let last = Tries { made: 3, ..Tries::first(3) };
        let late = Tries { expired: true, ..Tries::first(3) };
        assert_eq!(decide(Seen::NotConnected, &GET, last), Again::No);
        assert_eq!(decide(Seen::NotConnected, &GET, late), Again::No);
    }

    #[test]
    fn a_refused_connection_costs_no_try_but_time_is_time() {
        let last = Tries { made: 3, ..Tries::first(3) };
        let late = Tries { expired: true, ..last };
        assert_eq!(decide(Seen::Refused, &POST, last), Again::NextMember);
        assert_eq!(decide(Seen::Refused, &POST, late), Again::No);
    }

    #[test]
    fn only_what_php_may_have_run_counts_as_work_again() {
        let work: Vec<_> = EVERYTHING.into_iter().filter(|seen| seen.is_work_again()).collect();
        assert_eq!(work, [FRESH, REUSED, Seen::SomeReply, Seen::Silence]);
    }

    #[test]
    fn a_body_that_was_streamed_away_is_never_sent_in_part() {
        let gone = Repeatable { idempotent: true, whole: false };
        for seen in EVERYTHING {
            assert_eq!(decide(seen, &gone, Tries::first(3)), Again::No, "{seen:?}");
        }
    }
}
