//! One mistake with its place and remedy, and the list of all of them. How they are found is `reader`'s and the rooms'
//! around it; how they look on a terminal is decided here and nowhere else.

use std::fmt;
use std::ops::Range;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The place as byte offsets into the text; `None` when the file itself is the mistake.
    pub span: Option<Range<usize>>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Every mistake of one configuration, in the order of the text. [`fmt::Display`] shows all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    file: String,
    text: String,
    found: Vec<Diagnostic>,
}

/// Longer source lines are shown as a window around the caret.
const WINDOW: usize = 140;

impl Mistakes {
    pub(super) fn new(file: &str, text: &str, mut found: Vec<Diagnostic>) -> Self {
        found.sort_by_key(|mistake| mistake.span.as_ref().map_or(0, |span| span.start));
        found.dedup();
        Self { file: printable(file), text: text.to_owned(), found }
    }

    /// A mistake that has no place in any text: the file is missing, or is not readable.
    pub(super) fn of_file(file: &str, message: String, hint: Option<String>) -> Self {
        Self::new(file, "", vec![Diagnostic { span: None, message, hint }])
    }

    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is no such thing as no mistakes")]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The mistakes, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }

    /// Line and column of a mistake, counted from 1, the column in characters.
    pub fn place(&self, mistake: &Diagnostic) -> Option<(usize, usize)> {
        mistake.span.as_ref().map(|span| line_and_column(&self.text, span.start))
    }

    fn write_one(&self, f: &mut fmt::Formatter<'_>, mistake: &Diagnostic) -> fmt::Result {
        let message = printable(&mistake.message);
        match (&mistake.span, self.place(mistake)) {
            (Some(span), Some((line, column))) => {
                writeln!(f, "{}:{line}:{column}: {message}", self.file)?;
                self.write_source(f, span)?;
            }
            _ => writeln!(f, "{}: {message}", self.file)?,
        }
        match &mistake.hint {
            Some(hint) => writeln!(f, "  hint: {}", printable(hint)),
            None => Ok(()),
        }
    }

    fn write_source(&self, f: &mut fmt::Formatter<'_>, span: &Range<usize>) -> fmt::Result {
        let start = floor(&self.text, span.start);
        let line = line_around(&self.text, start);
        let source = &self.text[line.clone()];
        let before = source[..start - line.start].chars().count();
        let marked = self.text[start..floor(&self.text, span.end).clamp(start, line.end)].chars().count();

        let first = if source.chars().count() > WINDOW { before.saturating_sub(WINDOW / 2) } else { 0 };
        let shown: Vec<char> = source.chars().skip(first).take(WINDOW).collect();
        let indent: String = shown.iter().take(before - first).map(|&c| blank(c)).collect();
        let marked = marked.min(shown.len().saturating_sub(before - first));
        let width: usize = shown.iter().skip(before - first).take(marked).map(|&c| columns(c)).sum();
        writeln!(f, "  {}", printable(&shown.iter().collect::<String>()))?;
        writeln!(f, "  {indent}{}", "^".repeat(width.max(1)))
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found.iter().try_for_each(|mistake| self.write_one(f, mistake))
    }
}

/// Line and column of a byte offset, counted from 1, the column in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let offset = floor(text, offset);
    let line = line_around(text, offset);
    let number = text[..line.start].bytes().filter(|&byte| byte == b'\n').count() + 1;
    (number, text[line.start..offset].chars().count() + 1)
}

/// The line that holds an offset, without its end.
pub(super) fn line_around(text: &str, offset: usize) -> Range<usize> {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
    let carriage_return = end > offset && text[..end].ends_with('\r');
    start..end - usize::from(carriage_return)
}

/// The character border at or before an offset.
fn floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// A configuration may come from anywhere: what it holds must not steer the terminal that shows it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What stands under a character to the left of the caret.
fn blank(c: char) -> char {
    match c {
        '\t' => '\t',
        _ if columns(c) == 2 => '\u{3000}',
        _ => ' ',
    }
}

/// How wide a terminal shows a character: the wide blocks of Unicode's East Asian Width, roughly.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f900..=0x1f9ff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, span: Range<usize>) -> String {
        let mistake =
            Diagnostic { span: Some(span), message: "wrong".into(), hint: Some("do it right".into()) };
        Mistakes::new("c.toml", text, vec![mistake]).to_string()
    }

    #[test]
    fn a_mistake_shows_its_place_its_line_a_caret_and_the_remedy() {
        assert_eq!(
            show("[server]\nthreads = 0\n", 19..20),
            "c.toml:2:11: wrong\n  threads = 0\n            ^\n  hint: do it right\n"
        );
    }

    #[test]
    fn columns_count_characters_and_the_caret_stands_under_wide_ones() {
        let text = "a = \"目录\" # x";
        let at = text.find('录').unwrap();
        assert_eq!(
            show(text, at..at + 3),
            format!("c.toml:1:7: wrong\n  {text}\n       \u{3000}^^\n  hint: do it right\n")
        );
    }

    #[test]
    fn a_tab_before_the_caret_stays_a_tab() {
        assert!(show("\tx = 1", 5..6).contains("\n  \t    ^\n"), "{}", show("\tx = 1", 5..6));
    }

    #[test]
    fn every_span_renders_even_one_outside_the_text_or_inside_a_character() {
        let text = "ü\r\n目 = 1\n";
        for start in 0..text.len() + 3 {
            for end in 0..text.len() + 3 {
                assert!(show(text, start..end).contains('^'));
            }
        }
    }

    #[test]
    fn a_very_long_line_is_shown_as_a_window_around_the_caret() {
        let text = format!("{}X{}", "a".repeat(5000), "b".repeat(5000));
        let shown = show(&text, 5000..5001);
        assert!(shown.lines().all(|line| line.len() <= WINDOW + 2), "{shown}");
        assert!(shown.contains("aXb"));
    }

    #[test]
    fn a_configuration_cannot_steer_the_terminal() {
        assert!(!show("a = \"\u{1b}[2J\"", 4..9).contains('\u{1b}'));
    }

    #[test]
    fn a_mistake_of_the_file_itself_has_no_line() {
        let shown = Mistakes::of_file("c.toml", "cannot be read".into(), None).to_string();
        assert_eq!(shown, "c.toml: cannot be read\n");
    }
}
