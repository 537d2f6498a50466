//! Headers that cornac adds to a reply: `headers` and `expires` of a route, and its own name.

use std::time::{Duration, SystemTime};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, LAST_MODIFIED, SERVER, STRICT_TRANSPORT_SECURITY};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::route::{Expires, RequestFacts, Scheme, Settings, Variables};

/// nginx's `expires max`: ten years, and a date that every client can read.
const MAX_AGE: HeaderValue = HeaderValue::from_static("max-age=315360000");
const MAX_EXPIRES: HeaderValue = HeaderValue::from_static("Thu, 31 Dec 2037 23:55:55 GMT");
const EPOCH: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:01 GMT");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// <https://www.w3.org/TR/server-timing/>: browsers show it beside their own times.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The name, unless the reply names somebody already.
pub(super) fn add_server<B>(response: &mut Response<B>) {
    response.headers_mut().entry(SERVER).or_insert(HeaderValue::from_static("cornac"));
}

/// That the site is reached over TLS only, said where it can be believed (RFC 6797 §7.2).
pub(super) fn add_hsts<B>(response: &mut Response<B>, hsts: Option<&HeaderValue>, facts: &RequestFacts<'_>) {
    if let (Some(hsts), Scheme::Https) = (hsts, facts.scheme) {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// The route's own headers, on the statuses on which nginx's `add_header` and `expires` work; or on all, where the rule says so.
pub(super) fn add<B>(response: &mut Response<B>, settings: &Settings, facts: &RequestFacts<'_>) {
    if settings.headers.is_empty() && settings.expires.is_none() {
        return;
    }
    let decorated = is_decorated(response.status());
    let expiry = settings.expires.as_deref().filter(|_| decorated);
    if let Some(expires) = expiry.and_then(|expiry| expiry.of(response.headers().get(CONTENT_TYPE))) {
        add_expires(response, expires, SystemTime::now());
    }
    let variables = Variables::new(facts, settings);
    for rule in settings.headers.iter().filter(|rule| decorated || rule.always) {
        // A value that no header can carry (a newline in a client's text) is left out.
        let Ok(value) = HeaderValue::from_bytes(&rule.value.expand(&variables)) else { continue };
        match rule.replace {
            true => drop(response.headers_mut().insert(&rule.name, value)),
            false => drop(response.headers_mut().append(&rule.name, value)),
        }
    }
}

/// nginx: 200, 201, 204, 206, 301, 302, 303, 304, 307, 308.
fn is_decorated(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 201 | 204 | 206 | 301..=304 | 307 | 308)
}

fn add_expires<B>(response: &mut Response<B>, expires: Expires, now: SystemTime) {
    let (date, control) = match expires {
        Expires::Epoch => (EPOCH, NO_CACHE),
        Expires::Max => (MAX_EXPIRES, MAX_AGE),
        Expires::Seconds(seconds) => ending(now, seconds, now),
        Expires::Daily(second) => ending(now, until(second, now, &TimeZone::system()), now),
        Expires::Modified(seconds) => ending(last_modified(response).unwrap_or(now), seconds, now),
    };
    // As nginx: what the operator says of the place is over what a script says of itself.
    response.headers_mut().insert(EXPIRES, date);
    response.headers_mut().insert(CACHE_CONTROL, control);
}

/// So many seconds after `from`. What is to be over at once, or is already, is not to be cached.
fn ending(from: SystemTime, seconds: i64, now: SystemTime) -> (HeaderValue, HeaderValue) {
    let span = Duration::from_secs(seconds.unsigned_abs());
    let end = if seconds < 0 { from.checked_sub(span) } else { from.checked_add(span) };
    let age = end.and_then(|end| end.duration_since(now).ok()).filter(|_| seconds >= 0);
    let control = age.and_then(|age| HeaderValue::try_from(format!("max-age={}", age.as_secs())).ok());
    (date(end), control.unwrap_or(NO_CACHE))
}

/// Seconds until the clocks of that zone show this second of the day.
fn until(second: u32, now: SystemTime, zone: &TimeZone) -> i64 {
    let next = || -> Result<i64, jiff::Error> {
        let now = Timestamp::try_from(now)?.to_zoned(zone.clone());
        let time = Time::midnight().checked_add(SignedDuration::from_secs(second.into()))?;
        let today = now.date().to_datetime(time).to_zoned(zone.clone())?;
        let next = match today > now {
            true => today,
            false => now.date().tomorrow()?.to_datetime(time).to_zoned(zone.clone())?,
        };
        Ok(next.timestamp().as_second() - now.timestamp().as_second())
    };
    // In the year 9999.
    next().unwrap_or(0)
}

fn last_modified<B>(response: &Response<B>) -> Option<SystemTime> {
    let line = response.headers().get(LAST_MODIFIED)?.to_str().ok()?;
    httpdate::parse_http_date(line).ok()
}

fn date(time: Option<SystemTime>) -> HeaderValue {
    let text = time.map(httpdate::fmt_http_date);
    text.and_then(|text| HeaderValue::try_from(text).ok()).unwrap_or(EPOCH)
}

/// How long the request waited for a worker, in milliseconds, beside what php says of its own times.
pub(super) fn tell_queue_time<B>(response: &mut Response<B>, queued: Duration) {
    let milliseconds = queued.as_secs_f64() * 1e3;
    let value = HeaderValue::try_from(format!("queue;dur={milliseconds:.3}"))
        .expect("a number is made of visible characters");
    response.headers_mut().append(SERVER_TIMING, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_is_today_s_or_tomorrow_s() {
        // 01:46:40 in UTC, 03:46:40 in this zone.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let hour = |hours: i64| hours * 3_600;
        assert_eq!(until(hour(4) as u32, now, &zone), hour(4) - (hour(3) + 46 * 60 + 40));
        assert_eq!(until(hour(3) as u32, now, &zone), hour(24 + 3) - (hour(3) + 46 * 60 + 40));
        assert_eq!(until(hour(2) as u32, now, &TimeZone::UTC), 13 * 60 + 20);
    }

    #[test]
    fn expires_says_it_in_both_headers() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (expires, date, control) in [
            (Expires::Epoch, "Thu, 01 Jan 1970 00:00:01 GMT", "no-cache"),
            (Expires::Max, "Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000"),
            (Expires::Seconds(60), "Sun, 09 Sep 2001 01:47:40 GMT", "max-age=60"),
            (Expires::Seconds(-60), "Sun, 09 Sep 2001 01:45:40 GMT", "no-cache"),
            (Expires::Seconds(0), "Sun, 09 Sep 2001 01:46:40 GMT", "max-age=0"),
            (Expires::Modified(3_600), "Sun, 09 Sep 2001 02:00:00 GMT", "max-age=800"),
            (Expires::Modified(60), "Sun, 09 Sep 2001 01:01:00 GMT", "no-cache"),
            (Expires::Modified(-60), "Sun, 09 Sep 2001 00:59:00 GMT", "no-cache"),
        ] {
            let mut response = Response::new(());
            let modified = HeaderValue::from_static("Sun, 09 Sep 2001 01:00:00 GMT");
            response.headers_mut().insert(LAST_MODIFIED, modified);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private"));
            add_expires(&mut response, expires, now);
            assert_eq!(response.headers()[EXPIRES], date, "{expires:?}");
            assert_eq!(response.headers()[CACHE_CONTROL], control, "{expires:?}");
        }
    }
}
