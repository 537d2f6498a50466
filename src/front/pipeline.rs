//! The one function that a request goes through. Every step is a room's decision; here is only their order.

use std::path::Path;

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;

use super::body::{Body, Visited};
use super::facts::{Client, Head};
use super::incoming::{self, Unread};
use super::respond::{self, Refusal};
use super::visit::Visit;
use super::{admission, headers, script};
use crate::files;
use crate::route::{Label, Plan, RequestFacts, ScriptPlan, Settings};
use crate::site::Generation;

/// What answers requests besides the generation, which a reload may change in between.
#[derive(Debug)]
pub(super) struct Pipeline<'a> {
    pub(super) generation: &'a Generation,
    pub(super) temp_dir: &'a Path,
}

/// nginx's 444: the connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer, as the route says")]
pub(super) struct Hangup;

/// A reply that still gets the route's headers, or why there is none.
type Answer = Result<Response<Body>, Refusal>;

impl Pipeline<'_> {
    /// Answers one request.
    ///
    /// # Errors
    /// [`Hangup`] where the route asks for it.
    pub(super) async fn answer(
        &self,
        parts: &Parts,
        body: Incoming,
        mut visit: Visit,
        client: &Client,
    ) -> Result<Response<Visited>, Hangup> {
        let request_id = visit.label();
        let unread = Unread::of(&body);
        let head = match Head::read(parts) {
            Ok(head) => head,
            Err(refusal) => {
                return Ok(unread.before(refused_unread(&refusal, parts, request_id, visit, client)));
            }
        };
        let site = self.generation.sites().find(client.listener, head.host());
        let known = admission::Known::default();
        let mut facts = head.facts(client, site.server_name(), request_id);
        visit.finds_site(head.host(), site);
        let mut plan = site.plan(&facts);
        let admitted = match plan {
            Plan::Guarded(_) => {
                Box::pin(admission::admit(self, site, &mut plan, &mut facts, &known, &mut visit)).await
            }
            _ => Ok(()),
        };
        visit.takes_route(&plan);
        let answer = match admitted {
            Ok(()) => self.carry_out(&mut plan, &facts, (body, &unread), &mut visit).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(Refusal::Hangup) = answer {
            visit.hung_up();
            return Err(Hangup);
        }
        Ok(unread.before(finish(answer, plan.settings(), &facts, visit, client)))
    }

    async fn carry_out(
        &self,
        plan: &mut Plan<'_>,
        facts: &RequestFacts<'_>,
        body: (Incoming, &Unread),
        visit: &mut Visit,
    ) -> Answer {
        match plan {
            Plan::Fixed(fixed) => respond::fixed(fixed.status, fixed.body.take()),
            Plan::Redirect(to) => Ok(respond::redirect(to, facts.headers, facts.request_id)),
            Plan::File(file) => {
                let request = files::FileRequest {
                    method: facts.method,
                    headers: facts.headers,
                    path: &file.path,
                    options: &files::FileOptions { charset: charset(file.settings), ..Default::default() },
                };
                files::decide(request).render().map(|found| found.map(Body::File)).map_err(Refusal::File)
            }
            Plan::Guarded(_) => {
                Box::pin(admission::admit_inside(self, plan, facts, visit)).await?;
                Box::pin(self.carry_out(plan, facts, body, visit)).await
            }
            // Boxed: hyper moves the future of every request several times, and this one is kilobytes large.
            Plan::Script(plan) => Box::pin(self.run(plan, facts, body, visit)).await,
        }
    }

    /// The body first, then the params, then a worker: none is held while a client is slow.
    async fn run(
        &self,
        plan: &mut ScriptPlan<'_>,
        facts: &RequestFacts<'_>,
        body: (Incoming, &Unread),
        visit: &mut Visit,
    ) -> Answer {
        let terms = incoming::Terms {
            max: plan.settings.max_body,
            buffering: plan.settings.buffering,
            temp_dir: self.temp_dir,
        };
        let (body, unread) = body;
        let (body, length) = incoming::take(body, terms, unread).await?;
        visit.brought(length.unwrap_or(0));
        let cluster = self.generation.cluster(plan.fastcgi.pool);
        let request = {
            let facts = RequestFacts { content_length: length.or(facts.content_length), ..*facts };
            script::request(plan, &facts, body, cluster, visit)?
        };
        let (head, body) = cluster.send(request).await?;
        let queued = cluster.pool().queue.header.then(|| body.queued());
        let mut response = script::response(head, body, facts.request_id);
        if let Some(queued) = queued {
            headers::tell_queue_time(&mut response, queued);
        }
        Ok(response)
    }
}

/// `facts` has refused every coding but `chunked`.
fn is_chunked(facts: &RequestFacts<'_>) -> bool {
    facts.headers.contains_key(TRANSFER_ENCODING)
}

/// nginx's `charset off` names none.
fn charset(settings: &Settings) -> Option<&str> {
    (settings.charset != "off").then_some(&settings.charset)
}

/// Adds what every reply has, and ties it to its visit.
fn finish(
    answer: Answer,
    settings: &Settings,
    facts: &RequestFacts<'_>,
    visit: Visit,
    client: &Client,
) -> Response<Visited> {
    let mut response = answer.unwrap_or_else(|refusal| {
        refusal.log(facts.request_id);
        refusal.respond(facts.headers, facts.request_id)
    });
    headers::add(&mut response, settings, facts);
    headers::add_server(&mut response);
    // hyper drops a Content-Length that stands beside Transfer-Encoding before we see it: who believes the other of the two
    // takes what follows for a request of its own, so nothing may follow (RFC 9112 §6.1).
    if is_chunked(facts) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    visited(response, facts.method, visit, client)
}

/// A request too wrong to belong to any site.
fn refused_unread(
    refusal: &Refusal,
    parts: &Parts,
    request_id: Label,
    visit: Visit,
    client: &Client,
) -> Response<Visited> {
    refusal.log(request_id);
    let mut response = refusal.respond(&parts.headers, request_id);
    headers::add_server(&mut response);
    visited(response, &parts.method, visit, client)
}

/// hyper asks for no body where there must be none or is none: such a reply is complete with its head.
fn visited(
    response: Response<Body>,
    method: &Method,
    mut visit: Visit,
    client: &Client,
) -> Response<Visited> {
    visit.answered(response.status());
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || method == Method::HEAD || response.body().is_over() {
        visit.complete();
    }
    response.map(|body| Visited::new(body, visit, client.notes.clone()))
}
