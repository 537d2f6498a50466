//! A script's plan as a FastCGI request, and php's reply as a response.

use http::Response;

use super::body::Body;
use super::respond::Refusal;
use super::visit::Visit;
use crate::balance::PolicyKind;
use crate::fcgi::{BodyRule, ReplyHead, RequestEncoder};
use crate::route::{RequestFacts, ScriptPlan, env};
use crate::site::Site;
use crate::upstream::{Cluster, ReplyBody, RequestBody, UpstreamRequest};

/// Everything encoded that can be before a worker is taken.
pub(super) fn request(
    plan: &ScriptPlan,
    facts: &RequestFacts<'_>,
    body: RequestBody,
    cluster: &Cluster,
    site: &Site,
    visit: &mut Visit,
) -> Result<UpstreamRequest, Refusal> {
    let id = cluster.next_request_id();
    let mut encoder = RequestEncoder::new(id, cluster.keep());
    env::params(plan, facts, &mut |name, parts| encoder.param_parts(name, parts))?;
    let head = match body {
        RequestBody::None => encoder.finish_without_body(),
        _ => encoder.finish(),
    };
    Ok(UpstreamRequest {
        id,
        head,
        body,
        body_rule: if facts.method == http::Method::HEAD { BodyRule::Discard } else { BodyRule::Deliver },
        idempotent: facts.method.is_idempotent(),
        key: key(cluster, facts),
        buffering: plan.settings.buffering,
        timeouts: None,
        label: facts.request_id.into(),
        script: String::from_utf8_lossy(&plan.script_filename).into(),
        observer: visit.goes_to(cluster.name()),
    })
}

/// What the hash policies hash; the others do not look at it.
fn key(cluster: &Cluster, facts: &RequestFacts<'_>) -> u64 {
    0
}

/// php's reply: its head as it is, its body as it comes.
pub(super) fn response(head: ReplyHead, body: ReplyBody) -> Response<Body> {
    let mut response = Response::new(Body::Script(body));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}
