//! Whom each policy chooses, by how many members there are.

use std::cell::Cell;
use std::hint::black_box;

use cornac::balance::{Members, Policy, PolicyKind, Tier};
use criterion::{BenchmarkId, Criterion};

const KINDS: [PolicyKind; 5] = [
    PolicyKind::LeastConn,
    PolicyKind::LeastTime,
    PolicyKind::RoundRobin,
    PolicyKind::Random,
    PolicyKind::Hash,
];

/// All usable, none like the next.
struct Busy {
    in_flight: Vec<Cell<u32>>,
    /// Between two choices one request begins and one ends: two members are not as they were.
    latest: Cell<usize>,
}

impl Members for Busy {
    fn len(&self) -> usize {
        self.in_flight.len()
    }

    fn weight(&self, _: usize) -> u32 {
        1
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.in_flight[index].get()
    }

    fn usable(&self, _: usize) -> bool {
        true
    }

    fn tier(&self, _: usize) -> Tier {
        Tier::Near
    }

    fn key(&self, index: usize) -> u64 {
        0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1)
    }

    fn latency(&self, index: usize) -> Option<f64> {
        Some(0.002 + index as f64 * 1e-6)
    }

    fn changed(&self, mut each: impl FnMut(usize)) {
        let latest = (self.latest.get() + 7) % self.len();
        self.latest.set(latest);
        for index in [latest, self.len() - 1 - latest] {
            self.in_flight[index].update(|in_flight| in_flight ^ 1);
            each(index);
        }
    }
}

pub(crate) fn steps(criterion: &mut Criterion) {
    let mut rng = rand::rng();
    for kind in KINDS {
        let mut group = criterion.benchmark_group(kind.name());
        for count in [3, 30, 300] {
            let in_flight = (0..count).map(|index| Cell::new(1 + index * 7 % 4)).collect();
            let members = Busy { in_flight, latest: Cell::new(0) };
            let mut policy = Policy::new(kind);
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| policy.prefer(black_box(&members), 42, &mut rng));
            });
        }
        group.finish();
    }
}
