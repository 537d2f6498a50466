//! Consistent hashing by weighted rendezvous: each member scores the key, the best score has it.
//!
//! Chosen over a ketama ring because it needs no memory: the shares are exact to the weights, a member that comes or goes
//! moves only its own keys, and the runner-up of a key is where the key goes when its member is out.
//! Method: Schindelhauer and Schomaker, "Weighted Distributed Hash Tables" (score = -weight / ln(hash)).
//!
//! Loads are bounded, so that one hot key cannot melt a member: who has far more in flight than its part passes a key on
//! to the runner-up. Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (c = 1.25).

use super::Members;

/// What a member may have in flight before its part of all is asked about at all. A browser opens six connections to a site:
/// one client's burst must find its member (and its session) while that is not busy.
const ALWAYS: u32 = 8;

pub(super) fn choose(members: &impl Members, eligible: &impl Fn(usize) -> bool, key: u64) -> Option<usize> {
    let owner = best(members, eligible, key)?;
    if members.in_flight(owner) < ALWAYS {
        return Some(owner);
    }
    let bound = Bound::of(members, eligible);
    let bounded = |index| eligible(index) && bound.has_room(members, index);
    best(members, &bounded, key).or(Some(owner))
}

fn best(members: &impl Members, eligible: &impl Fn(usize) -> bool, key: u64) -> Option<usize> {
    let scored = |index| (index, score(members.key(index), members.weight(index), key));
    let best = (0..members.len()).filter(|&index| eligible(index)).map(scored);
    best.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

/// What all who could answer have to share.
struct Bound {
    /// Requests in flight, and the one that asks.
    requests: u64,
    weights: u64,
}

impl Bound {
    fn of(members: &impl Members, eligible: &impl Fn(usize) -> bool) -> Self {
        let start = Self { requests: 1, weights: 0 };
        (0..members.len()).filter(|&index| eligible(index)).fold(start, |sum, index| Self {
            requests: sum.requests + u64::from(members.in_flight(index)),
            weights: sum.weights + u64::from(members.weight(index)),
        })
    }

    /// Whether one more is within 5/4 of its share, rounded up. Somebody always is: not all are above the average.
    fn has_room(&self, members: &impl Members, index: usize) -> bool {
        let (in_flight, weight) = (members.in_flight(index), u64::from(members.weight(index)));
        in_flight < ALWAYS || u64::from(in_flight) < (5 * self.requests * weight).div_ceil(4 * self.weights)
    }
}

fn score(member: u64, weight: u32, key: u64) -> f64 {
    // 53 bits are what an f64 holds; the half keeps the fraction off 0 and 1, where the logarithm has no use.
    let fraction = ((mix(member ^ mix(key)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / fraction.ln()
}

/// The finaliser of splitmix64: every bit of the input turns about half of the output's.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fakes;
    use super::*;

    const KEYS: u64 = 10_000;

    fn owner(members: &Fakes, key: u64) -> u64 {
        members.0[choose(members, &|index| members.usable(index), key).unwrap()].key
    }

    #[test]
    fn a_key_always_has_the_same_member() {
        let members = Fakes::weights(&[4, 3, 2, 1]);
        for key in 0..100 {
            assert_eq!(owner(&members, key), owner(&members, key));
        }
    }

    #[test]
    fn keys_are_shared_by_weight() {
        let members = Fakes::weights(&[4, 3, 2, 1]);
        let mut seen = [0_i32; 4];
        for key in 0..KEYS {
            seen[choose(&members, &|_| true, key).unwrap()] += 1;
        }
        for (seen, expected) in seen.into_iter().zip([4_000, 3_000, 2_000, 1_000]) {
            assert!((seen - expected).abs() < 300, "{seen} of {expected}");
        }
    }

    #[test]
    fn a_member_that_leaves_moves_only_its_own_keys() {
        let before = Fakes::weights(&[1; 10]);
        let mut after = Fakes(before.0.clone());
        let gone = after.0.remove(3).key;
        let (mut kept, mut moved) = (0, 0);
        for key in 0..KEYS {
            match owner(&before, key) {
                member if member == gone => moved += 1,
                member => {
                    assert_eq!(owner(&after, key), member, "key {key} had no reason to move");
                    kept += 1;
                }
            }
        }
        assert!(moved > 700 && kept > 8_700, "{moved} moved, {kept} stayed");
    }

    /// Requests of one key that all stay in flight.
    fn hot_key(members: &mut Fakes, requests: usize) -> Vec<u32> {
        for _ in 0..requests {
            let chosen = choose(members, &|_| true, 7).unwrap();
            members.0[chosen].in_flight += 1;
        }
        members.0.iter().map(|member| member.in_flight).collect()
    }

    #[test]
    fn a_hot_key_fills_its_member_up_to_a_quarter_above_its_part_and_then_the_runner_up() {
        let mut loads = hot_key(&mut Fakes::weights(&[1; 4]), 400);
        loads.sort_unstable();
        assert_eq!(loads.iter().sum::<u32>(), 400);
        assert!(loads[3] <= 126 && loads[0] >= 20, "{loads:?}");
    }

    #[test]
    fn the_part_of_a_heavy_member_is_larger() {
        let mut members = Fakes::weights(&[6, 1, 1]);
        let loads = hot_key(&mut members, 400);
        assert!(loads[0] <= 376 && loads[1] <= 64 && loads[2] <= 64, "{loads:?}");
    }

    #[test]
    fn a_pool_that_is_not_busy_moves_no_key() {
        let mut members = Fakes::weights(&[1; 20]);
        let owner = choose(&members, &|_| true, 7).unwrap();
        assert_eq!(hot_key(&mut members, 8)[owner], 8, "a browser's burst stays together");
        for member in &mut members.0 {
            member.in_flight = 7;
        }
        assert_eq!(choose(&members, &|_| true, 7), Some(owner));
    }

    #[test]
    fn a_key_comes_home_when_its_member_has_room_again() {
        let mut members = Fakes::weights(&[1; 3]);
        let owner = choose(&members, &|_| true, 7).unwrap();
        members.0[owner].in_flight = 60;
        let runner_up = choose(&members, &|_| true, 7).unwrap();
        assert_ne!(runner_up, owner);
        members.0[owner].in_flight = 7;
        assert_eq!(choose(&members, &|_| true, 7), Some(owner));
    }

    #[test]
    fn the_greatest_weights_and_loads_do_not_overflow() {
        let mut members = Fakes::weights(&[u32::MAX; 3]);
        members.0.iter_mut().for_each(|member| member.in_flight = 1_000_000);
        assert!(choose(&members, &|_| true, 7).is_some());
    }

    #[test]
    fn a_member_that_is_out_gets_its_keys_back_when_it_returns() {
        let mut members = Fakes::weights(&[1; 4]);
        let before: Vec<_> = (0..200).map(|key| owner(&members, key)).collect();
        members.0[1].usable = false;
        assert!((0..200).all(|key| owner(&members, key) != members.0[1].key));
        members.0[1].usable = true;
        assert_eq!((0..200).map(|key| owner(&members, key)).collect::<Vec<_>>(), before);
    }
}
