//! From a target to a plan, by how many locations there are: prefixes, of which the wanted one is the last, or none of
//! which is wanted, so that every regex is asked; and by how many sites.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use cornac::config;
use cornac::route::{RequestFacts, Target};
use cornac::site::{ListenerId, Sites};
use criterion::{BenchmarkId, Criterion};
use http::{HeaderMap, Method};

pub(crate) fn steps(criterion: &mut Criterion) {
    locations(criterion, "plan by prefixes", |number| format!("/r{number}/"));
    locations(criterion, "plan by regexes", |number| format!("~ ^/r{number}/[a-z]+$"));
    names(criterion);
}

fn locations(criterion: &mut Criterion, name: &str, pattern: impl Fn(u32) -> String) {
    let mut group = criterion.benchmark_group(name);
    for count in [1, 10, 200, 1_000] {
        let mut toml = "[[sites]]\nlisten = [\"127.0.0.1:80\"]\nroot = \"/srv\"\n".to_owned();
        for number in 0..count {
            let pattern = pattern(number);
            let _ = write!(
                toml,
                "[[sites.routes]]\nmatch = '{pattern}'\nreturn = {{ status = 204, body = \"\" }}\n"
            );
        }
        let sites = sites(&toml);
        let (method, headers) = (Method::GET, HeaderMap::new());
        let path = format!("/r{}/page", count - 1);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let target = Target::parse(black_box(path.as_bytes())).expect("a path");
                let facts = RequestFacts::bare(&method, &target, &headers);
                black_box(sites.find(ListenerId(0), "example.com").plan(&facts));
            });
        });
    }
    group.finish();
}

fn names(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("site by name");
    for count in [1, 10, 1_000] {
        let mut toml = String::new();
        for number in 0..count {
            let _ = write!(
                toml,
                "[[sites]]\nlisten = [\"127.0.0.1:80\"]\nroot = \"/srv\"\nnames = [\"site{number}.example.com\"]\n"
            );
        }
        let sites = sites(&toml);
        let host = format!("site{}.example.com", count - 1);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| black_box(sites.find(ListenerId(0), black_box(&host)).server_name().len()));
        });
    }
    group.finish();
}

fn sites(toml: &str) -> Sites {
    let model = config::parse(toml, "bench.toml", Path::new("/")).expect("a configuration without mistakes");
    Sites::build(&model, None)
}
