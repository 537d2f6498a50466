//! A tournament among the members: who is first by rank, found without asking everybody. A member that has changed plays again, up to
//! the first match that ends as before: the logarithm of their number at most.
//!
//! Each match remembers the lanes in which the best of its half have a kept connection, so that among equals one that suits the caller is
//! found on the same way.

/// Who comes first: the smaller. Compared as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) load: u64,
    pub(super) turn: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    rank: Rank,
    /// The lanes of their kept connections, a bit each, of all who have that rank.
    lanes: u32,
}

#[derive(Debug, Default)]
pub(super) struct Tournament {
    /// The winner at 1, the matches before the one at `n` at `2n` and `2n + 1`, the members in the last half.
    entries: Vec<Entry>,
}

impl Rank {
    /// Takes no part.
    pub(super) const NONE: Self = Self { load: u64::MAX, turn: u64::MAX };
}

impl Entry {
    const NONE: Self = Self { rank: Rank::NONE, lanes: 0 };

    fn against(self, other: Self) -> Self {
        match self.rank.cmp(&other.rank) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => Self { rank: self.rank, lanes: self.lanes | other.lanes },
        }
    }
}

impl Tournament {
    /// For so many members, of whom nobody takes part yet.
    pub(super) fn new(members: usize) -> Self {
        Self { entries: vec![Entry::NONE; 2 * members.next_power_of_two()] }
    }

    pub(super) fn enter(&mut self, member: usize, rank: Rank, lanes: u32) {
        let mut place = self.entries.len() / 2 + member;
        let mut entry = Entry { rank, lanes };
        while place > 0 && self.entries[place] != entry {
            self.entries[place] = entry;
            entry = entry.against(self.entries[place ^ 1]);
            place /= 2;
        }
    }

    /// Who has the best rank: of several one with a kept connection in that lane, else one with any, else the first.
    pub(super) fn first(&self, lane: u32) -> Option<usize> {
        let best = self.entries.get(1).filter(|best| best.rank != Rank::NONE)?;
        let wanted = if best.lanes & lane == 0 { best.lanes } else { lane };
        let suits = |entry: &Entry| entry.rank == best.rank && (wanted == 0 || entry.lanes & wanted != 0);
        let members = self.entries.len() / 2;
        let mut place = 1;
        while place < members {
            place = 2 * place + usize::from(!suits(&self.entries[2 * place]));
        }
        Some(place - members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    fn rank(load: u64, turn: u64) -> Rank {
        Rank { load, turn }
    }

    #[test]
    fn an_empty_one_has_no_winner() {
        assert_eq!(Tournament::default().first(0), None);
        for members in 0..5 {
            assert_eq!(Tournament::new(members).first(1), None);
        }
    }

    #[test]
    fn the_winner_is_who_a_look_at_everybody_would_find() {
        let mut rng = super::super::testing::rng();
        for members in [1, 2, 3, 7, 64, 300] {
            let mut tournament = Tournament::new(members);
            let mut all = vec![(Rank::NONE, 0_u32); members];
            for _ in 0..2_000 {
                let member = rng.random_range(0..members);
                let out = rng.random_ratio(1, 4);
                let rank = rank(rng.random_range(0..3), rng.random_range(0..3));
                all[member] = (if out { Rank::NONE } else { rank }, rng.random_range(0..4));
                tournament.enter(member, all[member].0, all[member].1);
                let lane = 1 << rng.random_range(0..2);
                let best = (0..members).filter(|&member| all[member].0 != Rank::NONE).min_by_key(|&member| {
                    let (rank, lanes) = all[member];
                    (rank, lanes & lane == 0, lanes == 0, member)
                });
                assert_eq!(tournament.first(lane), best);
            }
        }
    }

    #[test]
    fn a_kept_connection_decides_among_equals_only() {
        let mut tournament = Tournament::new(4);
        tournament.enter(0, rank(1, 1), 0);
        tournament.enter(1, rank(1, 1), 0b01);
        tournament.enter(2, rank(1, 1), 0b10);
        tournament.enter(3, rank(1, 2), 0b100);
        assert_eq!([0b01, 0b10, 0b100].map(|lane| tournament.first(lane)), [Some(1), Some(2), Some(1)]);
        tournament.enter(3, rank(0, 9), 0);
        assert_eq!(tournament.first(0b01), Some(3));
    }
}
