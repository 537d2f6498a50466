//! Replies compressed on their way out: what may be (`eligible`), by which coder (`encoder`), piece by piece (`body`); small files
//! once and not at each request (`kept`). Compressed neighbours of a file are `files/`'; they come first.
//!
//! nginx's gzip filter, with its caution: weak ETags, no ranges, `Vary` also on what is sent as it is. Where it differs: a
//! request with `Via` is compressed for, errors are not special, and a flush of php's goes through.

mod body;
mod eligible;
mod encoder;
mod kept;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};

pub(super) use self::body::Packed;
pub(super) use self::kept::Kept;
use self::kept::Key;
use super::body::Body;
use crate::route::{Coding, Compression, RequestFacts, acceptable};
use crate::upstream::{Buffers, Share};

/// What compressing takes of the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means<'a> {
    /// Small files that were compressed before.
    pub(super) kept: &'a Arc<Kept>,
    /// The memory that coders have.
    pub(super) buffers: &'a Buffers,
}

/// The reply, compressed if it is worth it and the client takes it.
pub(super) fn compress(
    mut response: Response<Body>,
    compression: &Compression,
    facts: &RequestFacts<'_>,
    means: Means<'_>,
) -> Response<Body> {
    if response.status() == StatusCode::NOT_MODIFIED {
        keep_weak(&mut response, facts.headers);
        return response;
    }
    let length = eligible::length(&response);
    if !eligible::is_worth_it(&response, compression, length) {
        return response;
    }
    vary(response.headers_mut());
    // HTTP/1.0 knows no chunks: a reply that broke off would look complete.
    if facts.version < Version::HTTP_11 {
        return response;
    }
    let Some(&coding) = acceptable(facts.headers, &compression.algorithms).first() else { return response };
    // A coder lives as long as its reader reads: where many are slow, the next gets it as it is.
    let mut room = means.buffers.memory();
    let level = compression.levels.of(coding);
    if !room.grow(encoder::memory(coding, level, length)) {
        return response;
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    headers.insert(CONTENT_ENCODING, coding.header());
    weaken(headers);
    match facts.method {
        &Method::HEAD => response,
        // A pace is the client's: it counts what is sent.
        _ => {
            let packed = |body| pack(body, (coding, level, length), room, means.kept);
            response.map(|body| body.below_pace(packed))
        }
    }
}

/// A small file that is known is not compressed again.
fn pack(
    body: Body,
    (coding, level, length): (Coding, u8, Option<u64>),
    room: Share,
    kept: &Arc<Kept>,
) -> Body {
    let stamp = match &body {
        Body::File(file) => file.stamp(),
        _ => None,
    };
    let key = stamp.and_then(|stamp| Key::of(stamp, coding, level));
    if let Some(known) = key.as_ref().and_then(|key| kept.get(key)) {
        return Body::text(known);
    }
    let keep = key.map(|key| kept.place_for(key));
    Body::Packed(Box::new(Packed::new(body, encoder::Encoder::new(coding, level, length), (keep, room))))
}

/// Every variant of a reply says that there are others, or a cache would give one client what another asked for.
fn vary(headers: &mut HeaderMap) {
    let names = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let said = |name: &[u8]| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")
    };
    if !names.into_iter().any(said) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The bytes are others, what they mean is the same (RFC 9110 §8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(ETAG) else { return };
    if etag.as_bytes().starts_with(b"\"") {
        let weak = Bytes::from([b"W/", etag.as_bytes()].concat());
        headers.insert(
            ETAG,
            HeaderValue::from_maybe_shared(weak).expect("a header value with W/ in front is one"),
        );
    }
}

/// A 304 names the variant that the client holds (RFC 9110 §15.4.5), or a cache could not tell which of its own is still good.
fn keep_weak(response: &mut Response<Body>, request: &HeaderMap) {
    let Some(etag) = response.headers().get(ETAG).map(HeaderValue::as_bytes) else { return };
    let holds_weak = |line: &HeaderValue| {
        let mut tags = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|tag| tag.strip_prefix(b"W/") == Some(etag))
    };
    if request.get_all(IF_NONE_MATCH).iter().any(holds_weak) {
        weaken(response.headers_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn vary_is_said_once() {
        for (before, lines) in [
            (&[][..], 1),
            (&["Cookie"], 2),
            (&["Cookie, ACCEPT-ENCODING"], 1),
            (&["Cookie", "Accept-Encoding"], 2),
            (&["*"], 1),
        ] {
            let given: Vec<_> = before.iter().map(|value| (VARY, *value)).collect();
            let mut headers = headers(&given);
            vary(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().count(), lines, "{before:?}");
        }
    }

    #[test]
    fn a_strong_tag_becomes_weak_and_what_is_no_strong_tag_stays() {
        for (before, after) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\""), ("a", "a")] {
            let mut headers = headers(&[(ETAG, before)]);
            weaken(&mut headers);
            assert_eq!(headers[ETAG], after);
        }
    }

    #[test]
    fn a_304_is_weak_where_the_client_holds_the_compressed_variant() {
        for (held, expected) in
            [("\"a\"", "\"a\""), ("W/\"a\"", "W/\"a\""), ("\"b\", W/\"a\"", "W/\"a\""), ("W/\"b\"", "\"a\"")]
        {
            let mut response = Response::new(Body::Empty);
            response.headers_mut().insert(ETAG, HeaderValue::from_static("\"a\""));
            keep_weak(&mut response, &headers(&[(IF_NONE_MATCH, held)]));
            assert_eq!(response.headers()[ETAG], expected, "{held}");
        }
    }
}
