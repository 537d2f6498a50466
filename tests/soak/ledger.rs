//! What became of every request. At the end the sums must be right.

use std::collections::BTreeMap;
use std::fmt;

use super::support::http::Broken;

/// How one request ended, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// A whole response with this status.
    Answered(u16),
    /// Closed before a byte of the response, or with the one before it.
    Closed,
    /// Closed in the middle of it.
    Cut,
    /// The client left.
    Left,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub sent: u64,
    pub ends: BTreeMap<End, u64>,
    /// By kind of request: how many were answered by 200.
    pub served: BTreeMap<&'static str, u64>,
    /// Every POST's name, and whether its client had a 200.
    pub posts: Vec<(String, bool)>,
    /// What must not be, each with its request.
    pub wrong: Vec<String>,
}

impl Ledger {
    pub fn ended(&mut self, kind: &'static str, end: End) {
        *self.ends.entry(end).or_default() += 1;
        if end == End::Answered(200) {
            *self.served.entry(kind).or_default() += 1;
        }
    }

    /// A response that is not whole. Only one that goes on for ever, or is no HTTP, is wrong.
    pub fn broke(&mut self, kind: &'static str, what: &str, broken: Broken) {
        match broken {
            Broken::Closed | Broken::Io(_) => self.ended(kind, End::Closed),
            Broken::Truncated { .. } => self.ended(kind, End::Cut),
            Broken::Silent { so_far } => self.wrong.push(format!("{what}: no end: {}", so_far.status)),
            Broken::Malformed(text) => self.wrong.push(format!("{what}: malformed: {text}")),
        }
    }

    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        other.ends.into_iter().for_each(|(end, n)| *self.ends.entry(end).or_default() += n);
        other.served.into_iter().for_each(|(kind, n)| *self.served.entry(kind).or_default() += n);
        self.posts.extend(other.posts);
        self.wrong.extend(other.wrong);
    }

    pub fn count(&self, end: End) -> u64 {
        self.ends.get(&end).copied().unwrap_or_default()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests:", self.sent)?;
        for (end, n) in &self.ends {
            write!(f, " {n} {end:?},")?;
        }
        write!(f, " {} POSTs; served", self.posts.len())?;
        self.served.iter().try_for_each(|(kind, n)| write!(f, " {n} {kind}"))
    }
}
