//! How many requests at once a member may be given.
//!
//! Idle connections count as well: to php-fpm each open connection is a worker (fpm-facts 13). Who holds the permits is
//! `upstream`'s member.

use std::fmt;

/// The limit of one member. A learnt one will be a third kind: nothing outside asks for more than [`Limit::most`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit {
    /// The operator said so (`max_conns`), and it is obeyed exactly.
    Told(u32),
    /// Nobody said anything: php-fpm's own backlog is the queue.
    #[default]
    Unlimited,
}

impl Limit {
    /// The most connections at once, if there is a most.
    pub fn most(self) -> Option<u32> {
        match self {
            Self::Told(most) => Some(most),
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
        assert_eq!(Limit::Unlimited.to_string(), "none");
    }
}
