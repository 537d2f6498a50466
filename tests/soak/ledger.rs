//! What became of every request, as its client saw it. At the end the books must agree: the clients', php's and the access log.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::Value;

use super::support::http::Broken;

/// How one request ended.
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

/// What identifies a request in all books.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its own, and part of its target.
    pub name: String,
    pub kind: &'static str,
    pub is_post: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub sent: usize,
    pub ended: Vec<(Request, End)>,
    /// What must not be, each with its request.
    pub wrong: Vec<String>,
}

impl Ledger {
    pub fn ends(&mut self, request: &Request, end: End) {
        self.ended.push((request.clone(), end));
    }

    /// A response that is not whole. Only one that goes on for ever, or is no HTTP, is wrong.
    pub fn breaks(&mut self, request: &Request, broken: Broken) {
        match broken {
            Broken::Closed | Broken::Io(_) => self.ends(request, End::Closed),
            Broken::Truncated { .. } => self.ends(request, End::Cut),
            other => self.wrong.push(format!("{request:?}: {other:?}")),
        }
    }

    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.ended.extend(other.ended);
        self.wrong.extend(other.wrong);
    }

    pub fn count(&self, end: End) -> usize {
        self.ended.iter().filter(|(_, ended)| *ended == end).count()
    }

    /// Each POST ran at most once, and once where it was answered by its script.
    pub fn agrees_with_php(&self, runs: &HashMap<String, usize>) {
        for (request, end) in self.ended.iter().filter(|(request, _)| request.is_post) {
            let runs = runs.get(&request.name).copied().unwrap_or(0);
            assert!(runs <= 1, "it ran {runs} times: {request:?}");
            assert!(runs == 1 || *end != End::Answered(200), "it was answered, and never ran: {request:?}");
        }
    }

    /// Of the first request that does not have one line with the status that its client saw; who left early may have none.
    pub fn disagreement_with_the_log(&self, lines: &[Value]) -> Option<String> {
        let mut by_name: HashMap<&str, Vec<&Value>> = HashMap::new();
        for line in lines {
            let target = line["target"].as_str().unwrap_or_default();
            by_name.entry(target.rsplit('=').next().unwrap_or_default()).or_default().push(line);
        }
        self.ended.iter().find_map(|(request, end)| {
            let lines = by_name.get(&*request.name).map(Vec::as_slice).unwrap_or_default();
            let right = match (end, lines) {
                (End::Answered(status), [line]) => line["status"] == *status && line["end"] == "complete",
                (End::Cut, [line]) => line["status"] == 200 && line["end"] == "failed",
                (End::Left, lines) => lines.len() <= 1,
                _ => false,
            };
            (!right).then(|| format!("{request:?} ended {end:?}; the log: {lines:#?}"))
        })
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut ends, mut served) = (BTreeMap::new(), BTreeMap::new());
        for (request, end) in &self.ended {
            *ends.entry(end).or_insert(0) += 1;
            *served.entry(request.kind).or_insert(0) += u32::from(*end == End::Answered(200));
        }
        write!(f, "{} requests: {ends:?}; 200 to {served:?}", self.sent)
    }
}
