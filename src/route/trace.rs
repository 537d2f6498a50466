//! What the router tells about its way: `explain` collects it, a request being served does not pay for it.

use std::fmt;

use serde::Serialize;

use super::Kind;

/// Listens to the router.
pub trait Trace {
    /// Takes a step, which is made only if somebody wants it.
    fn step(&mut self, step: impl FnOnce() -> Step);
}

impl<T: Trace> Trace for &mut T {
    fn step(&mut self, step: impl FnOnce() -> Step) {
        T::step(self, step);
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    fn step(&mut self, _: impl FnOnce() -> Step) {}
}

/// Keeps every step, in order.
#[derive(Debug, Clone, Default)]
pub struct Steps(pub Vec<Step>);

impl Trace for Steps {
    fn step(&mut self, step: impl FnOnce() -> Step) {
        self.0.push(step());
    }
}

/// One step of the way. Texts are for people: bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Step {
    /// This location was chosen.
    Location {
        /// As the configuration spells it.
        location: String,
    },
    /// A rewrite whose pattern did not match.
    RewriteSkipped {
        /// Its pattern.
        pattern: String,
    },
    /// A rewrite with `unless_file` that found something.
    RewriteKept {
        /// Its pattern.
        pattern: String,
        /// Where something lies.
        path: String,
    },
    /// A rewrite that matched.
    Rewritten {
        /// The path before.
        from: String,
        /// Path and query after, or where the client is sent.
        to: String,
    },
    /// `set`.
    Set {
        /// Without `$`.
        name: String,
        /// Its new value.
        value: String,
    },
    /// An `if`.
    If {
        /// Whether its rules were run.
        held: bool,
    },
    /// `return`.
    Returned {
        /// Its status.
        status: u16,
    },
    /// `allow` and `deny`.
    Access {
        /// The rule that decides; `None`: none fits.
        rule: Option<String>,
        /// Who asks.
        client: String,
        /// What the rule says.
        allowed: Option<bool>,
    },
    /// One of `limits`.
    Counted {
        /// As it is written.
        limit: String,
        /// Whose requests are counted together; empty: it is not counted.
        key: String,
        /// Whether it refuses nobody.
        dry_run: bool,
    },
    /// `auth`.
    Password {
        /// What browsers show.
        realm: String,
        /// The password file.
        file: String,
    },
    /// `auth_request`: what follows, to its end, is how the question is served.
    Question {
        /// As it is written.
        uri: String,
    },
    /// The question's way ends.
    QuestionEnds,
    /// A check that explain has looked at.
    Checked {
        /// What came of it.
        result: String,
    },
    /// A step of `try_files`.
    Tried {
        /// As the configuration spells it.
        step: String,
        /// Where it leads.
        path: String,
        /// What lies there.
        found: Kind,
        /// Whether it is what the step asks for.
        taken: bool,
    },
    /// An `index` candidate.
    Index {
        /// Where it would lie.
        path: String,
        /// What lies there.
        found: Kind,
    },
    /// The request goes on inside, under another URI or to a named location.
    Internal {
        /// `/path?args` or `@name`.
        to: String,
    },
    /// The script and its PATH_INFO.
    Split {
        /// SCRIPT_NAME.
        script: String,
        /// PATH_INFO.
        path_info: String,
    },
    /// A file will be sent.
    File {
        /// Where it lies.
        path: String,
    },
    /// A folder will be listed.
    Listing {
        /// Where it lies.
        path: String,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// 301, 302, …
        status: u16,
        /// Location.
        to: String,
    },
    /// A refusal has a page of its own.
    ErrorPage {
        /// 4xx or 5xx.
        status: u16,
        /// As the configuration spells it.
        page: String,
    },
    /// The request is refused.
    Refused {
        /// 4xx or 5xx.
        status: u16,
        /// In the words of the operator.
        why: &'static str,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location { location } => write!(f, "location {location}"),
            Self::RewriteSkipped { pattern } => write!(f, "rewrite {pattern}: no match"),
            Self::RewriteKept { pattern, path } => write!(f, "rewrite {pattern}: not used, {path} exists"),
            Self::Rewritten { from, to } => write!(f, "rewrite {from} → {to}"),
            Self::Set { name, value } => write!(f, "set ${name} = {value:?}"),
            Self::If { held: true } => f.write_str("if: true"),
            Self::If { held: false } => f.write_str("if: false"),
            Self::Returned { status } => write!(f, "return {status}"),
            Self::Access { rule: Some(rule), client, .. } => write!(f, "{rule}: fits {client}"),
            Self::Access { rule: None, client, .. } => {
                write!(f, "allow, deny: no rule fits {client}, who is let in")
            }
            Self::Counted { limit, key, .. } if key.is_empty() => {
                write!(f, "limits {{ {limit} }}: the key is empty, which is not limited")
            }
            Self::Counted { limit, key, dry_run } => {
                let dry = if *dry_run { ", dry run" } else { "" };
                write!(f, "limits {{ {limit} }}: counts for {key:?}{dry}")
            }
            Self::Password { realm, file } => write!(f, "auth {realm:?}: name and password of {file}"),
            Self::Question { uri } => {
                write!(f, "auth_request {uri}: 2xx lets in, 401 and 403 do not; it goes")
            }
            Self::QuestionEnds => f.write_str("end of auth_request"),
            Self::Checked { result } => f.write_str(result),
            Self::Tried { step, path, found, taken } => {
                let verdict = if *taken { "taken" } else { "next" };
                write!(f, "try_files {step}: {path} is {found}, {verdict}")
            }
            Self::Index { path, found } => write!(f, "index {path} is {found}"),
            Self::Internal { to } => write!(f, "goes on as {to}"),
            Self::Split { script, path_info } => write!(f, "script {script}, PATH_INFO {path_info:?}"),
            Self::File { path } => write!(f, "file {path}"),
            Self::Listing { path } => write!(f, "listing of {path}"),
            Self::Redirect { status, to } => write!(f, "redirect {status} to {to}"),
            Self::ErrorPage { status, page } => write!(f, "the page for {status} is {page}"),
            Self::Refused { status, why } => write!(f, "refused with {status}: {why}"),
        }
    }
}

/// Bytes for people.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
