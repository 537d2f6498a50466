//! What the parser lets pass in a request's head, and what another server in front of this one may read otherwise: lines that end in a
//! bare LF, and more than one length. Read from the bytes on their way to the parser, which keeps neither.
//!
//! Only heads are looked at, so it has to know where bodies end. Behind a body in chunks nothing follows on a connection
//! (`pipeline`), so what comes there is nobody's head.
//!
//! Most reads are one head without a body and nothing else. Those are known by a look at the ends of their lines, without following
//! them: 600 instructions for a browser's head of 17 lines.

use std::mem;

use memchr::memchr_iter;

/// Why a head that can be parsed is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// RFC 9112 §2.2 would let a server take it for the end of a line.
    BareLineFeed,
    /// RFC 9112 §6.3 would let a server take equal lengths for one, and chunks for the truth.
    Lengths,
}

impl Flaw {
    /// For the client and the log.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line of the head ends in a bare LF",
            Self::Lengths => "the length of the body is said twice",
        }
    }
}

/// Follows the heads of one connection.
#[derive(Debug, Default)]
pub(super) struct Heads {
    place: Place,
    /// The beginning of a line whose end is still to come.
    partial: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
    /// Heads that ended.
    ended: u32,
}

/// Of what the next byte is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Of nothing that is looked at.
    #[default]
    Unwatched,
    /// Of a request line, or of the empty lines that may stand before it.
    First,
    Fields,
    /// Of a body that goes on for so many bytes.
    Body(u64),
}

impl Heads {
    /// From the first byte of a connection on.
    pub(super) fn watch() -> Self {
        Self { place: Place::First, ..Self::default() }
    }

    /// The next bytes on their way to the parser. The first flaw, and which request of the connection has it, counted from 1.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Option<(u32, Flaw)> {
        if self.place == Place::First && self.partial.is_empty() && is_a_plain_head(bytes) {
            self.ended = self.ended.wrapping_add(1);
            return None;
        }
        self.look(bytes)
    }

    fn look(&mut self, bytes: &[u8]) -> Option<(u32, Flaw)> {
        let flaw = self.follow(bytes).err()?;
        self.place = Place::Unwatched;
        Some((self.ended.wrapping_add(1), flaw))
    }

    fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Flaw> {
        while !bytes.is_empty() {
            let passed = match self.place {
                Place::Unwatched => return Ok(()),
                Place::First | Place::Fields => self.head(bytes)?,
                Place::Body(left) => self.body(left, bytes),
            };
            bytes = &bytes[passed..];
        }
        Ok(())
    }

    /// To the end of the head, if it is there.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let line = &bytes[start..end];
            start = end + 1;
            match self.partial.is_empty() {
                true => self.line(line)?,
                false => {
                    let mut whole = mem::take(&mut self.partial);
                    whole.extend_from_slice(line);
                    self.line(&whole)?;
                }
            }
            if !matches!(self.place, Place::First | Place::Fields) {
                return Ok(start);
            }
        }
        // As much as the parser lets a head have, which reads no more.
        self.partial.extend_from_slice(&bytes[start..]);
        Ok(bytes.len())
    }

    fn body(&mut self, left: u64, bytes: &[u8]) -> usize {
        let passed = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.place = match left - passed as u64 {
            0 => Place::First,
            left => Place::Body(left),
        };
        passed
    }

    /// A line without its LF.
    fn line(&mut self, line: &[u8]) -> Result<(), Flaw> {
        let Some((b'\r', line)) = line.split_last() else { return Err(Flaw::BareLineFeed) };
        match (self.place, line.first()) {
            (Place::Fields, None) => return self.ends(),
            (Place::Fields, Some(b'c' | b'C')) => return self.field_with_c(line),
            (Place::Fields, Some(b't' | b'T')) => {
                self.chunked |= value_of(line, b"transfer-encoding").is_some()
            }
            (Place::First, Some(_)) => self.place = Place::Fields,
            _ => {}
        }
        Ok(())
    }

    fn field_with_c(&mut self, line: &[u8]) -> Result<(), Flaw> {
        let Some(value) = value_of(line, b"content-length") else { return Ok(()) };
        // One that is no number is refused by the parser.
        let length =
            str::from_utf8(value).ok().and_then(|value| value.trim_matches([' ', '\t']).parse().ok());
        match self.length.replace(length.unwrap_or(u64::MAX)) {
            None => Ok(()),
            Some(_) => Err(Flaw::Lengths),
        }
    }

    fn ends(&mut self) -> Result<(), Flaw> {
        self.place = match (self.length.take(), mem::take(&mut self.chunked)) {
            (Some(_), true) => return Err(Flaw::Lengths),
            (None | Some(0), false) => Place::First,
            (Some(length), false) => Place::Body(length),
            (None, true) => Place::Unwatched,
        };
        self.ended = self.ended.wrapping_add(1);
        Ok(())
    }
}

/// What stands behind the colon of a line with this name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    begin.eq_ignore_ascii_case(name).then_some(value)
}

/// Whether this is the whole head of one request that says nothing of a body, without a flaw. `false` for all that takes a closer look.
fn is_a_plain_head(bytes: &[u8]) -> bool {
    let Some(lines) = bytes.strip_suffix(b"\r\n\r\n") else { return false };
    !matches!(lines.first(), None | Some(b'\r' | b'\n'))
        && memchr_iter(b'\n', lines).all(|end| lines[end - 1] == b'\r' && is_a_plain_field(&bytes[end + 1..]))
}

/// Whether a line that begins here is a field, and neither `Content-Length` nor `Transfer-Encoding`, as far as their hyphens tell.
fn is_a_plain_field(bytes: &[u8]) -> bool {
    let hyphen = match bytes[0] {
        b'\r' => return false,
        b'c' | b'C' => 7,
        b't' | b'T' => 8,
        _ => return true,
    };
    bytes.get(hyphen) != Some(&b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nCookie: c\r\nTE: x\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: \t6 \r\n\r\na\nb\n\nc";
    const CHUNKS: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\n";

    /// The same for every way to cut the bytes in three.
    fn flaw_of(bytes: &str) -> Option<(u32, Flaw)> {
        let bytes = bytes.as_bytes();
        let whole = Heads::watch().pass(bytes);
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut heads = Heads::watch();
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                let flaw = pieces.into_iter().find_map(|piece| heads.pass(piece));
                assert_eq!(flaw, whole, "{pieces:?}");
            }
        }
        whole
    }

    #[test]
    fn a_sound_head_has_no_flaw_and_a_body_may_hold_anything() {
        for bytes in [GET, POST, CHUNKS, &format!("\r\n{POST}{GET}\r\n{GET}{POST}{CHUNKS}")] {
            assert_eq!(flaw_of(bytes), None, "{bytes:?}");
        }
        assert_eq!(
            flaw_of("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /\n"),
            Some((2, Flaw::BareLineFeed))
        );
    }

    #[test]
    fn a_bare_line_feed_is_found_wherever_it_stands() {
        for head in [
            "\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nX: a\nContent-Length: 1\r\n\r\n1",
        ] {
            assert_eq!(flaw_of(head), Some((1, Flaw::BareLineFeed)), "{head:?}");
            let third = format!("{GET}{POST}{head}");
            assert_eq!(flaw_of(&third), Some((3, Flaw::BareLineFeed)), "{third:?}");
        }
    }

    /// However near it is to the ends of a read that is one head.
    #[test]
    fn no_place_in_a_head_hides_a_flaw() {
        for before in 0..48 {
            for behind in 0..48 {
                let [before, behind] = [before, behind].map(|length| "x".repeat(length));
                let head = |flawed: &str| {
                    Heads::watch()
                        .pass(format!("GET /{before} HTTP/1.1\r\n{flawed}X: {behind}\r\n\r\n").as_bytes())
                };
                assert_eq!(head("Host: a\r\nCookie: b-c\r\n"), None);
                assert_eq!(head("Host: a\n"), Some((1, Flaw::BareLineFeed)));
                assert_eq!(head("\n"), Some((1, Flaw::BareLineFeed)));
                assert_eq!(head("Content-Length: 0\r\ncontent-length:0\r\n"), Some((1, Flaw::Lengths)));
                assert_eq!(
                    head("transfer-encoding: chunked\r\nCONTENT-LENGTH: 0\r\n"),
                    Some((1, Flaw::Lengths))
                );
                assert_eq!(head("\r\nGET / HTTP/1.1\r\nA: b\n"), Some((2, Flaw::BareLineFeed)));
            }
        }
    }

    #[test]
    fn a_length_that_is_said_twice_is_found_however_it_is_spelt() {
        for lines in [
            "Content-Length: 1\r\nContent-Length: 1",
            "CONTENT-LENGTH:1\r\nX: y\r\ncontent-length:  1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "transfer-encoding:chunked\r\nContent-Length: 1",
        ] {
            let head = format!("{POST}POST / HTTP/1.1\r\n{lines}\r\n\r\n");
            assert_eq!(flaw_of(&head), Some((2, Flaw::Lengths)), "{head:?}");
        }
    }
}
