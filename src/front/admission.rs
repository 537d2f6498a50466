//! Lets a request through the checks that stand before its plan: counts, passwords, a script's word. The router says which, in
//! nginx's order; what a refusal looks like is `respond`'s.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::pipeline::Pipeline;
use super::respond::Refusal;
use super::script;
use super::visit::Visit;
use crate::fcgi::BodyRule;
use crate::guard::Credentials;
use crate::limits::{Reason, Verdict};
use crate::metrics::Kept;
use crate::route::{
    Address, Asked, BasicAuth, Check, Fixed, Limits, Plan, RequestFacts, ScriptPlan, Settings, What, WhoIs,
};
use crate::site::Site;
use crate::upstream::RequestBody;
use crate::users::Entry;

/// Who the client has turned out to be: outlives the facts that name him.
pub(super) type Known = OnceLock<String>;

/// Passes the checks of a request's plan, and leaves the plan that they stood before. As soon as the client's name is known the plan
/// is made anew, because `$remote_user` may stand anywhere in it.
///
/// # Errors
/// A check is not passed. The plan is then the refusal of that check's location.
pub(super) async fn admit<'a>(
    pipeline: &Pipeline<'_>,
    site: &'a Site,
    plan: &mut Plan<'a>,
    facts: &mut RequestFacts<'a>,
    known: &'a Known,
    visit: &mut Visit,
) -> Result<(), Refusal> {
    let mut way = Way { pipeline, visit, handed: Vec::new() };
    if let Some((name, at)) = way.pass(plan, facts, 0).await? {
        way.visit.knows(&name);
        facts.user = Some(known.get_or_init(|| name));
        let anew = site.plan(facts);
        // What was passed before is not passed again: a script would be asked twice.
        let begin = if places(&anew, at) == places(plan, at) { at } else { 0 };
        *plan = anew;
        way.pass(plan, facts, begin).await?;
    }
    way.arrive(plan);
    Ok(())
}

/// The same for a plan that was made on the way, such as an error page's: nothing is made anew.
///
/// # Errors
/// As [`admit`].
pub(super) async fn admit_inside(
    pipeline: &Pipeline<'_>,
    plan: &mut Plan<'_>,
    facts: &RequestFacts<'_>,
    visit: &mut Visit,
) -> Result<(), Refusal> {
    let mut way = Way { pipeline, visit, handed: Vec::new() };
    if let Some((name, at)) = way.pass(plan, facts, 0).await? {
        way.visit.knows(&name);
        way.pass(plan, &RequestFacts { user: Some(&name), ..*facts }, at).await?;
    }
    way.arrive(plan);
    Ok(())
}

/// Where the first checks stand, as far as `at`.
fn places(plan: &Plan<'_>, at: usize) -> Vec<*const Settings> {
    let Plan::Guarded(guarded) = plan else { return Vec::new() };
    guarded.checks.iter().take(at).map(|check| std::ptr::from_ref(check.settings)).collect()
}

/// A request on its way through the checks.
struct Way<'w> {
    pipeline: &'w Pipeline<'w>,
    visit: &'w mut Visit,
    /// Parameters that a script has answered, for the request's own.
    handed: Vec<(String, Vec<u8>)>,
}

impl Way<'_> {
    /// Passes the checks from the one at `begin` on. Stops at the one that has found out who the client is.
    async fn pass(
        &mut self,
        plan: &mut Plan<'_>,
        facts: &RequestFacts<'_>,
        begin: usize,
    ) -> Result<Option<(String, usize)>, Refusal> {
        let Plan::Guarded(guarded) = plan else { return Ok(None) };
        for (at, check) in guarded.checks.iter_mut().enumerate().skip(begin) {
            match self.pass_one(check, facts).await {
                Ok(None) => {}
                Ok(Some(name)) => return Ok(Some((name, at))),
                Err(refusal) => {
                    let (settings, route) = (check.settings, check.route);
                    *plan = Plan::Fixed(Fixed { status: refusal.status(), body: None, settings, route });
                    return Err(refusal);
                }
            }
        }
        Ok(None)
    }

    /// The plan that the checks stood before.
    fn arrive(self, plan: &mut Plan<'_>) {
        if let Plan::Guarded(guarded) = plan {
            let Check { settings, route, .. } = guarded.checks[0];
            let gone = Plan::Fixed(Fixed { status: StatusCode::FORBIDDEN, body: None, settings, route });
            *plan = std::mem::replace(&mut guarded.plan, gone);
        }
        if let Plan::Script(script) = plan {
            script.params.extend(self.handed);
        }
    }

    async fn pass_one(
        &mut self,
        check: &mut Check<'_>,
        facts: &RequestFacts<'_>,
    ) -> Result<Option<String>, Refusal> {
        match &mut check.what {
            What::Limits { limits, keys } => self.count(limits, keys).await.map(|()| None),
            What::Who(who) => {
                let passed = self.pass_who(who, facts).await;
                if passed.as_ref().is_err_and(is_a_no) {
                    self.visit.was_refused(Kept::Who);
                }
                passed
            }
        }
    }

    /// Once for a request, however many plans it comes through.
    async fn count(&mut self, limits: &Limits, keys: &[Vec<u8>]) -> Result<(), Refusal> {
        if self.visit.is_counted() {
            return Ok(());
        }
        let (now, mut longest, mut all_held) = (Instant::now(), Duration::ZERO, Vec::new());
        let limiters = self.pipeline.generation.guards().limiters(limits);
        for ((limiter, limit), key) in limiters.iter().zip(&limits.all).zip(keys) {
            match limiter.ask(key, now) {
                Verdict::Free(delay, held) => {
                    all_held.extend(held);
                    longest = longest.max(delay);
                }
                Verdict::Over(reason, again) => {
                    self.visit.was_refused(kept(reason, limit.dry_run));
                    if !limit.dry_run {
                        return Err(Refusal::Limited(again));
                    }
                }
            }
        }
        self.visit.holds(all_held);
        if !longest.is_zero() {
            tokio::time::sleep(longest).await;
        }
        Ok(())
    }

    /// The client's name, where that is new. nginx: of several refusals under `satisfy any`, 401 is the one that is told.
    async fn pass_who(
        &mut self,
        who: &mut WhoIs<'_>,
        facts: &RequestFacts<'_>,
    ) -> Result<Option<String>, Refusal> {
        let mut refused = None;
        if let Some(auth) = who.auth {
            match self.password(auth, facts).await {
                Ok(name) if facts.user != Some(&name) => return Ok(Some(name)),
                Ok(_) if who.any => return Ok(None),
                Ok(_) => {}
                Err(refusal) if who.any && is_a_no(&refusal) => refused = Some(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
        if let Some(asked) = &mut who.asks {
            match self.question(asked, facts).await {
                Ok(()) => return Ok(None),
                Err(refusal) if refused.is_none() || !is_a_no(&refusal) => return Err(refusal),
                Err(_) => {}
            }
        }
        refused.map_or(Ok(None), Err)
    }

    /// The name, if its password is right.
    async fn password(&self, auth: &BasicAuth, facts: &RequestFacts<'_>) -> Result<String, Refusal> {
        let said = facts.headers.get(AUTHORIZATION).and_then(|value| Credentials::read(value.as_bytes()));
        let entry = match self.pipeline.generation.guards().users(&auth.file) {
            Some(users) => users.admit(said.as_ref()).await,
            None => Entry::Unreadable,
        };
        match (entry, said) {
            (Entry::Granted, Some(said)) => Ok(said.user),
            (Entry::Granted | Entry::Denied, said) => {
                let client = Address::ip_text(facts.peer);
                let guesses = self.pipeline.generation.guards().guesses();
                if let Some(said) = said
                    && let Some(times) = guesses.wrong(client, Instant::now())
                {
                    let (request_id, user) = (facts.request_id, said.user.escape_debug());
                    tracing::info!(%request_id, client, times, "wrong name or password: user \"{user}\"");
                }
                Err(Refusal::Unknown(challenge(&auth.realm)))
            }
            (Entry::Missing, _) => Err(Refusal::Planned(StatusCode::FORBIDDEN)),
            (Entry::Unreadable, _) => Err(Refusal::Planned(StatusCode::INTERNAL_SERVER_ERROR)),
            (Entry::Busy, _) => Err(Refusal::Guessing),
        }
    }

    /// nginx's auth_request: the script has the request's headers and no body, and its answer's status decides.
    async fn question(&mut self, asked: &mut Asked<'_>, facts: &RequestFacts<'_>) -> Result<(), Refusal> {
        let (status, headers) = match &mut *asked.plan {
            Plan::Script(plan) => self.ask(plan, facts).await?,
            Plan::Fixed(fixed) => (fixed.status, HeaderMap::new()),
            Plan::Redirect(to) => (to.status, HeaderMap::new()),
            Plan::File(_) | Plan::Listing(_) | Plan::Guarded(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new())
            }
        };
        if status.is_success() {
            for (param, header) in &asked.request.params {
                let value = headers.get(header).map(|value| value.as_bytes().to_vec());
                self.handed.push((param.clone(), value.unwrap_or_default()));
            }
            return Ok(());
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Refusal::Asked(status, headers.get(WWW_AUTHENTICATE).cloned()))
            }
            status => Err(Refusal::Oracle(status)),
        }
    }

    async fn ask(
        &mut self,
        plan: &mut ScriptPlan<'_>,
        facts: &RequestFacts<'_>,
    ) -> Result<(StatusCode, HeaderMap), Refusal> {
        let cluster = self.pipeline.generation.cluster(plan.fastcgi.pool);
        let facts = RequestFacts { content_length: None, ..*facts };
        let mut request = script::request(plan, &facts, RequestBody::None, cluster, self.visit)?;
        // Its outcome is not the request's.
        request.observer = None;
        // Nobody reads what else it says.
        request.body_rule = BodyRule::Discard;
        let (head, _) = cluster.send(request).await?;
        Ok((head.status, head.headers))
    }
}

fn kept(reason: Reason, dry_run: bool) -> Kept {
    match (reason, dry_run) {
        (Reason::Rate, false) => Kept::Rate,
        (Reason::Connections, false) => Kept::Connections,
        (Reason::Rate, true) => Kept::RateDry,
        (Reason::Connections, true) => Kept::ConnectionsDry,
    }
}

/// A refusal that another check may overrule, where one is enough.
fn is_a_no(refusal: &Refusal) -> bool {
    matches!(refusal.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// RFC 7617 §2.1: names and passwords are UTF-8.
fn challenge(realm: &str) -> HeaderValue {
    let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
    let value = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("Basic realm=\"\", charset=\"UTF-8\""))
}
