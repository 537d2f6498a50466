//! Where the reply of a plan is not what the client gets: a script orders another one (`X-Accel-Redirect`), or an error has a page
//! of its own. Here is the loop that goes from plan to plan, and its bounds; how a plan is carried out is the `pipeline`'s.

use std::sync::OnceLock;

use http::header::{
    ACCEPT_RANGES, CONNECTION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::body::Body;
use super::kept::Kept;
use super::pipeline::{Carried, Hangup, Pipeline};
use super::respond::{self, Refusal};
use crate::route::{ErrorPage, FilePlan, Order, PageStatus, Plan, RequestFacts, Settings};
use crate::site::Site;

/// nginx: more internal redirects than this are a loop.
const MOST_ORDERS: usize = 10;

static GET: Method = Method::GET;

/// Why the client does not get what a plan came to.
#[derive(Debug)]
pub(super) enum Detour {
    /// There is nothing to get.
    Refused(Refusal),
    /// A script orders something else. Its own reply is gone.
    Ordered(Box<Ordered>),
    /// A script's error that has a page here: its reply, in case that the page is where it comes from.
    Intercepted(Box<Response<Body>>),
}

/// A script's order, with what of its reply goes with it.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) to: Destination,
    pub(super) kept: Kept,
}

/// Where it leads.
#[derive(Debug)]
pub(super) enum Destination {
    /// `X-Accel-Redirect`
    Inside(Order),
    /// `X-Sendfile`: a path as php-fpm sees it.
    File(HeaderValue),
}

impl<E: Into<Refusal>> From<E> for Detour {
    fn from(refusal: E) -> Self {
        Self::Refused(refusal.into())
    }
}

/// The error whose page is on its way, if any: nginx's `recursive_error_pages` is off.
struct Failed {
    cause: Cause,
    /// What the reply will say; `None`: what the page says itself.
    status: Option<StatusCode>,
}

enum Cause {
    Refused(Refusal),
    /// A script said so. With 401 goes its challenge.
    Reply(StatusCode, Option<(HeaderName, HeaderValue)>),
}

impl Cause {
    fn status(&self) -> StatusCode {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::Reply(status, _) => *status,
        }
    }

    /// The standard page.
    fn respond(&self, facts: &RequestFacts<'_>) -> Response<Body> {
        match self {
            Self::Refused(refusal) => refusal.respond(facts.headers, facts.request_id),
            Self::Reply(status, challenge) => {
                let mut response = respond::page(*status, facts.headers, facts.request_id);
                response.headers_mut().extend(challenge.clone());
                response
            }
        }
    }
}

/// A request on its way from plan to plan.
struct Way<'a> {
    site: &'a Site,
    facts: RequestFacts<'a>,
    /// The client's header without preconditions and ranges, which are not about an error's page.
    plain: &'a OnceLock<HeaderMap>,
    failed: Option<Failed>,
    kept: Kept,
    orders: usize,
}

/// Goes on until there is a reply.
///
/// # Errors
/// [`Hangup`] where the route asks for it.
pub(super) async fn follow(
    pipeline: &Pipeline<'_>,
    site: &Site,
    first: (&Plan<'_>, Detour),
    facts: &RequestFacts<'_>,
    carried: &mut Carried<'_>,
) -> Result<Response<Body>, Hangup> {
    let plain = OnceLock::new();
    let mut way = Way { site, facts: *facts, plain: &plain, failed: None, kept: Kept::default(), orders: 0 };
    let (mut at, mut detour) = ((first.0.settings(), first.0.route()), first.1);
    loop {
        let mut plan = match way.turn(detour, at, carried)? {
            Turn::There(response) => return Ok(way.dress(pipeline, *response, at.0)),
            Turn::On(plan) => plan,
        };
        at = (plan.settings(), plan.route());
        match pipeline.carry_out(&mut plan, &way.facts, carried).await {
            Ok(response) => return Ok(way.dress(pipeline, response, at.0)),
            Err(again) => detour = again,
        }
    }
}

/// Where a detour leads.
enum Turn<'a> {
    On(Plan<'a>),
    There(Box<Response<Body>>),
}

impl<'a> Way<'a> {
    fn turn(
        &mut self,
        detour: Detour,
        at: (&'a Settings, &'a str),
        carried: &Carried<'_>,
    ) -> Result<Turn<'a>, Hangup> {
        let cause = match detour {
            Detour::Refused(Refusal::Hangup) => return Err(Hangup),
            Detour::Refused(refusal) => Cause::Refused(refusal),
            // The page that an error got may well have that status: it is what the client is to see.
            Detour::Intercepted(reply) if self.failed.is_some() => return Ok(Turn::There(reply)),
            Detour::Intercepted(reply) => intercepted(*reply),
            Detour::Ordered(ordered) => match self.obey(*ordered, at, carried) {
                Ok(plan) => return Ok(Turn::On(plan)),
                Err(refusal) => Cause::Refused(refusal),
            },
        };
        if let Cause::Refused(refusal) = &cause {
            refusal.log(self.facts.request_id);
        }
        Ok(self.fail(cause, at.0, carried))
    }

    fn obey(
        &mut self,
        ordered: Ordered,
        at: (&'a Settings, &'a str),
        carried: &Carried<'_>,
    ) -> Result<Plan<'a>, Refusal> {
        let Ordered { to, kept } = ordered;
        self.orders += 1;
        if self.orders > MOST_ORDERS {
            return Err(Refusal::Cycle);
        }
        self.kept.add(kept);
        let order = match to {
            Destination::Inside(order) => order,
            Destination::File(path) => {
                self.ask(false, carried);
                let (settings, route) = at;
                let found = settings.sendfile(path.as_bytes());
                let (path, beneath) = found.ok_or_else(|| Refusal::sendfile(&path))?;
                return Ok(Plan::File(FilePlan { path, beneath, settings, route }));
            }
        };
        self.ask(order.is_named(), carried);
        let plan = self.site.plan_order(&order, &self.facts);
        plan.map_err(|why| Refusal::Order { to: order.to.escape_ascii().to_string(), why })
    }

    /// The page of an error, or the standard one: where there is none, or the page that the first error got failed itself.
    fn fail(&mut self, cause: Cause, settings: &'a Settings, carried: &Carried<'_>) -> Turn<'a> {
        if let Some(first) = self.failed.take() {
            tracing::warn!(
                request_id = %self.facts.request_id,
                "the error page for {} is answered with {} itself: the standard page is sent",
                first.cause.status().as_u16(),
                cause.status().as_u16(),
            );
            return Turn::There(Box::new(first.cause.respond(&self.facts)));
        }
        let Some(page) = settings.error_page(cause.status()) else {
            return Turn::There(Box::new(cause.respond(&self.facts)));
        };
        Turn::On(self.show(page, cause, settings, carried))
    }

    fn show(
        &mut self,
        page: &'a ErrorPage,
        cause: Cause,
        settings: &'a Settings,
        carried: &Carried<'_>,
    ) -> Plan<'a> {
        self.ask(page.name().is_some(), carried);
        let error = cause.status();
        let status = match page.status {
            PageStatus::OfPage => None,
            PageStatus::OfError => Some(error),
            PageStatus::Always(status) => Some(status),
        };
        if status.is_some_and(|status| status != StatusCode::OK) {
            let headers = self.facts.headers;
            self.facts.headers = self.plain.get_or_init(|| without_preconditions(headers));
        }
        let plan = self.site.plan_error_page(page, settings, &self.facts);
        let status = if let Plan::Redirect(_) = plan { None } else { status };
        self.failed = Some(Failed { cause, status });
        plan
    }

    /// nginx asks for a path with GET, whatever the client asked with; a named location gets the request as it is, as long as its
    /// body is still there.
    fn ask(&mut self, named: bool, carried: &Carried<'_>) {
        if named && carried.body.is_some() || self.facts.method == Method::HEAD {
            return;
        }
        self.facts.method = &GET;
        self.facts.content_length = None;
    }

    fn dress(
        self,
        pipeline: &Pipeline<'_>,
        mut response: Response<Body>,
        settings: &Settings,
    ) -> Response<Body> {
        if let Some(failed) = self.failed {
            failed.mark(&mut response);
        }
        self.kept.put_on(&mut response);
        pipeline.dress(response, settings, &self.facts)
    }
}

impl Failed {
    fn mark(&self, response: &mut Response<Body>) {
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        let headers = response.headers_mut();
        if self.status.is_some_and(|status| status != StatusCode::OK) {
            // As nginx: they are of the page, and this is the answer to another question.
            headers.remove(LAST_MODIFIED);
            headers.remove(ACCEPT_RANGES);
        }
        match &self.cause {
            Cause::Refused(refusal) => {
                headers.extend(refusal.header());
                if refusal.ends_connection() {
                    headers.insert(CONNECTION, HeaderValue::from_static("close"));
                }
            }
            Cause::Reply(_, challenge) => headers.extend(challenge.clone()),
        }
    }
}

fn intercepted(reply: Response<Body>) -> Cause {
    let (parts, body) = reply.into_parts();
    body.discard();
    let challenge = parts.headers.get(http::header::WWW_AUTHENTICATE).cloned();
    let challenge = challenge.filter(|_| parts.status == StatusCode::UNAUTHORIZED);
    Cause::Reply(parts.status, challenge.map(|value| (http::header::WWW_AUTHENTICATE, value)))
}

fn without_preconditions(headers: &HeaderMap) -> HeaderMap {
    let mut plain = headers.clone();
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE] {
        plain.remove(name);
    }
    plain
}
