//! A log's line as it is put together: piece by piece and without a formatter, which would cost a third of what a small request costs.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Most lines fit.
const USUAL: usize = 512;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A line without its end.
#[derive(Debug)]
pub(super) struct Line(String);

/// A time, to the microsecond; logs write it in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis {
    micros: u64,
}

impl Line {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(USUAL))
    }

    /// Text that is safe.
    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// What a client sent, with everything escaped that could break out of the quotes or of the line.
    pub(super) fn escaped(&mut self, text: &str) -> &mut Self {
        if is_plain(text) { self.add(text) } else { self.escape(text, is_unsafe) }
    }

    /// The same in quotes.
    pub(super) fn quoted(&mut self, text: &str) -> &mut Self {
        self.add("\"").escaped(text).add("\"")
    }

    /// A name without spaces: readers of `combined` take one for its end.
    pub(super) fn user(&mut self, name: Option<&str>) -> &mut Self {
        self.escape(name.unwrap_or("-"), |c| c == ' ' || is_unsafe(c))
    }

    fn escape(&mut self, text: &str, which: impl Fn(char) -> bool) -> &mut Self {
        let mut rest = text;
        while let Some((place, c)) = rest.char_indices().find(|&(_, c)| which(c)) {
            self.add(&rest[..place]).add("\\x");
            let code = u32::from(c);
            self.0.extend([code >> 4, code & 15].map(|digit| char::from(HEX[digit as usize % 16])));
            rest = &rest[place + c.len_utf8()..];
        }
        self.add(rest)
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.add(itoa::Buffer::new().format(number))
    }

    /// In milliseconds with three places.
    pub(super) fn millis(&mut self, time: Millis) -> &mut Self {
        let places = (time.micros % 1_000) as u16;
        let digit = |unit: u16| char::from(b'0' + (places / unit % 10) as u8);
        self.number(time.micros / 1_000);
        self.0.extend(['.', digit(100), digit(10), digit(1)]);
        self
    }

    /// The same, or a dash where there was none.
    pub(super) fn millis_if_any(&mut self, time: Option<Millis>) -> &mut Self {
        match time {
            Some(time) => self.millis(time),
            None => self.add("-"),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// With its end.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push('\n');
        self.0.into_bytes()
    }
}

/// Whether nothing of it can be unsafe, as is so of nearly all texts: that is seen by many bytes at a time.
fn is_plain(text: &str) -> bool {
    let may_stand = |byte| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    text.bytes().fold(true, |plain, byte| plain & may_stand(byte))
}

/// Control characters end at U+009F: two digits will do.
fn is_unsafe(c: char) -> bool {
    matches!(c, '"' | '\\') || c.is_control()
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Millis {
    pub(super) const ZERO: Self = Self { micros: 0 };

    pub(super) fn as_f64(self) -> f64 {
        self.micros as f64 / 1_000.0
    }
}

impl From<Duration> for Millis {
    fn from(time: Duration) -> Self {
        Self { micros: u64::try_from(time.as_micros()).unwrap_or(u64::MAX) }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(add: impl FnOnce(&mut Line) -> &mut Line) -> String {
        let mut line = Line::new();
        add(&mut line);
        line.0
    }

    #[test]
    fn nothing_that_a_client_sends_breaks_out_of_its_quotes_or_of_the_line() {
        let said = |text: &str| line(|line| line.quoted(text));
        assert_eq!(said("/a?b=c d~"), "\"/a?b=c d~\"");
        assert_eq!(said("a\"b\\c\nd\u{7f}\u{85}"), r#""a\x22b\x5Cc\x0Ad\x7F\x85""#);
        assert_eq!(said("für"), "\"für\"");
    }

    #[test]
    fn a_time_has_three_places_as_the_formatter_writes_them() {
        for micros in [0, 1, 10, 999, 1_000, 3_250, 60_000_007, 123_456_789] {
            let time = Millis::from(Duration::from_micros(micros));
            assert_eq!(line(|line| line.millis(time)), format!("{:.3}", micros as f64 / 1_000.0));
        }
    }

    #[test]
    fn a_users_name_is_one_word() {
        assert_eq!(line(|line| line.user(Some("ann \"b\""))), r"ann\x20\x22b\x22");
        assert_eq!(line(|line| line.user(None)), "-");
    }
}
