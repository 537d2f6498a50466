//! Least connections: the fewest requests in flight for its weight; members that are level take smooth turns (nginx).

use super::smooth::Turns;
use super::{Members, compare_load};
use std::cmp::Ordering;

pub(super) fn choose(
    turns: &mut Turns,
    members: &impl Members,
    eligible: &impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut best = None;
    let mut level = 0;
    for index in (0..members.len()).filter(|&index| eligible(index)) {
        match best.map_or(Ordering::Less, |best| compare_load(members, index, best)) {
            Ordering::Less => (best, level) = (Some(index), 1),
            Ordering::Equal => level += 1,
            Ordering::Greater => {}
        }
    }
    let least = best?;
    if level == 1 {
        return Some(least);
    }
    turns.next(members, &|index| eligible(index) && compare_load(members, index, least).is_eq())
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fakes;
    use super::*;

    fn least(members: &Fakes) -> Option<usize> {
        choose(&mut Turns::default(), members, &|index| members.usable(index))
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
    fn an_idle_pool_is_used_by_weight_and_not_always_from_its_first_member() {
        let members = Fakes::weights(&[4, 3, 2, 1]);
        let mut turns = Turns::default();
        let mut seen = [0; 4];
        for _ in 0..100 {
            seen[choose(&mut turns, &members, &|_| true).unwrap()] += 1;
        }
        assert_eq!(seen, [40, 30, 20, 10]);
    }

    #[test]
    fn requests_that_stay_settle_at_the_weights() {
        let mut members = Fakes::weights(&[3, 2, 1]);
        let mut turns = Turns::default();
        for _ in 0..60 {
            let chosen = choose(&mut turns, &members, &|_| true).unwrap();
            members.0[chosen].in_flight += 1;
        }
        assert_eq!(members.0.iter().map(|member| member.in_flight).collect::<Vec<_>>(), [30, 20, 10]);
    }
}
