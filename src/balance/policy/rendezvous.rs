//! Consistent hashing by weighted rendezvous: each member scores the key, the best score has it.
//!
//! Chosen over a ketama ring because it needs no memory: the shares are exact to the weights, a member that comes or goes
//! moves only its own keys, and the runner-up of a key is where the key goes when its member is out.
//! Method: Schindelhauer and Schomaker, "Weighted Distributed Hash Tables" (score = -weight / ln(hash)).

use super::Members;

pub(super) fn choose(members: &impl Members, eligible: &impl Fn(usize) -> bool, key: u64) -> Option<usize> {
    let scored = |index| (index, score(members.key(index), members.weight(index), key));
    let best = (0..members.len()).filter(|&index| eligible(index)).map(scored);
    best.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
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
