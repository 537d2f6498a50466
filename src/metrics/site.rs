//! A site's requests: how they were answered, how long it took, and how many bytes it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, Total};
use super::page::Page;
use super::shards::{Shard, Shards};

/// How a route answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A file.
    Static,
    /// A script.
    Script,
    /// Another URL.
    Redirect,
    /// A status that the route names: `return`, `deny`, nothing there.
    Fixed,
    /// Too wrong to have a route.
    Refused,
}

/// By what a request was kept from its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// `rate` of its route's `limits`.
    Rate,
    /// `connections` there.
    Connections,
    /// It would have been, but for `dry_run`.
    RateDry,
    /// The same.
    ConnectionsDry,
    /// `auth` or `auth_request`.
    Who,
}

/// As the `by` label spells them.
const KEPT: [&str; 5] = ["rate", "connections", "rate_dry_run", "connections_dry_run", "auth"];
/// As the `route` label spells them.
const CLASSES: [&str; 5] = ["static", "script", "redirect", "fixed", "refused"];
/// As the `code` label spells them; the first is for those who got no answer: they left, or the route hung up.
const CODES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The numbers of one site.
#[derive(Debug)]
pub struct SiteMeters(Shards<Counts>);

/// Where one thread counts them.
#[derive(Debug, Clone)]
pub struct SiteMeter(Arc<Shard<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    requests: [[AtomicU64; CODES.len()]; CLASSES.len()],
    durations: [Histogram; CLASSES.len()],
    kept: [AtomicU64; KEPT.len()],
    received: AtomicU64,
    sent: AtomicU64,
}

impl SiteMeters {
    pub(super) fn new(threads: usize) -> Self {
        Self(Shards::new(threads, Counts::default))
    }

    /// The calling thread's own.
    pub fn here(&self) -> SiteMeter {
        SiteMeter(self.0.here())
    }

    fn requests(&self, class: usize, code: usize) -> u64 {
        self.0.sum(|counts| &counts.requests[class][code])
    }
}

impl SiteMeter {
    /// A request is over. `status` is 0 where there was no answer.
    pub fn ended(&self, class: Class, status: u16, took: Duration) {
        let counts = &self.0.0;
        let code = usize::from(status / 100).min(CODES.len() - 1);
        counts.requests[class as usize][code].fetch_add(1, Ordering::Relaxed);
        counts.durations[class as usize].took(took);
    }

    /// A check was not passed.
    pub fn kept(&self, by: Kept) {
        self.0.0.kept[by as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of a request's body.
    pub fn received(&self, bytes: u64) {
        add(&self.0.0.received, bytes);
    }

    /// Bytes of a reply's body.
    pub fn sent(&self, bytes: u64) {
        add(&self.0.0.sent, bytes);
    }
}

/// Most requests have no body.
fn add(count: &AtomicU64, bytes: u64) {
    if bytes > 0 {
        count.fetch_add(bytes, Ordering::Relaxed);
    }
}

pub(super) fn write(page: &mut Page<'_>, sites: &[(&str, &SiteMeters)]) -> std::fmt::Result {
    let label = |name: &str| vec![("site", name.to_owned())];
    let mut requests = Vec::new();
    let mut durations = Vec::new();
    for &(name, meters) in sites {
        for (class, route) in CLASSES.iter().enumerate() {
            let counts: Vec<_> = (0..CODES.len()).map(|code| meters.requests(class, code)).collect();
            // A class that answers has all its codes, so that the first error is seen as a change; most classes never do.
            if counts.iter().any(|&count| count > 0) {
                requests.extend(CODES.iter().zip(counts).map(|(word, count)| {
                    let labels =
                        [label(name), vec![("route", (*route).to_owned()), ("code", (*word).to_owned())]];
                    (labels.concat(), count as f64)
                }));
            }
            let total = Total::of(meters.0.all().map(|counts| &counts.durations[class]));
            if total.count > 0 {
                durations.push(([label(name), vec![("route", (*route).to_owned())]].concat(), total));
            }
        }
    }
    page.counter("cornac_requests", "Requests, by how they were answered", requests)?;
    page.histogram(
        "cornac_request_duration_seconds",
        "From a request's head to the last byte of its reply",
        durations,
    )?;
    page.counter("cornac_refused", "Requests that did not pass limits or auth", kept(sites))?;
    let bytes = |of: fn(&Counts) -> &AtomicU64| {
        sites.iter().map(move |&(name, meters)| (label(name), meters.0.sum(of) as f64))
    };
    page.counter(
        "cornac_request_body_bytes",
        "Bytes of requests' bodies that scripts were given",
        bytes(|counts| &counts.received),
    )?;
    page.counter("cornac_response_body_bytes", "Bytes of replies' bodies", bytes(|counts| &counts.sent))
}

/// A site that refuses somebody has all reasons, so that the first is seen as a change.
fn kept(sites: &[(&str, &SiteMeters)]) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let mut series = Vec::new();
    for &(name, meters) in sites {
        let sum =
            |by: usize| meters.0.all().map(|counts| counts.kept[by].load(Ordering::Relaxed)).sum::<u64>();
        let counts: Vec<_> = (0..KEPT.len()).map(sum).collect();
        if counts.iter().any(|&count| count > 0) {
            series.extend(KEPT.iter().zip(counts).map(|(by, count)| {
                (vec![("site", name.to_owned()), ("by", (*by).to_owned())], count as f64)
            }));
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_by_class_and_status_class() {
        let site = SiteMeters::new(1);
        for (class, status) in [
            (Class::Script, 200),
            (Class::Script, 204),
            (Class::Static, 404),
            (Class::Refused, 0),
            (Class::Fixed, 999),
        ] {
            site.here().ended(class, status, Duration::ZERO);
        }
        let count = |class: Class, code| {
            site.requests(class as usize, CODES.iter().position(|&word| word == code).expect("a code"))
        };
        assert_eq!((count(Class::Script, "2xx"), count(Class::Static, "4xx")), (2, 1));
        assert_eq!((count(Class::Refused, "none"), count(Class::Fixed, "5xx")), (1, 1));
        assert_eq!(CLASSES[Class::Redirect as usize], "redirect");
    }
}
