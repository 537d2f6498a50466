//! What of a request's checks `explain` can look at: passwords by the file as it is now. Nothing is counted, and no script is asked.

use http::StatusCode;
use http::header::AUTHORIZATION;

use crate::guard::{Credentials, Htpasswd};
use crate::route::{BasicAuth, Check, Fixed, Plan, RequestFacts, Step, Steps, Trace, What};

/// What the checks before a plan come to.
pub(super) enum Looked<'a> {
    /// This is what happens.
    Passed(Plan<'a>),
    /// A check is not passed.
    Refused(Plan<'a>),
    /// The client's name is known now, and may stand anywhere in the plan.
    Known,
}

/// Looks at the checks in their order.
pub(super) fn look<'a>(
    plan: Plan<'a>,
    facts: &RequestFacts<'_>,
    steps: &mut Steps,
    user: &mut Option<String>,
) -> Looked<'a> {
    let Plan::Guarded(guarded) = plan else { return Looked::Passed(plan) };
    for check in &guarded.checks {
        if let Err(status) = pass(check, facts, steps, user) {
            steps.step(|| Step::Refused { status: status.as_u16(), why: "a check is not passed" });
            let (settings, route) = (check.settings, check.route);
            return Looked::Refused(Plan::Fixed(Fixed { status, body: None, settings, route }));
        }
    }
    if user.is_some() { Looked::Known } else { Looked::Passed(guarded.plan) }
}

fn pass(
    check: &Check<'_>,
    facts: &RequestFacts<'_>,
    steps: &mut Steps,
    user: &mut Option<String>,
) -> Result<(), StatusCode> {
    let mut say = |result: String| {
        steps.step(|| Step::Checked { result: format!("check of {}: {result}", check.route) })
    };
    let who = match &check.what {
        What::Limits { .. } => {
            say("limits: not counted, because nothing is sent".to_owned());
            return Ok(());
        }
        What::Who(who) => who,
    };
    let mut refused = None;
    if let Some(auth) = who.auth {
        match password(auth, facts) {
            Ok(name) => {
                say(format!("auth: the password of user {name:?} is right"));
                *user = Some(name);
                if who.any {
                    return Ok(());
                }
            }
            Err((status, why)) => {
                say(format!("auth: {why}"));
                if !who.any {
                    return Err(status);
                }
                refused = Some(status);
            }
        }
    }
    if who.asks.is_some() {
        say("auth_request: not asked, because nothing is sent; what follows is for a yes".to_owned());
        return Ok(());
    }
    refused.map_or(Ok(()), Err)
}

fn password(auth: &BasicAuth, facts: &RequestFacts<'_>) -> Result<String, (StatusCode, String)> {
    let text = std::fs::read_to_string(&auth.file)
        .map_err(|error| (StatusCode::FORBIDDEN, format!("{}: {error}", auth.file.display())))?;
    let unknown = |why: String| (StatusCode::UNAUTHORIZED, why);
    let header = facts.headers.get(AUTHORIZATION);
    let said = header.and_then(|header| Credentials::read(header.as_bytes()));
    let said = said.ok_or_else(|| unknown("no name and password".to_owned()))?;
    let (file, _) = Htpasswd::parse(&text, "");
    match file.find(&said.user) {
        Some((hash, true)) if hash.verify(&said.password) => Ok(said.user),
        Some((_, true)) => Err(unknown(format!("the password of user {:?} is wrong", said.user))),
        _ => Err(unknown(format!("there is no user {:?}", said.user))),
    }
}
