//! The way of a request through nginx's phases: site rules, location, its rules, `internal`, access, try_files, the
//! handler. Each phase is a file of its own; here is their order, and how often a request may start over.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::StatusCode;
use http::header::HOST;

use super::inside::Arrived;
use super::search::{Found, Level, Place};
use super::trace::{Step, text};
use super::variables::{Variable, Variables};
use super::{
    Check, Fixed, Handler, Location, Lookup, Plan, Redirect, RequestFacts, Rule, Settings, Template, Trace,
    content, escape, split,
};

/// nginx's NGX_HTTP_MAX_URI_CHANGES: more rewrites and internal redirects than this are a loop.
const MOST_URI_CHANGES: usize = 10;

/// The rules and locations of one site, ready to be searched.
#[derive(Debug)]
pub struct Router {
    rules: Vec<Rule>,
    locations: Level,
    site: Place,
}

/// Where a request goes on, once a phase has ended its stay in a location.
#[derive(Debug)]
pub(super) enum Next<'a> {
    /// A location's rules changed the path: another location may be the right one.
    Search,
    /// An internal redirect: the site's rules are run again too.
    Restart,
    /// `@name`: no rules of the site, no search.
    Named(Cow<'a, str>),
    /// The way ends here.
    Done(Plan<'a>),
}

/// One request on its way.
pub(super) struct Journey<'a, D, T> {
    pub(super) variables: Variables<'a>,
    pub(super) place: &'a Place,
    pub(super) disk: D,
    pub(super) trace: T,
    /// It came here by a rewrite, an internal redirect or an error page: `internal` locations let it in.
    pub(super) internal: bool,
    pub(super) router: &'a Router,
    /// What is to be passed before the plan holds.
    pub(super) checks: Vec<Check<'a>>,
    /// A location's limits are among them.
    pub(super) is_counted: bool,
    /// It is the question of an `auth_request`.
    pub(super) is_question: bool,
}

impl Router {
    /// `rules` are the site's own, run before a location is searched; `settings` hold where no location matches.
    pub fn new(rules: Vec<Rule>, locations: Vec<Location>, settings: Arc<Settings>) -> Self {
        Self { rules, locations: Level::new(locations), site: Place::of_site(settings) }
    }

    /// How this request is to be served. Never fails: a refusal is a plan too, and the trace says why.
    pub fn plan<'a>(
        &'a self,
        facts: &RequestFacts<'a>,
        disk: &impl Lookup,
        trace: &mut impl Trace,
    ) -> Plan<'a> {
        let mut journey = Journey::new(self, facts, disk, trace);
        if facts.target.is_asterisk() {
            return journey.refuse(StatusCode::BAD_REQUEST, "the target * names no resource");
        }
        self.walk(&mut journey, Next::Restart)
    }

    pub(super) fn walk<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
        first: Next<'a>,
    ) -> Plan<'a> {
        let arrived = self.arrive(journey, first);
        self.walk_from(journey, arrived)
    }

    pub(super) fn walk_from<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
        arrived: Arrived<'a>,
    ) -> Plan<'a> {
        let plan = self.walk_to_end(journey, arrived);
        journey.guarded(plan)
    }

    fn walk_to_end<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
        mut arrived: Arrived<'a>,
    ) -> Plan<'a> {
        for _ in 0..=MOST_URI_CHANGES {
            let next = match arrived {
                ControlFlow::Continue(found) => self.stay(journey, found),
                ControlFlow::Break(next) => next,
            };
            if let Next::Done(plan) = next {
                return plan;
            }
            arrived = self.arrive(journey, next);
        }
        journey.refuse(StatusCode::INTERNAL_SERVER_ERROR, "rewrite or internal redirection cycle")
    }

    /// The location that answers next.
    pub(super) fn arrive<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
        next: Next<'a>,
    ) -> Arrived<'a> {
        match next {
            Next::Restart => {
                self.run_site_rules(journey).map_continue(|()| self.locations.find(&journey.variables.uri))
            }
            Next::Search => ControlFlow::Continue(self.locations.find(&journey.variables.uri)),
            Next::Named(name) => self.find_named(journey, &name),
            Next::Done(plan) => ControlFlow::Break(Next::Done(plan)),
        }
    }

    pub(super) fn has_named(&self, name: &str) -> bool {
        self.locations.named(name).is_some()
    }

    fn run_site_rules<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
    ) -> ControlFlow<Next<'a>> {
        journey.enter(&self.site);
        // A changed path needs nothing more here: the search comes next anyway.
        match journey.run_rules(&self.rules) {
            ControlFlow::Break(done @ Next::Done(_)) => ControlFlow::Break(done),
            _ => ControlFlow::Continue(()),
        }
    }

    fn find_named<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
        name: &str,
    ) -> Arrived<'a> {
        match self.locations.named(name) {
            Some(place) => ControlFlow::Continue(Found::Final(place, None)),
            None => ControlFlow::Break(Next::Done(
                journey.refuse(StatusCode::INTERNAL_SERVER_ERROR, "no location has that name"),
            )),
        }
    }

    /// What happens in the location that was found, until something else is to be searched or the plan stands.
    fn stay<'a, D: Lookup, T: Trace>(
        &'a self,
        journey: &mut Journey<'a, D, T>,
        found: Found<'a>,
    ) -> Next<'a> {
        match found {
            Found::None => journey.enter(&self.site),
            Found::Prefix(place) => journey.enter(place),
            Found::Final(place, matched) => {
                journey.enter(place);
                if let Some(matched) = matched {
                    journey.variables.take(matched);
                }
            }
            Found::LacksSlash => return Next::Done(journey.add_slash()),
        }
        match journey.run_phases() {
            ControlFlow::Break(next) => next,
            ControlFlow::Continue(plan) => Next::Done(plan),
        }
    }
}

impl<'a, D: Lookup, T: Trace> Journey<'a, D, T> {
    pub(super) fn new(router: &'a Router, facts: &RequestFacts<'a>, disk: D, trace: T) -> Self {
        let place = &router.site;
        let variables = Variables::new(facts, &place.settings);
        Self {
            variables,
            place,
            disk,
            trace,
            internal: false,
            router,
            checks: Vec::new(),
            is_counted: false,
            is_question: false,
        }
    }

    fn enter(&mut self, place: &'a Place) {
        self.place = place;
        self.variables.settings = &place.settings;
        self.variables.anchor = place.anchor();
        self.variables.fastcgi = match &place.handler {
            Handler::FastCgi(fastcgi) => Some(fastcgi),
            Handler::Static => None,
        };
    }

    fn run_phases(&mut self) -> ControlFlow<Next<'a>, Plan<'a>> {
        let place = self.place;
        self.trace.step(|| Step::Location { location: place.route.to_string() });
        // Before the rules, as nginx does: a rewrite inside must not let the outside in.
        if place.settings.internal && !self.internal {
            return ControlFlow::Continue(self.refuse(StatusCode::NOT_FOUND, "the location is internal"));
        }
        self.run_rules(&place.rules)?;
        self.knock()?;
        if let Some(steps) = &place.try_files {
            self.try_files(steps)?;
        }
        match &place.handler {
            Handler::Static => content::serve(self),
            Handler::FastCgi(fastcgi) => ControlFlow::Continue(split::serve(self, fastcgi)),
        }
    }

    /// An internal redirect to `uri`, whose query starts behind the `?` at `question`.
    pub(super) fn go_to(&mut self, mut uri: Vec<u8>, question: Option<usize>) -> Next<'a> {
        self.trace.step(|| Step::Internal { to: text(&uri) });
        self.variables.args = match question {
            Some(at) => {
                let args = uri.split_off(at);
                Cow::Owned(args[1..].to_vec())
            }
            None => Cow::Borrowed(b""),
        };
        self.variables.uri = Cow::Owned(uri);
        self.internal = true;
        Next::Restart
    }

    pub(super) fn go_to_named(&mut self, name: Cow<'a, str>) -> Next<'a> {
        self.trace.step(|| Step::Internal { to: name.to_string() });
        self.internal = true;
        Next::Named(name)
    }

    pub(super) fn refuse(&mut self, status: StatusCode, why: &'static str) -> Plan<'a> {
        self.trace.step(|| Step::Refused { status: status.as_u16(), why });
        self.answer(status, None)
    }

    pub(super) fn answer(&self, status: StatusCode, body: Option<Vec<u8>>) -> Plan<'a> {
        let (settings, route) = (&*self.place.settings, &*self.place.route);
        Plan::Fixed(Fixed { status, body, settings, route })
    }

    /// `location` is escaped already.
    pub(super) fn redirect(&mut self, status: StatusCode, mut location: Vec<u8>) -> Plan<'a> {
        if self.place.settings.absolute_redirect && location.starts_with(b"/") && !location.starts_with(b"//")
        {
            location.splice(..0, self.own_origin());
        }
        self.trace.step(|| Step::Redirect { status: status.as_u16(), to: text(&location) });
        let (settings, route) = (&*self.place.settings, &*self.place.route);
        Plan::Redirect(Redirect { status, location, settings, route })
    }

    /// Scheme and host as the client knows them; nothing for a client that named no host.
    fn own_origin(&self) -> Vec<u8> {
        let facts = self.variables.facts;
        let mut host = Vec::new();
        self.variables.write(&Variable::Header(HOST), &mut host);
        if host.is_empty() {
            host.extend_from_slice(facts.server_name.as_bytes());
        }
        match host.is_empty() {
            true => host,
            false => [facts.scheme.as_str().as_bytes(), b"://", &host].concat(),
        }
    }

    /// To the same path with a slash behind it, as a relative reference: who knows the name the client uses?
    pub(super) fn add_slash(&mut self) -> Plan<'a> {
        let Variables { uri, args, .. } = &self.variables;
        let mut to = Vec::with_capacity(uri.len() + args.len() + 2);
        // Two slashes in front would name another host.
        let slashes = uri.iter().take_while(|&&byte| byte == b'/').count();
        to.push(b'/');
        escape::path(&uri[slashes..], &mut to);
        to.push(b'/');
        if !args.is_empty() {
            to.push(b'?');
            to.extend_from_slice(&escape::location(args));
        }
        self.redirect(StatusCode::MOVED_PERMANENTLY, to)
    }
}

/// A URI made from a template, and where the `?` of its query stands. Only a `?` that the configuration wrote, or
/// `$is_args`, starts a query: one that was decoded from the path is part of a name.
pub(super) fn expand_uri(template: &Template, variables: &Variables<'_>) -> (Vec<u8>, Option<usize>) {
    use super::template::Part;
    use super::variables::Variable;

    let mut uri = Vec::with_capacity(template.as_str().len() + 64);
    let mut question = None;
    for part in template.parts() {
        let start = uri.len();
        match part {
            Part::Text(text) => {
                uri.extend_from_slice(text.as_bytes());
                question = question.or_else(|| text.find('?').map(|at| start + at));
            }
            Part::Variable(variable) => {
                variables.write(variable, &mut uri);
                let asks = *variable == Variable::IsArgs && uri.len() > start;
                question = question.or(asks.then_some(start));
            }
        }
    }
    (uri, question)
}

#[cfg(test)]
mod tests {
    use super::super::rig::{
        FakeDisk, check, gives, location, planned, rewrite, router, steps, tell, template, with_facts,
    };
    use super::super::{AccessRule, NoTrace, ReturnBody, Who};
    use super::*;

    fn disk() -> FakeDisk {
        FakeDisk::of(&["/www/a.txt", "/www/in/a.txt", "/www/index.php", "/www/404.html"])
    }

    fn denied(location: Location) -> Location {
        location.with(|settings| settings.access = vec![AccessRule { allow: false, who: Who::All }])
    }

    fn internal(location: Location) -> Location {
        location.with(|settings| settings.internal = true)
    }

    #[test]
    fn an_internal_location_is_reached_from_inside_only() {
        let sites = vec![
            internal(location("/in/")),
            location("/try").tries("$uri /in/a.txt"),
            location("/rewrite").rule(rewrite("^ /in/a.txt last")),
            location("/"),
        ];
        check(
            &router(sites),
            &disk(),
            &[
                ("/in/a.txt", "404"),
                ("//in/./a.txt", "404"),
                ("/%69n/a.txt", "404"),
                ("/try", "file /www/in/a.txt"),
                ("/rewrite", "file /www/in/a.txt"),
            ],
        );
    }

    #[test]
    fn the_rules_of_an_internal_location_do_not_let_the_outside_in() {
        let site = internal(location("/in/")).rule(rewrite("^ /a.txt break"));
        check(&router(vec![site]), &disk(), &[("/in/x", "404")]);
    }

    #[test]
    fn access_is_asked_before_the_disk() {
        let disk = disk();
        check(&router(vec![denied(location("/"))]), &disk, &[("/a.txt", "403"), ("/missing", "403")]);
        assert!(disk.asked.borrow().is_empty());
        let try_files = denied(location("/")).tries("$uri /missing");
        check(&router(vec![try_files]), &disk, &[("/a.txt", "403")]);
    }

    #[test]
    fn a_return_comes_before_access_as_in_nginx() {
        let site = denied(location("/")).rule(gives(301, ReturnBody::Url(template("/x"))));
        check(&router(vec![site]), &disk(), &[("/a.txt", "301 /x")]);
    }

    #[test]
    fn access_rules_and_handlers_see_the_same_path() {
        let site = router(vec![denied(location("^~ /in/")), location("/")]);
        for request in [
            "/in/a.txt",
            "//in/a.txt",
            "/x/../in/a.txt",
            "/%69n%2fa.txt",
            "/./in//a.txt",
            "http://h/in/a.txt",
        ] {
            check(&site, &disk(), &[(request, "403")]);
        }
        check(&site, &disk(), &[("/in\\a.txt", "404"), ("/IN/a.txt", "404")]);
    }

    #[test]
    fn without_a_location_the_site_serves_files() {
        check(&router(Vec::new()), &disk(), &[("/a.txt", "file /www/a.txt"), ("/missing", "404")]);
        assert_eq!(steps(&router(Vec::new()), &disk(), "/a.txt"), ["location site", "file /www/a.txt"]);
    }

    #[test]
    fn the_asterisk_names_nothing_here() {
        check(&router(vec![location("/")]), &disk(), &[("OPTIONS *", "400")]);
    }

    #[test]
    fn a_pool_behind_a_directory_sends_the_client_to_its_slash() {
        check(
            &router(vec![location("/app/").runs(), location("/")]),
            &disk(),
            &[("/app?q=1", "301 /app/?q=1")],
        );
    }

    #[test]
    fn the_plan_tells_the_location_that_decided_it() {
        let site = router(vec![
            location("= /a.txt"),
            denied(location("/")),
            location("/in/").rule(gives(302, ReturnBody::Url(template("/x")))),
        ]);
        for (request, expected) in [("/a.txt", "= /a.txt"), ("/b", "/"), ("/in/", "/in/")] {
            planned(&site, &disk(), request, |plan| assert_eq!(plan.route(), expected, "{request}"));
        }
    }

    #[test]
    fn a_redirect_names_scheme_and_host_where_it_should() {
        let absolute = |location: Location| location.with(|settings| settings.absolute_redirect = true);
        let site = router(vec![
            absolute(location("/")),
            absolute(location("= /moved").rule(gives(301, ReturnBody::Url(template("/to?$args"))))),
            absolute(location("= /else").rule(gives(302, ReturnBody::Url(template("https://b.example/"))))),
            absolute(location("= /host").rule(gives(302, ReturnBody::Url(template("//b.example/"))))),
            location("= /relative").rule(gives(302, ReturnBody::Url(template("/to")))),
        ]);
        let host = [("host", "Shop.example:8080")];
        for (asked, headers, expected) in [
            ("/in", &host[..], "301 http://Shop.example:8080/in/"),
            ("/moved?a=b", &host, "301 http://Shop.example:8080/to?a=b"),
            ("/else", &host, "302 https://b.example/"),
            ("/host", &host, "302 //b.example/"),
            ("/relative", &host, "302 /to"),
        ] {
            with_facts(asked, headers, |facts| {
                assert_eq!(tell(&site.plan(facts, &disk(), &mut NoTrace)), expected, "{asked}");
            });
        }
    }
}
