//! Finds where a reply's CGI head ends. A head that came in one piece is handed on in place; only one that was cut is
//! carried, up to 256 KB. Every byte is looked at once, however small the pieces are.
//!
//! What the head says is `reply`'s.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::violation::HeadError;

/// Cookies and policies of real applications reach tens of kilobytes.
pub(super) const HEAD_LIMIT: usize = 256 * 1024;

/// What stands before the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// A line end, or nothing yet: a line end now ends the head.
    LineEnd,
    /// A line end and a carriage return.
    CarriageReturn,
    /// Some other byte of a line.
    Text,
}

#[derive(Debug)]
pub(super) struct HeadCollector {
    carried: BytesMut,
    before: Before,
}

impl HeadCollector {
    pub(super) fn new() -> Self {
        Self { carried: BytesMut::new(), before: Before::LineEnd }
    }

    /// Takes of `piece` what belongs to the head, and returns the head, blank line included, when it is complete.
    pub(super) fn collect(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>, HeadError> {
        let end = self.find_end(piece);
        let head_part = piece.split_to(end.unwrap_or(piece.len()));
        if self.carried.len() + head_part.len() > HEAD_LIMIT {
            return Err(HeadError::TooLarge);
        }
        if end.is_some() && self.carried.is_empty() {
            return Ok(Some(head_part));
        }
        self.carried.extend_from_slice(&head_part);
        Ok(end.map(|_| std::mem::take(&mut self.carried).freeze()))
    }

    fn find_end(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            self.before = match (self.before, byte) {
                (Before::LineEnd | Before::CarriageReturn, b'\n') => return Some(at + 1),
                (Before::LineEnd, b'\r') => Before::CarriageReturn,
                _ => {
                    let Some(line_end) = memchr(b'\n', &piece[at..]) else {
                        self.before = Before::Text;
                        return None;
                    };
                    at += line_end;
                    Before::LineEnd
                }
            };
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Head and rest, after feeding `text` in pieces of `size`.
    fn collect(text: &'static str, size: usize) -> Option<(Bytes, Bytes)> {
        let mut collector = HeadCollector::new();
        let mut rest = Bytes::from_static(text.as_bytes());
        while !rest.is_empty() {
            let mut piece = rest.split_to(size.min(rest.len()));
            if let Some(head) = collector.collect(&mut piece).unwrap() {
                let rest = [piece, rest].concat().into();
                return Some((head, rest));
            }
            assert!(piece.is_empty(), "an unfinished head takes all");
        }
        None
    }

    #[test]
    fn a_blank_line_of_any_spelling_ends_the_head_in_any_cut() {
        let cases = [
            ("A: b\r\n\r\n", "body"),
            ("A: b\n\n", "body\n\n"),
            ("A: b\r\n\n", "\r\n"),
            ("A: b\n\r\n", ""),
            ("\r\n", "only a body"),
            ("\n", "\nbody"),
        ];
        for (head, body) in cases {
            let text: &'static str = Box::leak(format!("{head}{body}").into_boxed_str());
            for size in 1..=text.len() {
                let got = collect(text, size).unwrap();
                assert_eq!((&got.0[..], &got.1[..]), (head.as_bytes(), body.as_bytes()), "by {size}");
            }
        }
    }

    #[test]
    fn carriage_returns_alone_end_nothing() {
        for text in ["A: b\r\r", "A: b\n\r\rx", "A: b\r\n\rB: c\r\n", "\r\r\n"] {
            for size in 1..=text.len() {
                assert_eq!(collect(text, size), None, "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn a_head_in_one_piece_is_not_copied() {
        let mut piece = Bytes::from_static(b"A: b\r\n\r\nbody");
        let start = piece.as_ptr();
        let head = HeadCollector::new().collect(&mut piece).unwrap().unwrap();
        assert_eq!(head.as_ptr(), start);
        assert_eq!(piece.as_ptr(), start.wrapping_add(head.len()));
    }

    #[test]
    fn a_head_over_256_kb_is_refused_whole_or_in_pieces() {
        let line = "A: 0123456789abcdef0123456789abcd\n";
        let mut head = line.repeat(HEAD_LIMIT / line.len());
        head.push_str(&"a".repeat(HEAD_LIMIT - head.len() - 2));
        head.push_str("\n\n");
        let fits = Bytes::from(head.clone());
        assert_eq!(HeadCollector::new().collect(&mut fits.clone()).unwrap().unwrap(), fits);

        let mut too_large = Bytes::from(format!("b{head}"));
        assert_eq!(HeadCollector::new().collect(&mut too_large.clone()), Err(HeadError::TooLarge));
        let mut collector = HeadCollector::new();
        let mut last = Ok(None);
        while !too_large.is_empty() && last == Ok(None) {
            last = collector.collect(&mut too_large.split_to(1000.min(too_large.len())));
        }
        assert_eq!(last, Err(HeadError::TooLarge));
    }
}
