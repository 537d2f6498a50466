//! Going on inside once a plan was carried out: where a script's order (`X-Accel-Redirect`) leads, and the page of an error.
//! Both walk the router again, and `internal` locations let them in. When there is an order or an error is for `front` to see.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::PathBuf;

use bytes::Bytes;
use http::StatusCode;
use thiserror::Error;

use super::disk_path::DiskPath;
use super::router::{Journey, Next, Router, expand_uri};
use super::variables::Variables;
use super::{
    ErrorPage, Lookup, PageStatus, Plan, RequestFacts, Settings, Trace, escape, is_source, os_bytes,
};

/// What a script orders, and where the request was when it did.
#[derive(Debug, Clone)]
pub struct Order {
    /// `/path?args` or `@name`, as the script wrote it. The path is percent-encoded.
    pub to: Bytes,
    /// nginx's `$uri` at the script: what a named location goes on with.
    pub uri: Vec<u8>,
    /// `$args` there.
    pub args: Bytes,
}

/// Why an order is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadOrder {
    /// nginx's "unsafe URI".
    #[error("this is no path from / without .. and NUL")]
    Unsafe,
    /// Anybody may ask for what it leads to, so it is a mistake; or it leads elsewhere than its author thinks.
    #[error("it leads to {0}, which is not internal; a route for it needs internal = true")]
    NotInternal(String),
    /// `@name`.
    #[error("no route has that name")]
    NoSuchName,
}

impl Order {
    /// Whether it names a location rather than a path.
    pub fn is_named(&self) -> bool {
        self.to.starts_with(b"@")
    }
}

impl Router {
    /// How to serve what a script orders. nginx lets it lead anywhere; here the first location that it finds must be internal or
    /// named, for a path that is made of what a client sent would otherwise be a way around everything that guards it.
    ///
    /// # Errors
    /// What the operator should know.
    pub fn plan_order<'a>(
        &'a self,
        order: &Order,
        facts: &RequestFacts<'a>,
        disk: &impl Lookup,
        trace: &mut impl Trace,
    ) -> Result<Plan<'a>, BadOrder> {
        let mut journey = Journey::new(self, facts, disk, trace);
        if order.is_named() {
            journey.variables.uri = Cow::Owned(order.uri.clone());
            journey.variables.args = Cow::Owned(order.args.to_vec());
            return self.go_to_ordered_name(&mut journey, &order.to);
        }
        let question = memchr::memchr(b'?', &order.to).unwrap_or(order.to.len());
        let (path, args) = order.to.split_at(question);
        let mut uri = safe_path(path).ok_or(BadOrder::Unsafe)?;
        let question = (!args.is_empty()).then_some(uri.len());
        uri.extend_from_slice(args);
        let next = journey.go_to(uri, question);
        let arrived = self.arrive(&mut journey, next);
        if let ControlFlow::Continue(found) = &arrived
            && !found.is_internal()
        {
            return Err(BadOrder::NotInternal(found.describe()));
        }
        Ok(self.walk_from(&mut journey, arrived))
    }

    fn go_to_ordered_name<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
        name: &[u8],
    ) -> Result<Plan<'a>, BadOrder> {
        let name = std::str::from_utf8(name).map_err(|_| BadOrder::NoSuchName)?;
        if !self.has_named(name) {
            return Err(BadOrder::NoSuchName);
        }
        let next = journey.go_to_named(Cow::Owned(name.to_owned()));
        Ok(self.walk(journey, next))
    }

    /// How to serve an error's page. A page of the configuration may be anywhere; ask with GET (or HEAD) in `facts` where it is a
    /// path, as nginx does.
    pub fn plan_error_page<'a>(
        &'a self,
        page: &'a ErrorPage,
        settings: &'a Settings,
        facts: &RequestFacts<'a>,
        disk: &impl Lookup,
        trace: &mut impl Trace,
    ) -> Plan<'a> {
        let mut journey = Journey::new(self, facts, disk, trace);
        if let Some(name) = page.name() {
            let next = journey.go_to_named(Cow::Borrowed(name));
            return page.told_to(self.walk(&mut journey, next));
        }
        let (uri, question) = expand_uri(&page.page, &Variables::new(facts, settings));
        if !uri.starts_with(b"/") {
            return journey.redirect(page.redirect_status(), escape::location(&uri));
        }
        let next = journey.go_to(uri, question);
        page.told_to(self.walk(&mut journey, next))
    }
}

impl ErrorPage {
    /// `@name`, if it is one.
    pub fn name(&self) -> Option<&str> {
        self.page.as_literal().filter(|name| name.starts_with('@'))
    }

    /// A script learns which error it is the page of, as Apache httpd tells it. In front of the route's own parameters, which may
    /// say something else.
    fn told_to<'a>(&self, mut plan: Plan<'a>) -> Plan<'a> {
        if let Plan::Script(script) = &mut plan {
            script.params.insert(0, ("REDIRECT_STATUS".to_owned(), self.on.to_string().into_bytes()));
        }
        plan
    }

    /// With a URL of another host: nginx's 302, unless told another.
    fn redirect_status(&self) -> StatusCode {
        match self.status {
            PageStatus::Always(status) if status.is_redirection() => status,
            _ => StatusCode::FOUND,
        }
    }
}

impl Settings {
    /// Where a file lies that a script sends by its path, which is taken as it is. `None`: the route does not let it.
    pub fn sendfile(&self, sent: &[u8]) -> Option<(PathBuf, Option<usize>)> {
        let name = sent.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !self.serve_source && is_source(name) {
            return None;
        }
        self.x_sendfile.iter().find_map(|(theirs, ours)| {
            let theirs = os_bytes(theirs);
            let below = sent.strip_prefix(theirs.strip_suffix(b"/").unwrap_or(theirs))?;
            let path = DiskPath::below(ours, below)?.held_by(ours, self)?;
            Some((path.as_path().to_owned(), path.beneath()))
        })
    }
}

/// Decoded once; slashes and `.` merged, so that a location sees the path that the disk sees. `None` for one that climbs, holds NUL
/// or does not begin with `/`: whoever wrote it did not mean what it says.
fn safe_path(sent: &[u8]) -> Option<Vec<u8>> {
    let path: Vec<u8> = percent_encoding::percent_decode(sent).collect();
    if path.first() != Some(&b'/') || path.contains(&0) {
        return None;
    }
    let mut clean = Vec::with_capacity(path.len());
    let mut last: &[u8] = b"";
    for segment in path.split(|&byte| byte == b'/') {
        last = segment;
        match segment {
            b".." => return None,
            b"" | b"." => {}
            name => {
                clean.push(b'/');
                clean.extend_from_slice(name);
            }
        }
    }
    if matches!(last, b"" | b".") {
        clean.push(b'/');
    }
    Some(clean)
}

impl<'a> super::search::Found<'a> {
    /// Whether no client gets there by itself.
    fn is_internal(&self) -> bool {
        self.place().is_some_and(|place| place.settings.internal || place.route.starts_with('@'))
    }

    fn describe(&self) -> String {
        self.place().map_or_else(|| "no route".to_owned(), |place| format!("the route '{}'", place.route))
    }

    fn place(&self) -> Option<&'a super::search::Place> {
        match self {
            Self::Prefix(place) | Self::Final(place, _) => Some(place),
            Self::None | Self::LacksSlash => None,
        }
    }
}

/// A journey may be at its end before it finds a location.
pub(super) type Arrived<'a> = ControlFlow<Next<'a>, super::search::Found<'a>>;

#[cfg(test)]
mod tests {
    use super::super::rig::{FakeDisk, gives, location, router, settings, tell, template, with_facts};
    use super::super::{Location, NoTrace, ReturnBody};
    use super::*;

    fn disk() -> FakeDisk {
        FakeDisk::of(&["/www/a.txt", "/www/in/a.txt", "/www/in/b c.txt", "/www/index.php", "/www/404.html"])
    }

    fn internal(location: Location) -> Location {
        location.with(|settings| settings.internal = true)
    }

    fn site() -> Router {
        router(vec![
            internal(location("/in/")),
            location("/in/public/"),
            internal(location("/run/").runs()),
            internal(location("/try/").tries("$uri /a.txt")),
            internal(location("/loop/").tries("$uri /loop/x")),
            location("/"),
            location("@name").rule(gives(200, ReturnBody::Text(template("named $uri?$args")))),
            location(r"~ \.php$").runs(),
        ])
    }

    fn ordered(to: &[u8]) -> String {
        let order = Order { to: Bytes::copy_from_slice(to), uri: b"/index.php".to_vec(), args: "r=1".into() };
        with_facts("/asked?q=1", &[], |facts| match site().plan_order(&order, facts, &disk(), &mut NoTrace) {
            Ok(plan) => tell(&plan),
            Err(bad) => format!("{bad:?}"),
        })
    }

    #[test]
    fn an_order_leads_to_internal_and_named_locations() {
        for (to, expected) in [
            ("/in/a.txt", "file /www/in/a.txt"),
            ("/in/%61.txt", "file /www/in/a.txt"),
            ("/in/b%20c.txt?x=1", "file /www/in/b c.txt"),
            ("/in/b c.txt", "file /www/in/b c.txt"),
            ("//in//.//a.txt", "file /www/in/a.txt"),
            ("/in/missing", "404"),
            ("/in/%2561.txt", "404"),
            ("/in/100%.txt", "404"),
            ("/try/x", "file /www/a.txt"),
            ("@name", "200 named /index.php?r=1"),
        ] {
            assert_eq!(ordered(to.as_bytes()), expected, "{to}");
        }
    }

    #[test]
    fn an_order_never_leads_to_what_is_not_internal() {
        for (to, route) in [
            ("/a.txt", "the route '/'"),
            ("/index.php", r"the route '~ \.php$'"),
            ("/in/x.php", r"the route '~ \.php$'"),
            ("/in/public/x", "the route '/in/public/'"),
            ("/in//./public/x", "the route '/in/public/'"),
            ("/", "the route '/'"),
        ] {
            assert_eq!(
                ordered(to.as_bytes()),
                format!("{:?}", BadOrder::NotInternal(route.to_owned())),
                "{to}"
            );
        }
    }

    #[test]
    fn an_order_never_climbs() {
        for to in [
            "/in/../a.txt",
            "/in/../../etc/passwd",
            "/in/%2e%2e/a.txt",
            "/in/.%2E/a.txt",
            "/in%2f..%2fa.txt",
            "/in/..",
            "/..",
            "..",
            "",
            "?a=b",
            "in/a.txt",
            "/in/a.txt%00",
            "/in/%00/a.txt",
            "http://elsewhere/in/a.txt",
        ] {
            assert_eq!(ordered(to.as_bytes()), "Unsafe", "{to}");
        }
        assert_eq!(ordered(b"/in/a\0"), "Unsafe");
        for name in [&b"@nobody"[..], b"@", b"@\xff"] {
            assert_eq!(ordered(name), "NoSuchName", "{name:?}");
        }
    }

    #[test]
    fn an_order_that_goes_round_in_circles_ends() {
        assert_eq!(ordered(b"/loop/a"), "500");
    }

    #[test]
    fn a_file_is_sent_by_its_path_from_the_folders_of_the_route_only() {
        let folder = |theirs: &str, ours: &str| (theirs.into(), ours.into());
        let x_sendfile = vec![folder("/app/storage", "/srv/store"), folder("/data/", "/data/")];
        let settings = Settings { x_sendfile, ..settings() };
        for (sent, expected) in [
            ("/app/storage/a.pdf", Some("/srv/store/a.pdf")),
            ("/app/storage/d/100%.pdf", Some("/srv/store/d/100%.pdf")),
            ("/data/x", Some("/data/x")),
            ("/app/storage-other/a.pdf", None),
            ("/app/storage/../secret", None),
            ("/app/storage/./x", None),
            ("/app/storage/..", None),
            ("/app/storage", None),
            ("/app/storage/config.php", None),
            ("/app/storage/config.php~", None),
            ("/app/storage/a\0.pdf", None),
            ("/srv/store/a.pdf", None),
            ("/etc/passwd", None),
            ("app/storage/a.pdf", None),
            ("", None),
        ] {
            assert_eq!(
                settings.sendfile(sent.as_bytes()),
                expected.map(|path| (path.into(), None)),
                "{sent}"
            );
        }
    }

    fn page(written: &str, status: PageStatus) -> ErrorPage {
        ErrorPage { on: 404, page: template(written), status }
    }

    #[test]
    fn an_error_page_is_a_plan_of_its_own() {
        let site = router(vec![
            internal(location("= /404.html")),
            location("/"),
            location("@x").rule(gives(410, ReturnBody::None)),
        ]);
        let elsewhere = "https://status.example/?from=$uri";
        let moved = PageStatus::Always(StatusCode::TEMPORARY_REDIRECT);
        for (page, expected) in [
            (page("/404.html", PageStatus::OfError), "file /www/404.html"),
            (page("@x", PageStatus::OfError), "410"),
            (page("@y", PageStatus::OfError), "500"),
            (page(elsewhere, PageStatus::OfError), "302 https://status.example/?from=/missing"),
            (page(elsewhere, moved), "307 https://status.example/?from=/missing"),
        ] {
            let settings = settings();
            with_facts("/missing?q", &[], |facts| {
                let plan = site.plan_error_page(&page, &settings, facts, &disk(), &mut NoTrace);
                assert_eq!(tell(&plan), expected, "{page:?}");
            });
        }
    }
}
