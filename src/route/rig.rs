//! What the tests of this room share: a disk in memory, sites in a few words, and plans told in one line.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, Method, Version};

use super::*;

/// Files by their absolute path; their directories are there too. Nobody may ask it for what is no plain path.
#[derive(Debug, Default)]
pub(super) struct FakeDisk {
    kinds: BTreeMap<PathBuf, Kind>,
    pub(super) asked: RefCell<Vec<PathBuf>>,
}

impl FakeDisk {
    /// A path that ends in `/` is a directory, one that ends in `=` a socket.
    pub(super) fn of(paths: &[&str]) -> Self {
        let mut disk = Self::default();
        for path in paths {
            let (path, kind) = match (path.strip_suffix('/'), path.strip_suffix('=')) {
                (Some(path), _) => (path, Kind::Directory),
                (_, Some(path)) => (path, Kind::Other),
                _ => (*path, Kind::File),
            };
            disk.kinds.insert(path.into(), kind);
            for parent in Path::new(path).ancestors().skip(1) {
                disk.kinds.insert(parent.into(), Kind::Directory);
            }
        }
        disk
    }
}

impl Lookup for FakeDisk {
    fn kind(&self, path: &Path) -> Kind {
        assert!(path.is_absolute(), "{path:?}");
        assert!(!os_bytes(path).contains(&0), "{path:?}");
        assert!(
            os_bytes(path).split(|&byte| byte == b'/').all(|element| element != b"." && element != b".."),
            "{path:?}"
        );
        assert!(path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_))));
        self.asked.borrow_mut().push(path.to_owned());
        self.kinds.get(path).copied().unwrap_or(Kind::Missing)
    }
}

pub(super) fn template(written: &str) -> Template {
    let known = ["name", "path", "x", "copy"].map(str::to_owned);
    Template::parse_with(written, &known).unwrap()
}

/// Root `/www`, index `index.php` and `index.html`.
pub(super) fn settings() -> Settings {
    Settings {
        root: "/www".into(),
        alias: None,
        backend_root: "/www".into(),
        index: vec![template("index.php"), template("index.html")],
        internal: false,
        access: Vec::new(),
        guard: None,
        script_extensions: vec![".php".into()],
        serve_source: false,
        sendfile: true,
        headers: Vec::new(),
        expires: None,
        types: None,
        autoindex: None,
        charset: "utf-8".into(),
        compression: None,
        max_body: 0,
        buffering: true,
        first_byte_timeout: None,
        between_reads_timeout: None,
        error_pages: Vec::new(),
        intercept_errors: false,
        x_sendfile: Vec::new(),
        beneath: false,
        absolute_redirect: false,
    }
}

/// A location as nginx.conf spells it, answered with files.
pub(super) fn location(written: &str) -> Location {
    let bytes = |path: &str| path.trim().as_bytes().to_vec();
    let matches = match written.split_once(' ') {
        Some(("=", path)) => Match::Exact(bytes(path)),
        Some(("^~", path)) => Match::Prefix { path: bytes(path), stops_regex: true },
        Some(("~", regex)) => Match::Regex(pattern(regex, false).unwrap()),
        Some(("~*", regex)) => Match::Regex(pattern(regex, true).unwrap()),
        _ if written.starts_with('@') => Match::Named(written.to_owned()),
        _ => Match::Prefix { path: bytes(written), stops_regex: false },
    };
    Location {
        written: written.to_owned(),
        matches,
        rules: Vec::new(),
        try_files: None,
        handler: Handler::Static,
        settings: Arc::new(settings()),
        nested: Vec::new(),
    }
}

impl Location {
    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
        self.settings = Arc::new(settings);
        self
    }

    pub(super) fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// `try_files` as nginx.conf spells it.
    pub(super) fn tries(mut self, written: &str) -> Self {
        let mut words: Vec<&str> = written.split(' ').collect();
        let last = words.pop().unwrap();
        let last = match last.strip_prefix('=') {
            Some(code) => TryLast::Code(code.parse().unwrap()),
            None if last.starts_with('@') => TryLast::Named(last.to_owned()),
            None => TryLast::Uri(template(last)),
        };
        self.try_files = Some(TryFiles { steps: words.into_iter().map(template).collect(), last });
        self
    }

    pub(super) fn runs(self) -> Self {
        self.runs_as(fastcgi(ScriptSource::OnDisk))
    }

    pub(super) fn runs_as(mut self, fastcgi: FastCgi) -> Self {
        self.handler = Handler::FastCgi(Arc::new(fastcgi));
        self
    }

    pub(super) fn holding(mut self, nested: Vec<Location>) -> Self {
        self.nested = nested;
        self
    }
}

pub(super) fn fastcgi(script: ScriptSource) -> FastCgi {
    FastCgi { pool: PoolId(0), script, remote: false, params: Vec::new(), max_share: None }
}

/// `rewrite from to [flag]`; `unless_file` may stand behind it.
pub(super) fn rewrite(written: &str) -> Rule {
    let words: Vec<&str> = written.split(' ').collect();
    let has = |word| words.contains(&word);
    let flag = match () {
        () if has("last") => Flag::Last,
        () if has("break") => Flag::Break,
        () if has("redirect") => Flag::Redirect,
        () if has("permanent") => Flag::Permanent,
        () => Flag::Next,
    };
    let from = pattern(words[0], false).unwrap();
    Rule::Rewrite(Rewrite { from, to: template(words[1]), flag, unless_file: has("unless_file") })
}

pub(super) fn gives(status: u16, body: ReturnBody) -> Rule {
    Rule::Return(Return { status, body })
}

pub(super) fn router(locations: Vec<Location>) -> Router {
    Router::new(Vec::new(), locations, Arc::new(settings()))
}

/// Calls `then` with the facts of `METHOD target`; the method may be left out.
pub(super) fn with_facts<R>(
    request: &str,
    headers: &[(&str, &str)],
    then: impl FnOnce(&RequestFacts<'_>) -> R,
) -> R {
    with_facts_of(request.as_bytes(), headers, then)
}

fn with_facts_of<R>(
    request: &[u8],
    headers: &[(&str, &str)],
    then: impl FnOnce(&RequestFacts<'_>) -> R,
) -> R {
    let space = memchr::memchr(b' ', request);
    let (method, sent) = space.map_or((&b"GET"[..], request), |at| (&request[..at], &request[at + 1..]));
    let target = Target::parse(sent).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    then(&RequestFacts {
        method: &Method::from_bytes(method).unwrap(),
        version: Version::HTTP_11,
        target: &target,
        host: "example.com",
        headers: &map,
        scheme: Scheme::Http,
        tls: None,
        peer: Some(&address("192.0.2.7:4711")),
        hop: None,
        announced: None,
        local: Some(&address("[2001:db8::1]:8080")),
        server_name: "www.example.com",
        content_length: None,
        request_id: super::Label::Made(0x0123_4567_89ab_cdef),
        user: None,
    })
}

use http::HeaderName;

/// What `then` makes of a request's plan.
pub(super) fn planned<R>(
    router: &Router,
    disk: &FakeDisk,
    request: &str,
    then: impl FnOnce(Plan<'_>) -> R,
) -> R {
    with_facts(request, &[], |facts| then(router.plan(facts, disk, &mut NoTrace)))
}

/// What `then` makes of the script that a request runs.
pub(super) fn script<R>(
    router: &Router,
    disk: &FakeDisk,
    request: &str,
    then: impl FnOnce(ScriptPlan<'_>) -> R,
) -> R {
    planned(router, disk, request, |plan| match plan {
        Plan::Script(script) => then(script),
        other => panic!("no script: {}", tell(&other)),
    })
}

/// The plan in one line.
pub(super) fn told(router: &Router, disk: &FakeDisk, request: &str) -> String {
    planned(router, disk, request, |plan| tell(&plan))
}

pub(super) fn tell(plan: &Plan<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match plan {
        Plan::File(file) => format!("file {}", file.path.display()),
        Plan::Listing(listing) => format!("listing {}", listing.path.display()),
        Plan::Script(script) => {
            let ScriptPlan { script_name, path_info, args, .. } = script;
            format!("script {} info {} args {}", text(script_name), text(path_info), text(args))
                .trim()
                .to_owned()
        }
        Plan::Redirect(redirect) => format!("{} {}", redirect.status.as_u16(), text(&redirect.location)),
        Plan::Fixed(fixed) => match &fixed.body {
            Some(body) => format!("{} {}", fixed.status.as_u16(), text(body)),
            None => fixed.status.as_str().to_owned(),
        },
        Plan::Guarded(guarded) => {
            let checks: Vec<_> = guarded.checks.iter().map(tell_check).collect();
            format!("{} then {}", checks.join(", "), tell(&guarded.plan))
        }
    }
}

/// Where it stands, and what it asks.
fn tell_check(check: &Check<'_>) -> String {
    match &check.what {
        What::Limits { keys, .. } => format!("{}: limits {}", check.route, text_of(&keys.concat())),
        What::Who(who) => {
            let any = if who.any { " any" } else { "" };
            let auth = who.auth.map_or_else(String::new, |auth| format!(" auth {}", auth.realm));
            let asks = who.asks.as_ref().map(|asked| format!(" asks ({})", tell(&asked.plan)));
            format!("{}:{any}{auth}{}", check.route, asks.unwrap_or_default())
        }
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn check(router: &Router, disk: &FakeDisk, table: &[(&str, &str)]) {
    for (request, expected) in table {
        assert_eq!(told(router, disk, request), *expected, "{request}");
    }
}

/// Every step of the way, as `explain` prints it.
pub(super) fn steps(router: &Router, disk: &FakeDisk, request: &str) -> Vec<String> {
    let mut steps = Steps::default();
    with_facts(request, &[], |facts| drop(router.plan(facts, disk, &mut steps)));
    steps.0.iter().map(Step::to_string).collect()
}

pub(super) fn address(text: &str) -> Address {
    Address::from(text.parse::<std::net::SocketAddr>().unwrap())
}
