//! Who the client is behind the proxies that a site trusts
//! (<http://nginx.org/en/docs/http/ngx_http_realip_module.html>, with `real_ip_recursive on`), and what else they are believed:
//! the scheme and the request's name.
//!
//! Proxies add at the right what they have seen, and whatever the client wrote stands at the left. So the list is read from
//! the right as long as those who wrote are trusted, and the first address that is not is the client. What cannot be read
//! ends it: nothing left of that has been written by anybody known.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::{Address, Announced, Label, Scheme, Who};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a site believes, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealIp {
    /// `trusted_proxies`.
    pub trusted: Vec<Who>,
    /// `real_ip_header`; `None`: the PROXY header where the connection has one, else X-Forwarded-For.
    pub source: Option<RealIpSource>,
}

/// Where the client's address stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealIpSource {
    /// X-Forwarded-For, X-Real-IP, or another that holds one address or a list of them.
    Header(HeaderName),
    /// Forwarded (RFC 7239).
    Forwarded,
    /// The connection's PROXY header.
    ProxyProtocol,
}

/// What trusted proxies say of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client; `None`: whoever has the connection.
    pub client: Option<Address>,
    /// How the client talked to them.
    pub scheme: Option<Scheme>,
    /// The request's name.
    pub label: Option<Label>,
}

impl RealIp {
    /// `hop` has the connection; `None` is a unix socket. Nobody who is not trusted is believed anything.
    pub fn origin(
        &self,
        hop: Option<&Address>,
        announced: Option<&Announced>,
        headers: &HeaderMap,
    ) -> Origin {
        if !self.trusts(hop.map(Address::ip)) {
            return Origin::default();
        }
        match (&self.source, announced) {
            // Whoever announces the client in front of its bytes does not touch them: the headers are the client's own.
            (Some(RealIpSource::ProxyProtocol), _) | (None, Some(_)) => {
                Origin { client: announced.and_then(|told| told.source.clone()), ..Origin::default() }
            }
            (Some(RealIpSource::Forwarded), _) => {
                let (client, scheme) = self.of_forwarded(headers);
                Origin { client, scheme, label: label(headers) }
            }
            (Some(RealIpSource::Header(name)), _) => self.of_list(name, headers),
            (None, None) => self.of_list(&X_FORWARDED_FOR, headers),
        }
    }

    fn trusts(&self, ip: Option<IpAddr>) -> bool {
        self.trusted.iter().any(|who| who.fits(ip))
    }

    fn of_list(&self, name: &HeaderName, headers: &HeaderMap) -> Origin {
        let lines = headers.get_all(name).iter().rev();
        let elements = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = None;
        for element in elements.map(<[u8]>::trim_ascii) {
            let Some(told) = address(element) else { break };
            let is_proxy = self.trusts(Some(told.ip()));
            client = Some(told);
            if !is_proxy {
                break;
            }
        }
        Origin { client, scheme: forwarded_proto(headers), label: label(headers) }
    }

    fn of_forwarded(&self, headers: &HeaderMap) -> (Option<Address>, Option<Scheme>) {
        let mut found = (None, None);
        for line in headers.get_all(FORWARDED).iter().rev() {
            let Some(elements) = forwarded::elements(line.as_bytes()) else { return found };
            for element in elements.iter().rev() {
                let Some(told) = element.client.as_deref().and_then(|text| address(text.as_bytes())) else {
                    return found;
                };
                let is_proxy = self.trusts(Some(told.ip()));
                found = (Some(told), element.scheme);
                if !is_proxy {
                    return found;
                }
            }
        }
        found
    }
}

/// An address, maybe with a port; `None` for `unknown`, for names, and for whatever else is none.
fn address(text: &[u8]) -> Option<Address> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Address::without_port(ip));
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(Address::from(socket));
    }
    let bare = text.strip_prefix('[')?.strip_suffix(']')?;
    bare.parse().ok().filter(IpAddr::is_ipv6).map(Address::without_port)
}

/// The last word: the trusted proxy's own, if it adds rather than replaces.
fn forwarded_proto(headers: &HeaderMap) -> Option<Scheme> {
    let line = headers.get_all(X_FORWARDED_PROTO).iter().next_back()?;
    scheme(line.as_bytes().rsplit(|byte| *byte == b',').next()?.trim_ascii())
}

fn scheme(word: &[u8]) -> Option<Scheme> {
    match word {
        _ if word.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
        _ if word.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
        _ => None,
    }
}

fn label(headers: &HeaderMap) -> Option<Label> {
    headers.get(X_REQUEST_ID).map(HeaderValue::as_bytes).and_then(Label::given)
}

/// RFC 7239 §4: `for=192.0.2.43;proto=https, for="[2001:db8::1]:4711"`.
mod forwarded {
    use super::{Scheme, SmallVec};

    /// What one proxy wrote.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub(super) struct Element {
        pub(super) client: Option<String>,
        pub(super) scheme: Option<Scheme>,
    }

    /// `None`: it is not written as it must be, and who wrote which part cannot be told.
    pub(super) fn elements(mut rest: &[u8]) -> Option<SmallVec<[Element; 4]>> {
        let mut elements = SmallVec::new();
        let mut current = Element::default();
        loop {
            rest = rest.trim_ascii_start();
            if !matches!(rest.first(), None | Some(b',' | b';')) {
                rest = pair(rest, &mut current)?.trim_ascii_start();
            }
            match rest.split_first() {
                None => {
                    elements.push(current);
                    return Some(elements);
                }
                Some((b';', after)) => rest = after,
                Some((b',', after)) => {
                    elements.push(std::mem::take(&mut current));
                    rest = after;
                }
                Some(_) => return None,
            }
        }
    }

    fn pair<'a>(rest: &'a [u8], element: &mut Element) -> Option<&'a [u8]> {
        let (name, rest) = token(rest)?;
        let (value, rest) = value(rest.strip_prefix(b"=")?)?;
        match name {
            _ if name.eq_ignore_ascii_case(b"for") => element.client = Some(value),
            _ if name.eq_ignore_ascii_case(b"proto") => element.scheme = super::scheme(value.as_bytes()),
            _ => {}
        }
        Some(rest)
    }

    fn token(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        // More than RFC 9110's tchar: many write `for=192.0.2.1:80` and `host=a:80` without the quotes they would need.
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]/".contains(byte);
        let end = bytes.iter().position(|byte| !is_token(byte)).unwrap_or(bytes.len());
        (end > 0).then(|| bytes.split_at(end))
    }

    fn value(bytes: &[u8]) -> Option<(String, &[u8])> {
        let Some(mut rest) = bytes.strip_prefix(b"\"") else {
            let (value, rest) = token(bytes)?;
            return Some((str::from_utf8(value).ok()?.to_owned(), rest));
        };
        let mut text = Vec::new();
        loop {
            match rest.split_first()? {
                (b'"', after) => return Some((String::from_utf8(text).ok()?, after)),
                (b'\\', after) => {
                    let (escaped, after) = after.split_first()?;
                    text.push(*escaped);
                    rest = after;
                }
                (byte, after) => {
                    text.push(*byte);
                    rest = after;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:4000";

    fn rule(source: Option<RealIpSource>) -> RealIp {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48", "unix:"];
        RealIp { trusted: trusted.iter().map(|who| Who::parse(who).unwrap()).collect(), source }
    }

    fn header(name: &'static str) -> Option<RealIpSource> {
        Some(RealIpSource::Header(HeaderName::from_static(name)))
    }

    fn origin(source: Option<RealIpSource>, hop: Option<&str>, headers: &[(&'static str, &str)]) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let hop = hop.map(|hop| Address::from(hop.parse::<SocketAddr>().unwrap()));
        rule(source).origin(hop.as_ref(), None, &map)
    }

    /// The client's address and port; empty: it is the hop.
    fn client(source: Option<RealIpSource>, headers: &[(&'static str, &str)]) -> String {
        let client = origin(source, Some(PROXY), headers).client;
        client.map_or(String::new(), |client| {
            format!("{} {}", Address::ip_text(Some(&client)), Address::port_text(Some(&client)))
        })
    }

    #[test]
    fn the_first_address_from_the_right_that_is_no_proxy_is_the_client() {
        for (list, expected) in [
            ("203.0.113.7", "203.0.113.7 "),
            ("1.1.1.1, 203.0.113.7", "203.0.113.7 "),
            ("1.1.1.1, 203.0.113.7, 10.0.0.9", "203.0.113.7 "),
            ("203.0.113.7,10.0.0.9 ,  10.0.0.8", "203.0.113.7 "),
            ("10.0.0.9, 10.0.0.8", "10.0.0.9 "),
            ("203.0.113.7:4711", "203.0.113.7 4711"),
            ("[2001:db8::7]:4711", "2001:db8::7 4711"),
            ("[2001:db8::7]", "2001:db8::7 "),
            ("2001:db8::7, 2001:db8:1::1", "2001:db8::7 "),
            ("::ffff:203.0.113.7, ::ffff:10.0.0.2", "::ffff:203.0.113.7 "),
        ] {
            assert_eq!(client(None, &[("x-forwarded-for", list)]), expected, "{list}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [("x-forwarded-for", "1.1.1.1, 203.0.113.7"), ("x-forwarded-for", "10.0.0.9")];
        assert_eq!(client(None, &lines), "203.0.113.7 ");
    }

    #[test]
    fn what_cannot_be_read_ends_the_list() {
        for (list, expected) in [
            ("", ""),
            ("unknown", ""),
            ("203.0.113.7, unknown", ""),
            ("203.0.113.7, bad, 10.0.0.9", "10.0.0.9 "),
            ("203.0.113.7,,10.0.0.9", "10.0.0.9 "),
            ("203.0.113.7,", ""),
            ("203.0.113.256", ""),
            ("203.0.113.7:99999", ""),
            ("203.0.113.7\u{e4}", ""),
            ("[203.0.113.7]", ""),
            ("fe80::1%eth0", ""),
            ("0x7f.1", ""),
        ] {
            assert_eq!(client(None, &[("x-forwarded-for", list)]), expected, "{list}");
        }
    }

    #[test]
    fn nobody_who_is_not_trusted_is_believed_anything() {
        let all = [
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=203.0.113.7;proto=https"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "theirs"),
        ];
        for source in [None, header("x-forwarded-for"), Some(RealIpSource::Forwarded)] {
            assert_eq!(origin(source.clone(), Some("192.0.2.1:1"), &all), Origin::default());
            assert_ne!(
                origin(source.clone(), None, &all),
                Origin::default(),
                "a unix socket is trusted here"
            );
            assert_ne!(origin(source, Some(PROXY), &all), Origin::default());
        }
    }

    #[test]
    fn a_header_of_any_name_will_do() {
        let lines = [("x-real-ip", "203.0.113.7"), ("x-forwarded-for", "203.0.113.8")];
        assert_eq!(client(header("x-real-ip"), &lines), "203.0.113.7 ");
        assert_eq!(client(header("cf-connecting-ip"), &lines), "");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let of = |line: &str| {
            let Origin { client, scheme, .. } =
                origin(Some(RealIpSource::Forwarded), Some(PROXY), &[("forwarded", line)]);
            (Address::ip_text(client.as_ref()).to_owned(), scheme)
        };
        let (https, none) = (Some(Scheme::Https), "unix:".to_owned());
        for (line, expected) in [
            ("for=203.0.113.7", ("203.0.113.7".to_owned(), None)),
            ("For=\"203.0.113.7:4711\"; Proto=HTTPS; by=10.0.0.1", ("203.0.113.7".to_owned(), https)),
            ("for=\"[2001:db8::7]:4711\";proto=https", ("2001:db8::7".to_owned(), https)),
            ("for=1.1.1.1;proto=http, for=203.0.113.7;proto=https", ("203.0.113.7".to_owned(), https)),
            ("for=203.0.113.7;proto=https, for=10.0.0.9;proto=http", ("203.0.113.7".to_owned(), https)),
            ("for=203.0.113.7;host=\"a, b;for=6.6.6.6\"", ("203.0.113.7".to_owned(), None)),
            ("for=\"203.0.113.\\7\"", ("203.0.113.7".to_owned(), None)),
            ("for=203.0.113.7, for=_hidden", (none.clone(), None)),
            ("for=203.0.113.7, for=unknown", (none.clone(), None)),
            ("for=203.0.113.7, proto=https", (none.clone(), None)),
            ("for=203.0.113.7, for=\"10.0.0.9", (none.clone(), None)),
            ("for=203.0.113.7 for=10.0.0.9", (none.clone(), None)),
            ("203.0.113.7", (none.clone(), None)),
            ("", (none, None)),
        ] {
            assert_eq!(of(line), expected, "{line}");
        }
    }

    #[test]
    fn the_scheme_is_the_last_proxy_s_word() {
        for (lines, expected) in [
            (&["https"][..], Some(Scheme::Https)),
            (&["HTTP"], Some(Scheme::Http)),
            (&["https, http"], Some(Scheme::Http)),
            (&["http", "https"], Some(Scheme::Https)),
            (&["wss"], None),
            (&[""], None),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-proto", *line)).collect();
            assert_eq!(origin(None, Some(PROXY), &headers).scheme, expected, "{lines:?}");
        }
    }

    #[test]
    fn beside_a_proxy_header_the_others_are_the_client_s_own() {
        let ends = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
        let announced = Announced { source: Some(ends("203.0.113.7:4711")), destination: None };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        headers.insert("x-request-id", HeaderValue::from_static("forged"));
        for source in [None, Some(RealIpSource::ProxyProtocol)] {
            let origin = rule(source.clone()).origin(Some(&ends(PROXY)), Some(&announced), &headers);
            let client = announced.source.clone();
            assert_eq!(origin, Origin { client, ..Origin::default() });
            let nobody =
                rule(source.clone()).origin(Some(&ends(PROXY)), Some(&Announced::default()), &headers);
            assert_eq!(nobody, Origin::default(), "the proxy speaks for itself");
            let stranger = rule(source).origin(Some(&ends("192.0.2.1:1")), Some(&announced), &headers);
            assert_eq!(stranger, Origin::default());
        }
        let told = rule(header("x-forwarded-for")).origin(Some(&ends(PROXY)), Some(&announced), &headers);
        assert_eq!(Address::ip_text(told.client.as_ref()), "6.6.6.6", "where the operator says so");
    }
}
