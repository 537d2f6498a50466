//! A line of the access log, in each format.

use std::hint::black_box;
use std::time::Duration;

use cornac::config::model::LogFormat;
use cornac::front::{Entry, UpstreamEntry};
use cornac::upstream::{Ending, Outcome};
use criterion::Criterion;

pub(crate) fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("access log line");
    let entry = entry();
    for (name, format) in
        [("combined", LogFormat::Combined), ("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)]
    {
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&entry).line(format)));
    }
}

/// A browser's request that a pool answered.
fn entry() -> Entry {
    let outcome = Outcome {
        member: Some("10.0.0.7:9000".into()),
        reused: true,
        tries: 1,
        queued: Duration::from_micros(12),
        connecting: Duration::ZERO,
        first_byte: Some(Duration::from_micros(2_345)),
        worker: Some(Duration::from_micros(2_400)),
        total: Duration::from_micros(2_410),
        body_bytes: 14_321,
        ending: Ending::Complete,
    };
    Entry {
        time: "21/Nov/2026:08:00:00 +0000".into(),
        request_id: "0123456789abcdef0123456789abcdef".into(),
        remote_addr: "192.0.2.7".into(),
        remote_user: None,
        method: "GET".into(),
        target: "/index.php/articles?page=2".into(),
        protocol: "HTTP/1.1",
        host: "www.example.com".into(),
        status: 200,
        bytes: 14_321,
        referer: "https://www.example.com/articles?page=1".into(),
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36".into(),
        site: "www.example.com".into(),
        route: Some("/".into()),
        total_ms: Duration::from_micros(2_500).into(),
        upstream: Some(UpstreamEntry::new("php", &outcome)),
        end: "complete",
    }
}
