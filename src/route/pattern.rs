//! Regular expressions as a configuration writes them for paths: PCRE's meaning as far as linear time allows, on bytes.

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadPattern {
    /// PCRE can do this, a linear-time engine cannot.
    #[error("{0} cannot be matched in linear time and is not supported; write the pattern without it")]
    Unsupported(&'static str),
    /// Not a regular expression.
    #[error("{0}")]
    Syntax(String),
}

/// Compiles a pattern for [`super::Match::Regex`], [`super::Rewrite`] and the like. A path is bytes: `.` matches any of
/// them, a newline or invalid UTF-8 included, so that no client can hide one from a pattern.
pub fn pattern(written: &str, ignore_case: bool) -> Result<Regex, BadPattern> {
    RegexBuilder::new(written)
        .case_insensitive(ignore_case)
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
        .or_else(|error| with_unicode(written, ignore_case).ok_or(error))
        .map_err(|error| explain(written, &error))
}

/// A class of characters beyond ASCII needs Unicode; `.` must match any byte all the same.
fn with_unicode(written: &str, ignore_case: bool) -> Option<Regex> {
    let any_byte = written.is_ascii();
    if any_byte {
        return None;
    }
    RegexBuilder::new(written).case_insensitive(ignore_case).dot_matches_new_line(true).build().ok()
}

fn explain(written: &str, error: &regex::Error) -> BadPattern {
    let look_around = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| written.contains(look));
    if look_around {
        return BadPattern::Unsupported("look-around");
    }
    let text = error.to_string();
    if text.contains("backreferences") {
        return BadPattern::Unsupported("a back-reference");
    }
    if ["(?>", "*+", "++", "?+"].iter().any(|start| written.contains(start)) {
        return BadPattern::Unsupported("a possessive or atomic group");
    }
    // The crate draws the pattern with a caret over several lines; the configuration's own message does that.
    let last = text.lines().last().unwrap_or_default();
    BadPattern::Syntax(last.strip_prefix("error: ").unwrap_or(last).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_matches_newlines_and_invalid_utf8() {
        let split = pattern(r"^(.+?\.php)(/.*)$", false).unwrap();
        let found = split.captures(b"/a\xff\n.php/b\n\xffc").unwrap();
        assert_eq!((&found[1], &found[2]), (&b"/a\xff\n.php"[..], &b"/b\n\xffc"[..]));
    }

    #[test]
    fn a_dollar_is_the_end_and_not_the_newline_before_it() {
        assert!(!pattern(r"\.php$", false).unwrap().is_match(b"/a.php\n"));
    }

    #[test]
    fn the_case_counts_unless_told() {
        assert!(!pattern("^/A$", false).unwrap().is_match(b"/a"));
        assert!(pattern("^/A$", true).unwrap().is_match(b"/a"));
    }

    #[test]
    fn chinese_is_matched_in_words_and_classes() {
        assert!(pattern("^/中/", false).unwrap().is_match("/中/a".as_bytes()));
        assert!(pattern("^/[一-龥]+$", false).unwrap().is_match("/中文".as_bytes()));
    }

    #[test]
    fn what_only_pcre_can_do_is_named() {
        for (written, what) in [
            (r"^/(?!api)", "look-around"),
            (r"(?<=a)b", "look-around"),
            (r"(a)\1", "a back-reference"),
            (r"(?>a)b", "a possessive or atomic group"),
        ] {
            assert_eq!(pattern(written, false).unwrap_err(), BadPattern::Unsupported(what), "{written}");
        }
        assert!(matches!(pattern("(a", false), Err(BadPattern::Syntax(_))));
    }
}
