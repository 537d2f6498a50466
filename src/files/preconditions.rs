//! Conditional requests (RFC 9110 §13): does the client's copy still stand? Only reads headers and [`Validators`];
//! what is sent then is `decide`'s.
//!
//! The order is that of RFC 9110 §13.2.2. nginx also looks at the dates where the client sent tags; here a tag
//! settles the matter, as the RFC demands, and a date that is none is ignored, where nginx answers 412.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName};
use memchr::memchr;

use super::IfModifiedSince;
use super::validators::{HttpTime, Validators};

/// What the preconditions of a GET or HEAD say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They hold, or there are none.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: the client wanted another one.
    Failed,
}

pub(super) fn evaluate(headers: &HeaderMap, held: &Validators, mode: IfModifiedSince) -> Outcome {
    if !still_the_one(headers, held) {
        return Outcome::Failed;
    }
    if client_has_it(headers, held, mode) { Outcome::NotModified } else { Outcome::Proceed }
}

/// If-Match, else If-Unmodified-Since.
fn still_the_one(headers: &HeaderMap, held: &Validators) -> bool {
    if headers.contains_key(IF_MATCH) {
        return any_tag(headers, IF_MATCH, held, Compare::Strong);
    }
    date(headers, IF_UNMODIFIED_SINCE, held).is_none_or(|limit| held.modified <= limit)
}

/// If-None-Match, else If-Modified-Since.
fn client_has_it(headers: &HeaderMap, held: &Validators, mode: IfModifiedSince) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        return any_tag(headers, IF_NONE_MATCH, held, Compare::Weak);
    }
    let Some(since) = date(headers, IF_MODIFIED_SINCE, held) else { return false };
    match mode {
        IfModifiedSince::Off => false,
        IfModifiedSince::Exact => held.modified == since,
        IfModifiedSince::Before => held.modified <= since,
    }
}

/// If-Range (RFC 9110 §13.1.5): may a part be sent, because the client's other parts are of the same file?
/// The tag compares strongly and the date exactly.
pub(super) fn part_still_fits(headers: &HeaderMap, held: &Validators) -> bool {
    let Some(value) = headers.get(IF_RANGE) else { return true };
    if value.as_bytes().ends_with(b"\"") {
        return held.etag.as_ref() == Some(value);
    }
    held.time_in(value) == Some(held.modified)
}

fn date(headers: &HeaderMap, name: HeaderName, held: &Validators) -> Option<HttpTime> {
    headers.get(name).and_then(|line| held.time_in(line))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    /// A weak tag equals nothing.
    Strong,
    /// `W/` makes no difference.
    Weak,
}

/// `*`, or a list with our tag in it, over all lines of the name.
fn any_tag(headers: &HeaderMap, name: HeaderName, held: &Validators, compare: Compare) -> bool {
    headers.get_all(name).iter().any(|line| {
        line == "*" || held.etag.as_ref().is_some_and(|etag| lists(line.as_bytes(), etag.as_bytes(), compare))
    })
}

/// Tags are read one by one, since a comma may be part of one. What is not a tag ends the reading.
fn lists(mut line: &[u8], etag: &[u8], compare: Compare) -> bool {
    while let Some((weak, tag, rest)) = next_tag(line) {
        if tag == etag && !(weak && compare == Compare::Strong) {
            return true;
        }
        line = rest;
    }
    false
}

/// (is it weak, the tag with its quotes, what follows)
fn next_tag(line: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let start = line.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
    let line = &line[start..];
    let (weak, line) = line.strip_prefix(b"W/").map_or((false, line), |rest| (true, rest));
    let inside = line.strip_prefix(b"\"")?;
    let end = memchr(b'"', inside)? + 2;
    Some((weak, &line[..end], &line[end..]))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::Outcome::{Failed, NotModified, Proceed};
    use super::*;

    const THEN: &str = "Tue, 02 Jan 2024 03:04:05 GMT";
    const EARLIER: &str = "Mon, 01 Jan 2024 03:04:05 GMT";
    const LATER: &str = "Wed, 03 Jan 2024 03:04:05 GMT";
    const TAG: &str = "\"65937d25-64\"";
    const WEAK: &str = "W/\"65937d25-64\"";
    const OTHER: &str = "\"65937d25-65\"";

    fn held() -> Validators {
        Validators::new(1_704_164_645, 100, None, true)
    }

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn preconditions_follow_rfc_9110_in_its_order() {
        for (lines, expected) in [
            (&[][..], Proceed),
            // If-None-Match: weak comparison, lists, any.
            (&[(IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_NONE_MATCH, WEAK)], NotModified),
            (&[(IF_NONE_MATCH, OTHER)], Proceed),
            (&[(IF_NONE_MATCH, "*")], NotModified),
            (&[(IF_NONE_MATCH, "\"a\", W/\"b\",, \"65937d25-64\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"a,\",\"65937d25-64\"")], NotModified),
            (&[(IF_NONE_MATCH, "\"a\", \"b\"")], Proceed),
            (&[(IF_NONE_MATCH, OTHER), (IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_NONE_MATCH, "65937d25-64")], Proceed),
            (&[(IF_NONE_MATCH, "\"65937d25-64")], Proceed),
            (&[(IF_NONE_MATCH, "w/\"65937d25-64\"")], Proceed),
            (&[(IF_NONE_MATCH, "")], Proceed),
            // If-Modified-Since: exact, as nginx; unheard beside If-None-Match.
            (&[(IF_MODIFIED_SINCE, THEN)], NotModified),
            (&[(IF_MODIFIED_SINCE, EARLIER)], Proceed),
            (&[(IF_MODIFIED_SINCE, LATER)], Proceed),
            (&[(IF_MODIFIED_SINCE, "junk")], Proceed),
            (&[(IF_NONE_MATCH, TAG), (IF_MODIFIED_SINCE, EARLIER)], NotModified),
            (&[(IF_NONE_MATCH, OTHER), (IF_MODIFIED_SINCE, THEN)], Proceed),
            // If-Match: strong comparison.
            (&[(IF_MATCH, TAG)], Proceed),
            (&[(IF_MATCH, "*")], Proceed),
            (&[(IF_MATCH, WEAK)], Failed),
            (&[(IF_MATCH, OTHER)], Failed),
            (&[(IF_MATCH, "\"x\", \"65937d25-64\"")], Proceed),
            (&[(IF_MATCH, "W/\"65937d25-64\", \"65937d25-64\"")], Proceed),
            (&[(IF_MATCH, "")], Failed),
            // If-Unmodified-Since: unheard beside If-Match.
            (&[(IF_UNMODIFIED_SINCE, THEN)], Proceed),
            (&[(IF_UNMODIFIED_SINCE, LATER)], Proceed),
            (&[(IF_UNMODIFIED_SINCE, EARLIER)], Failed),
            (&[(IF_UNMODIFIED_SINCE, "junk")], Proceed),
            (&[(IF_MATCH, TAG), (IF_UNMODIFIED_SINCE, EARLIER)], Proceed),
            // A failed precondition comes before "not modified".
            (&[(IF_MATCH, OTHER), (IF_NONE_MATCH, TAG)], Failed),
            (&[(IF_MATCH, TAG), (IF_NONE_MATCH, TAG)], NotModified),
            (&[(IF_UNMODIFIED_SINCE, EARLIER), (IF_MODIFIED_SINCE, THEN)], Failed),
        ] {
            let outcome = evaluate(&headers(lines), &held(), IfModifiedSince::Exact);
            assert_eq!(outcome, expected, "{lines:?}");
        }
    }

    #[test]
    fn if_modified_since_has_nginxs_three_modes() {
        use IfModifiedSince::{Before, Exact, Off};
        for (mode, since, expected) in [
            (Off, THEN, Proceed),
            (Exact, THEN, NotModified),
            (Exact, LATER, Proceed),
            (Before, THEN, NotModified),
            (Before, LATER, NotModified),
            (Before, EARLIER, Proceed),
        ] {
            let headers = headers(&[(IF_MODIFIED_SINCE, since)]);
            assert_eq!(evaluate(&headers, &held(), mode), expected, "{mode:?} {since}");
        }
    }

    #[test]
    fn without_an_etag_only_the_star_matches() {
        let held = Validators::new(1_704_164_645, 100, None, false);
        for (lines, expected) in [
            (&[(IF_NONE_MATCH, TAG)][..], Proceed),
            (&[(IF_NONE_MATCH, "*")], NotModified),
            (&[(IF_MATCH, TAG)], Failed),
            (&[(IF_MATCH, "*")], Proceed),
            (&[(IF_MODIFIED_SINCE, THEN)], NotModified),
        ] {
            assert_eq!(evaluate(&headers(lines), &held, IfModifiedSince::Exact), expected, "{lines:?}");
        }
        assert!(!part_still_fits(&headers(&[(IF_RANGE, TAG)]), &held));
        assert!(part_still_fits(&headers(&[(IF_RANGE, THEN)]), &held));
    }

    #[test]
    fn a_part_is_sent_only_of_the_very_same_file() {
        for (value, fits) in [
            (TAG, true),
            (WEAK, false),
            (OTHER, false),
            (THEN, true),
            (EARLIER, false),
            (LATER, false),
            ("junk", false),
            ("", false),
        ] {
            assert_eq!(part_still_fits(&headers(&[(IF_RANGE, value)]), &held()), fits, "{value}");
        }
        assert!(part_still_fits(&HeaderMap::new(), &held()));
    }
}
