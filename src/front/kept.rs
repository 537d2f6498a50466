//! What a script's reply leaves behind when the client gets another in its place (`X-Accel-Redirect`), and what its other orders
//! (`X-Accel-Charset`, `X-Accel-Limit-Rate`) do to a reply.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, EXPIRES, Entry, HeaderMap, SET_COOKIE,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::body::Body;
use super::throttle::Throttled;
use crate::fcgi::Accel;

/// The headers that nginx takes along (`redirect` in its table of upstream headers). Last-Modified and ETag are the file's own.
const KEPT: [HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_DISPOSITION, CACHE_CONTROL, EXPIRES, ACCEPT_RANGES, SET_COOKIE];

/// What goes with the reply that is sent instead.
#[derive(Debug, Default)]
pub(super) struct Kept {
    headers: HeaderMap,
    charset: Option<HeaderValue>,
    /// Bytes a second; 0: as fast as it goes.
    limit_rate: Option<u64>,
}

impl Kept {
    /// Of a reply that is not sent itself.
    pub(super) fn of(mut headers: HeaderMap, accel: Accel) -> Self {
        let mut kept = HeaderMap::new();
        for name in KEPT {
            if let Entry::Occupied(entry) = headers.entry(name) {
                let (name, values) = entry.remove_entry_mult();
                kept.extend(values.map(|value| (name.clone(), value)));
            }
        }
        Self { headers: kept, charset: accel.charset, limit_rate: accel.limit_rate }
    }

    /// A script that was ordered by another orders a third: what both said counts, the later of two.
    pub(super) fn add(&mut self, later: Self) {
        put(&mut self.headers, later.headers);
        self.charset = later.charset.or(self.charset.take());
        self.limit_rate = later.limit_rate.or(self.limit_rate);
    }

    /// Of an error only the cookies are kept: a page is no attachment, and is not to be cached as long as the file.
    pub(super) fn put_on(mut self, response: &mut Response<Body>) {
        let status = response.status();
        let headers = response.headers_mut();
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            self.headers = cookies(self.headers);
        } else if status == StatusCode::NOT_MODIFIED {
            self.headers.remove(CONTENT_TYPE);
        }
        let mut own = std::mem::replace(headers, self.headers);
        // Of a file the script knows better what it is; another script has heard of neither.
        let parts = own.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"multipart/"));
        if matches!(response.body(), Body::File(_)) && !parts && response.headers().contains_key(CONTENT_TYPE)
        {
            own.remove(CONTENT_TYPE);
        }
        put(response.headers_mut(), own);
        obey(response, self.charset, self.limit_rate);
    }
}

/// Names of `later` replace those of `to`, but for cookies, of which each counts.
fn put(to: &mut HeaderMap, later: HeaderMap) {
    let mut current: Option<HeaderName> = None;
    for (name, value) in later {
        if let Some(name) = name {
            if name != SET_COOKIE {
                to.remove(&name);
            }
            current = Some(name);
        }
        if let Some(name) = &current {
            to.append(name, value);
        }
    }
}

fn cookies(mut headers: HeaderMap) -> HeaderMap {
    let mut cookies = HeaderMap::new();
    if let Entry::Occupied(entry) = headers.entry(SET_COOKIE) {
        cookies.extend(entry.remove_entry_mult().1.map(|value| (SET_COOKIE, value)));
    }
    cookies
}

/// Follows the orders that are about the reply itself.
pub(super) fn obey(response: &mut Response<Body>, charset: Option<HeaderValue>, limit_rate: Option<u64>) {
    if let Some(charset) = charset {
        set_charset(response.headers_mut(), charset.as_bytes());
    }
    if let Some(rate) = limit_rate.filter(|rate| *rate > 0) {
        let body = std::mem::replace(response.body_mut(), Body::Empty);
        *response.body_mut() = Throttled::body(body, rate);
    }
}

/// In the place of the one that Content-Type names; `off` takes it away. A reply without a type gets none.
fn set_charset(headers: &mut HeaderMap, charset: &[u8]) {
    let Some(media) = headers.get(CONTENT_TYPE) else { return };
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(byte);
    if charset.is_empty() || !charset.iter().all(is_token) {
        return;
    }
    let parts = media.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_charset = |part: &[u8]| part.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"charset="));
    let mut changed: Vec<u8> = parts.filter(|part| !is_charset(part)).collect::<Vec<_>>().join(&b"; "[..]);
    if !charset.eq_ignore_ascii_case(b"off") {
        changed.extend_from_slice(b"; charset=");
        changed.extend_from_slice(charset);
    }
    if let Ok(value) = HeaderValue::try_from(changed) {
        headers.insert(CONTENT_TYPE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut lines: Vec<String> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    const SAID: &[(&str, &str)] = &[
        ("content-type", "application/pdf"),
        ("content-disposition", "attachment"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("cache-control", "private"),
        ("expires", "0"),
        ("accept-ranges", "none"),
        ("last-modified", "yesterday"),
        ("etag", "\"php\""),
        ("x-powered-by", "php"),
        ("content-length", "5"),
    ];

    fn sent_with(status: u16, own: &[(&'static str, &'static str)], body: Body) -> Vec<String> {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = map(own);
        Kept::of(map(SAID), Accel::default()).put_on(&mut response);
        lines(response.headers())
    }

    #[test]
    fn what_nginx_keeps_is_kept_and_nothing_else() {
        let got = sent_with(200, &[("etag", "\"file\"")], Body::Empty);
        let expected = [
            "accept-ranges: none",
            "cache-control: private",
            "content-disposition: attachment",
            "content-type: application/pdf",
            "etag: \"file\"",
            "expires: 0",
            "set-cookie: a=1",
            "set-cookie: b=2",
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn an_error_is_no_attachment_and_not_cached_as_the_file_would_be() {
        let got = sent_with(404, &[("content-type", "text/html"), ("set-cookie", "c=3")], Body::Empty);
        assert_eq!(got, ["content-type: text/html", "set-cookie: a=1", "set-cookie: b=2", "set-cookie: c=3"]);
    }

    #[test]
    fn the_charset_takes_the_place_of_the_one_that_is_named() {
        for (media, charset, expected) in [
            ("text/html", "gbk", "text/html; charset=gbk"),
            ("text/html; charset=UTF-8", "gbk", "text/html; charset=gbk"),
            ("text/html;Charset=UTF-8 ; a=b", "gbk", "text/html; a=b; charset=gbk"),
            ("text/html; charset=UTF-8", "off", "text/html"),
            ("text/html", "x; y=z", "text/html"),
            ("text/html", "", "text/html"),
        ] {
            let mut headers = map(&[("content-type", media)]);
            set_charset(&mut headers, charset.as_bytes());
            assert_eq!(headers[CONTENT_TYPE], expected, "{media} {charset}");
        }
        let mut none = HeaderMap::new();
        set_charset(&mut none, b"utf-8");
        assert!(none.is_empty());
    }
}
