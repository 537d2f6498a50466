//! The parameters that php-fpm gets for a script: nginx's `fastcgi_params`, SCRIPT_FILENAME and PATH_INFO, then every
//! header as `HTTP_*`. How they are put on the wire is `fcgi::params`'s.

use std::io::Cursor;

use http::header::{HOST, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::variables::{separator, write_ip, write_number, write_port, write_remote_user};
use super::{RequestFacts, Scheme, ScriptPlan, os_bytes};

const SERVER_SOFTWARE: &str = concat!("cornac/", env!("CARGO_PKG_VERSION"));

/// Gives every parameter to `sink`, as a name and the pieces of its value, no name twice. Stops at its first error.
///
/// A client can only ever make parameters that start with `HTTP_`, and never HTTP_PROXY, which many a library takes
/// for its own proxy setting (httpoxy, CVE-2016-5385).
pub fn params<E>(
    plan: &ScriptPlan,
    facts: &RequestFacts<'_>,
    sink: &mut impl FnMut(&[u8], &[&[u8]]) -> Result<(), E>,
) -> Result<(), E> {
    let mut give =
        |name: &[u8], value: &[&[u8]]| match plan.params.iter().any(|(own, _)| own.as_bytes() == name) {
            true => Ok(()),
            false => sink(name, value),
        };
    of_script(plan, &mut give)?;
    of_request(plan, facts, &mut give)?;
    of_connection(facts, &mut give)?;
    of_headers(facts, &mut give)?;
    own(plan, sink)
}

fn of_script<E>(plan: &ScriptPlan, give: &mut impl FnMut(&[u8], &[&[u8]]) -> Result<(), E>) -> Result<(), E> {
    let settings = &plan.settings;
    let root = settings.alias.as_ref().unwrap_or(&settings.backend_root);
    give(b"SCRIPT_FILENAME", &[&plan.script_filename])?;
    give(b"SCRIPT_NAME", &[&plan.script_name])?;
    // Empty when there is none, as nginx sends it.
    give(b"PATH_INFO", &[&plan.path_info])?;
    give(b"DOCUMENT_URI", &[&plan.uri])?;
    give(b"DOCUMENT_ROOT", &[os_bytes(root)])
}

fn of_request<E>(
    plan: &ScriptPlan,
    facts: &RequestFacts<'_>,
    give: &mut impl FnMut(&[u8], &[&[u8]]) -> Result<(), E>,
) -> Result<(), E> {
    let content_type = facts.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    give(b"QUERY_STRING", &[&plan.args])?;
    give(b"REQUEST_METHOD", &[facts.method.as_str().as_bytes()])?;
    give(b"CONTENT_TYPE", &[content_type])?;
    let mut length = Short::default();
    write_number(facts.content_length, &mut length.0);
    give(b"CONTENT_LENGTH", &[length.text()])?;
    give(b"REQUEST_URI", &[facts.target.raw])?;
    give(b"SERVER_PROTOCOL", &[facts.protocol().as_bytes()])?;
    give(b"REQUEST_SCHEME", &[facts.scheme.as_str().as_bytes()])?;
    if facts.scheme == Scheme::Https {
        give(b"HTTPS", &[b"on"])?;
    }
    Ok(())
}

fn of_connection<E>(
    facts: &RequestFacts<'_>,
    give: &mut impl FnMut(&[u8], &[&[u8]]) -> Result<(), E>,
) -> Result<(), E> {
    give(b"GATEWAY_INTERFACE", &[b"CGI/1.1"])?;
    give(b"SERVER_SOFTWARE", &[SERVER_SOFTWARE.as_bytes()])?;
    for (address, ip_name, port_name) in [
        (facts.peer, &b"REMOTE_ADDR"[..], &b"REMOTE_PORT"[..]),
        (facts.local, b"SERVER_ADDR", b"SERVER_PORT"),
    ] {
        let (mut ip, mut port) = (Short::default(), Short::default());
        write_ip(address, &mut ip.0);
        write_port(address, &mut port.0);
        give(ip_name, &[ip.text()])?;
        give(port_name, &[port.text()])?;
    }
    let mut user = Vec::new();
    write_remote_user(facts, &mut user);
    give(b"REMOTE_USER", &[&user])?;
    give(b"SERVER_NAME", &[facts.server_name.as_bytes()])?;
    // php refuses to run without it when it was built to be called by a web server only.
    give(b"REDIRECT_STATUS", &[b"200"])
}

fn of_headers<E>(
    facts: &RequestFacts<'_>,
    give: &mut impl FnMut(&[u8], &[&[u8]]) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(authority) = facts.target.authority {
        give(b"HTTP_HOST", &[authority])?;
    }
    let mut headers = facts.headers.iter().peekable();
    while let Some((name, value)) = headers.next() {
        // http::HeaderMap yields the values of one name one after the other.
        let mut values: SmallVec<[&[u8]; 5]> = SmallVec::from_slice(&[value.as_bytes()]);
        while let Some((_, more)) = headers.next_if(|(next, _)| *next == name) {
            values.extend([separator(name), more.as_bytes()]);
        }
        if let Some(param) = param_name(name, facts) {
            give(&param, &values)?;
        }
    }
    Ok(())
}

/// `HTTP_` and the header's name; `None` for names that would alias another's, and for those no client may set.
fn param_name(name: &HeaderName, facts: &RequestFacts<'_>) -> Option<SmallVec<[u8; 64]>> {
    if *name == "proxy" || *name == HOST && facts.target.authority.is_some() {
        return None;
    }
    let mut param = SmallVec::from_slice(b"HTTP_");
    for &byte in name.as_str().as_bytes() {
        match byte {
            b'a'..=b'z' => param.push(byte.to_ascii_uppercase()),
            b'0'..=b'9' => param.push(byte),
            b'-' => param.push(b'_'),
            // `_`, `.` and the other bytes that HTTP allows: php would read some of them as `_`.
            _ => return None,
        }
    }
    Some(param)
}

/// What the configuration adds; of two with one name the later counts.
fn own<E>(plan: &ScriptPlan, sink: &mut impl FnMut(&[u8], &[&[u8]]) -> Result<(), E>) -> Result<(), E> {
    for (place, (name, value)) in plan.params.iter().enumerate() {
        if !plan.params[place + 1..].iter().any(|(later, _)| later == name) {
            sink(name.as_bytes(), &[value])?;
        }
    }
    Ok(())
}

/// A number or an address, written without the heap: an IPv6 address takes 45 bytes at most.
struct Short(Cursor<[u8; 48]>);

impl Default for Short {
    fn default() -> Self {
        Self(Cursor::new([0; 48]))
    }
}

impl Short {
    fn text(&self) -> &[u8] {
        let written = usize::try_from(self.0.position()).unwrap_or_default();
        &self.0.get_ref()[..written]
    }
}
