//! A script's plan as a FastCGI request, and php's reply as a response.

use std::net::IpAddr;

use http::Response;

use super::body::Body;
use super::respond::Refusal;
use super::visit::Visit;
use crate::balance::{self, PolicyKind};
use crate::config::model::Timeouts;
use crate::fcgi::{BodyRule, PairTooLarge, ReplyHead, RequestEncoder};
use crate::route::{Label, RequestFacts, ScriptPlan, Settings, Variables, env};
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

/// php's reply: its head as it is, its body as it comes.
pub(super) fn response(head: Box<ReplyHead>, body: ReplyBody, request_id: Label) -> Response<Body> {
    if head.accel.redirect.is_some() {
        tracing::warn!(
            %request_id,
            "X-Accel-Redirect is not supported yet: the client gets the script's own body"
        );
    }
    let mut response = Response::new(Body::Script(body));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}
