//! A walk over toml's spanned tables: typed getters that record what is wrong and go on, so that one run finds every
//! mistake. A key that nobody asked for is a mistake too. What the keys mean is decided in the rooms' own files.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::units::{self, NotAUnit};

/// Where mistakes are collected.
#[derive(Debug)]
pub(super) struct Report<'a> {
    text: &'a str,
    found: RefCell<Vec<Diagnostic>>,
    /// Lines that could not be read: what is not there may be in them.
    damaged: Vec<Range<usize>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, found: RefCell::default(), damaged: Vec::new() }
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
pub(super) fn nearest(word: &str, known: &[&str], what: &str) -> Option<String> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(&word.to_lowercase(), candidate);
    let near =
        known.iter().filter(|candidate| distance(candidate) <= 1 + candidate.len() / 4).min_by_key(distance);
    match near {
        Some(near) => Some(format!("did you mean '{near}'?")),
        None if known.is_empty() => None,
        None => Some(format!("{what}: {}", known.join(", "))),
    }
}

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
        self.asked.borrow_mut().push(key);
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
            (DeValue::String(_), "a list" | "a list of strings") => {
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

    /// The elements of a list; each keeps the list's key.
    pub(super) fn list(self) -> Option<Vec<Node<'a>>> {
        self.list_of("a list")
    }

    fn list_of(self, what: &str) -> Option<Vec<Node<'a>>> {
        match self.value.get_ref() {
            DeValue::Array(values) => Some(values.iter().map(|value| Node { value, ..self }).collect()),
            _ => self.expected(what),
        }
    }

    /// A list of strings; what is not a string in it is reported and left out.
    pub(super) fn texts(self) -> Option<Vec<Text<'a>>> {
        let elements = self.list_of("a list of strings")?;
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
    fn source(&self) -> &'a str {
        self.report.text.get(self.span()).unwrap_or_default()
    }
}

/// A string that knows where in the file each of its bytes stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) node: Node<'a>,
    pub(super) value: &'a str,
}

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        self.value
    }
}

impl Text<'_> {
    pub(super) fn mistake(&self, message: impl fmt::Display, hint: impl Into<Hint>) {
        self.node.mistake(message, hint);
    }

    /// A mistake in a part of the string: the caret stands under that part.
    pub(super) fn mistake_in(&self, part: Range<usize>, message: impl fmt::Display, hint: impl Into<Hint>) {
        let span = self.place_of(part).unwrap_or_else(|| self.node.span());
        self.node.report.mistake(span, format_args!("{}: {message}", self.node.key()), hint);
    }

    /// Where a part of the value stands in the file: escapes make the two differ.
    fn place_of(&self, part: Range<usize>) -> Option<Range<usize>> {
        let span = self.node.span();
        let source = self.node.source();
        let quote = source.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let multi_line = source.starts_with(&triple) && source.len() >= 6;
        let opening = match multi_line {
            true => 3 + source.get(3..).map_or(0, leading_newline),
            false => 1,
        };
        let start = skip(source.get(opening..)?, part.start, quote == '"')?;
        let end = skip(source.get(opening..)?, part.end, quote == '"')?;
        Some(span.start + opening + start..span.start + opening + end)
    }
}

/// A newline right after the opening quotes is not part of the value.
fn leading_newline(text: &str) -> usize {
    match text.as_bytes() {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    }
}

/// How many bytes of source make the first `wanted` bytes of the value.
fn skip(source: &str, wanted: usize, escapes: bool) -> Option<usize> {
    let mut made = 0;
    let mut rest = source;
    while made < wanted {
        let next = rest.chars().next()?;
        let (taken, gives) = match rest.as_bytes() {
            [b'\\', kind, ..] if escapes => escape(rest, *kind)?,
            _ => (next.len_utf8(), next.len_utf8()),
        };
        made += gives;
        rest = rest.get(taken..)?;
    }
    Some(source.len() - rest.len())
}

/// Length of an escape in the source, and of what it stands for.
fn escape(source: &str, kind: u8) -> Option<(usize, usize)> {
    let digits = match kind {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        b'b' | b't' | b'n' | b'f' | b'r' | b'e' | b'"' | b'\\' => return Some((2, 1)),
        _ => return None,
    };
    let code = u32::from_str_radix(source.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(code)?.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `look` over a text's root table, and gives back the messages with the marked source.
    fn mistakes(text: &str, look: impl Fn(Table<'_>)) -> Vec<(String, String, Option<String>)> {
        let document = DeTable::parse(text).unwrap();
        let report = Report::new(text);
        look(Table::new(&report, document.get_ref(), 0..0));
        let shown = |d: Diagnostic| (d.message, text[d.span.unwrap()].to_owned(), d.hint);
        report.into_found().into_iter().map(shown).collect()
    }

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
    fn a_part_of_a_string_is_found_behind_escapes() {
        for text in [
            r#"a = "\\x\"\u00fcü$b""#,
            "a = '\\x\"üü$b'",
            "a = \"\"\"\n\\\\x\\\"\\u00fcü$b\"\"\"",
            "a = '''\r\n\\x\"üü$b'''",
        ] {
            let found = mistakes(text, |table| {
                let value = table.get("a").unwrap().text().unwrap();
                let at = value.find("$b").unwrap();
                value.mistake_in(at..at + 2, "here", None);
                table.finish(&[]);
            });
            assert_eq!(found[0].1, "$b", "{text}");
        }
    }

    #[test]
    fn a_line_that_could_not_be_read_makes_no_second_mistake_and_no_missing_key() {
        let mut report = Report::new("a = \nb = 1");
        report.damaged(Vec::from([0..4]));
        report.mistake(2..3, "in the damaged line", None);
        report.absent(5..6, "something is missing", None);
        report.mistake(5..6, "certain", None);
        let found: Vec<_> = report.into_found().into_iter().map(|mistake| mistake.message).collect();
        assert_eq!(found, ["certain"]);
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
