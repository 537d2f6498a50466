//! Turns a complete CGI head into a status and headers (RFC 3875 §6, as nginx reads it).
//!
//! Hop-by-hop headers stay here, orders to us go to [`Accel`]; everything else leaves unchanged and in order. Finding the
//! head's end is `head`'s, adding headers of our own is `front`'s.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::accel::{self, Accel};
use super::violation::HeadError;

const MOST_LINES: usize = 256;
/// Few replies have more; room for 256 takes longer to clear than a usual head to read.
const USUAL_LINES: usize = 32;
/// What is likely to be added on the way to the client: room for it now saves growing the map then.
const ADDED_LINES: usize = 2;

/// A reply's head as the client may see it.
#[derive(Clone, Debug)]
pub struct ReplyHead {
    /// 200–599.
    pub status: StatusCode,
    /// Without hop-by-hop headers, `Status` and `X-Accel-*`. The values are slices of what php-fpm sent.
    pub headers: HeaderMap,
    /// The one length that all Content-Length lines agree on. When they do not, there is none, also in `headers`:
    /// END_REQUEST alone ends the body.
    pub content_length: Option<u64>,
    /// What the script orders us to do.
    pub accel: Accel,
}

impl ReplyHead {
    /// `head` ends with its blank line.
    pub(super) fn parse(head: &Bytes) -> Result<Self, HeadError> {
        let (line_status, lines) = split_status_line(head)?;
        let mut draft = Draft::default();
        match draft.read::<USUAL_LINES>(head, lines) {
            Err(HeadError::TooManyLines) => {
                draft = Draft::default();
                draft.read::<MOST_LINES>(head, lines)?;
            }
            other => other?,
        }
        Ok(draft.finish(line_status))
    }
}

/// What the lines have said so far.
#[derive(Default)]
struct Draft {
    status: Option<StatusCode>,
    headers: HeaderMap,
    length: Length,
    connection: Vec<HeaderValue>,
    accel: Accel,
}

#[derive(Default)]
enum Length {
    #[default]
    Untold,
    Told(u64, HeaderValue),
    Unusable,
}

impl Draft {
    fn read<const LINES: usize>(&mut self, head: &Bytes, lines: &[u8]) -> Result<(), HeadError> {
        let mut parsed = [httparse::EMPTY_HEADER; LINES];
        let httparse::Status::Complete((used, parsed)) = httparse::parse_headers(lines, &mut parsed)? else {
            return Err(HeadError::LineEnd);
        };
        if used != lines.len() {
            return Err(HeadError::LineEnd);
        }
        self.headers.reserve(parsed.len() + ADDED_LINES);
        for line in parsed {
            self.line(line.name, head.slice_ref(line.value))?;
        }
        Ok(())
    }

    fn line(&mut self, name: &str, value: Bytes) -> Result<(), HeadError> {
        if name.eq_ignore_ascii_case("status") {
            // Of two the first counts, as with nginx.
            let status = parse_status(&value)?;
            self.status.get_or_insert(status);
            return Ok(());
        }
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| HeadError::Value)?;
        if accel::is_order(name) {
            self.accel.note(name, value);
            return Ok(());
        }
        match HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeadError::Name)? {
            header::CONTENT_LENGTH => self.length = std::mem::take(&mut self.length).and(value),
            header::CONNECTION => self.connection.push(value),
            name if is_hop_by_hop(&name) => {}
            name => {
                self.headers.append(name, value);
            }
        }
        Ok(())
    }

    fn finish(mut self, line_status: Option<StatusCode>) -> ReplyHead {
        let implied = match self.headers.contains_key(header::LOCATION) {
            true => StatusCode::FOUND,
            false => StatusCode::OK,
        };
        let status = self.status.or(line_status).unwrap_or(implied);
        let mut content_length = None;
        // RFC 9110 §8.6: no Content-Length with a 204.
        if let (Length::Told(length, line), true) = (self.length, status != StatusCode::NO_CONTENT) {
            content_length = Some(length);
            self.headers.insert(header::CONTENT_LENGTH, line);
        }
        // RFC 9110 §7.6.1: what Connection names goes no further. A length is no option of a connection.
        for name in options(&self.connection).filter(|name| name != header::CONTENT_LENGTH) {
            self.headers.remove(name);
        }
        ReplyHead { status, headers: self.headers, content_length, accel: self.accel }
    }
}

impl Length {
    fn and(self, line: HeaderValue) -> Self {
        match (self, digits(line.as_bytes())) {
            (Self::Untold, Some(length)) => Self::Told(length, line),
            (Self::Told(length, line), Some(again)) if length == again => Self::Told(length, line),
            _ => Self::Unusable,
        }
    }
}

/// RFC 9110 §7.6.1: the headers that are for the next hop without being named by Connection.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(*name, header::TRANSFER_ENCODING | header::UPGRADE | header::TE | header::TRAILER)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn options(connection: &[HeaderValue]) -> impl Iterator<Item = HeaderName> {
    let tokens = connection.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
}

/// `HTTP/1.1 200 OK` instead of `Status: 200 OK`, and the lines behind it. No header's name has a slash.
fn split_status_line(head: &[u8]) -> Result<(Option<StatusCode>, &[u8]), HeadError> {
    if !head.starts_with(b"HTTP/") {
        return Ok((None, head));
    }
    let end = memchr::memchr(b'\n', head).ok_or(HeadError::LineEnd)?;
    let line = head[..end].strip_suffix(b"\r").unwrap_or(&head[..end]);
    let space = memchr::memchr(b' ', line).ok_or(HeadError::Status)?;
    Ok((Some(parse_status(&line[space + 1..])?), &head[end + 1..]))
}

/// Three digits, then a reason or nothing. 1xx are no replies: a client would take what follows for another.
fn parse_status(value: &[u8]) -> Result<StatusCode, HeadError> {
    let (number, reason) = value.split_at_checked(3).ok_or(HeadError::Status)?;
    if !matches!(reason.first(), None | Some(b' ' | b'\t')) {
        return Err(HeadError::Status);
    }
    match digits(number) {
        Some(200..600) => StatusCode::from_bytes(number).map_err(|_| HeadError::Status),
        _ => Err(HeadError::Status),
    }
}

/// A number without sign, space or overflow.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooManyLines,
            httparse::Error::HeaderValue => Self::Value,
            httparse::Error::NewLine => Self::LineEnd,
            _ => Self::Name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<ReplyHead, HeadError> {
        ReplyHead::parse(&Bytes::copy_from_slice(head.as_bytes()))
    }

    fn status(head: &str) -> Result<u16, HeadError> {
        parse(head).map(|head| head.status.as_u16())
    }

    fn values<'a>(head: &'a ReplyHead, name: &str) -> Vec<&'a [u8]> {
        head.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    }

    #[test]
    fn the_status_is_200_unless_something_says_otherwise() {
        assert_eq!(status("Content-Type: text/html\r\n\r\n"), Ok(200));
        assert_eq!(status("\r\n"), Ok(200));
        assert_eq!(status("Status: 404 Not Found\r\n\r\n"), Ok(404));
        assert_eq!(status("Content-Type: x/y\r\nstatus:503\r\n\r\n"), Ok(503));
        assert_eq!(status("HTTP/1.1 201 Created\r\nX: y\r\n\r\n"), Ok(201));
        assert_eq!(status("HTTP/1.0 404\n\n"), Ok(404));
    }

    #[test]
    fn a_location_without_a_status_is_302() {
        assert_eq!(status("Location: /login\r\n\r\n"), Ok(302));
        assert_eq!(status("Location: /x\r\nStatus: 301 Moved Permanently\r\n\r\n"), Ok(301));
        assert_eq!(status("Status: 201 Created\r\nLocation: /new\r\n\r\n"), Ok(201));
        assert_eq!(status("HTTP/1.1 200 OK\r\nLocation: /new\r\n\r\n"), Ok(200));
    }

    #[test]
    fn the_status_header_overrules_the_status_line_and_the_first_of_two_counts() {
        assert_eq!(status("HTTP/1.1 200 OK\r\nStatus: 403 No\r\n\r\n"), Ok(403));
        assert_eq!(status("Status: 403\r\nStatus: 200\r\n\r\n"), Ok(403));
    }

    #[test]
    fn a_status_outside_200_to_599_is_a_bad_reply() {
        for bad in
            ["199", "100 Continue", "101", "103", "600", "999", "1000", "0", "-200", "+200", "20", "2OO", ""]
        {
            assert_eq!(status(&format!("Status: {bad}\r\n\r\n")), Err(HeadError::Status), "{bad}");
            assert_eq!(status(&format!("HTTP/1.1 {bad}\r\n\r\n")), Err(HeadError::Status), "{bad}");
        }
        assert_eq!(status("Status: 200OK\r\n\r\n"), Err(HeadError::Status));
        assert_eq!(status("HTTP/1.1\r\n\r\n"), Err(HeadError::Status));
        for good in [200, 204, 299, 304, 418, 599] {
            assert_eq!(status(&format!("Status: {good}\r\n\r\n")), Ok(good));
        }
    }

    #[test]
    fn several_cookies_and_links_stay_several_and_in_order() {
        let head = parse(
            "Set-Cookie: a=1; path=/\r\nLink: <a>\r\nset-cookie: b=2\r\nSet-Cookie: a=3\r\nLink: <b>\r\n\r\n",
        )
        .unwrap();
        assert_eq!(values(&head, "set-cookie"), [b"a=1; path=/" as &[u8], b"b=2", b"a=3"]);
        assert_eq!(values(&head, "link"), [b"<a>", b"<b>"]);
    }

    #[test]
    fn non_ascii_values_and_an_own_encoding_pass_unchanged() {
        let head = parse("Location: /路径?q=é\r\nContent-Encoding: gzip\r\nX-Long: \t a b \r\n\r\n").unwrap();
        assert_eq!(values(&head, "location"), ["/路径?q=é".as_bytes()]);
        assert_eq!(values(&head, "content-encoding"), [b"gzip"]);
        assert_eq!(values(&head, "x-long"), [b"a b"]);
    }

    #[test]
    fn values_are_slices_of_what_php_fpm_sent() {
        let bytes = Bytes::from_static(b"Content-Type: text/html\r\n\r\n");
        let head = ReplyHead::parse(&bytes).unwrap();
        assert_eq!(head.headers["content-type"].as_bytes().as_ptr(), bytes[14..].as_ptr());
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_never_leave() {
        let head = parse(
            "Connection: close, X-Mine ,,@\r\nX-Mine: 1\r\nX-Yours: 2\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\n\
             Upgrade: h2c\r\nTE: x\r\nTrailer: y\r\nProxy-Connection: z\r\nConnection: X-More\r\nX-More: 1\r\n\r\n",
        )
        .unwrap();
        let names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-yours"]);
    }

    #[test]
    fn orders_to_the_front_end_are_taken_out() {
        let head =
            parse("X-Accel-Redirect: /files/a\r\nX-Accel-Buffering: no\r\nX-Accel-New: 1\r\nA: b\r\n\r\n")
                .unwrap();
        assert_eq!(head.accel.redirect.unwrap(), "/files/a");
        assert_eq!(head.accel.buffering, Some(false));
        assert_eq!(head.headers.len(), 1);
    }

    #[test]
    fn a_content_length_counts_only_when_all_lines_agree() {
        let length = |lines: &str| {
            let head = parse(&format!("{lines}\r\n")).unwrap();
            let kept = values(&head, "content-length").len();
            assert_eq!(kept, usize::from(head.content_length.is_some()), "{lines}");
            head.content_length
        };
        assert_eq!(length("Content-Length: 12\r\n"), Some(12));
        assert_eq!(length("Content-Length: 12\r\ncontent-length: 12\r\n"), Some(12));
        assert_eq!(length("Content-Length: 12\r\nContent-Length: 13\r\n"), None);
        assert_eq!(length("Content-Length: x\r\nContent-Length: 13\r\n"), None);
        for bad in ["", "-1", "+1", "1 2", "1,1", "0x10", "18446744073709551616", "12 bytes"] {
            assert_eq!(length(&format!("Content-Length: {bad}\r\n")), None, "{bad}");
        }
        assert_eq!(length("Connection: Content-Length\r\nContent-Length: 5\r\n"), Some(5));
    }

    #[test]
    fn a_204_has_no_content_length_and_a_304_may_have_one() {
        let no_content = parse("Status: 204\r\nContent-Length: 5\r\n\r\n").unwrap();
        assert_eq!((no_content.content_length, no_content.headers.len()), (None, 0));
        assert_eq!(parse("Status: 304\r\nContent-Length: 5\r\n\r\n").unwrap().content_length, Some(5));
    }

    #[test]
    fn what_is_no_header_line_is_a_bad_reply() {
        let cases = [
            ("no colon\r\n\r\n", HeadError::Name),
            ("Bad Name: x\r\n\r\n", HeadError::Name),
            ("Name : x\r\n\r\n", HeadError::Name),
            (": x\r\n\r\n", HeadError::Name),
            ("A: b\r\n folded\r\n\r\n", HeadError::Name),
            ("A: b\0c\r\n\r\n", HeadError::Value),
            ("A: b\x1b[0m\r\n\r\n", HeadError::Value),
            ("A: b\rB: c\r\n\r\n", HeadError::Value),
            ("A: b\r\n\rC: d\r\n\r\n", HeadError::LineEnd),
        ];
        for (head, error) in cases {
            assert_eq!(parse(head).map(|head| head.headers), Err(error), "{head:?}");
        }
    }

    #[test]
    fn up_to_256_lines_are_read() {
        for (lines, read) in [(32, true), (33, true), (256, true), (257, false)] {
            let head: String = (0..lines).map(|i| format!("X-{i}: {i}\r\n")).collect();
            match parse(&format!("{head}\r\n")) {
                Ok(head) => assert!(read && head.headers.len() == lines),
                Err(error) => assert!(!read && error == HeadError::TooManyLines, "{lines}: {error}"),
            }
        }
    }
}
