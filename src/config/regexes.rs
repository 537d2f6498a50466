//! nginx's patterns (PCRE) as linear-time regexes. What those cannot do (look-around, back-references) is refused with the
//! place in the pattern and the way around it, not approximated. How they are compiled is `route::pattern`'s.

use std::ops::Range;

use regex::bytes;
use regex_syntax::ast::{self, ErrorKind};

use crate::route;

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadPattern {
    /// Where in the pattern, in bytes.
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
}

/// A pattern over a path.
pub(super) fn over_bytes(pattern: &str, fold_case: bool) -> Result<bytes::Regex, BadPattern> {
    check(pattern)?;
    route::pattern(pattern, fold_case).map_err(|error| whole(pattern, &error.to_string()))
}

/// A pattern over a host name, which is lower case and valid text by then.
pub(super) fn over_names(pattern: &str) -> Result<regex::Regex, BadPattern> {
    check(pattern)?;
    let build = regex::RegexBuilder::new(pattern).case_insensitive(true).build();
    build.map_err(|error| whole(pattern, &error.to_string()))
}

/// regex's own errors are drawings of several lines; the parser beneath it knows the place.
fn check(pattern: &str) -> Result<(), BadPattern> {
    match ast::parse::Parser::new().parse(pattern) {
        Ok(_) => Ok(()),
        Err(error) => {
            let at = error.span().start.offset..error.span().end.offset;
            let (message, hint) = explain(error.kind(), pattern.get(at.start..).unwrap_or_default());
            Err(BadPattern { at, message, hint })
        }
    }
}

fn explain(kind: &ErrorKind, from: &str) -> (String, Option<&'static str>) {
    let cannot = |what| format!("cornac's regexes are linear-time and cannot do {what}");
    match kind {
        ErrorKind::UnsupportedLookAround => (
            cannot("look-around"),
            Some("say the exception on its own, before this: the first regex that matches wins"),
        ),
        ErrorKind::UnsupportedBackreference => {
            (cannot("back-references"), Some("write the alternatives out"))
        }
        ErrorKind::FlagUnrecognized if from.starts_with('>') => (
            cannot("atomic groups"),
            Some("write (?:…): nothing backtracks here, so there is nothing to cut off"),
        ),
        ErrorKind::RepetitionCountInvalid
        | ErrorKind::RepetitionCountDecimalEmpty
        | ErrorKind::RepetitionCountUnclosed => {
            (format!("bad regex: {kind}"), Some(r"a brace that stands for itself is written \{"))
        }
        ErrorKind::GroupUnclosed | ErrorKind::GroupUnopened => {
            (format!("bad regex: {kind}"), Some(r"a parenthesis that stands for itself is written \("))
        }
        _ => (format!("bad regex: {kind}"), None),
    }
}

/// The pattern is well formed, but cannot be built: an unknown class, or it is too large.
fn whole(pattern: &str, error: &str) -> BadPattern {
    let last = error.lines().last().unwrap_or_default();
    let message = format!("bad regex: {}", last.trim_start_matches("error: "));
    BadPattern { at: 0..pattern.len(), message, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linear_time_cannot_do_is_named_with_its_place() {
        for (pattern, marked, what) in [
            (r"^/\.(?!well-known)", "(?!", "look-around"),
            (r"(?<=a)b", "(?<=", "look-around"),
            (r"^/(a|b)/\1$", r"\1", "back-references"),
            (r"a(?>b)", ">", "atomic groups"),
        ] {
            let bad = over_bytes(pattern, false).unwrap_err();
            assert_eq!(bad.message, format!("cornac's regexes are linear-time and cannot do {what}"));
            assert_eq!(&pattern[bad.at.clone()], marked, "{pattern}");
            assert!(bad.hint.is_some());
        }
    }

    #[test]
    fn a_broken_pattern_says_where() {
        for (pattern, at) in [("a(b", 1..2), ("a)b", 1..2), ("[a", 0..1), (r"a\Kb", 1..3), ("*a", 0..0)] {
            assert_eq!(over_bytes(pattern, false).unwrap_err().at, at, "{pattern}");
        }
    }

    #[test]
    fn patterns_match_bytes_as_nginx_does() {
        let hits = |pattern, path: &[u8]| over_bytes(pattern, false).unwrap().is_match(path);
        assert!(hits(r"\.php(/|$)", b"/index.php/a"));
        assert!(hits(r"^/a.b$", b"/a\xffb"), "a dot is any byte");
        assert!(hits(r"^/a.b$", b"/a\nb"), "a newline too");
        assert!(
            !hits(r"\.php$", b"/index.php\n"),
            "PCRE's $ lets a last newline pass: a script could be shifted"
        );
        assert!(hits("^/目录/", "/目录/x".as_bytes()));
        assert!(hits("^/[一-龥]+$", "/目录".as_bytes()), "Unicode where the pattern needs it");
        assert!(hits(r"^\/a\-b\/(?<rest>.*)$", b"/a-b/c"), "PCRE's habits of escaping and naming");
        assert!(over_bytes(r"\.PHP$", true).unwrap().is_match(b"/a.pHp"));
        assert!(over_names(r"^(.+)\.example\.com$").unwrap().is_match("www.example.com"));
    }

    #[test]
    fn a_pattern_that_would_eat_the_memory_is_refused() {
        let bad = over_bytes(r"(?:\w{1000}){1000}", false).unwrap_err();
        assert!(bad.message.contains("size limit"), "{}", bad.message);
    }
}
