//! From text to toml's spanned tables. Reports every syntax error that is one, and not the dozens that an unclosed
//! bracket makes of the lines behind it.

use std::ops::Range;

use toml::de::{DeTable, Error};

use super::diagnostic::line_around;
use super::report::Report;

/// What can be read of a text.
pub(super) enum Document<'a> {
    /// No syntax error.
    Whole(DeTable<'a>),
    /// Some lines could not be read: what is missing may be in them.
    Damaged(DeTable<'a>, Vec<Range<usize>>),
    /// Nothing after the first error can be trusted.
    Lost,
}

/// Reads a text and reports its syntax errors.
pub(super) fn read<'a>(text: &'a str, report: &Report<'_>) -> Document<'a> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<_> = errors.iter().map(|error| (span_of(error, text), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let Some((first, message)) = errors.first() else { return Document::Whole(table.into_inner()) };

    if errors.iter().any(|(_, message)| swallows_what_follows(message)) {
        let hint = "a bracket, brace or quote that is opened here or above is never closed";
        report.mistake(first.clone(), message.replace('`', "'"), hint);
        return Document::Lost;
    }
    let mut lines: Vec<Range<usize>> = Vec::new();
    for (span, message) in errors {
        let line = line_around(text, span.start);
        if lines.last() != Some(&line) {
            report.mistake(span, message.replace('`', "'"), hint_for(message));
            lines.push(line);
        }
    }
    Document::Damaged(table.into_inner(), lines)
}

/// The parser goes on inside the bracket: all that follows looks like its contents.
fn swallows_what_follows(message: &str) -> bool {
    message.starts_with("unclosed")
        || message.starts_with("invalid multi-line")
        || message.contains(" in array")
}

fn hint_for(message: &str) -> Option<String> {
    let hint = match message {
        _ if message.starts_with("string values must be quoted") => r#"write it in quotes: "…""#,
        _ if message.starts_with("missing escaped value") => {
            r"in double quotes a backslash is written \\; in single quotes it stands for itself: '\.php$'"
        }
        _ if message.starts_with("duplicate key") => "each key and each table may be given once",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn span_of(error: &Error, text: &str) -> Range<usize> {
    error.span().unwrap_or(text.len()..text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let report = Report::new(text);
        read(text, &report);
        report.into_found().into_iter().map(|mistake| mistake.message).collect()
    }

    #[test]
    fn every_damaged_line_is_reported_once() {
        let found = errors("[server]\nthreads = \nlog = info\npid_file = \"a\\qb\"\n[server]\n");
        assert_eq!(found.len(), 4, "{found:#?}");
    }

    #[test]
    fn an_unclosed_bracket_is_one_mistake_and_not_one_a_line() {
        for text in [
            "a = [1,\nb = 2\nc = 3\n",
            "a = {b = 1\nc = 2\n",
            "a = \"\"\"x\nb = 1\n",
            "a = [\"x]\nb = 1\nc = 2\n",
        ] {
            assert_eq!(errors(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn good_text_has_no_errors() {
        assert!(errors("a = 1\n[b]\nc = [\n 1,\n]\n").is_empty());
    }
}
