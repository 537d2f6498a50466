//! What a location asks of a request besides its address: nginx's phases preaccess and access. The router decides what can be
//! decided from the configuration and the request alone; what takes a password file, a count or a script it puts before the
//! plan, as checks that must be passed ([`Plan::Guarded`](super::Plan)).

use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use smallvec::SmallVec;

use super::router::{Journey, Next, expand_uri};
use super::trace::{Step, text};
use super::variables::Variables;
use super::{Lookup, Plan, Settings, Template, Trace, access};

/// The keys `auth`, `auth_request`, `satisfy` and `limits` of a location.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// `satisfy = "any"`: one of address, password and script is enough.
    pub any: bool,
    /// Whose name and password must be right.
    pub auth: Option<Arc<BasicAuth>>,
    /// A script that decides.
    pub asks: Option<Arc<AuthRequest>>,
    /// How often, and how many at once.
    pub limits: Option<Arc<Limits>>,
}

/// nginx's `auth_basic` and `auth_basic_user_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// What browsers show.
    pub realm: String,
    /// The password file, absolute.
    pub file: PathBuf,
}

/// nginx's `auth_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// Where the script is.
    pub uri: Template,
    /// Parameters for the request's own script, from headers of the answer.
    pub params: Vec<(String, HeaderName)>,
}

/// nginx's `limit_req` and `limit_conn` of one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Where they are written: locations that inherit them share their counts.
    pub at: String,
    /// All must be kept.
    pub all: Vec<Limit>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// `rate`.
    pub rate: Option<RequestRate>,
    /// So many more at once.
    pub burst: u32,
    /// Requests of one key at work.
    pub connections: Option<u32>,
    /// What is counted apart; an empty value is not limited.
    pub by: Template,
    /// Whether a burst waits for its turn.
    pub delay: bool,
    /// Whether it only counts, and refuses nobody.
    pub dry_run: bool,
}

/// `10r/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// At least 1.
    pub requests: u32,
    /// A second, a minute, an hour, a day.
    pub per: Duration,
}

/// A plan that holds only for who passes the checks, in their order.
#[derive(Debug, Clone)]
pub struct Guarded<'a> {
    /// Of each location that the request came through, in the order of its way.
    pub checks: Vec<Check<'a>>,
    /// What they stand before.
    pub plan: Plan<'a>,
}

/// A check of one location.
#[derive(Debug, Clone)]
pub struct Check<'a> {
    /// What is to be passed.
    pub what: What<'a>,
    /// Of the location that asks: its headers and error pages go with a refusal.
    pub settings: &'a Settings,
    /// Its spelling.
    pub route: &'a str,
}

/// What a check looks at.
#[derive(Debug, Clone)]
pub enum What<'a> {
    /// The request is counted.
    Limits {
        /// By these.
        limits: &'a Limits,
        /// The value of each one's `by`.
        keys: SmallVec<[Vec<u8>; 1]>,
    },
    /// Somebody must be known.
    Who(WhoIs<'a>),
}

impl What<'_> {
    /// Whether who passes it has passed what `guard` asks too: locations that a front controller's request comes through have it
    /// from their site alike, and nobody is to be asked twice. (nginx asks its `auth_request` in each of them.)
    fn covers(&self, guard: &Guard) -> bool {
        let Self::Who(who) = self else { return false };
        let same_auth = match (who.auth, &guard.auth) {
            (Some(one), Some(other)) => std::ptr::eq(one, &**other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let same_asks = match (&who.asks, &guard.asks) {
            // With variables it may be another question here.
            (Some(one), Some(other)) => {
                std::ptr::eq(one.request, &**other) && other.uri.as_literal().is_some()
            }
            (one, other) => one.is_none() && other.is_none(),
        };
        same_auth && same_asks && who.any == guard.any
    }
}

/// Who may in.
#[derive(Debug, Clone)]
pub struct WhoIs<'a> {
    /// Whether one of what follows is enough; else all must be right.
    pub any: bool,
    /// By name and password.
    pub auth: Option<&'a BasicAuth>,
    /// By a script's word.
    pub asks: Option<Asked<'a>>,
}

/// A script that is asked.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// As the configuration says it.
    pub request: &'a AuthRequest,
    /// How the question will be served. No check stands before it.
    pub plan: Box<Plan<'a>>,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rate) = self.rate {
            write!(f, "rate {rate}, burst {}, ", self.burst)?;
        }
        if let Some(connections) = self.connections {
            write!(f, "connections {connections}, ")?;
        }
        write!(f, "by {}", self.by)
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            3600 => "h",
            _ => "d",
        };
        write!(f, "{}r/{per}", self.requests)
    }
}

impl<'a, D: Lookup, T: Trace> Journey<'a, D, T> {
    /// The phases preaccess and access of the location that it is in.
    pub(super) fn knock(&mut self) -> ControlFlow<Next<'a>> {
        // nginx: these phases are the main request's alone. So a script that is asked can never make another be asked.
        if self.is_question {
            return ControlFlow::Continue(());
        }
        let settings = &self.place.settings;
        let guard = settings.guard.as_deref();
        if let Some(limits) = guard.and_then(|guard| guard.limits.as_deref()) {
            self.count(limits);
        }
        let peer = self.variables.facts.peer.map(|peer| peer.ip());
        let rule = access::deciding(&settings.access, peer);
        if !settings.access.is_empty() {
            self.trace.step(|| Step::Access {
                rule: rule.map(ToString::to_string),
                client: peer.map_or_else(|| "unix:".to_owned(), |peer| peer.to_string()),
                allowed: rule.map(|rule| rule.allow),
            });
        }
        let any = guard.is_some_and(|guard| guard.any);
        let allowed = rule.map(|rule| rule.allow);
        let guard = guard.filter(|guard| guard.auth.is_some() || guard.asks.is_some());
        match (guard, allowed) {
            // In an `any`, an address that is let in is enough, and one that is not may still be let in by what follows.
            (Some(_), Some(true)) if any => {}
            (Some(guard), allowed) if any || allowed != Some(false) => self.ask_who(guard),
            (_, Some(false)) => {
                return ControlFlow::Break(Next::Done(
                    self.refuse(StatusCode::FORBIDDEN, "denied by an access rule"),
                ));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Once for a request, in the first location that has limits: so nginx does it.
    fn count(&mut self, limits: &'a Limits) {
        if self.is_counted {
            return;
        }
        self.is_counted = true;
        let key = |limit: &Limit| limit.by.expand(&self.variables).into_owned();
        let keys: SmallVec<[Vec<u8>; 1]> = limits.all.iter().map(key).collect();
        for (limit, key) in limits.all.iter().zip(&keys) {
            self.trace.step(|| Step::Counted {
                limit: limit.to_string(),
                key: text(key),
                dry_run: limit.dry_run,
            });
        }
        self.add_check(What::Limits { limits, keys });
    }

    fn ask_who(&mut self, guard: &'a Guard) {
        if self.checks.iter().any(|check| check.what.covers(guard)) {
            return;
        }
        let auth = guard.auth.as_deref();
        if let Some(auth) = auth {
            self.trace
                .step(|| Step::Password { realm: auth.realm.clone(), file: auth.file.display().to_string() });
        }
        let asks = guard.asks.as_deref().map(|request| self.ask_script(request));
        self.add_check(What::Who(WhoIs { any: guard.any, auth, asks }));
    }

    fn ask_script(&mut self, request: &'a AuthRequest) -> Asked<'a> {
        self.trace.step(|| Step::Question { uri: request.uri.to_string() });
        let (uri, question) = expand_uri(&request.uri, &self.variables);
        let own = Variables::new(&self.variables.facts, self.variables.settings);
        let before = (std::mem::replace(&mut self.variables, own), self.place, self.internal);
        self.is_question = true;
        let next = self.go_to(uri, question);
        let plan = Box::new(self.router.walk(self, next));
        self.is_question = false;
        (self.variables, self.place, self.internal) = before;
        self.trace.step(|| Step::QuestionEnds);
        Asked { request, plan }
    }

    fn add_check(&mut self, what: What<'a>) {
        self.checks.push(Check { what, settings: &self.place.settings, route: &self.place.route });
    }

    /// The plan, behind the checks of all locations on the way.
    pub(super) fn guarded(&mut self, plan: Plan<'a>) -> Plan<'a> {
        if self.checks.is_empty() || self.is_question {
            return plan;
        }
        Plan::Guarded(Box::new(Guarded { checks: std::mem::take(&mut self.checks), plan }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{FakeDisk, check, gives, location, router, settings, steps, template};
    use super::super::{AccessRule, Location, ReturnBody, Router, Who};
    use super::*;

    fn disk() -> FakeDisk {
        FakeDisk::of(&["/www/a.txt", "/www/index.php", "/www/auth.php", "/www/in/index.php"])
    }

    fn auth(realm: &str) -> Option<Arc<BasicAuth>> {
        Some(Arc::new(BasicAuth { realm: realm.to_owned(), file: "/users".into() }))
    }

    fn limits(at: &str) -> Option<Arc<Limits>> {
        let limit = Limit {
            rate: Some(RequestRate { requests: 10, per: Duration::from_secs(1) }),
            burst: 5,
            connections: Some(2),
            by: template("$remote_addr"),
            delay: false,
            dry_run: false,
        };
        Some(Arc::new(Limits { at: at.to_owned(), all: vec![limit] }))
    }

    fn asks(uri: &str) -> Option<Arc<AuthRequest>> {
        Some(Arc::new(AuthRequest { uri: template(uri), params: Vec::new() }))
    }

    fn guarded(location: Location, guard: Guard) -> Location {
        location.with(|settings| settings.guard = Some(Arc::new(guard)))
    }

    fn rules(location: Location, rules: &[(&str, bool)]) -> Location {
        let rules =
            rules.iter().map(|(who, allow)| AccessRule { allow: *allow, who: Who::parse(who).unwrap() });
        let rules = rules.collect();
        location.with(|settings| settings.access = rules)
    }

    fn told(guard: Guard, access: &[(&str, bool)]) -> String {
        let site = router(vec![rules(guarded(location("/"), guard), access)]);
        super::super::rig::told(&site, &disk(), "/a.txt")
    }

    const CLIENT: (&str, bool) = ("192.0.2.7", true);
    const NOBODY: (&str, bool) = ("all", false);

    #[test]
    fn satisfy_says_whether_address_and_password_are_both_needed() {
        let who = |any| Guard { any, auth: auth("A"), ..Guard::default() };
        let file = "file /www/a.txt";
        for (any, access, expected) in [
            (false, &[][..], format!("/: auth A then {file}")),
            (false, &[CLIENT], format!("/: auth A then {file}")),
            (false, &[CLIENT, NOBODY], format!("/: auth A then {file}")),
            (false, &[NOBODY], "403".to_owned()),
            (true, &[], format!("/: any auth A then {file}")),
            (true, &[CLIENT], file.to_owned()),
            (true, &[CLIENT, NOBODY], file.to_owned()),
            (true, &[NOBODY], format!("/: any auth A then {file}")),
            (true, &[("10.0.0.0/8", true)], format!("/: any auth A then {file}")),
        ] {
            assert_eq!(told(who(any), access), expected, "any: {any}, {access:?}");
        }
        assert_eq!(told(Guard { any: true, ..Guard::default() }, &[NOBODY]), "403");
    }

    #[test]
    fn limits_come_first_also_before_a_refusal() {
        let guard = || Guard { auth: auth("A"), limits: limits("/"), ..Guard::default() };
        assert_eq!(told(guard(), &[]), "/: limits 192.0.2.7, /: auth A then file /www/a.txt");
        assert_eq!(told(guard(), &[NOBODY]), "/: limits 192.0.2.7 then 403");
    }

    /// Address, password and script of each location on the way; limits of the first that has any.
    fn site() -> Router {
        let in_root = Guard { auth: auth("root"), ..Guard::default() };
        let in_php = Guard { auth: auth("php"), limits: limits("php"), ..Guard::default() };
        let limited = Guard { limits: limits("/l/"), ..Guard::default() };
        router(vec![
            guarded(location("/"), in_root).tries("$uri /index.php$is_args$args"),
            guarded(location("/l/"), limited).tries("$uri /index.php"),
            guarded(location(r"~ \.php$").runs(), in_php),
            location("/open/").rule(gives(302, ReturnBody::Url(template("/x")))),
        ])
    }

    #[test]
    fn a_request_that_goes_on_elsewhere_passes_both_locations_checks() {
        check(
            &site(),
            &disk(),
            &[
                ("/a.txt", "/: auth root then file /www/a.txt"),
                (
                    "/missing",
                    r"/: auth root, ~ \.php$: limits 192.0.2.7, ~ \.php$: auth php then script /index.php info  args",
                ),
                (
                    "/index.php",
                    r"~ \.php$: limits 192.0.2.7, ~ \.php$: auth php then script /index.php info  args",
                ),
                ("/l/x", r"/l/: limits 192.0.2.7, ~ \.php$: auth php then script /index.php info  args"),
                ("/no.php", r"~ \.php$: limits 192.0.2.7, ~ \.php$: auth php then 404"),
            ],
        );
    }

    #[test]
    fn what_locations_have_from_their_site_is_asked_once() {
        let one = |uri: &str| Guard { auth: auth("A"), asks: asks(uri), ..Guard::default() };
        let site = |guard: Guard| {
            let other = Guard { any: true, ..guard.clone() };
            let sites = vec![
                guarded(location("/"), guard.clone()).tries("$uri /index.php"),
                guarded(location("/other/"), other).tries("$uri /index.php"),
                guarded(location(r"~ \.php$").runs(), guard),
            ];
            super::super::rig::told(&router(sites), &disk(), "/missing")
        };
        assert_eq!(site(one("/auth.php")).matches("auth A").count(), 1);
        assert_eq!(site(one("/auth.php?of=$uri")).matches("auth A").count(), 2, "another question");
    }

    #[test]
    fn a_return_comes_before_every_check_as_in_nginx() {
        let guard = Guard { auth: auth("A"), limits: limits("/"), ..Guard::default() };
        let site = guarded(location("/"), guard).rule(gives(301, ReturnBody::Url(template("/x"))));
        check(&router(vec![site]), &disk(), &[("/a.txt", "301 /x")]);
    }

    #[test]
    fn checks_and_handlers_see_the_same_path() {
        let guard = Guard { auth: auth("in"), ..Guard::default() };
        let site = router(vec![
            guarded(location("^~ /in/").runs(), guard),
            location("/"),
            location(r"~ \.php(/|$)").runs(),
        ]);
        for request in [
            "/in/index.php",
            "//in/index.php",
            "/x/../in/index.php",
            "/%69n/index.php",
            "/./in//index.php",
            "/in%2findex.php",
            "/in/%69ndex.php",
            "http://h/in/index.php",
            "/in/./index.php",
            "/a/..//in/index.php",
            "/in/x/../index.php",
            "POST /in/index.php",
            "/in/index.php?x",
            "/%2Fin/index.php",
        ] {
            let expected = "^~ /in/: auth in then script /in/index.php info  args";
            let seen = super::super::rig::told(&site, &disk(), request);
            assert!(seen.starts_with(expected), "{request}: {seen}");
        }
    }

    #[test]
    fn a_question_is_served_without_checks_of_its_own_and_can_ask_nobody() {
        let everything =
            || Guard { auth: auth("A"), asks: asks("/auth.php?of=$uri"), limits: limits("x"), any: false };
        let site = router(vec![
            guarded(location("/"), everything()),
            rules(guarded(location(r"~ \.php$").runs(), everything()), &[NOBODY]).with(|s| s.internal = true),
        ]);
        let asked = "asks (script /auth.php info  args of=/a.txt)";
        let expected = format!("/: limits 192.0.2.7, /: auth A {asked} then file /www/a.txt");
        check(&site, &disk(), &[("/a.txt", &expected), ("/auth.php", "404")]);
    }

    #[test]
    fn each_check_is_told() {
        let guard = Guard { auth: auth("A"), asks: asks("/auth.php"), limits: limits("/"), any: true };
        let site = router(vec![
            rules(guarded(location("/"), guard), &[("10.0.0.0/8", true)]),
            location(r"~ \.php$").runs(),
        ]);
        assert_eq!(
            steps(&site, &disk(), "/a.txt"),
            [
                "location /",
                "limits { rate 10r/s, burst 5, connections 2, by $remote_addr }: counts for \"192.0.2.7\"",
                "allow, deny: no rule fits 192.0.2.7, who is let in",
                "auth \"A\": name and password of /users",
                "auth_request /auth.php: 2xx lets in, 401 and 403 do not; it goes",
                "goes on as /auth.php",
                r"location ~ \.php$",
                "script /auth.php, PATH_INFO \"\"",
                "end of auth_request",
                "file /www/a.txt",
            ]
        );
        assert!(settings().guard.is_none());
    }
}
