//! A script's plan as a FastCGI request, and php's reply as a response.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::body::Body;
use super::detour::{Destination, Detour, Ordered};
use super::kept::{self, Kept};
use super::respond::Refusal;
use super::visit::Visit;
use crate::balance::{self, PolicyKind};
use crate::config::model::Timeouts;
use crate::fcgi::{BodyRule, PairTooLarge, ReplyHead, RequestEncoder};
use crate::route::{Order, RequestFacts, ScriptPlan, Settings, Variables, env};
use crate::upstream::{Cluster, ReplyBody, RequestBody, UpstreamRequest};

/// Parameters go to the encoder.
struct Encoded<'a>(&'a mut RequestEncoder);

impl env::Sink<PairTooLarge> for Encoded<'_> {
    fn pieces(&mut self, name: &[u8], value: &[&[u8]]) -> Result<(), PairTooLarge> {
        self.0.param_parts(name, value)
    }

    #[inline(always)]
    fn whole(&mut self, name: &[u8], value: &[u8]) -> Result<(), PairTooLarge> {
        self.0.param(name, value)
    }
}

/// Everything encoded that can be before a worker is taken.
pub(super) fn request(
    plan: &mut ScriptPlan<'_>,
    facts: &RequestFacts<'_>,
    body: RequestBody,
    cluster: &Cluster,
    visit: &mut Visit,
) -> Result<UpstreamRequest, Refusal> {
    let id = cluster.next_request_id();
    let mut encoder = RequestEncoder::new(id, cluster.keep());
    env::params(plan, facts, &mut Encoded(&mut encoder))?;
    let head = match body {
        RequestBody::None => encoder.finish_without_body(),
        _ => encoder.finish(),
    };
    Ok(UpstreamRequest {
        id,
        head,
        body,
        body_rule: if facts.method == http::Method::HEAD { BodyRule::Discard } else { BodyRule::Deliver },
        idempotent: facts.method.is_idempotent() || has_idempotency_key(cluster, facts),
        key: key(cluster, plan, facts),
        share: plan.fastcgi.max_share.map(|share| share.place),
        buffering: plan.settings.buffering,
        timeouts: timeouts(cluster, plan.settings),
        label: facts.request_id,
        script: std::mem::take(&mut plan.script_filename),
        observer: visit.goes_to(cluster.name()),
    })
}

/// A client that sends such a key promises that php runs the request once however often it comes; the operator says whether to
/// rely on it.
fn has_idempotency_key(cluster: &Cluster, facts: &RequestFacts<'_>) -> bool {
    let header = cluster.pool().retry.idempotency_key.as_ref();
    let key = header.and_then(|header| facts.headers.get(header));
    key.is_some_and(|key| !key.is_empty())
}

/// The route's own timeouts, where it has any.
fn timeouts(cluster: &Cluster, settings: &Settings) -> Option<Timeouts> {
    let (first_byte, between_reads) = (settings.first_byte_timeout, settings.between_reads_timeout);
    first_byte.or(between_reads)?;
    let of_pool = cluster.pool().timeouts;
    Some(Timeouts {
        first_byte: first_byte.unwrap_or(of_pool.first_byte),
        between_reads: between_reads.unwrap_or(of_pool.between_reads),
        ..of_pool
    })
}

/// What the hash policies hash; the others do not look at it.
fn key(cluster: &Cluster, plan: &ScriptPlan<'_>, facts: &RequestFacts<'_>) -> u64 {
    match (cluster.pool().policy, &cluster.pool().hash_key) {
        (PolicyKind::IpHash, _) => client_network(facts.peer.map(|peer| peer.ip())),
        (PolicyKind::Hash, Some(template)) => {
            let variables = Variables::new(facts, plan.settings);
            balance::hash(&template.expand(&variables))
        }
        _ => 0,
    }
}

/// nginx's `ip_hash` looks at the first three octets of an IPv4 address, and at all of an IPv6 one.
fn client_network(address: Option<IpAddr>) -> u64 {
    match address {
        Some(IpAddr::V4(address)) => balance::hash(&address.octets()[..3]),
        Some(IpAddr::V6(address)) => balance::hash(&address.octets()),
        None => 0,
    }
}

/// php's reply: its head as it is, its body as it comes; or where it leads.
pub(super) fn response(
    head: Box<ReplyHead>,
    body: ReplyBody,
    plan: &mut ScriptPlan<'_>,
) -> Result<Response<Body>, Detour> {
    let ReplyHead { status, headers, mut accel, .. } = *head;
    if is_intercepted(status, plan.settings) {
        return Err(Detour::Intercepted(Box::new(assembled(status, headers, body))));
    }
    if let Some(to) = accel.redirect.take() {
        body.discard();
        let to = Destination::Inside(Order {
            to: Bytes::copy_from_slice(to.as_bytes()),
            uri: std::mem::take(&mut plan.uri),
            args: std::mem::take(&mut plan.args),
        });
        return Err(Detour::Ordered(Box::new(Ordered { to, kept: Kept::of(headers, accel) })));
    }
    if let Some(path) = accel.sendfile.take() {
        body.discard();
        let to = Destination::File(path);
        return Err(Detour::Ordered(Box::new(Ordered { to, kept: Kept::of(headers, accel) })));
    }
    let mut response = assembled(status, headers, body);
    if accel.charset.is_some() || accel.limit_rate.is_some() {
        kept::obey(&mut response, accel.charset, accel.limit_rate);
    }
    Ok(response)
}

/// nginx's `fastcgi_intercept_errors`: of 300 and more, and only where there is a page.
fn is_intercepted(status: StatusCode, settings: &Settings) -> bool {
    settings.intercept_errors && status.as_u16() >= 300 && settings.error_page(status).is_some()
}

fn assembled(status: StatusCode, headers: HeaderMap, body: ReplyBody) -> Response<Body> {
    let mut response = Response::new(Body::Script(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
