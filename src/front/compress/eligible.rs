//! Which replies may be compressed, whatever the client takes.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, Response, StatusCode};

use super::super::body::Body;
use crate::route::Compression;

/// How long the body is, where that is known before it is sent: told by the header, or whole in memory. A hello of php's
/// ends here.
pub(super) fn length(response: &Response<Body>) -> Option<u64> {
    let header = response.headers().get(CONTENT_LENGTH);
    let told = header.and_then(|length| length.to_str().ok()?.parse().ok());
    told.or_else(|| response.body().size_hint().exact())
}

/// Whether compressing is allowed, and pays.
pub(super) fn is_worth_it(response: &Response<Body>, compression: &Compression, length: Option<u64>) -> bool {
    let headers = response.headers();
    length.is_none_or(|length| length >= compression.min_size && length > 0)
        && has_a_whole_body(response.status())
        && headers.get(CONTENT_TYPE).is_some_and(|media| compression.types.contain(media))
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !forbids_transforming(headers)
}

/// A part of a file is a part of its own bytes.
fn has_a_whole_body(status: StatusCode) -> bool {
    let bodiless = matches!(
        status,
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::NOT_MODIFIED
            | StatusCode::PARTIAL_CONTENT
    );
    !status.is_informational() && !bodiless
}

/// RFC 9111 §5.2.2.6: PHP says so of what must arrive as it is.
fn forbids_transforming(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn is_worth_it_with(status: u16, length: usize, lines: &[(HeaderName, &'static str)]) -> bool {
        let mut response = Response::new(Body::text(vec![b'x'; length].into()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in lines {
            response.headers_mut().append(name, HeaderValue::from_static(value));
        }
        let length = self::length(&response);
        is_worth_it(&response, &Compression::default(), length)
    }

    #[test]
    fn what_is_small_or_bodiless_or_packed_or_a_part_is_sent_as_it_is() {
        let html = (CONTENT_TYPE, "text/html; charset=utf-8");
        let only = std::slice::from_ref(&html);
        for (worth, status, length, lines) in [
            (true, 200, 1024, only),
            (true, 404, 5000, only),
            (true, 200, 0, &[html.clone(), (CONTENT_LENGTH, "5000")]),
            (true, 200, 5000, &[html.clone(), (CACHE_CONTROL, "private, max-age=0")]),
            (false, 200, 1023, only),
            (false, 200, 0, only),
            (false, 204, 5000, only),
            (false, 205, 5000, only),
            (false, 206, 5000, only),
            (false, 304, 5000, only),
            (false, 200, 5000, &[]),
            (false, 200, 5000, &[(CONTENT_TYPE, "image/png")]),
            (false, 200, 5000, &[html.clone(), (CONTENT_ENCODING, "identity")]),
            (false, 200, 5000, &[html.clone(), (CONTENT_RANGE, "bytes 0-1/2")]),
            (false, 200, 5000, &[html.clone(), (CACHE_CONTROL, "private,NO-TRANSFORM")]),
        ] {
            assert_eq!(is_worth_it_with(status, length, lines), worth, "{status} {length} {lines:?}");
        }
    }
}
