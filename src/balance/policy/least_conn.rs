//! Least connections: the fewest requests in flight for its weight; members that are level take turns by weight.
//!
//! The turns go in rounds: of members with the same weight nobody has its next turn before everybody else who is level has had this one. Whose
//! turn it is within a round is open, and goes to a member with a kept connection, best one of the caller's own lane: a connection that changes
//! its lane costs system calls. So a pool of many members, each with a connection or two, falls into parts by itself, a part for each lane.
//!
//! A turn is counted as the virtual time of fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queueing"): each costs 1/weight, and who
//! was busy or out for a while comes back at the present time, with nothing to catch up on.

use super::Members;
use super::tournament::{Rank, Tournament};

/// A turn of a member of weight 1. Divided by any weight up to 16 it has no rest, so that their rounds end together.
const TURN: u64 = 720_720 << 20;
/// Time begins anew then, long before it overflows.
const LATE: u64 = 1 << 62;

/// The members in the order in which they would be chosen.
#[derive(Debug, Default)]
pub(super) struct LeastConn {
    tournament: Tournament,
    /// When each member's next turn begins.
    turns: Vec<u64>,
    /// When the latest turn began.
    now: u64,
    /// Whose it was.
    latest: usize,
}

impl LeastConn {
    pub(super) fn next(&mut self, members: &impl Members) -> Option<usize> {
        if self.turns.len() == members.len() {
            self.look_at(members, self.latest);
            members.changed(|index| self.look_at(members, index));
        } else {
            *self = Self { turns: vec![0; members.len()], ..Self::default() };
            self.look_at_all(members);
        }
        let chosen = self.tournament.first(members.lane())?;
        self.takes_its_turn(members, chosen);
        Some(chosen)
    }

    fn look_at_all(&mut self, members: &impl Members) {
        self.tournament = Tournament::new(members.len());
        members.changed(|_| {});
        (0..members.len()).for_each(|index| self.look_at(members, index));
    }

    fn look_at(&mut self, members: &impl Members, index: usize) {
        let Some(turn) = self.turns.get_mut(index) else { return };
        *turn = (*turn).max(self.now);
        match super::eligible(members, index) {
            true => {
                let rank = Rank { load: load(members, index), turn: *turn };
                self.tournament.enter(index, rank, members.kept_in(index));
            }
            false => self.tournament.enter(index, Rank::NONE, 0),
        }
    }

    fn takes_its_turn(&mut self, members: &impl Members, chosen: usize) {
        self.now = self.now.max(self.turns[chosen]);
        self.turns[chosen] += (TURN / u64::from(members.weight(chosen)).max(1)).max(1);
        self.latest = chosen;
        if self.now >= LATE {
            self.turns.iter_mut().for_each(|turn| *turn = turn.saturating_sub(self.now));
            self.now = 0;
            self.look_at_all(members);
        }
    }
}

/// Requests in flight for its weight, later tiers above all of earlier ones. Floats that are not negative have the order of their bits; loads
/// that differ at all differ by more than the last two, which make room for the tier.
fn load(members: &impl Members, index: usize) -> u64 {
    let load = f64::from(members.in_flight(index)) / f64::from(members.weight(index));
    (members.tier(index) as u64) << 62 | load.to_bits() >> 2
}

#[cfg(test)]
mod tests {
    use super::super::Tier;
    use super::super::testing::{Fakes, rng};
    use super::*;
    use rand::RngExt;
    use std::collections::VecDeque;

    fn least(members: &Fakes) -> Option<usize> {
        LeastConn::default().next(members)
    }

    fn turns(members: &Fakes, number: usize) -> Vec<usize> {
        let mut policy = LeastConn::default();
        let mut seen = vec![0; members.0.len()];
        (0..number).for_each(|_| seen[policy.next(members).unwrap()] += 1);
        seen
    }

    #[test]
    fn the_least_loaded_for_its_weight_is_chosen() {
        let mut members = Fakes::weights(&[4, 1, 1]);
        for (member, in_flight) in members.0.iter_mut().zip([3, 1, 1]) {
            member.in_flight = in_flight;
        }
        assert_eq!(least(&members), Some(0), "3/4 is less than 1/1");
        members.0[0].in_flight = 5;
        members.0[1].in_flight = 2;
        assert_eq!(least(&members), Some(2));
    }

    #[test]
    fn loads_that_differ_by_next_to_nothing_are_told_apart() {
        let mut members = Fakes::weights(&[6_553_500, 6_553_499]);
        (members.0[0].in_flight, members.0[1].in_flight) = (999_999, 999_999);
        assert_eq!(least(&members), Some(0));
        (members.0[0].in_flight, members.0[1].in_flight) = (6_553_500, 6_553_499);
        assert_eq!(turns(&members, 2), [1, 1]);
    }

    #[test]
    fn an_idle_pool_is_used_by_weight_and_not_always_from_its_first_member() {
        assert_eq!(turns(&Fakes::weights(&[4, 3, 2, 1]), 100), [40, 30, 20, 10]);
        assert_eq!(turns(&Fakes::weights(&[600, 300, 100]), 1_000), [600, 300, 100]);
    }

    #[test]
    fn the_turns_of_a_heavy_member_are_spread_out() {
        let members = Fakes::weights(&[4, 2]);
        let mut policy = LeastConn::default();
        let chosen: Vec<_> = (0..6).filter_map(|_| policy.next(&members)).collect();
        assert_eq!(chosen, [0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn requests_that_stay_settle_at_the_weights() {
        let mut members = Fakes::weights(&[3, 2, 1]);
        let mut policy = LeastConn::default();
        for _ in 0..60 {
            let chosen = policy.next(&members).unwrap();
            members.0[chosen].in_flight += 1;
        }
        assert_eq!(members.0.iter().map(|member| member.in_flight).collect::<Vec<_>>(), [30, 20, 10]);
    }

    #[test]
    fn who_was_out_or_busy_for_long_has_nothing_to_catch_up_on() {
        let mut members = Fakes::weights(&[1, 1, 1]);
        (members.0[0].usable, members.0[1].in_flight) = (false, 1);
        let mut policy = LeastConn::default();
        assert!((0..1_000).all(|_| policy.next(&members) == Some(2)));
        (members.0[0].usable, members.0[1].in_flight) = (true, 0);
        let chosen: Vec<_> = (0..6).filter_map(|_| policy.next(&members)).collect();
        assert_eq!(chosen, [0, 1, 0, 1, 2, 0]);
    }

    #[test]
    fn turns_go_on_when_time_begins_anew() {
        let members = Fakes::weights(&[2, 1]);
        let mut policy = LeastConn::default();
        policy.next(&members);
        (policy.now, policy.turns) = (LATE - TURN, vec![LATE - TURN; 2]);
        let mut seen = [0_u32; 2];
        (0..300).for_each(|_| seen[policy.next(&members).unwrap()] += 1);
        assert!(policy.now < LATE);
        assert!(seen[0].abs_diff(200) <= 1, "{seen:?}");
    }

    /// Members of weight 1, each connection in one of two lanes.
    struct Pool {
        in_flight: Vec<u32>,
        kept: Vec<Vec<u32>>,
        lane: u32,
    }

    impl Members for Pool {
        fn len(&self) -> usize {
            self.kept.len()
        }
        fn weight(&self, _: usize) -> u32 {
            1
        }
        fn in_flight(&self, index: usize) -> u32 {
            self.in_flight[index]
        }
        fn usable(&self, _: usize) -> bool {
            true
        }
        fn tier(&self, _: usize) -> Tier {
            Tier::Near
        }
        fn key(&self, index: usize) -> u64 {
            index as u64
        }
        fn latency(&self, _: usize) -> Option<f64> {
            None
        }
        fn lane(&self) -> u32 {
            self.lane
        }
        fn kept_in(&self, index: usize) -> u32 {
            self.kept[index].iter().fold(0, |lanes, lane| lanes | lane)
        }
    }

    impl Pool {
        fn new(members: usize) -> Self {
            Self { in_flight: vec![0; members], kept: vec![Vec::new(); members], lane: 1 }
        }

        /// Returns whether it has no connection of that lane there.
        fn begins(&mut self, member: usize, lane: u32) -> bool {
            self.in_flight[member] += 1;
            let kept = &mut self.kept[member];
            let near = kept.iter().position(|&its| its == lane);
            let taken = near.or(kept.len().checked_sub(1)).map(|place| kept.remove(place));
            taken != Some(lane)
        }

        fn ends(&mut self, member: usize, lane: u32) {
            self.in_flight[member] -= 1;
            self.kept[member].push(lane);
        }
    }

    #[test]
    fn nobody_has_a_second_turn_in_a_round_wherever_connections_are_kept() {
        let (mut pool, mut policy) = (Pool::new(30), LeastConn::default());
        pool.kept[7] = vec![1];
        for round in 1..=20 {
            let mut seen = [0; 30];
            for turn in 0..30 {
                let chosen = policy.next(&pool).unwrap();
                assert!(turn > 0 || round > 1 || chosen == 7, "its connection is there already");
                pool.begins(chosen, 1);
                pool.ends(chosen, 1);
                seen[chosen] += 1;
            }
            assert_eq!(seen, [1; 30], "round {round}");
        }
    }

    #[test]
    fn two_lanes_seldom_take_each_others_connections() {
        let (mut pool, mut policy, mut rng) = (Pool::new(300), LeastConn::default(), rng());
        let mut running = VecDeque::new();
        let (mut strange, mut turns) = (0, vec![0_u32; 300]);
        for request in 0..30_000 {
            pool.lane = 1 << rng.random_range(0..2);
            let chosen = policy.next(&pool).unwrap();
            turns[chosen] += 1;
            strange += u32::from(pool.begins(chosen, pool.lane) && request >= 3_000);
            running.push_back((chosen, pool.lane));
            if running.len() > 60 {
                let (member, lane) = running.remove(rng.random_range(0..60)).unwrap();
                pool.ends(member, lane);
            }
        }
        assert!(strange < 27_000 / 10, "{strange} of 27,000");
        assert!(turns.iter().all(|&turns| turns.abs_diff(100) <= 20), "{turns:?}");
    }
}
