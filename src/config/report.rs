//! Where mistakes are collected while a text is read, and how a hint finds the word that was meant.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use super::diagnostic::Diagnostic;

/// Where mistakes are collected.
#[derive(Debug)]
pub(super) struct Report<'a> {
    text: &'a str,
    found: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
    /// Lines that could not be read: what is not there may be in them.
    damaged: Vec<Range<usize>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, found: RefCell::default(), warnings: RefCell::default(), damaged: Vec::new() }
    }

    /// From now on only what is certain is reported: nothing in the damaged lines, nothing that they may hold.
    pub(super) fn damaged(&mut self, lines: Vec<Range<usize>>) {
        self.damaged = lines;
    }

    /// The text that all places are in.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Records a mistake.
    pub(super) fn mistake(&self, span: Range<usize>, message: impl fmt::Display, hint: impl Into<Hint>) {
        if self.damaged.iter().any(|line| line.start <= span.start && span.start <= line.end) {
            return;
        }
        let (message, Hint(hint)) = (message.to_string(), hint.into());
        self.found.borrow_mut().push(Diagnostic { span: Some(span), message, hint });
    }

    /// Records what keeps nobody from starting.
    pub(super) fn warning(&self, span: Range<usize>, message: impl fmt::Display, hint: impl Into<Hint>) {
        let (message, Hint(hint)) = (format!("warning: {message}"), hint.into());
        self.warnings.borrow_mut().push(Diagnostic { span: Some(span), message, hint });
    }

    pub(super) fn take_warnings(&self) -> Vec<Diagnostic> {
        self.warnings.take()
    }

    /// Records that something is not there.
    pub(super) fn absent(&self, span: Range<usize>, message: impl fmt::Display, hint: impl Into<Hint>) {
        if self.damaged.is_empty() {
            self.mistake(span, message, hint);
        }
    }

    pub(super) fn into_found(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }
}

/// The remedy of a mistake, if there is one to tell.
#[derive(Debug)]
pub(super) struct Hint(Option<String>);

impl From<&str> for Hint {
    fn from(hint: &str) -> Self {
        Self(Some(hint.to_owned()))
    }
}
impl From<String> for Hint {
    fn from(hint: String) -> Self {
        Self(Some(hint))
    }
}
impl From<Option<String>> for Hint {
    fn from(hint: Option<String>) -> Self {
        Self(hint)
    }
}

/// `did you mean X?`, or the whole list when nothing is near.
pub fn nearest(word: &str, known: &[&str], what: &str) -> Option<String> {
    let word = word.to_lowercase();
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let near =
        known.iter().filter(|candidate| distance(candidate) <= 1 + candidate.len() / 4).min_by_key(distance);
    match near {
        Some(near) => Some(format!("did you mean '{near}'?")),
        None if known.is_empty() => None,
        None => Some(format!("{what}: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_whatever_its_case() {
        let known = ["/tmp/QXZJWV/fpm.sock", "/tmp/qaaaaa/fpm.sock"];
        let hint = nearest("/tmp/QXZJWV/fmp.sock", &known, "servers");
        assert_eq!(hint.as_deref(), Some("did you mean '/tmp/QXZJWV/fpm.sock'?"));
    }

    #[test]
    fn a_line_that_could_not_be_read_makes_no_second_mistake_and_no_missing_key() {
        let mut report = Report::new("a = \nb = 1");
        report.damaged(std::iter::once(0..4).collect());
        report.mistake(2..3, "in the damaged line", None);
        report.absent(5..6, "something is missing", None);
        report.mistake(5..6, "certain", None);
        let found: Vec<_> = report.into_found().into_iter().map(|mistake| mistake.message).collect();
        assert_eq!(found, ["certain"]);
    }

    #[test]
    fn a_hint_names_the_nearest_word_or_else_all_of_them() {
        let near = |word| nearest(word, &["pool", "pools", "preset"], "known keys").unwrap();
        assert_eq!(near("pol"), "did you mean 'pool'?");
        assert_eq!(near("PRESET"), "did you mean 'preset'?");
        assert_eq!(near("zebra"), "known keys: pool, pools, preset");
        assert_eq!(nearest("x", &[], "known keys"), None);
    }
}
