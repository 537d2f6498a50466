//! `cornac ctl`: an operator's word to a running cornac, over its admin API.
//!
//! `client` talks to the API, `target` finds out which servers are meant, `table` shows them.

mod client;
mod table;
mod target;
#[cfg(test)]
mod testing;

use std::path::Path;
use std::time::Duration;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::cli::{Ctl, CtlOrder};
use super::{Failure, out, run};
use crate::admin::Member;
use client::Client;
use target::Target;

/// Where a token may be found, so that it stands in no list of processes.
pub(super) const TOKEN: &str = "CORNAC_ADMIN_TOKEN";
/// How often `--wait` looks.
const LOOK: Duration = Duration::from_millis(200);

/// Says it, and shows the answer.
pub(super) fn ctl(args: &Ctl) -> Result<(), Failure> {
    run::runtime()?.block_on(async {
        let token = token(args.token_file.as_deref())?;
        let mut client = Client::connect(&args.admin, token.as_deref()).await?;
        match &args.order {
            CtlOrder::Status { pools } => status(&mut client, pools, args.json).await,
            CtlOrder::Drain { servers, wait } => {
                let targets = change(&mut client, servers, json!({ "state": "drain" }), args.json).await?;
                if *wait { until_empty(&mut client, targets).await } else { Ok(()) }
            }
            CtlOrder::Ready { servers } => {
                change(&mut client, servers, json!({ "state": "ready" }), args.json).await.map(drop)
            }
            CtlOrder::Down { servers } => {
                change(&mut client, servers, json!({ "state": "down" }), args.json).await.map(drop)
            }
            CtlOrder::Weight { words } => weight(&mut client, words, args.json).await,
            CtlOrder::Reload => reload(&mut client, args.json).await,
        }
    })
}

fn token(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(file) = file else { return Ok(std::env::var(TOKEN).ok().filter(|token| !token.is_empty())) };
    let token = std::fs::read_to_string(file)
        .map_err(|error| Failure::Request(format!("cannot read the token in {}: {error}", file.display())))?;
    Ok(Some(token.trim().to_owned()))
}

async fn status(client: &mut Client, names: &[String], as_json: bool) -> Result<(), Failure> {
    let mut pools = client.pools().await?;
    if let Some(unknown) = names.iter().find(|name| pools.iter().all(|pool| pool.name != **name)) {
        let known: Vec<_> = pools.iter().map(|pool| &*pool.name).collect();
        let hint = crate::config::nearest(unknown, &known, "pools").unwrap_or_default();
        return Err(Failure::Request(format!("there is no pool '{unknown}'; {hint}")));
    }
    pools.retain(|pool| names.is_empty() || names.contains(&pool.name));
    match as_json {
        true => print(&json!({ "pools": pools })),
        false => out(table::of(&pools).as_bytes()),
    }
}

/// Nothing is changed unless every word is understood.
async fn change(
    client: &mut Client,
    words: &[String],
    order: Value,
    as_json: bool,
) -> Result<Vec<Target>, Failure> {
    let targets = target::find(&client.pools().await?, words)?;
    let mut answers = Vec::new();
    for target in &targets {
        let path = format!("/api/v1/pools/{}/servers/{}", encoded(&target.pool), encoded(&target.server));
        let answer = client.ask(Method::PATCH, &path, Some(&order)).await?;
        match as_json {
            true => answers.push(answer),
            false => out(said(target, &answer).as_bytes())?,
        }
    }
    if as_json {
        print(&Value::Array(answers))?;
    }
    Ok(targets)
}

async fn weight(client: &mut Client, words: &[String], as_json: bool) -> Result<(), Failure> {
    let (weight, servers) = words.split_last().expect("clap wants two");
    let weight = match weight.as_str() {
        "configured" => Value::Null,
        number => json!(number.parse::<std::num::NonZeroU16>().map_err(|_| {
            Failure::Request(format!("'{number}' is no weight: a number from 1 to 65535, or 'configured'"))
        })?),
    };
    change(client, servers, json!({ "weight": weight }), as_json).await.map(drop)
}

/// Waits until the last request is answered.
async fn until_empty(client: &mut Client, targets: Vec<Target>) -> Result<(), Failure> {
    for target in targets {
        loop {
            let pools = client.pools().await?;
            let members = pools.iter().filter(|pool| pool.name == target.pool).flat_map(|pool| &pool.members);
            match members.into_iter().find(|member| member.address == target.server) {
                None => break,
                Some(member) if !matches!(&*member.state, "draining" | "down") => {
                    let text = format!("{} is {} again: somebody put it back", target.server, member.state);
                    return Err(Failure::Request(text));
                }
                Some(member) if member.in_flight == 0 => break,
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
    Ok(())
}

async fn reload(client: &mut Client, as_json: bool) -> Result<(), Failure> {
    let answer = client.ask(Method::POST, "/api/v1/reload", None).await?;
    match (as_json, answer["summary"].as_str()) {
        (false, Some(summary)) => out(format!("{}\n", summary.trim_end()).as_bytes()),
        _ => print(&answer),
    }
}

/// `php 10.0.0.3:9000: draining (2 in flight), weight 1`.
fn said(target: &Target, answer: &Value) -> String {
    let Ok(member) = serde_json::from_value::<Member>(answer.clone()) else { return format!("{answer}\n") };
    let reason = member.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{} {}: {}{reason}, weight {}\n", target.pool, target.server, member.state, member.weight)
}

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
}

fn print(value: &Value) -> Result<(), Failure> {
    out(format!("{value:#}\n").as_bytes())
}
