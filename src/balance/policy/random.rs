//! Random with two choices: two members drawn by weight, the less loaded one is taken (nginx: `random two`).
//!
//! Nearly as even as least_conn, without every front end choosing the same member at the same moment.

use super::Members;
use rand::{Rng, RngExt};

pub(super) fn choose(
    members: &impl Members,
    eligible: &impl Fn(usize) -> bool,
    rng: &mut impl Rng,
) -> Option<usize> {
    let first = draw(members, eligible, rng)?;
    let Some(second) = draw(members, &|index| index != first && eligible(index), rng) else {
        return Some(first);
    };
    Some(if is_less_loaded(members, second, first) { second } else { first })
}

/// One eligible member, each with a chance in proportion to its weight.
fn draw(members: &impl Members, eligible: &impl Fn(usize) -> bool, rng: &mut impl Rng) -> Option<usize> {
    let candidates = || (0..members.len()).filter(|&index| eligible(index));
    let total: u64 = candidates().map(|index| u64::from(members.weight(index))).sum();
    if total == 0 {
        return None;
    }
    let mut ticket = rng.random_range(0..total);
    candidates().find(|&index| {
        let weight = u64::from(members.weight(index));
        let drawn = ticket < weight;
        ticket = ticket.wrapping_sub(weight);
        drawn
    })
}

/// For its weight, without dividing.
fn is_less_loaded(members: &impl Members, one: usize, than: usize) -> bool {
    let load = |of: usize, other: usize| u64::from(members.in_flight(of)) * u64::from(members.weight(other));
    load(one, than) < load(than, one)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fakes, rng};
    use super::*;

    #[test]
    fn of_two_members_the_loaded_one_is_never_taken() {
        let mut members = Fakes::weights(&[1, 1]);
        members.0[0].in_flight = 1;
        let mut rng = rng();
        for _ in 0..200 {
            assert_eq!(choose(&members, &|_| true, &mut rng), Some(1));
        }
    }

    #[test]
    fn a_draw_follows_the_weights() {
        let members = Fakes::weights(&[4, 3, 2, 1]);
        let mut rng = rng();
        let mut seen = [0_i32; 4];
        for _ in 0..10_000 {
            seen[draw(&members, &|_| true, &mut rng).unwrap()] += 1;
        }
        for (seen, expected) in seen.into_iter().zip([4_000, 3_000, 2_000, 1_000]) {
            assert!((seen - expected).abs() < 300, "{seen} of {expected}");
        }
    }

    #[test]
    fn requests_that_stay_settle_near_the_weights() {
        let mut members = Fakes::weights(&[3, 2, 1]);
        let mut rng = rng();
        for _ in 0..600 {
            let chosen = choose(&members, &|_| true, &mut rng).unwrap();
            members.0[chosen].in_flight += 1;
        }
        for (member, expected) in members.0.iter().zip([300_u32, 200, 100]) {
            assert!(member.in_flight.abs_diff(expected) < 30, "{} of {expected}", member.in_flight);
        }
    }
}
