//! What a request says, read and checked once: everything behind this file believes it.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version};

use super::heads::Flaw;
use super::notes::Notes;
use super::respond::Refusal;
use crate::route::{Address, Announced, Label, Origin, Plan, RequestFacts, Scheme, Secured, Target};
use crate::site::{ListenerId, Site};
use crate::tls::{Session, Stranger};

/// A longer target is 414. nginx: one of `large_client_header_buffers`, 8 KB.
pub(super) const MAX_TARGET: usize = 8 * 1024;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where it was accepted.
    pub listener: ListenerId,
    /// Its address, or its proxy's; none over a unix socket.
    pub peer: Option<Address>,
    /// What the proxy says of it in front of its bytes, where the listener asks for that.
    pub announced: Option<Box<Announced>>,
    /// The address it came to; none over a unix socket.
    pub local: Option<Arc<Address>>,
    /// What its handshake came to; `None`: it speaks in clear text.
    pub session: Option<Arc<Session>>,
    /// What the connection's parts tell each other.
    pub notes: Notes,
}

impl Client {
    /// What the site may know of the connection; `None` where it is in clear text.
    ///
    /// # Errors
    /// The site wants a certificate that was not shown.
    pub(super) fn secured(&self, site: &Site) -> Result<Option<Secured<'_>>, Refusal> {
        let Some(session) = &self.session else { return Ok(None) };
        session.for_site(site.clients()).map(Some).map_err(Refusal::Stranger)
    }

    /// In clear text nobody shows a certificate: where one is required, such a client is only sent elsewhere.
    pub(super) fn is_let_in(&self, site: &Site, plan: &Plan<'_>) -> Result<(), Refusal> {
        let required = site.clients().is_some_and(|clients| clients.required);
        match self.session.is_none() && required && !matches!(plan, Plan::Redirect(_)) {
            true => Err(Refusal::Stranger(Stranger::NoCertificate)),
            false => Ok(()),
        }
    }
}

/// A request's head, checked.
#[derive(Debug)]
pub(super) struct Head<'a> {
    parts: &'a Parts,
    target: Target<'a>,
    host: Cow<'a, str>,
    content_length: Option<u64>,
}

impl<'a> Head<'a> {
    /// Reads and checks, unless a flaw was seen that the parser passed over.
    ///
    /// # Errors
    /// 400, 405 or 414: such a request never reaches a site.
    pub(super) fn read(parts: &'a Parts, flaw: Option<Flaw>) -> Result<Self, Refusal> {
        if let Some(flaw) = flaw {
            return Err(Refusal::BadRequest(flaw.reason()));
        }
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Refusal::Method);
        }
        let raw = parts.uri.path_and_query().map_or("*", |target| target.as_str());
        if raw.len() > MAX_TARGET {
            return Err(Refusal::TargetTooLong);
        }
        let content_length = framing(parts)?;
        let host = lower(rootless(host(parts)?));
        let mut target = Target::parse(raw.as_bytes())?;
        if parts.version == Version::HTTP_2 {
            // It is HTTP_HOST, wherever else a Host stands. (Over HTTP/1.1 that is the header, as with nginx.)
            target.authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        }
        Ok(Self { parts, target, host, content_length })
    }

    /// Lower case, without its port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// What the site may know of the request.
    pub(super) fn facts<'b>(
        &'b self,
        client: &'b Client,
        (tls, origin): (Option<&'b Secured<'b>>, Option<&'b Origin>),
        server_name: &'b str,
        request_id: Label,
    ) -> RequestFacts<'b> {
        let told = origin.and_then(|origin| origin.client.as_ref());
        let spoken = if tls.is_some() { Scheme::Https } else { Scheme::Http };
        RequestFacts {
            method: &self.parts.method,
            version: self.parts.version,
            target: &self.target,
            host: &self.host,
            headers: &self.parts.headers,
            scheme: origin.and_then(|origin| origin.scheme).unwrap_or(spoken),
            tls,
            peer: told.or(client.peer.as_ref()),
            hop: client.peer.as_ref(),
            announced: client.announced.as_deref(),
            local: client.local.as_deref(),
            server_name,
            content_length: self.content_length,
            request_id,
            user: None,
        }
    }
}

fn lower(host: &str) -> Cow<'_, str> {
    match host.bytes().any(|c| c.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

/// RFC 9112 §6.1: both lengths at once is an attempt to smuggle. hyper has checked each by itself, and `heads` what hyper passes over.
fn framing(head: &Parts) -> Result<Option<u64>, Refusal> {
    let length = head.headers.get(CONTENT_LENGTH);
    let coded = head.headers.get(TRANSFER_ENCODING);
    if length.is_none() && coded.is_none() {
        return Ok(None);
    }
    let lengths = head.headers.get_all(CONTENT_LENGTH).iter().count();
    let codings = head.headers.get_all(TRANSFER_ENCODING).iter().count();
    // hyper decodes `chunked` and passes over whatever stands before it: php would get a body that is still coded.
    if coded.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) || codings > 1 {
        return Err(Refusal::BadRequest("a transfer coding other than chunked"));
    }
    if lengths > 1 || coded.is_some() && (lengths > 0 || head.version == Version::HTTP_10) {
        return Err(Refusal::BadRequest("the length of the body is ambiguous"));
    }
    let Some(length) = length else { return Ok(None) };
    let text = length.to_str().map_err(|_| Refusal::BadRequest("Content-Length is no number"))?;
    text.parse().map(Some).map_err(|_| Refusal::BadRequest("Content-Length is no number"))
}

/// The host without its port (RFC 9112 §3.2): exactly one, and one in the target wins over the header.
fn host(head: &Parts) -> Result<&str, Refusal> {
    let mut named = head.headers.get_all(HOST).iter();
    let header = named.next();
    if named.next().is_some() {
        return Err(Refusal::BadRequest("two Hosts"));
    }
    // RFC 9112 §3.2.2: also beside a target that names one.
    if header.is_none() && head.version == Version::HTTP_11 {
        return Err(Refusal::BadRequest("no Host"));
    }
    if let Some(authority) = head.uri.authority() {
        // RFC 9113 §8.3.1: over HTTP/2 the two say the same, or one of them lies.
        if head.version == Version::HTTP_2 && header.is_some_and(|header| header != authority.as_str()) {
            return Err(Refusal::BadRequest("Host is not :authority"));
        }
        // Nobody's name and password belong there either.
        return without_port(authority.as_str()).ok_or(Refusal::BadRequest("the target's host is no host"));
    }
    if header.is_none() && head.version > Version::HTTP_11 {
        return Err(Refusal::BadRequest("no Host"));
    }
    let Some(header) = header else { return Ok("") };
    let text = header.to_str().map_err(|_| Refusal::BadRequest("Host is not ASCII"))?;
    without_port(text).ok_or(Refusal::BadRequest("Host is no host"))
}

/// `example.com.` is `example.com`, as with nginx: else its clients would meet the default site.
fn rootless(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// `None` for what cannot be a host, such as one with a slash or a user in it, or with nothing between two dots: whoever
/// makes a path of `$host` must not meet `..`.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match memchr::memrchr(b':', host.as_bytes()) {
        Some(at) if !host.as_bytes()[at..].contains(&b']') => (&host[..at], &host[at + 1..]),
        _ => (host, ""),
    };
    let has_empty_label = name.starts_with('.') || name.as_bytes().windows(2).any(|pair| pair == b"..");
    let fits = name.bytes().all(|byte| OF_HOSTS[usize::from(byte)])
        && !has_empty_label
        && port.bytes().all(|c| c.is_ascii_digit());
    fits.then_some(name)
}

/// What a host is made of (RFC 3986 §3.2.2): a table, for each byte of every request's host is looked up.
const OF_HOSTS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=[]:%";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(version: Version, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = http::Request::builder().version(version).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("valid").into_parts().0
    }

    #[test]
    fn a_host_loses_its_port_and_nothing_else() {
        for (host, name) in [
            ("example.com", Some("example.com")),
            ("example.com:8080", Some("example.com")),
            ("[::1]:8080", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("a/b", None),
            ("a:b", None),
            ("a b", None),
            ("user@host", None),
            ("a.b.", Some("a.b.")),
            (".", None),
            ("..", None),
            ("a..b", None),
            ("a..", None),
            (".a", None),
        ] {
            assert_eq!(without_port(host), name, "{host}");
        }
    }

    #[test]
    fn one_request_has_one_host() {
        let read_host = |headers| host(&parts(Version::HTTP_11, headers)).map(str::to_owned);
        assert_eq!(read_host(&[("host", "a")]).expect("one"), "a");
        assert!(read_host(&[]).is_err());
        let mut absolute = parts(Version::HTTP_11, &[]);
        absolute.uri = "http://a.example/".parse().expect("a target");
        assert!(host(&absolute).is_err(), "1.1 has a Host, whatever its target says");
        assert!(read_host(&[("host", "a"), ("host", "a")]).is_err());
        assert_eq!(host(&parts(Version::HTTP_10, &[])).expect("1.0 needs none"), "");
    }

    #[test]
    fn the_host_of_a_target_is_held_to_the_same() {
        for (target, name) in [
            ("http://a.example:8080/", Some("a.example")),
            ("http://[::1]/", Some("[::1]")),
            ("http://somebody@a.example/", None),
            ("http://somebody:secret@a.example/", None),
            ("http://a.example:8o/", None),
            ("http://a..example/", None),
        ] {
            let Ok(uri) = target.parse::<http::Uri>() else {
                assert_eq!(name, None, "{target}");
                continue;
            };
            let mut parts = parts(Version::HTTP_11, &[("host", "a.example")]);
            parts.uri = uri;
            assert_eq!(host(&parts).ok(), name, "{target}");
        }
    }

    #[test]
    fn a_host_that_names_the_root_is_the_same_host() {
        for host in ["example.com.", "Example.COM.:80", "example.com"] {
            let parts = parts(Version::HTTP_11, &[("host", host)]);
            assert_eq!(Head::read(&parts, None).expect("a host").host(), "example.com", "{host}");
        }
    }

    #[test]
    fn an_ambiguous_length_is_refused() {
        for headers in [
            &[("content-length", "3"), ("content-length", "3")][..],
            &[("content-length", "3"), ("transfer-encoding", "chunked")],
            &[("content-length", "+3"), ("content-length", "3")],
            &[("content-length", "99999999999999999999")],
        ] {
            assert!(framing(&parts(Version::HTTP_11, headers)).is_err(), "{headers:?}");
        }
        assert!(framing(&parts(Version::HTTP_10, &[("transfer-encoding", "chunked")])).is_err());
    }

    #[test]
    fn chunked_once_is_the_only_transfer_coding() {
        let coded = |headers: &[(&'static str, &'static str)]| framing(&parts(Version::HTTP_11, headers));
        assert!(coded(&[("transfer-encoding", "Chunked")]).is_ok());
        for coding in ["gzip, chunked", "chunked, chunked", "identity", "chunked;q=1", ""] {
            assert!(coded(&[("transfer-encoding", coding)]).is_err(), "{coding}");
        }
        assert!(coded(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]).is_err());
    }
}
