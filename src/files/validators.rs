//! ETag and Last-Modified of a file (RFC 9110 §8.8), in nginx's spelling. Comparing them with what a client holds is
//! `preconditions`'.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use httpdate::HttpDate;
use smallvec::SmallVec;

use crate::route::Coding;

/// What a client may hold against its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// Strong: a new length or a new time makes a new tag. `None` where ETags are switched off.
    pub(super) etag: Option<HeaderValue>,
    pub(super) modified: HttpTime,
    /// The time as the client is told it, and as it tells it again.
    pub(super) last_modified: HeaderValue,
    /// Which the tag names.
    coding: Option<Coding>,
}

impl Validators {
    pub(super) fn new(modified: i64, len: u64, coding: Option<Coding>, with_etag: bool) -> Self {
        let etag = with_etag.then(|| etag(modified, len, coding));
        let modified = HttpTime::clamped(modified);
        Self { etag, modified, last_modified: modified.header(), coding }
    }

    /// Those that were made before, if they are for the same use of the file.
    pub(super) fn suit(self, coding: Option<Coding>, with_etag: bool) -> Option<Self> {
        let etag = self.etag.filter(|_| with_etag);
        (self.coding == coding).then_some(Self { etag, ..self })
    }

    /// A client nearly always repeats the line that it was sent: only another one has to be read as a date.
    pub(super) fn time_in(&self, line: &HeaderValue) -> Option<HttpTime> {
        if *line == self.last_modified { Some(self.modified) } else { HttpTime::parse(line) }
    }
}

/// nginx's `"mtime-length"` in hex. A neighbour's tag also names its coding: `a.js.br` and `a.js.gz` written in the
/// same second may be of the same length, and must not be taken for the same bytes.
fn etag(modified: i64, len: u64, coding: Option<Coding>) -> HeaderValue {
    let mut tag: SmallVec<[u8; 48]> = SmallVec::new();
    tag.push(b'"');
    push_hex(&mut tag, modified.cast_unsigned());
    tag.push(b'-');
    push_hex(&mut tag, len);
    if let Some(coding) = coding {
        tag.push(b'-');
        tag.extend_from_slice(coding.token().as_bytes());
    }
    tag.push(b'"');
    HeaderValue::from_bytes(&tag).expect("quotes, dashes, digits and letters")
}

fn push_hex(to: &mut SmallVec<[u8; 48]>, number: u64) {
    let digits = (67 - number.leading_zeros()) / 4;
    for place in (0..digits.max(1)).rev() {
        to.push(b"0123456789abcdef"[(number >> (place * 4)) as usize & 15]);
    }
}

/// A time that HTTP can write: whole seconds from 1970 to the end of 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HttpTime(u64);

impl HttpTime {
    /// A file from before 1970, or from the year 10000, has a time that no HTTP date can carry.
    const LAST: u64 = 253_402_300_799;

    fn clamped(seconds: i64) -> Self {
        Self(u64::try_from(seconds).unwrap_or(0).min(Self::LAST))
    }

    /// Any of the three formats of RFC 9110 §5.6.7.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Self(since.as_secs()))
    }

    fn header(self) -> HeaderValue {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.0);
        let mut text = Line(SmallVec::new());
        write!(text, "{}", HttpDate::from(time)).expect("a list takes every byte");
        HeaderValue::from_bytes(&text.0).expect("an HTTP date is ASCII")
    }
}

/// An HTTP date is always 29 bytes: formatted on the stack.
struct Line(SmallVec<[u8; 29]>);

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_spelt_as_nginx_spells_it() {
        // nginx 1.22 sends this for 100 bytes of 2024-01-02 03:04:05.
        assert_eq!(etag(1_704_164_645, 100, None), "\"65937d25-64\"");
        assert_eq!(etag(0, 0, None), "\"0-0\"");
        assert_eq!(etag(15, 16, None), "\"f-10\"");
        assert_eq!(etag(-1, u64::MAX, None), "\"ffffffffffffffff-ffffffffffffffff\"");
    }

    #[test]
    fn two_codings_of_a_file_never_share_an_etag() {
        let tags = [None, Some(Coding::Brotli), Some(Coding::Gzip)].map(|coding| etag(7, 7, coding));
        assert_eq!(tags, ["\"7-7\"", "\"7-7-br\"", "\"7-7-gzip\""]);
    }

    #[test]
    fn a_time_beyond_http_is_clamped_and_never_a_panic() {
        for (seconds, text) in [
            (1_704_164_645, "Tue, 02 Jan 2024 03:04:05 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (i64::MIN, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let time = HttpTime::clamped(seconds);
            assert_eq!(time.header(), text, "{seconds}");
            assert_eq!(HttpTime::parse(&time.header()), Some(time), "{seconds}");
        }
    }

    #[test]
    fn all_three_date_formats_are_read() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(
                HttpTime::parse(&HeaderValue::from_static(text)),
                Some(HttpTime(784_111_777)),
                "{text}"
            );
        }
        for text in ["", "yesterday", "784111777", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(HttpTime::parse(&HeaderValue::from_static(text)), None, "{text}");
        }
    }
}
