//! How many requests at once a member may be given.
//!
//! Idle connections count as well: to php-fpm each open connection is a worker (fpm-facts 13). Who holds the permits is
//! `upstream`'s member.

use std::fmt;

/// What the operator says about it (`max_conns`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxConns {
    /// Learn how many workers the member has.
    #[default]
    Auto,
    /// Obeyed exactly.
    Most(u32),
    /// php-fpm's own backlog is the queue.
    Unlimited,
}

impl MaxConns {
    /// The number, where one was said.
    pub fn told(self) -> Option<u32> {
        match self {
            Self::Most(most) => Some(most),
            Self::Auto | Self::Unlimited => None,
        }
    }
}

/// The limit of one member at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The operator said so.
    Told(u32),
    /// So many workers it seems to have; see [`super::Slots`].
    Learnt(u32),
    /// The operator wants none.
    Unlimited,
}

impl Limit {
    /// The most connections at once, if there is a most.
    pub fn most(self) -> Option<u32> {
        match self {
            Self::Told(most) | Self::Learnt(most) => Some(most),
            Self::Unlimited => None,
        }
    }

    /// Whether one more fits beside `present` ones.
    pub fn has_room(self, present: u32) -> bool {
        self.most().is_none_or(|most| present < most)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(most) => write!(f, "{most}"),
            Self::Learnt(most) => write!(f, "auto ({most})"),
            Self::Unlimited => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_told_limit_is_obeyed_exactly() {
        assert!(Limit::Told(4).has_room(3));
        assert!(!Limit::Told(4).has_room(4));
        assert!(!Limit::Told(0).has_room(0));
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        assert!(Limit::Unlimited.has_room(u32::MAX));
    }

    #[test]
    fn an_operator_reads_whether_it_was_told_or_learnt() {
        let printed = [Limit::Told(4), Limit::Learnt(12), Limit::Unlimited].map(|limit| limit.to_string());
        assert_eq!(printed, ["4", "auto (12)", "none"]);
    }
}
