//! The parameters that php-fpm gets for a script: nginx's `fastcgi_params`, SCRIPT_FILENAME and PATH_INFO, then every
//! header as `HTTP_*`. How they are put on the wire is `fcgi::params`'s.

use http::header::{HOST, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::split::as_backend_sees;
use super::variables::separator;
use super::{Address, RequestFacts, Scheme, ScriptPlan, Secured, SslVariable, os_bytes};

const SERVER_SOFTWARE: &str = concat!("cornac/", env!("CARGO_PKG_VERSION"));

/// Takes parameters: the request's encoder, or whoever shows them. A closure over name and pieces is one too.
pub trait Sink<E> {
    /// A parameter, its value in pieces.
    ///
    /// # Errors
    /// It cannot be taken, and no more will be given.
    fn pieces(&mut self, name: &[u8], value: &[&[u8]]) -> Result<(), E>;

    /// A parameter in one piece, as nearly all are.
    ///
    /// # Errors
    /// As [`pieces`](Self::pieces).
    fn whole(&mut self, name: &[u8], value: &[u8]) -> Result<(), E> {
        self.pieces(name, &[value])
    }
}

impl<E, F: FnMut(&[u8], &[&[u8]]) -> Result<(), E>> Sink<E> for F {
    fn pieces(&mut self, name: &[u8], value: &[&[u8]]) -> Result<(), E> {
        self(name, value)
    }
}

/// Gives every parameter to `sink`, no name twice. Stops at its first error.
///
/// A client can only ever make parameters that start with `HTTP_`, and never HTTP_PROXY, which many a library takes
/// for its own proxy setting (httpoxy, CVE-2016-5385).
///
/// # Errors
/// The sink's.
pub fn params<E>(plan: &ScriptPlan<'_>, facts: &RequestFacts<'_>, sink: &mut impl Sink<E>) -> Result<(), E> {
    let mut given = Given { own: &plan.params, sink };
    of_script(plan, facts, &mut given)?;
    of_request(plan, facts, &mut given)?;
    of_connection(facts, &mut given)?;
    of_headers(facts, &mut given)?;
    own(plan, sink)
}

/// What is given by us, unless the configuration gives its own of the name.
struct Given<'a, S> {
    own: &'a [(String, Vec<u8>)],
    sink: &'a mut S,
}

impl<S> Given<'_, S> {
    fn is_overruled(&self, name: &[u8]) -> bool {
        self.own.iter().any(|(own, _)| own.as_bytes() == name)
    }

    // Inlined, the names are constants, and copying one is an instruction or two: a fifth of what a request's parameters cost.
    #[inline(always)]
    fn give<E>(&mut self, name: &[u8], value: &[u8]) -> Result<(), E>
    where
        S: Sink<E>,
    {
        if self.is_overruled(name) { Ok(()) } else { self.sink.whole(name, value) }
    }

    fn give_pieces<E>(&mut self, name: &[u8], value: &[&[u8]]) -> Result<(), E>
    where
        S: Sink<E>,
    {
        if self.is_overruled(name) { Ok(()) } else { self.sink.pieces(name, value) }
    }
}

fn of_script<E>(
    plan: &ScriptPlan<'_>,
    facts: &RequestFacts<'_>,
    given: &mut Given<'_, impl Sink<E>>,
) -> Result<(), E> {
    let settings = &plan.settings;
    // These two first: they are looked up again in what was encoded.
    given.give(b"SCRIPT_FILENAME", &plan.script_filename)?;
    given.give(b"REQUEST_URI", facts.target.raw)?;
    given.give(b"SCRIPT_NAME", &plan.script_name)?;
    // Empty when there is none, as nginx sends it.
    given.give(b"PATH_INFO", &plan.path_info)?;
    given.give(b"DOCUMENT_URI", &plan.uri)?;
    match &settings.alias {
        Some(alias) => given.give_pieces(b"DOCUMENT_ROOT", &as_backend_sees(settings, os_bytes(alias))),
        None => given.give(b"DOCUMENT_ROOT", os_bytes(&settings.backend_root)),
    }
}

fn of_request<E>(
    plan: &ScriptPlan<'_>,
    facts: &RequestFacts<'_>,
    given: &mut Given<'_, impl Sink<E>>,
) -> Result<(), E> {
    let content_type = facts.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let length = facts.content_length.map(|length| length.to_string()).unwrap_or_default();
    given.give(b"QUERY_STRING", &plan.args)?;
    given.give(b"REQUEST_METHOD", facts.method.as_str().as_bytes())?;
    given.give(b"CONTENT_TYPE", content_type)?;
    given.give(b"CONTENT_LENGTH", length.as_bytes())?;
    given.give(b"SERVER_PROTOCOL", facts.protocol().as_bytes())?;
    given.give(b"REQUEST_SCHEME", facts.scheme.as_str().as_bytes())?;
    if facts.scheme == Scheme::Https {
        given.give(b"HTTPS", b"on")?;
    }
    match facts.tls {
        Some(tls) => of_tls(tls, given),
        None => Ok(()),
    }
}

fn of_tls<E>(tls: &Secured<'_>, given: &mut Given<'_, impl Sink<E>>) -> Result<(), E> {
    given.give(b"SSL_PROTOCOL", tls.protocol.as_bytes())?;
    given.give(b"SSL_CIPHER", tls.cipher.as_bytes())?;
    for (name, variable) in SslVariable::OF_CLIENT {
        if let Some(value) = tls.value(variable) {
            given.give(name, value.as_bytes())?;
        }
    }
    Ok(())
}

fn of_connection<E>(facts: &RequestFacts<'_>, given: &mut Given<'_, impl Sink<E>>) -> Result<(), E> {
    given.give(b"GATEWAY_INTERFACE", b"CGI/1.1")?;
    given.give(b"SERVER_SOFTWARE", SERVER_SOFTWARE.as_bytes())?;
    given.give(b"REMOTE_ADDR", Address::ip_text(facts.peer).as_bytes())?;
    given.give(b"REMOTE_PORT", Address::port_text(facts.peer).as_bytes())?;
    given.give(b"SERVER_ADDR", Address::ip_text(facts.local).as_bytes())?;
    given.give(b"SERVER_PORT", Address::port_text(facts.local).as_bytes())?;
    given.give(b"SERVER_NAME", facts.server_name.as_bytes())?;
    if let Some(user) = facts.user {
        given.give(b"REMOTE_USER", user.as_bytes())?;
        given.give(b"AUTH_TYPE", b"Basic")?;
    }
    // php refuses to run without it when it was built to be called by a web server only.
    given.give(b"REDIRECT_STATUS", b"200")
}

fn of_headers<E>(facts: &RequestFacts<'_>, given: &mut Given<'_, impl Sink<E>>) -> Result<(), E> {
    facts.request_id.with_text(|id| given.give(b"HTTP_X_REQUEST_ID", id))?;
    if let Some(authority) = facts.target.authority {
        given.give(b"HTTP_HOST", authority)?;
    }
    let mut headers = facts.headers.iter().peekable();
    while let Some((name, value)) = headers.next() {
        // http::HeaderMap yields the values of one name one after the other.
        let mut values: SmallVec<[&[u8]; 5]> = SmallVec::from_slice(&[value.as_bytes()]);
        while let Some((_, more)) = headers.next_if(|(next, _)| *next == name) {
            values.extend([separator(name), more.as_bytes()]);
        }
        if let Some(param) = param_name(name, facts) {
            given.give_pieces(&param, &values)?;
        }
    }
    Ok(())
}

/// `HTTP_` and the header's name; `None` for names that would alias another's, and for those no client may set.
fn param_name(name: &HeaderName, facts: &RequestFacts<'_>) -> Option<SmallVec<[u8; 64]>> {
    if *name == HOST && facts.target.authority.is_some() {
        return None;
    }
    let name = name.as_str().as_bytes();
    if is_forbidden(name) {
        return None;
    }
    let mut param = SmallVec::from_elem(0, PREFIX.len() + name.len());
    let (prefix, rest) = param.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    let mut is_sound = true;
    for (to, byte) in rest.iter_mut().zip(name) {
        *to = IN_PARAMS[usize::from(*byte)];
        is_sound &= *to != NOWHERE;
    }
    is_sound.then_some(param)
}

fn is_forbidden(name: &[u8]) -> bool {
    match name {
        b"proxy" => true,
        // A trusted proxy's is `request_id` already; anybody else's would be taken for it by whoever reads php's log.
        b"x-request-id" => true,
        // What php learns of its front end: frameworks take it for their leave to hand over any file.
        b"x-sendfile-type" => true,
        _ => name.starts_with(b"x-accel-"),
    }
}

const PREFIX: &[u8] = b"HTTP_";
/// Stands for what no parameter's name has.
const NOWHERE: u8 = 0;
/// A byte of a header's name, which is in lower case, as it stands in the parameter's. `_`, `.` and the other bytes that HTTP allows
/// are nowhere: php would read some of them as `_`.
static IN_PARAMS: [u8; 256] = {
    let mut bytes = [NOWHERE; 256];
    let mut byte = 0;
    while byte < bytes.len() {
        bytes[byte] = match byte as u8 {
            b'-' => b'_',
            letter @ b'a'..=b'z' => letter.to_ascii_uppercase(),
            digit @ b'0'..=b'9' => digit,
            _ => NOWHERE,
        };
        byte += 1;
    }
    bytes
};

/// What the configuration adds; of two with one name the later counts.
fn own<E>(plan: &ScriptPlan<'_>, sink: &mut impl Sink<E>) -> Result<(), E> {
    for (place, (name, value)) in plan.params.iter().enumerate() {
        if !plan.params[place + 1..].iter().any(|(later, _)| later == name) {
            sink.whole(name.as_bytes(), value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::rig::{FakeDisk, fastcgi, location, router, template, with_facts};
    use super::super::{FastCgi, Location, NoTrace, Plan, ScriptSource};
    use super::*;

    type Pairs = Vec<(String, String)>;

    fn site(extra: &[(&str, &str)]) -> Location {
        let params = extra.iter().map(|(name, value)| ((*name).to_owned(), template(value))).collect();
        location("/").runs_as(FastCgi { params, ..fastcgi(ScriptSource::OnDisk) })
    }

    fn sent(location: Location, request: &str, headers: &[(&str, &str)]) -> Pairs {
        changed(location, request, headers, |_| {})
    }

    fn changed(
        location: Location,
        request: &str,
        headers: &[(&str, &str)],
        change: impl FnOnce(&mut RequestFacts<'_>),
    ) -> Pairs {
        let disk = FakeDisk::of(&["/www/index.php", "/other/index.php"]);
        let mut pairs = Pairs::new();
        with_facts(request, headers, |facts| {
            let mut facts = *facts;
            change(&mut facts);
            let site = router(vec![location]);
            let Plan::Script(script) = site.plan(&facts, &disk, &mut NoTrace) else { panic!("no script") };
            let done = params::<Infallible>(&script, &facts, &mut |name: &[u8], value: &[&[u8]]| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                pairs.push((text(name), text(&value.concat())));
                Ok(())
            });
            assert_eq!(done, Ok(()));
        });
        pairs
    }

    fn of<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
        pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn the_params_are_those_of_nginx() {
        let pairs = changed(
            site(&[]),
            "POST //index.php/a%20b//c?x=%26",
            &[("host", "Example.com:8080"), ("content-type", "text/plain"), ("content-length", "5")],
            |facts| facts.content_length = Some(5),
        );
        let expected = [
            ("SCRIPT_FILENAME", "/www/index.php"),
            ("REQUEST_URI", "//index.php/a%20b//c?x=%26"),
            ("SCRIPT_NAME", "/index.php"),
            ("PATH_INFO", "/a b/c"),
            ("DOCUMENT_URI", "/index.php/a b/c"),
            ("DOCUMENT_ROOT", "/www"),
            ("QUERY_STRING", "x=%26"),
            ("REQUEST_METHOD", "POST"),
            ("CONTENT_TYPE", "text/plain"),
            ("CONTENT_LENGTH", "5"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REQUEST_SCHEME", "http"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_SOFTWARE", SERVER_SOFTWARE),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_PORT", "4711"),
            ("SERVER_ADDR", "2001:db8::1"),
            ("SERVER_PORT", "8080"),
            ("SERVER_NAME", "www.example.com"),
            ("REDIRECT_STATUS", "200"),
            ("HTTP_X_REQUEST_ID", "00000000000000000123456789abcdef"),
            ("HTTP_HOST", "Example.com:8080"),
            ("HTTP_CONTENT_TYPE", "text/plain"),
            ("HTTP_CONTENT_LENGTH", "5"),
        ];
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn what_is_not_there_is_sent_empty_as_nginx_does() {
        let pairs = sent(site(&[]), "/index.php", &[]);
        for name in ["PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH"] {
            assert_eq!(of(&pairs, name), Some(""), "{name}");
        }
        assert_eq!(of(&pairs, "HTTPS"), None);
    }

    #[test]
    fn https_is_on_over_tls_only() {
        let pairs = changed(site(&[]), "/index.php", &[], |facts| facts.scheme = Scheme::Https);
        assert_eq!((of(&pairs, "HTTPS"), of(&pairs, "REQUEST_SCHEME")), (Some("on"), Some("https")));
    }

    #[test]
    fn an_empty_question_mark_stays_in_the_request_uri() {
        let pairs = sent(site(&[]), "/index.php?", &[]);
        assert_eq!((of(&pairs, "REQUEST_URI"), of(&pairs, "QUERY_STRING")), (Some("/index.php?"), Some("")));
    }

    #[test]
    fn a_client_header_never_becomes_a_param_that_is_not_http() {
        let names = [
            "php-value",
            "php-admin-value",
            "path-translated",
            "redirect-url",
            "request-body-file",
            "https",
            "script-filename",
            "remote-addr",
            "http-x",
            "content-type",
            "auth-type",
        ];
        let headers: Vec<_> = names.iter().map(|name| (*name, "evil")).collect();
        for (name, value) in sent(site(&[]), "/index.php", &headers) {
            assert!(value != "evil" || name.starts_with("HTTP_") || name == "CONTENT_TYPE", "{name}");
        }
    }

    #[test]
    fn http_proxy_is_never_sent() {
        let pairs =
            sent(site(&[]), "/index.php", &[("Proxy", "evil:1"), ("proxy", "evil:2"), ("proxy-x", "fine")]);
        assert_eq!((of(&pairs, "HTTP_PROXY"), of(&pairs, "HTTP_PROXY_X")), (None, Some("fine")));
        assert!(!pairs.iter().any(|(_, value)| value.contains("evil")));
    }

    #[test]
    fn names_that_would_alias_another_are_dropped() {
        let names = ["x_forwarded_for", "x.forwarded.for", "x-forwarded_for", "_x", "x!", "x'y", "x|", "x~"];
        let headers: Vec<_> = names.iter().map(|name| (*name, "evil")).collect();
        let pairs = sent(site(&[]), "/index.php", &headers);
        assert!(!pairs.iter().any(|(_, value)| value == "evil"), "{pairs:?}");
    }

    #[test]
    fn repeated_headers_are_one_param() {
        let headers =
            [("x-a", "1"), ("cookie", "a=1"), ("x-b", "b"), ("x-a", "2"), ("cookie", "b=2"), ("x-a", "3")];
        let pairs = sent(site(&[]), "/index.php", &headers);
        assert_eq!(of(&pairs, "HTTP_X_A"), Some("1, 2, 3"));
        assert_eq!(of(&pairs, "HTTP_COOKIE"), Some("a=1; b=2"));
        assert_eq!(of(&pairs, "HTTP_X_B"), Some("b"));
    }

    #[test]
    fn no_param_is_sent_twice() {
        let headers = [
            ("x-a", "1"),
            ("x-b", "2"),
            ("x-a", "3"),
            ("host", "h"),
            ("x-b", "4"),
            ("x-c", "5"),
            ("x-a", "6"),
        ];
        let extra =
            [("HTTPS", "on"), ("SERVER_NAME", "a"), ("SERVER_NAME", "b"), ("HTTP_X_A", "own"), ("NEW", "n")];
        let pairs = sent(site(&extra), "/index.php", &headers);
        let mut names: Vec<_> = pairs.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), pairs.len(), "{pairs:?}");
    }

    #[test]
    fn an_extra_param_replaces_the_standard_one() {
        let extra = [("SERVER_NAME", "own"), ("HTTP_X_A", "own"), ("PATH_INFO", "$uri"), ("NEW", "$args")];
        let pairs = sent(site(&extra), "/index.php/p?$uri", &[("x-a", "client")]);
        for (name, value) in
            [("SERVER_NAME", "own"), ("HTTP_X_A", "own"), ("PATH_INFO", "/index.php/p"), ("NEW", "$uri")]
        {
            assert_eq!(of(&pairs, name), Some(value), "{name}");
        }
    }

    #[test]
    fn the_host_of_an_absolute_target_overrides_the_header() {
        let pairs = sent(site(&[]), "http://real.example:81/index.php", &[("host", "other.example")]);
        assert_eq!(of(&pairs, "HTTP_HOST"), Some("real.example:81"));
        assert_eq!(of(&pairs, "REQUEST_URI"), Some("/index.php"));
    }

    #[test]
    fn the_document_root_is_the_one_that_php_fpm_sees() {
        let root = |change: fn(&mut super::super::Settings)| {
            of(&sent(site(&[]).with(change), "/index.php", &[]), "DOCUMENT_ROOT").map(str::to_owned)
        };
        assert_eq!(
            root(|settings| settings.backend_root = "/app/public".into()).as_deref(),
            Some("/app/public")
        );
        assert_eq!(root(|settings| settings.alias = Some("/other/".into())).as_deref(), Some("/other/"));
    }

    #[test]
    fn the_first_error_of_the_sink_ends_it() {
        with_facts("/index.php", &[("x-a", "1")], |facts| {
            let disk = FakeDisk::of(&["/www/index.php"]);
            let site = router(vec![site(&[])]);
            let Plan::Script(script) = site.plan(facts, &disk, &mut NoTrace) else { panic!("no script") };
            let mut seen = 0;
            let full = params(&script, facts, &mut |_: &[u8], _: &[&[u8]]| {
                seen += 1;
                if seen == 3 { Err("full") } else { Ok(()) }
            });
            assert_eq!((full, seen), (Err("full"), 3));
        });
    }
}
