//! Smooth weighted round robin, as nginx does it: exact shares, and the turns of a heavy member spread out.
//!
//! Each choice gives every candidate its weight as credit; the richest is chosen and pays what was handed out.
//! nginx: `ngx_http_upstream_get_peer`, described in its commit 52327e0627f4.

use super::Members;

/// The credits, by member index.
#[derive(Debug, Default)]
pub(super) struct Turns {
    credits: Vec<i64>,
}

impl Turns {
    /// Whose turn it is among the eligible.
    pub(super) fn next(
        &mut self,
        members: &impl Members,
        eligible: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        self.fit(members.len());
        let mut handed_out = 0;
        let mut richest = None;
        for index in (0..members.len()).filter(|&index| eligible(index)) {
            let weight = i64::from(members.weight(index));
            self.credits[index] += weight;
            handed_out += weight;
            if richest.is_none_or(|best: usize| self.credits[index] > self.credits[best]) {
                richest = Some(index);
            }
        }
        self.credits[richest?] -= handed_out;
        richest
    }

    /// Credits mean nothing to another set of members.
    fn fit(&mut self, members: usize) {
        if self.credits.len() != members {
            self.credits.clear();
            self.credits.resize(members, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fakes;
    use super::*;

    fn choose(turns: &mut Turns, members: &Fakes, times: usize) -> Vec<usize> {
        (0..times).filter_map(|_| turns.next(members, &|index| members.usable(index))).collect()
    }

    #[test]
    fn weights_4_3_2_1_are_exact_in_every_ten_requests() {
        let members = Fakes::weights(&[4, 3, 2, 1]);
        let chosen = choose(&mut Turns::default(), &members, 1_000);
        for window in chosen.chunks(10) {
            let count = |member| window.iter().filter(|&&chosen| chosen == member).count();
            assert_eq!([count(0), count(1), count(2), count(3)], [4, 3, 2, 1]);
        }
    }

    #[test]
    fn the_turns_of_a_heavy_member_are_interleaved_as_nginx_does() {
        let chosen = choose(&mut Turns::default(), &Fakes::weights(&[5, 1, 1]), 7);
        assert_eq!(chosen, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_member_that_is_out_leaves_the_others_their_shares() {
        let mut members = Fakes::weights(&[4, 3, 2, 1]);
        members.0[0].usable = false;
        let chosen = choose(&mut Turns::default(), &members, 60);
        let count = |member| chosen.iter().filter(|&&chosen| chosen == member).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [0, 30, 20, 10]);
    }

    #[test]
    fn the_greatest_weights_do_not_overflow() {
        let chosen = choose(&mut Turns::default(), &Fakes::weights(&[u32::MAX; 3]), 9);
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }
}
