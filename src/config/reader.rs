//! A walk over toml's spanned tables: typed getters that record what is wrong and go on, so that one run finds every
//! mistake. A key that nobody asked for is a mistake too. What the keys mean is decided in the rooms' own files.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Hint, Report, nearest};
use super::text::Text;
use super::units::{self, NotAUnit};

/// One table of the text. [`Table::finish`] must be called, or unknown keys go unseen.
#[derive(Debug)]
#[must_use = "finish() reports the keys that nobody asked for"]
pub(super) struct Table<'a> {
    pub(super) report: &'a Report<'a>,
    entries: &'a DeTable<'a>,
    /// Its header, or its braces.
    pub(super) span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(report: &'a Report<'a>, entries: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self { report, entries, span, asked: RefCell::default() }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Node<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Node { report: self.report, name, value })
    }

    /// All entries in the order of the text, for tables whose keys are the user's own.
    pub(super) fn entries(&self) -> Vec<Node<'a>> {
        let node = |(name, value)| Node { report: self.report, name, value };
        let mut entries: Vec<_> = self.entries.iter().map(node).collect();
        entries.sort_by_key(|entry| entry.name.span().start);
        entries
    }

    /// The table at a key, if it is there.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.get(key)?.table()
    }

    /// The duration at a key, or the default.
    pub(super) fn duration_or(&self, key: &'static str, default: Duration) -> Duration {
        self.get(key).and_then(Node::duration).unwrap_or(default)
    }

    /// A duration that must be more than nothing, or the default.
    pub(super) fn positive_duration_or(&self, key: &'static str, default: Duration) -> Duration {
        self.get(key).and_then(Node::positive_duration).unwrap_or(default)
    }

    /// The switch at a key, or the default.
    pub(super) fn boolean_or(&self, key: &'static str, default: bool) -> bool {
        self.get(key).and_then(Node::boolean).unwrap_or(default)
    }

    /// A key that must be there.
    pub(super) fn required(&self, key: &'static str, hint: &str) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            self.report.absent(self.span.clone(), format!("'{key}' is missing"), hint);
        }
        node
    }

    /// Reports every key that nobody asked for; those in `planned` as not built yet, unless they are `false`.
    pub(super) fn finish(self, planned: &[&str]) {
        let asked = self.asked.borrow();
        for node in self.entries() {
            let key = node.key();
            if planned.contains(&key) {
                // Switched off is what there is.
                if node.is_false() {
                    continue;
                }
                node.mistake_at_key(
                    format!("not supported yet: {key}"),
                    "remove it, or wait for a later version",
                );
            } else if !asked.contains(&key) {
                node.mistake_at_key(format!("unknown key '{key}'"), nearest(key, &asked, "known keys"));
            }
        }
    }
}

/// A value with its key: where the typed getters live.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) report: &'a Report<'a>,
    name: &'a Spanned<std::borrow::Cow<'a, str>>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Node<'a> {
    pub(super) fn key(&self) -> &'a str {
        self.name.get_ref()
    }

    /// Where the value stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Where the key stands.
    pub(super) fn key_span(&self) -> Range<usize> {
        self.name.span()
    }

    pub(super) fn mistake(&self, message: impl fmt::Display, hint: impl Into<Hint>) {
        self.report.mistake(self.span(), format_args!("{}: {message}", self.key()), hint);
    }

    pub(super) fn mistake_at_key(&self, message: impl fmt::Display, hint: impl Into<Hint>) {
        self.report.mistake(self.key_span(), message, hint);
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let hint = match (self.value.get_ref(), what) {
            (DeValue::String(_), "a list of strings" | "a list of addresses") => {
                Some("put it in brackets: [\"…\"]".to_owned())
            }
            _ => None,
        };
        self.mistake(format_args!("expected {what}, found {}", self.kind()), hint);
        None
    }

    /// What kind of value it is, in a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Array(_))
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Boolean(true))
    }

    pub(super) fn is_false(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Boolean(false))
    }

    /// As a string, without complaint when it is none.
    pub(super) fn as_text(self) -> Option<Text<'a>> {
        match self.value.get_ref() {
            DeValue::String(value) => Some(Text { node: self, value }),
            _ => None,
        }
    }

    pub(super) fn text(self) -> Option<Text<'a>> {
        self.as_text().or_else(|| self.expected("a string"))
    }

    /// A string, where something else would do as well.
    pub(super) fn text_or(self, others: &str) -> Option<Text<'a>> {
        self.as_text().or_else(|| self.expected(&format!("a string{others}")))
    }

    pub(super) fn boolean(self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// `true` or `false`, or nginx's words for them.
    pub(super) fn switch(self) -> Option<bool> {
        match self.as_text() {
            Some(_) => self.choice(&[("on", true), ("off", false)]),
            None => self.boolean(),
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let what = format!("a number from {} to {}", bounds.start(), bounds.end());
        let DeValue::Integer(_) = self.value.get_ref() else { return self.expected(&what) };
        match self.as_integer().and_then(|number| u32::try_from(number).ok()) {
            Some(number) if bounds.contains(&number) => Some(number),
            _ => {
                self.mistake(format_args!("expected {what}, found {}", self.source()), None);
                None
            }
        }
    }

    /// A whole number as it is written; `None` also for one that is larger than 128 bits.
    pub(super) fn as_integer(&self) -> Option<i128> {
        match self.value.get_ref() {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }

    pub(super) fn duration(self) -> Option<Duration> {
        self.measured("a duration such as \"30s\"", units::seconds, units::duration)
    }

    pub(super) fn positive_duration(self) -> Option<Duration> {
        let duration = self.duration()?;
        if duration.is_zero() {
            self.mistake("must be more than 0", None);
        }
        Some(duration)
    }

    /// A size in bytes.
    pub(super) fn size(self) -> Option<u64> {
        self.measured("a size such as \"8m\"", units::bytes, units::size)
    }

    fn measured<T>(
        self,
        what: &str,
        from_number: impl Fn(u64) -> Result<T, NotAUnit>,
        from_text: impl Fn(&str) -> Result<T, NotAUnit>,
    ) -> Option<T> {
        let measured = match self.value.get_ref() {
            DeValue::String(text) => from_text(text),
            DeValue::Integer(_) => match self.as_integer().map(u64::try_from) {
                Some(Ok(number)) => from_number(number),
                Some(Err(_)) if self.source().starts_with('-') => return self.negative(what),
                _ => from_number(u64::MAX),
            },
            _ => return self.expected(what),
        };
        let complain = |wrong: NotAUnit| self.mistake(wrong.message, wrong.hint);
        measured.map_err(complain).ok()
    }

    fn negative<T>(self, what: &str) -> Option<T> {
        self.mistake(format_args!("expected {what}, found a negative number"), None);
        None
    }

    /// The elements of a list; each keeps the list's key. `what` is the kind of list: "a list of tables".
    pub(super) fn list(self, what: &str) -> Option<Vec<Node<'a>>> {
        match self.value.get_ref() {
            DeValue::Array(values) => Some(values.iter().map(|value| Node { value, ..self }).collect()),
            _ => self.expected(what),
        }
    }

    /// A list of strings; what is not a string in it is reported and left out.
    pub(super) fn texts(self) -> Option<Vec<Text<'a>>> {
        let elements = self.list("a list of strings")?;
        Some(elements.into_iter().filter_map(Node::text).collect())
    }

    pub(super) fn table(self) -> Option<Table<'a>> {
        match self.value.get_ref() {
            DeValue::Table(entries) => Some(Table::new(self.report, entries, self.span())),
            _ => self.expected("a table"),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let chosen = choices.iter().find(|(word, _)| *word == text.value).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.mistake(
                format_args!("unknown value '{}'", text.value),
                nearest(text.value, &words, "allowed"),
            );
        }
        chosen
    }

    /// As it stands in the file.
    pub(super) fn source(&self) -> &'a str {
        self.report.text().get(self.span()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::mistakes;

    #[test]
    fn a_wrong_type_names_what_was_expected_and_what_was_found() {
        let message = |text: &str, look: fn(Node<'_>) -> bool| {
            let found = mistakes(text, |table| {
                assert!(!look(table.get("a").unwrap()), "{text}");
                table.finish(&[]);
            });
            assert_eq!(found.len(), 1, "{text}");
            found[0].0.clone()
        };
        let list = |a: Node<'_>| a.texts().is_some_and(|texts| !texts.is_empty());
        assert_eq!(message("a = 1", list), "a: expected a list of strings, found an integer");
        assert_eq!(message("a = [1]", list), "a: expected a string, found an integer");
        let boolean = |a: Node<'_>| a.boolean().is_some();
        assert_eq!(message("a = \"x\"", boolean), "a: expected true or false, found a string");
        let number = |a: Node<'_>| a.number(1..=9).is_some();
        assert_eq!(message("a = 1.5", number), "a: expected a number from 1 to 9, found a fraction");
        assert_eq!(message("a = 0x10", number), "a: expected a number from 1 to 9, found 0x10");
        let duration = |a: Node<'_>| a.duration().is_some();
        assert_eq!(
            message("a = -1", duration),
            "a: expected a duration such as \"30s\", found a negative number"
        );
        assert_eq!(
            message("a = 99999999999999999999999999999999999999999", |a| a.size().is_some()),
            "a: too large"
        );
        assert_eq!(message("a = []", |a| a.table().is_some()), "a: expected a table, found a list");
    }

    #[test]
    fn a_key_that_nobody_asked_for_is_a_mistake_with_the_nearest_known_one() {
        let found = mistakes("threds = 1\nzzz = 2\ndiscover = 3", |table| {
            assert!(table.get("threads").is_none());
            assert!(table.get("log").is_none());
            table.finish(&["discover"]);
        });
        let found: Vec<_> = found.iter().map(|(m, _, h)| (m.as_str(), h.as_deref().unwrap_or(""))).collect();
        assert_eq!(
            found,
            [
                ("unknown key 'threds'", "did you mean 'threads'?"),
                ("unknown key 'zzz'", "known keys: threads, log"),
                ("not supported yet: discover", "remove it, or wait for a later version"),
            ]
        );
    }

    #[test]
    fn numbers_of_every_radix_and_their_bounds() {
        let numbers = |text: &'static str| {
            let document = DeTable::parse(text).unwrap();
            let report = Report::new(text);
            let table = Table::new(&report, document.get_ref(), 0..0);
            let number = table.get("a").unwrap().number(0..=1000);
            table.finish(&[]);
            number
        };
        assert_eq!(numbers("a = 1_000"), Some(1000));
        assert_eq!(numbers("a = 0xff"), Some(255));
        assert_eq!(numbers("a = 1001"), None);
        assert_eq!(numbers("a = -1"), None);
        assert_eq!(numbers("a = 340282366920938463463374607431768211456"), None);
    }
}
