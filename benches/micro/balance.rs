//! Whom each policy chooses, by how many members there are.

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
struct Busy(Vec<u32>);

impl Members for Busy {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn weight(&self, _: usize) -> u32 {
        1
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.0[index]
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
}

pub(crate) fn steps(criterion: &mut Criterion) {
    let mut rng = rand::rng();
    for kind in KINDS {
        let mut group = criterion.benchmark_group(kind.name());
        for count in [3, 30, 300] {
            let members = Busy((0..count).map(|index| 1 + index * 7 % 4).collect());
            let mut policy = Policy::new(kind);
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| policy.prefer(black_box(&members), 42, &mut rng));
            });
        }
        group.finish();
    }
}
