//! What a script orders its front end to do: the `X-Accel-*` headers of nginx and `X-Sendfile`, which no client sees.
//!
//! <https://nginx.org/en/docs/http/ngx_http_fastcgi_module.html#fastcgi_ignore_headers>. Following the orders is `front`'s.

use http::HeaderValue;

/// The orders of one reply. One that cannot be understood is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accel {
    /// `X-Accel-Buffering: yes|no`. `Some(false)`: pass on every piece at once.
    pub buffering: Option<bool>,
    /// `X-Accel-Redirect`: the internal URI whose reply is sent instead. Not checked in any way.
    pub redirect: Option<HeaderValue>,
    /// `X-Accel-Expires`: seconds, or `@` and a Unix time, for a cache.
    pub expires: Option<HeaderValue>,
    /// `X-Accel-Charset`: added to the Content-Type.
    pub charset: Option<HeaderValue>,
    /// `X-Accel-Limit-Rate`: bytes a second; 0 or `off` lifts a limit.
    pub limit_rate: Option<u64>,
    /// `X-Sendfile`, of other servers: the file's path as php-fpm sees it. Not checked in any way.
    pub sendfile: Option<HeaderValue>,
}

const PREFIX: &[u8] = b"x-accel-";
const SENDFILE: &str = "x-sendfile";

/// Whether a header line of this name is for us and not for the client.
pub(super) fn is_order(name: &str) -> bool {
    name.as_bytes().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        || name.eq_ignore_ascii_case(SENDFILE)
}

impl Accel {
    /// Takes one order down. The first of a name counts, as with nginx; unknown ones are dropped.
    pub(super) fn note(&mut self, name: &str, value: HeaderValue) {
        if name.len() == SENDFILE.len() && name.eq_ignore_ascii_case(SENDFILE) {
            return keep_first(&mut self.sendfile, value);
        }
        match name.as_bytes().get(PREFIX.len()..).unwrap_or_default().to_ascii_lowercase().as_slice() {
            b"buffering" => self.buffering = self.buffering.or_else(|| yes_or_no(value.as_bytes())),
            b"redirect" => keep_first(&mut self.redirect, value),
            b"expires" => keep_first(&mut self.expires, value),
            b"charset" => keep_first(&mut self.charset, value),
            b"limit-rate" => self.limit_rate = self.limit_rate.or_else(|| rate(value.as_bytes())),
            _ => {}
        }
    }
}

fn keep_first(order: &mut Option<HeaderValue>, value: HeaderValue) {
    order.get_or_insert(value);
}

fn yes_or_no(value: &[u8]) -> Option<bool> {
    if value.eq_ignore_ascii_case(b"yes") {
        return Some(true);
    }
    value.eq_ignore_ascii_case(b"no").then_some(false)
}

fn rate(value: &[u8]) -> Option<u64> {
    if value.eq_ignore_ascii_case(b"off") {
        return Some(0);
    }
    super::reply::digits(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(lines: &[(&str, &'static str)]) -> Accel {
        let mut accel = Accel::default();
        for (name, value) in lines {
            assert!(is_order(name));
            accel.note(name, HeaderValue::from_static(value));
        }
        accel
    }

    #[test]
    fn every_order_is_understood_in_any_case() {
        let accel = orders(&[
            ("X-Accel-Buffering", "No"),
            ("x-accel-redirect", "/internal/f.zip"),
            ("X-ACCEL-EXPIRES", "@1700000000"),
            ("X-Accel-Charset", "utf-8"),
            ("X-Accel-Limit-Rate", "1024"),
            ("X-SendFile", "/srv/a"),
        ]);
        assert_eq!(accel.sendfile.as_ref().unwrap(), "/srv/a");
        assert_eq!(accel.buffering, Some(false));
        assert_eq!(accel.redirect.unwrap(), "/internal/f.zip");
        assert_eq!(accel.expires.unwrap(), "@1700000000");
        assert_eq!(accel.charset.unwrap(), "utf-8");
        assert_eq!(accel.limit_rate, Some(1024));
    }

    #[test]
    fn the_first_of_two_equal_orders_counts() {
        let accel = orders(&[("X-Accel-Redirect", "/a"), ("X-Accel-Redirect", "/b")]);
        assert_eq!(accel.redirect.unwrap(), "/a");
    }

    #[test]
    fn what_cannot_be_understood_is_no_order() {
        let accel = orders(&[
            ("X-Accel-Buffering", "maybe"),
            ("X-Accel-Limit-Rate", "-1"),
            ("X-Accel-Unheard-Of", "x"),
        ]);
        assert_eq!(accel, Accel::default());
    }

    #[test]
    fn only_x_accel_names_are_orders() {
        for name in ["X-Sendfile-Type", "X-Accelerator", "X-Accel", "Accel-Redirect", "", "x_accel_redirect"]
        {
            assert!(!is_order(name), "{name}");
        }
    }
}
