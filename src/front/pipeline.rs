//! The one function that a request goes through. Every step is a room's decision; here is only their order.

use std::sync::Arc;

use arc_swap::Guard;
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::body::{Body, Visited};
use super::compress::{self, compress};
use super::connection::Means;
use super::detour::{self, Detour};
use super::drain::Watcher;
use super::facts::{Client, Head};
use super::incoming::{self, Unread};
use super::respond::{self, Refusal};
use super::visit::Visit;
use super::{admission, headers, script};
use crate::files;
use crate::route::{ListingPlan, Plan, RequestFacts, ScriptPlan, Settings};
use crate::site::Generation;
use crate::upstream::RequestBody;

/// What answers one request. It is part of the future that answers, so that there is one future less to be moved about.
#[derive(Debug)]
pub(super) struct Pipeline<'a> {
    pub(super) generation: Guard<Arc<Generation>>,
    pub(super) means: Guard<Arc<Means>>,
    /// Small files that were compressed before.
    pub(super) compressed: &'a Arc<compress::Kept>,
    pub(super) client: &'a Client,
    pub(super) watcher: &'a Watcher,
}

/// nginx's 444: the connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer, as the route says")]
pub(super) struct Hangup;

/// A reply that still gets the route's headers, or what comes instead.
type Answer = Result<Response<Body>, Detour>;

impl Pipeline<'_> {
    /// Answers one request.
    ///
    /// # Errors
    /// [`Hangup`] where the route asks for it.
    pub(super) async fn answer(
        self,
        parts: Parts,
        body: Incoming,
        mut visit: Visit,
    ) -> Result<Response<Visited>, Hangup> {
        let (client, unread) = (self.client, Unread::of(&body));
        let head = match Head::read(&parts, client.notes.flaw()) {
            Ok(head) => head,
            Err(refusal) => return Ok(self.refuse(&refusal, &parts, visit, &unread)),
        };
        let site = self.generation.sites().find(client.listener, head.host());
        let origin = site.origin(client.peer.as_ref(), client.announced.as_deref(), &parts.headers);
        visit.comes_from(origin.as_ref());
        visit.finds_site(head.host(), site);
        let secured = match client.secured(site) {
            Ok(secured) => secured,
            Err(refusal) => return Ok(self.refuse(&refusal, &parts, visit, &unread)),
        };
        let told = (secured.as_ref(), origin.as_ref());
        let known = admission::Known::default();
        let mut facts = head.facts(client, told, site.server_name(), visit.label());
        let mut plan = site.plan(&facts);
        if let Err(refusal) = client.is_let_in(site, &plan) {
            visit.takes_route(&plan);
            return Ok(self.refuse(&refusal, &parts, visit, &unread));
        }
        let admitted = match plan {
            Plan::Guarded(_) => {
                Box::pin(admission::admit(&self, site, &mut plan, &mut facts, &known, &mut visit)).await
            }
            _ => Ok(()),
        };
        visit.takes_route(&plan);
        let mut carried = Carried { body: Some(body), unread: &unread, visit: &mut visit };
        let answer = match admitted {
            Ok(()) => self.carry_out(&mut plan, &facts, &mut carried).await,
            Err(refusal) => Err(refusal.into()),
        };
        let response = match answer {
            Ok(response) => Ok(self.dress(response, plan.settings(), &facts)),
            // Boxed: few requests come here, and all would carry its size.
            Err(detour) => Box::pin(detour::follow(&self, site, (&plan, detour), &facts, &mut carried)).await,
        };
        match response {
            Ok(mut response) => {
                headers::add_hsts(&mut response, site.hsts(), &facts);
                Ok(self.finish(response, &facts, visit, &unread))
            }
            Err(hangup) => {
                visit.hung_up();
                Err(hangup)
            }
        }
    }

    /// What holds where the request came to its end: the headers that are added there, and the coding.
    pub(super) fn dress(
        &self,
        mut response: Response<Body>,
        settings: &Settings,
        facts: &RequestFacts<'_>,
    ) -> Response<Body> {
        headers::add(&mut response, settings, facts);
        match &settings.compression {
            Some(compression) => {
                let means = compress::Means { kept: self.compressed, buffers: self.generation.buffers() };
                compress(response, compression, facts, means)
            }
            None => response,
        }
    }

    /// Adds what every reply has, and ties it to its visit.
    fn finish(
        &self,
        mut response: Response<Body>,
        facts: &RequestFacts<'_>,
        visit: Visit,
        unread: &Unread,
    ) -> Response<Visited> {
        // Who believes something else of the chunks takes what follows for a request of its own, and `heads` does not follow them:
        // so nothing may follow (RFC 9112 §6.1).
        if is_chunked(facts) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.send(response, (facts.method, facts.version), visit, unread)
    }

    /// A request too wrong to belong to any site.
    fn refuse(&self, refusal: &Refusal, parts: &Parts, visit: Visit, unread: &Unread) -> Response<Visited> {
        refusal.log(visit.label());
        let response = refusal.respond(&parts.headers, visit.label());
        self.send(response, (&parts.method, parts.version), visit, unread)
    }

    fn send(
        &self,
        mut response: Response<Body>,
        (method, version): (&Method, Version),
        visit: Visit,
        unread: &Unread,
    ) -> Response<Visited> {
        headers::add_server(&mut response);
        let mut response = unread.before(response, &self.client.notes);
        if version == Version::HTTP_2 {
            // A stream ends by itself, and GOAWAY says the rest (RFC 9113 §8.2.2).
            response.headers_mut().remove(CONNECTION);
        } else if self.watcher.is_asked() || self.means.timeouts.is_last(self.client.notes.requests()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        visited(response, method, visit, self.client)
    }

    pub(super) async fn carry_out(
        &self,
        plan: &mut Plan<'_>,
        facts: &RequestFacts<'_>,
        carried: &mut Carried<'_>,
    ) -> Answer {
        match plan {
            Plan::Fixed(fixed) => Ok(respond::fixed(fixed.status, fixed.body.take())?),
            Plan::Redirect(to) => Ok(respond::redirect(to, facts.headers, facts.request_id)),
            Plan::File(file) => {
                let request = files::FileRequest {
                    method: facts.method,
                    headers: facts.headers,
                    path: &file.path,
                    beneath: file.beneath,
                    options: &file_options(file.settings),
                };
                let found = files::decide(request).render().map_err(Refusal::File)?;
                Ok(found.map(Body::File))
            }
            Plan::Listing(listing) => {
                let found = Box::pin(files::list(listed(listing))).await.map_err(Refusal::File)?;
                Ok(found.map(Body::text))
            }
            Plan::Guarded(_) => {
                Box::pin(admission::admit_inside(self, plan, facts, carried.visit)).await?;
                Box::pin(self.carry_out(plan, facts, carried)).await
            }
            // Boxed: hyper moves the future of every request several times, and this one is kilobytes large.
            Plan::Script(plan) => Box::pin(self.run(plan, facts, carried)).await,
        }
    }

    /// The body first, then the params, then a worker: none is held while a client is slow.
    async fn run(
        &self,
        plan: &mut ScriptPlan<'_>,
        facts: &RequestFacts<'_>,
        carried: &mut Carried<'_>,
    ) -> Answer {
        let terms = incoming::Terms {
            max: plan.settings.max_body,
            buffering: plan.settings.buffering,
            buffers: self.generation.buffers(),
            patience: self.means.timeouts.body,
        };
        let (body, length) = carried.take_body(terms).await?;
        carried.visit.brought(length.unwrap_or(0));
        let cluster = self.generation.cluster(plan.fastcgi.pool);
        let request = {
            let facts = RequestFacts { content_length: length.or(facts.content_length), ..*facts };
            script::request(plan, &facts, body, cluster, carried.visit)?
        };
        let (head, body) = cluster.send(request).await?;
        let queued = cluster.pool().queue.header.then(|| body.queued());
        let mut response = script::response(head, body, plan)?;
        if let Some(queued) = queued {
            headers::tell_queue_time(&mut response, queued);
        }
        Ok(response)
    }
}

/// What a request's plans, one after the other, have in common.
#[derive(Debug)]
pub(super) struct Carried<'r> {
    /// Until a script took it.
    pub(super) body: Option<Incoming>,
    unread: &'r Unread,
    visit: &'r mut Visit,
}

impl Carried<'_> {
    /// A second script gets no body: the first had it.
    async fn take_body(&mut self, terms: incoming::Terms<'_>) -> Result<(RequestBody, Option<u64>), Refusal> {
        match self.body.take() {
            Some(body) => incoming::take(body, terms, self.unread).await,
            None => Ok((RequestBody::None, None)),
        }
    }
}

/// `facts` has refused every coding but `chunked`.
fn is_chunked(facts: &RequestFacts<'_>) -> bool {
    facts.headers.contains_key(TRANSFER_ENCODING)
}

fn listed(plan: &mut ListingPlan<'_>) -> files::Listing {
    files::Listing {
        path: std::mem::take(&mut plan.path),
        uri: std::mem::take(&mut plan.uri),
        format: plan.format,
        script_extensions: plan.settings.script_extensions.clone(),
        serve_source: plan.settings.serve_source,
    }
}

/// How files are sent here. nginx's `charset off`, which is held as an empty name, names none.
fn file_options(settings: &Settings) -> files::FileOptions<'_> {
    let mut options = files::FileOptions {
        charset: (!settings.charset.is_empty()).then_some(&settings.charset),
        codings: settings.compression.as_ref().map_or(&[], |compression| &compression.algorithms),
        ..Default::default()
    };
    if let Some(types) = &settings.types {
        options.types = Some(&types.by_extension);
        options.default_type = types.default.clone().unwrap_or(options.default_type);
    }
    options
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
