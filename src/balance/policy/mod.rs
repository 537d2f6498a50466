//! The policies: given the members as they are now, the one that a request should go to.
//!
//! One file a policy; this one owns the view that they look through and the rule that distant members come later and backups last. A policy does
//! not keep an order: whoever asks marks a member unusable (tried already, no permit free) and asks again.

mod least_conn;
mod least_time;
mod random;
mod rendezvous;
mod smooth;
mod tournament;

use least_conn::LeastConn;
use rand::Rng;
use smooth::Turns;

/// The members of a pool as a policy sees them, by index. A trait, so that nothing is copied to ask a question.
pub trait Members {
    /// How many members there are, usable or not.
    fn len(&self) -> usize;
    /// Whether there is no member at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Its share of the requests, relative to the others; 0 gets none.
    fn weight(&self, index: usize) -> u32;
    /// Requests that it is answering at this moment.
    fn in_flight(&self, index: usize) -> u32;
    /// Whether this request may go there now.
    fn usable(&self, index: usize) -> bool;
    /// Before whom it comes: one of a later tier serves only while none of an earlier one is usable.
    fn tier(&self, index: usize) -> Tier;
    /// Its identity: stays the same when other members come and go.
    fn key(&self, index: usize) -> u64;
    /// Seconds in which it has been answering, if that is known. Only `least_time` asks.
    fn latency(&self, index: usize) -> Option<f64>;
    /// The lanes (threads) in which it has a kept connection, a bit each.
    fn kept_in(&self, _index: usize) -> u32 {
        0
    }
    /// The lane that asks, as a bit.
    fn lane(&self) -> u32 {
        0
    }
    /// Names those of whom something may be otherwise now than when this was asked before: nobody else need be looked at again. Only
    /// [`Policy::looks_at_changes`] asks.
    fn changed(&self, each: impl FnMut(usize)) {
        (0..self.len()).for_each(each);
    }
}

/// Who is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tier {
    /// A primary, of the preferred zone if there is one.
    #[default]
    Near,
    /// A primary of another zone.
    Far,
    /// A backup.
    Backup,
}

/// What the operator asked for (`policy` of a pool).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyKind {
    /// nginx's smooth weighted round robin.
    RoundRobin,
    /// The fewest requests in flight for its weight.
    #[default]
    LeastConn,
    /// The shortest wait to expect: the usual time to a first byte, by requests in flight and weight.
    LeastTime,
    /// The less loaded of two drawn by weight.
    Random,
    /// The same member for the same client address.
    IpHash,
    /// The same member for the same key.
    Hash,
}

/// A policy with the memory that it needs from one request to the next.
#[derive(Debug)]
pub struct Policy {
    kind: PolicyKind,
    turns: Turns,
    least_conn: LeastConn,
}

impl PolicyKind {
    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastConn => "least_conn",
            Self::LeastTime => "least_time",
            Self::Random => "random",
            Self::IpHash => "ip_hash",
            Self::Hash => "hash",
        }
    }

    /// Whether it goes by the times of requests: only then are they kept.
    pub fn measures(self) -> bool {
        self == Self::LeastTime
    }

    /// Whether a key has its member, whoever is busy and whoever has just come back.
    pub fn is_by_key(self) -> bool {
        matches!(self, Self::IpHash | Self::Hash)
    }
}

impl Policy {
    /// A policy that has chosen nothing yet.
    pub fn new(kind: PolicyKind) -> Self {
        Self { kind, turns: Turns::default(), least_conn: LeastConn::default() }
    }

    /// What was asked for.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Whether it remembers the members as they were, and asks for those that have changed.
    pub fn looks_at_changes(&self) -> bool {
        self.kind == PolicyKind::LeastConn
    }

    /// The best usable member for a request whose hash is `key` (only the hash policies look at it). One of a
    /// later tier is named only when none of the earlier ones is usable; `None` when nobody is.
    pub fn prefer(&mut self, members: &impl Members, key: u64, rng: &mut impl Rng) -> Option<usize> {
        [Tier::Near, Tier::Far, Tier::Backup].into_iter().find_map(|tier| {
            let of_tier = |index| eligible(members, index) && members.tier(index) == tier;
            self.among(members, &of_tier, key, rng)
        })
    }

    fn among(
        &mut self,
        members: &impl Members,
        eligible: &impl Fn(usize) -> bool,
        key: u64,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        match self.kind {
            PolicyKind::RoundRobin => self.turns.next(members, eligible),
            // It knows the tiers by itself.
            PolicyKind::LeastConn => self.least_conn.next(members),
            PolicyKind::LeastTime => least_time::choose(&mut self.turns, members, eligible),
            PolicyKind::Random => random::choose(members, eligible, rng),
            PolicyKind::IpHash | PolicyKind::Hash => rendezvous::choose(members, eligible, key),
        }
    }
}

fn eligible(members: &impl Members, index: usize) -> bool {
    members.usable(index) && members.weight(index) > 0
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Members, Tier};

    /// A member as a test describes it.
    #[derive(Clone, Debug)]
    pub(crate) struct Fake {
        pub(crate) weight: u32,
        pub(crate) in_flight: u32,
        pub(crate) usable: bool,
        pub(crate) tier: Tier,
        pub(crate) key: u64,
        pub(crate) latency: Option<f64>,
    }

    pub(crate) struct Fakes(pub(crate) Vec<Fake>);

    impl Fakes {
        pub(crate) fn weights(weights: &[u32]) -> Self {
            let fake = |(index, &weight): (usize, &u32)| Fake {
                weight,
                in_flight: 0,
                usable: true,
                tier: Tier::Near,
                key: 0x9e37 + index as u64,
                latency: None,
            };
            Self(weights.iter().enumerate().map(fake).collect())
        }
    }

    impl Members for Fakes {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn weight(&self, index: usize) -> u32 {
            self.0[index].weight
        }
        fn in_flight(&self, index: usize) -> u32 {
            self.0[index].in_flight
        }
        fn usable(&self, index: usize) -> bool {
            self.0[index].usable
        }
        fn tier(&self, index: usize) -> Tier {
            self.0[index].tier
        }
        fn key(&self, index: usize) -> u64 {
            self.0[index].key
        }
        fn latency(&self, index: usize) -> Option<f64> {
            self.0[index].latency
        }
    }

    pub(crate) fn rng() -> impl rand::Rng {
        use rand::SeedableRng;
        rand::rngs::SmallRng::seed_from_u64(7)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Fakes, rng};
    use super::*;

    const ALL: [PolicyKind; 6] = [
        PolicyKind::RoundRobin,
        PolicyKind::LeastConn,
        PolicyKind::LeastTime,
        PolicyKind::Random,
        PolicyKind::IpHash,
        PolicyKind::Hash,
    ];

    #[test]
    fn every_policy_asks_the_near_ones_then_the_far_ones_and_backups_last() {
        for kind in ALL {
            let mut members = Fakes::weights(&[1, 1, 9, 9]);
            (members.0[2].tier, members.0[3].tier) = (Tier::Backup, Tier::Far);
            let mut policy = Policy::new(kind);
            for key in 0..50 {
                assert!(policy.prefer(&members, key, &mut rng()).is_some_and(|index| index < 2), "{kind:?}");
            }
            members.0[0].usable = false;
            members.0[1].usable = false;
            assert_eq!(policy.prefer(&members, 1, &mut rng()), Some(3), "{kind:?}");
            members.0[3].usable = false;
            assert_eq!(policy.prefer(&members, 1, &mut rng()), Some(2), "{kind:?}");
        }
    }

    #[test]
    fn every_policy_names_each_member_once_when_asked_again_and_then_nobody() {
        for kind in ALL {
            let mut members = Fakes::weights(&[4, 3, 2, 1]);
            let mut policy = Policy::new(kind);
            let mut order = Vec::new();
            while let Some(index) = policy.prefer(&members, 42, &mut rng()) {
                members.0[index].usable = false;
                order.push(index);
            }
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3], "{kind:?}");
        }
    }

    #[test]
    fn a_weight_of_zero_gets_nothing_and_an_empty_pool_has_nobody() {
        for kind in ALL {
            let mut policy = Policy::new(kind);
            assert_eq!(policy.prefer(&Fakes::weights(&[0]), 1, &mut rng()), None, "{kind:?}");
            assert_eq!(policy.prefer(&Fakes::weights(&[]), 1, &mut rng()), None, "{kind:?}");
        }
    }

    #[test]
    fn members_may_come_and_go_between_two_requests() {
        for kind in ALL {
            let mut policy = Policy::new(kind);
            for count in [3, 7, 1, 300, 2] {
                let chosen = policy.prefer(&Fakes::weights(&vec![2; count]), 5, &mut rng());
                assert!(chosen.is_some_and(|index| index < count), "{kind:?} {count}");
            }
        }
    }
}
