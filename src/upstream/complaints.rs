//! What php writes to STDERR, as log lines: bounded, escaped, with the request they belong to (fpm-facts 8), and with
//! advice where php-fpm's message has a known cause (fpm-facts 12). None of it ever reaches the client.

use crate::fcgi::recognise;
use crate::route::Label;
use std::fmt;

/// Bytes of STDERR that one request may log.
const MOST: usize = 8 * 1024;

/// Where the lines of one request come from.
#[derive(Debug)]
pub(crate) struct Complaints {
    label: Label,
    script: Vec<u8>,
    left: usize,
}

impl Complaints {
    pub(crate) fn new(label: Label, script: Vec<u8>) -> Self {
        Self { label, script, left: MOST }
    }

    /// Logs a piece of STDERR, a line an event.
    pub(crate) fn log(&mut self, stderr: &[u8], pool: &str, member: &str) {
        let (request, script) = (self.label, Escaped(&self.script));
        for line in self.within_bounds(stderr).split(|&byte| byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match recognise(line) {
                Some(error) => {
                    tracing::warn!(target: "cornac::php", pool, member, %request, %script, "{}: {error}", Escaped(line));
                }
                None => tracing::warn!(target: "cornac::php", pool, member, %request, "{}", Escaped(line)),
            }
        }
        let cut = stderr.len() > self.left;
        if cut && self.left > 0 {
            tracing::warn!(target: "cornac::php", pool, member, %request, "further output on stderr is not logged");
        }
        self.left = self.left.saturating_sub(stderr.len());
    }

    fn within_bounds<'a>(&self, stderr: &'a [u8]) -> &'a [u8] {
        &stderr[..stderr.len().min(self.left)]
    }
}

/// Text of a foreign hand on one log line: no control character passes, so that no line can be forged.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in String::from_utf8_lossy(self.0).chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_text_is_not() {
        let line = Escaped("PHP message: \u{1b}[31mfalsch\r\0 中文\u{85}".as_bytes()).to_string();
        assert_eq!(line, "PHP message: \\u{1b}[31mfalsch\\r\\u{0} 中文\\u{85}");
    }

    #[test]
    fn one_request_logs_8_kb_and_no_more() {
        let mut complaints = Complaints::new(Label::Made(1), b"/srv/a.php".to_vec());
        assert_eq!(complaints.within_bounds(&[b'x'; 9_000]).len(), 8_192);
        complaints.log(&[b'x'; 8_000], "php", "10.0.0.3:9000");
        assert_eq!(complaints.within_bounds(&[b'x'; 9_000]).len(), 192);
        complaints.log(&[b'x'; 8_000], "php", "10.0.0.3:9000");
        assert_eq!(complaints.within_bounds(&[b'x'; 9_000]).len(), 0);
    }
}
