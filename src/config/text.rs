//! Strings that know where in the file each of their bytes stands, behind quotes and escapes.

use std::fmt;
use std::ops::{Deref, Range};

use super::reader::Node;
use super::report::Hint;

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

    /// Not wrong, but it should not stay so.
    pub(super) fn warning(&self, message: impl fmt::Display, hint: impl Into<Hint>) {
        self.node.report.warning(self.node.span(), format_args!("{}: {message}", self.node.key()), hint);
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
    use crate::config::testing::mistakes;

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
}
