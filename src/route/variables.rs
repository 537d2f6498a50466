//! nginx's variables: their names, and what they are worth for one request at one moment of its way
//! (<http://nginx.org/en/docs/varindex.html>). What needs a clock, a random number or the file system is not here.

use std::borrow::Cow;

use http::HeaderName;
use http::header::{CONTENT_TYPE, COOKIE, HOST};
use regex::bytes::Regex;
use smallvec::SmallVec;

use super::disk_path::{Anchor, DiskPath};
use super::{Address, Announced, FastCgi, RequestFacts, ScriptSource, Settings, SslVariable, os_bytes};

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `$uri`, `$document_uri`: the decoded path after rewrites.
    Uri,
    /// `$request_uri`: as sent.
    RequestUri,
    /// `$args`, `$query_string`.
    Args,
    /// `$is_args`: `?` when there are any.
    IsArgs,
    /// `$document_root`: root or alias.
    DocumentRoot,
    /// `$fastcgi_script_name`.
    FastcgiScriptName,
    /// `$fastcgi_path_info`.
    FastcgiPathInfo,
    /// `$request_filename`: where `$uri` lies on disk.
    RequestFilename,
    /// `$host`.
    Host,
    /// `$server_name`.
    ServerName,
    /// `$server_addr`.
    ServerAddr,
    /// `$server_port`.
    ServerPort,
    /// `$server_protocol`.
    ServerProtocol,
    /// `$remote_addr`; as `$binary_remote_addr` too, which nginx's users write where they count.
    RemoteAddr,
    /// `$remote_port`.
    RemotePort,
    /// `$realip_remote_addr`: whose connection it is.
    HopAddr,
    /// `$realip_remote_port`.
    HopPort,
    /// `$proxy_protocol_addr`, as the PROXY header says, believed or not.
    AnnouncedAddr,
    /// `$proxy_protocol_port`.
    AnnouncedPort,
    /// `$proxy_protocol_server_addr`.
    AnnouncedServerAddr,
    /// `$proxy_protocol_server_port`.
    AnnouncedServerPort,
    /// `$remote_user`: of Basic authentication, once the password was right.
    RemoteUser,
    /// `$scheme`.
    Scheme,
    /// `$https`: `on` or nothing.
    Https,
    /// `$ssl_…`.
    Ssl(SslVariable),
    /// `$request_method`.
    RequestMethod,
    /// `$request`: the request line.
    Request,
    /// `$content_type`.
    ContentType,
    /// `$content_length`.
    ContentLength,
    /// `$request_id`.
    RequestId,
    /// `$http_NAME`.
    Header(HeaderName),
    /// `$cookie_NAME`.
    Cookie(String),
    /// `$arg_NAME`, as sent.
    Arg(String),
    /// `$1` to `$9`, of the regex that matched last.
    Capture(usize),
    /// From `set` or a named group.
    Named(String),
}

impl Variable {
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("uri", Self::Uri),
        ("document_uri", Self::Uri),
        ("request_uri", Self::RequestUri),
        ("args", Self::Args),
        ("query_string", Self::Args),
        ("is_args", Self::IsArgs),
        ("document_root", Self::DocumentRoot),
        ("fastcgi_script_name", Self::FastcgiScriptName),
        ("fastcgi_path_info", Self::FastcgiPathInfo),
        ("request_filename", Self::RequestFilename),
        ("host", Self::Host),
        ("server_name", Self::ServerName),
        ("server_addr", Self::ServerAddr),
        ("server_port", Self::ServerPort),
        ("server_protocol", Self::ServerProtocol),
        ("remote_addr", Self::RemoteAddr),
        ("binary_remote_addr", Self::RemoteAddr),
        ("remote_port", Self::RemotePort),
        ("realip_remote_addr", Self::HopAddr),
        ("realip_remote_port", Self::HopPort),
        ("proxy_protocol_addr", Self::AnnouncedAddr),
        ("proxy_protocol_port", Self::AnnouncedPort),
        ("proxy_protocol_server_addr", Self::AnnouncedServerAddr),
        ("proxy_protocol_server_port", Self::AnnouncedServerPort),
        ("remote_user", Self::RemoteUser),
        ("scheme", Self::Scheme),
        ("https", Self::Https),
        ("ssl_protocol", Self::Ssl(SslVariable::Protocol)),
        ("ssl_cipher", Self::Ssl(SslVariable::Cipher)),
        ("ssl_client_verify", Self::Ssl(SslVariable::ClientVerify)),
        ("ssl_client_s_dn", Self::Ssl(SslVariable::ClientSubject)),
        ("ssl_client_i_dn", Self::Ssl(SslVariable::ClientIssuer)),
        ("ssl_client_serial", Self::Ssl(SslVariable::ClientSerial)),
        ("ssl_client_fingerprint", Self::Ssl(SslVariable::ClientFingerprint)),
        ("request_method", Self::RequestMethod),
        ("request", Self::Request),
        ("content_type", Self::ContentType),
        ("content_length", Self::ContentLength),
        ("request_id", Self::RequestId),
    ];

    /// The variable of that name, without its `$`. Built-in names win over `known` ones.
    pub(super) fn named(name: &str, known: &[String]) -> Option<Self> {
        if let [digit @ b'1'..=b'9'] = name.as_bytes() {
            return Some(Self::Capture(usize::from(digit - b'0')));
        }
        if let Some((_, variable)) = Self::NAMES.iter().find(|(known, _)| *known == name) {
            return Some(variable.clone());
        }
        if known.iter().any(|known| known == name) {
            return Some(Self::Named(name.to_owned()));
        }
        let (family, member) = name.split_once('_').filter(|(_, member)| !member.is_empty())?;
        match family {
            // A header name with a real `_` is never believed, so `_` can only mean `-`.
            "http" => member.replace('_', "-").parse().ok().map(Self::Header),
            "cookie" => Some(Self::Cookie(member.to_owned())),
            "arg" => Some(Self::Arg(member.to_owned())),
            _ => None,
        }
    }
}

/// Everything that variables are made of, and that rules change on the way.
#[derive(Debug, Clone)]
pub struct Variables<'a> {
    pub(super) facts: RequestFacts<'a>,
    pub(super) uri: Cow<'a, [u8]>,
    pub(super) args: Cow<'a, [u8]>,
    pub(super) captures: Captures,
    pub(super) set: SmallVec<[(String, Vec<u8>); 1]>,
    pub(super) settings: &'a Settings,
    pub(super) anchor: Anchor<'a>,
    pub(super) fastcgi: Option<&'a FastCgi>,
    pub(super) script: Option<Script>,
}

/// How a handler split the path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) name: Vec<u8>,
    pub(super) path_info: Vec<u8>,
}

impl<'a> Variables<'a> {
    /// For values outside of the routing, such as headers and hash keys: nothing rewritten, no captures.
    pub fn new(facts: &RequestFacts<'a>, settings: &'a Settings) -> Self {
        Self {
            facts: *facts,
            uri: Cow::Borrowed(&facts.target.path),
            args: Cow::Borrowed(facts.target.query),
            captures: Captures::default(),
            set: SmallVec::new(),
            settings,
            anchor: Anchor::Root,
            fastcgi: None,
            script: None,
        }
    }

    pub(super) fn uri(&self) -> &[u8] {
        &self.uri
    }

    /// Where a path below this location lies; `None` for a path that no file can have.
    pub(super) fn disk_path(&self, uri: &[u8]) -> Option<DiskPath> {
        DiskPath::of(self.settings, self.anchor, uri)
    }

    pub(super) fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.set.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.set.push((name.to_owned(), value)),
        }
    }

    /// The groups become `$1`…, the named ones variables.
    pub(super) fn take(&mut self, matched: Matched) {
        self.captures = matched.captures;
        for (name, value) in matched.named {
            self.set(&name, value);
        }
    }

    pub(super) fn write(&self, variable: &Variable, out: &mut Vec<u8>) {
        let facts = &self.facts;
        match variable {
            Variable::Uri => out.extend_from_slice(&self.uri),
            Variable::RequestUri => out.extend_from_slice(facts.target.raw),
            Variable::Args => out.extend_from_slice(&self.args),
            Variable::IsArgs if self.args.is_empty() => {}
            Variable::IsArgs => out.push(b'?'),
            Variable::DocumentRoot => {
                let root = self.settings.alias.as_ref().unwrap_or(&self.settings.root);
                out.extend_from_slice(os_bytes(root));
            }
            Variable::FastcgiScriptName => out.extend_from_slice(self.split().0),
            Variable::FastcgiPathInfo => out.extend_from_slice(self.split().1),
            Variable::RequestFilename => self.write_request_filename(out),
            Variable::Host => out.extend_from_slice(facts.host.as_bytes()),
            Variable::ServerName => out.extend_from_slice(facts.server_name.as_bytes()),
            Variable::ServerAddr => out.extend_from_slice(Address::ip_text(facts.local).as_bytes()),
            Variable::ServerPort => out.extend_from_slice(Address::port_text(facts.local).as_bytes()),
            Variable::ServerProtocol => out.extend_from_slice(facts.protocol().as_bytes()),
            Variable::RemoteAddr => out.extend_from_slice(Address::ip_text(facts.peer).as_bytes()),
            Variable::RemotePort => out.extend_from_slice(Address::port_text(facts.peer).as_bytes()),
            Variable::HopAddr => out.extend_from_slice(Address::ip_text(facts.hop).as_bytes()),
            Variable::HopPort => out.extend_from_slice(Address::port_text(facts.hop).as_bytes()),
            Variable::AnnouncedAddr => write_announced(facts, |told| &told.source, Address::ip_bytes, out),
            Variable::AnnouncedPort => write_announced(facts, |told| &told.source, Address::port_bytes, out),
            Variable::AnnouncedServerAddr => {
                write_announced(facts, |told| &told.destination, Address::ip_bytes, out);
            }
            Variable::AnnouncedServerPort => {
                write_announced(facts, |told| &told.destination, Address::port_bytes, out);
            }
            Variable::RemoteUser => out.extend_from_slice(facts.user.unwrap_or_default().as_bytes()),
            Variable::Scheme => out.extend_from_slice(facts.scheme.as_str().as_bytes()),
            Variable::Https if facts.scheme == super::Scheme::Https => out.extend_from_slice(b"on"),
            Variable::Https => {}
            Variable::Ssl(variable) => {
                let value = facts.tls.and_then(|tls| tls.value(*variable));
                out.extend_from_slice(value.unwrap_or_default().as_bytes());
            }
            Variable::RequestMethod => out.extend_from_slice(facts.method.as_str().as_bytes()),
            Variable::Request => self.write_request_line(out),
            Variable::ContentType => write_header(facts, &CONTENT_TYPE, out),
            Variable::ContentLength => {
                let length = facts.content_length.map(|length| length.to_string());
                out.extend_from_slice(length.unwrap_or_default().as_bytes());
            }
            Variable::RequestId => facts.request_id.with_text(|id| out.extend_from_slice(id)),
            Variable::Header(name) => write_header(facts, name, out),
            Variable::Cookie(name) => out.extend_from_slice(cookie(facts, name).unwrap_or_default()),
            Variable::Arg(name) => out.extend_from_slice(argument(&self.args, name).unwrap_or_default()),
            Variable::Capture(group) => out.extend_from_slice(self.captures.group(*group)),
            Variable::Named(name) => {
                let value = self.set.iter().find(|(known, _)| known == name);
                out.extend_from_slice(value.map_or(&b""[..], |(_, value)| value));
            }
        }
    }

    /// SCRIPT_NAME and PATH_INFO: as the handler found them; before it ran, as nginx's regex splits the path.
    fn split(&self) -> (&[u8], &[u8]) {
        if let Some(script) = &self.script {
            return (&script.name, &script.path_info);
        }
        match self.fastcgi.map(|fastcgi| &fastcgi.script) {
            Some(ScriptSource::Split(regex)) => super::split::by_regex(regex, &self.uri),
            _ => (&self.uri, b""),
        }
    }

    fn write_request_filename(&self, out: &mut Vec<u8>) {
        match self.disk_path(&self.uri) {
            Some(path) => out.extend_from_slice(path.as_bytes()),
            None => {
                out.extend_from_slice(os_bytes(&self.settings.root));
                out.extend_from_slice(&self.uri);
            }
        }
    }

    fn write_request_line(&self, out: &mut Vec<u8>) {
        for part in [
            self.facts.method.as_str().as_bytes(),
            b" ",
            self.facts.target.raw,
            b" ",
            self.facts.protocol().as_bytes(),
        ] {
            out.extend_from_slice(part);
        }
    }
}

/// The groups of the regex that matched last. They keep what they were matched against: the path moves on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Captures {
    subject: Vec<u8>,
    groups: Vec<std::ops::Range<usize>>,
}

/// What a regex that matched leaves behind.
#[derive(Debug, Default)]
pub(super) struct Matched {
    captures: Captures,
    named: Vec<(String, Vec<u8>)>,
}

impl Matched {
    /// A pattern without groups costs no copy; it empties `$1`… all the same, as nginx does.
    pub(super) fn of(regex: &Regex, subject: &[u8]) -> Option<Self> {
        if regex.captures_len() == 1 {
            return regex.is_match(subject).then(Self::default);
        }
        // Most patterns do not match most paths, and to see that costs a fraction of the groups.
        if !regex.is_match(subject) {
            return None;
        }
        let found = regex.captures(subject)?;
        let named = regex.capture_names().flatten().map(|name| {
            let value = found.name(name).map_or(&b""[..], |group| group.as_bytes());
            (name.to_owned(), value.to_vec())
        });
        let groups = found.iter().map(|group| group.map_or(0..0, |group| group.range())).collect();
        Some(Self { named: named.collect(), captures: Captures { subject: subject.to_vec(), groups } })
    }
}

impl Captures {
    pub(super) fn group(&self, number: usize) -> &[u8] {
        self.groups.get(number).map_or(b"", |range| &self.subject[range.clone()])
    }
}

/// Empty where the connection has no PROXY header, as with nginx.
fn write_announced(
    facts: &RequestFacts<'_>,
    end: impl Fn(&Announced) -> &Option<Address>,
    text: impl Fn(&Address) -> &[u8],
    out: &mut Vec<u8>,
) {
    let told = facts.announced.and_then(|told| end(told).as_ref());
    out.extend_from_slice(told.map_or(&b""[..], text));
}

/// Repeated headers are one list (RFC 9110 §5.3); cookies are joined with `; ` (RFC 9113 §8.2.3).
pub(super) fn separator(name: &HeaderName) -> &'static [u8] {
    if *name == COOKIE { b"; " } else { b", " }
}

fn write_header(facts: &RequestFacts<'_>, name: &HeaderName, out: &mut Vec<u8>) {
    if let (true, Some(authority)) = (*name == HOST, facts.target.authority) {
        return out.extend_from_slice(authority);
    }
    for (place, value) in facts.headers.get_all(name).iter().enumerate() {
        if place > 0 {
            out.extend_from_slice(separator(name));
        }
        out.extend_from_slice(value.as_bytes());
    }
}

fn cookie<'a>(facts: &RequestFacts<'a>, name: &str) -> Option<&'a [u8]> {
    let headers = facts.headers.get_all(COOKIE).iter();
    let mut pairs = headers.flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
    pairs.find_map(|pair| value_of(pair.trim_ascii_start(), name))
}

fn argument<'a>(args: &'a [u8], name: &str) -> Option<&'a [u8]> {
    args.split(|&byte| byte == b'&').find_map(|pair| value_of(pair, name))
}

/// nginx compares the names of cookies and arguments without case.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, value) = pair.split_at_checked(name.len())?;
    if key.eq_ignore_ascii_case(name.as_bytes()) { value.strip_prefix(b"=") } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{fastcgi, settings, with_facts};
    use super::super::{Scheme, Template, pattern};
    use super::*;

    const HEADERS: &[(&str, &str)] = &[
        ("host", "Example.com:8080"),
        ("content-type", "text/plain"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("cookie", "a=1; Sid=x=y"),
        ("cookie", "b=2"),
        ("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
    ];

    fn value(written: &str) -> String {
        let settings = settings();
        with_facts("POST //a%20b/c.php?x=1&Y=%32&x=3", HEADERS, |facts| {
            let facts = RequestFacts { content_length: Some(42), user: Some("verified"), ..*facts };
            let variables = Variables::new(&facts, &settings);
            String::from_utf8(Template::parse(written).unwrap().expand(&variables).into_owned()).unwrap()
        })
    }

    #[test]
    fn values_are_those_of_nginx() {
        for (written, expected) in [
            ("$uri", "/a b/c.php"),
            ("$document_uri", "/a b/c.php"),
            ("$request_uri", "//a%20b/c.php?x=1&Y=%32&x=3"),
            ("$args", "x=1&Y=%32&x=3"),
            ("$query_string", "x=1&Y=%32&x=3"),
            ("$is_args", "?"),
            ("$document_root", "/www"),
            ("$fastcgi_script_name", "/a b/c.php"),
            ("$fastcgi_path_info", ""),
            ("$request_filename", "/www/a b/c.php"),
            ("$host", "example.com"),
            ("$http_host", "Example.com:8080"),
            ("$server_name", "www.example.com"),
            ("$server_addr", "2001:db8::1"),
            ("$server_port", "8080"),
            ("$server_protocol", "HTTP/1.1"),
            ("$remote_addr", "192.0.2.7"),
            ("$remote_port", "4711"),
            ("$remote_user", "verified"),
            ("$scheme", "http"),
            ("$https", ""),
            ("$request_method", "POST"),
            ("$request", "POST //a%20b/c.php?x=1&Y=%32&x=3 HTTP/1.1"),
            ("$content_type", "text/plain"),
            ("$content_length", "42"),
            ("$request_id", "00000000000000000123456789abcdef"),
            ("$http_x_a", "1, 2"),
            ("$http_x_missing", ""),
            ("$cookie_a", "1"),
            ("$cookie_sid", "x=y"),
            ("$cookie_b", "2"),
            ("$cookie_c", ""),
            ("$arg_x", "1"),
            ("$arg_y", "%32"),
            ("$arg_z", ""),
            ("$1", ""),
        ] {
            assert_eq!(value(written), expected, "{written}");
        }
    }

    #[test]
    fn https_is_on_or_nothing_and_a_unix_peer_has_no_port() {
        let settings = settings();
        with_facts("/", &[], |facts| {
            let facts = RequestFacts { scheme: Scheme::Https, peer: None, ..*facts };
            let variables = Variables::new(&facts, &settings);
            let all = Template::parse("$https $remote_addr $remote_port.").unwrap();
            assert_eq!(all.expand(&variables).as_ref(), b"on unix: .");
        });
    }

    #[test]
    fn an_empty_question_mark_is_no_args() {
        let settings = settings();
        with_facts("/a?", &[], |facts| {
            let variables = Variables::new(facts, &settings);
            assert_eq!(Template::parse("$is_args$args").unwrap().expand(&variables).as_ref(), b"");
        });
    }

    #[test]
    fn groups_keep_what_they_matched_when_the_path_moves_on() {
        let settings = settings();
        with_facts("/u/42", &[], |facts| {
            let mut variables = Variables::new(facts, &settings);
            let regex = pattern("^/(?<kind>[a-z])/([0-9]+)$", false).unwrap();
            variables.take(Matched::of(&regex, b"/u/42").unwrap());
            variables.uri = Cow::Borrowed(b"/elsewhere");
            let known = ["kind".to_owned()];
            let template = Template::parse_with("$2 $1 $kind $3", &known).unwrap();
            assert_eq!(template.expand(&variables).as_ref(), b"42 u u ");
        });
    }

    #[test]
    fn a_regex_without_groups_empties_the_old_ones() {
        let settings = settings();
        with_facts("/", &[], |facts| {
            let mut variables = Variables::new(facts, &settings);
            variables.take(Matched::of(&pattern("(a)", false).unwrap(), b"a").unwrap());
            variables.take(Matched::of(&pattern("b", false).unwrap(), b"b").unwrap());
            assert_eq!(Template::parse("[$1]").unwrap().expand(&variables).as_ref(), b"[]");
        });
    }

    #[test]
    fn the_split_is_known_before_the_handler_runs() {
        let settings = settings();
        let fastcgi = fastcgi(ScriptSource::Split(pattern(r"^(.+?\.php)(/.*)$", false).unwrap()));
        with_facts("/a.php/b", &[], |facts| {
            let variables = Variables { fastcgi: Some(&fastcgi), ..Variables::new(facts, &settings) };
            let both = Template::parse("$fastcgi_script_name $fastcgi_path_info").unwrap();
            assert_eq!(both.expand(&variables).as_ref(), b"/a.php /b");
        });
    }
}
