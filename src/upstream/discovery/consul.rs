//! Consul as a source: the instances of a service whose checks pass, by blocking queries (Consul's HTTP API, health endpoint).
//!
//! A query says which index it knows, and is answered when there is a newer one or its time is over. An index that goes back is that of another
//! history (a restored server): it begins anew.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::sleep;

use super::found::{Named, Outlet, spec_of};
use super::http::{Call, PROMPT};
use super::names::{Lookup, located};
use super::pauses::Pauses;
use super::trouble::Trouble;
use crate::config::model::Consul;

/// How long a query may block.
const WAIT: Duration = Duration::from_secs(55);
/// Consul adds up to a sixteenth of it, so that not all come back at once.
const PATIENCE: Duration = Duration::from_secs(55 + 4 + 6);
/// An index may run: many changes elsewhere in a busy cluster.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An instance that passes its checks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    node: Node,
    service: Service,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(default)]
    address: String,
    port: u16,
    #[serde(default)]
    weights: Weights,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: Option<u32>,
}

/// Tells of the instances.
pub(super) async fn follow(consul: Consul, lookup: Lookup, every: Duration, outlet: Outlet) {
    let mut pauses = Pauses::up_to(LONGEST_PAUSE);
    let mut index = 0;
    loop {
        match ask(&consul, index).await {
            Ok((named, now)) => {
                outlet.tell(located(named, &lookup).await).await;
                pauses.end();
                index = next_index(index, now);
                // Who tells no index would be asked without a pause.
                sleep(if now.is_some() { SHORTEST } else { every }).await;
            }
            Err(trouble) => {
                outlet.tell(Err(trouble)).await;
                // Asked without an index, it answers as soon as it can.
                index = 0;
                sleep(pauses.next(rand::random())).await;
            }
        }
    }
}

/// What to know in the next query.
fn next_index(before: u64, now: Option<u64>) -> u64 {
    match now {
        Some(now) if now >= before => now.max(1),
        _ => 0,
    }
}

async fn ask(consul: &Consul, index: u64) -> Result<(Vec<Named>, Option<u64>), Trouble> {
    let target = target(consul, index);
    let mut headers = HeaderMap::new();
    if let Some(token) = &consul.token {
        let mut token = HeaderValue::from_str(token.reveal()).map_err(|_| Trouble::BadToken)?;
        token.set_sensitive(true);
        headers.insert("x-consul-token", token);
    }
    // Without an index it answers at once.
    let patience = if index == 0 { PROMPT } else { PATIENCE };
    let answer = Call { headers, patience, ..Call::get(&consul.at, &target) }.ask().await?;
    let now = answer.headers.get("x-consul-index").and_then(|index| index.to_str().ok()?.parse().ok());
    let instances: Vec<Instance> = answer.json().await?;
    let not_understood = |why| Trouble::NotUnderstood { at: consul.at.to_string(), why };
    let named = instances.iter().map(Instance::named).collect::<Result<_, _>>().map_err(not_understood)?;
    Ok((named, now))
}

fn target(consul: &Consul, index: u64) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut target = format!(
        "/v1/health/service/{}?passing=true&index={index}&wait={}s",
        encoded(&consul.service),
        WAIT.as_secs()
    );
    if let Some(datacenter) = &consul.datacenter {
        target += &format!("&dc={}", encoded(datacenter));
    }
    for tag in &consul.tags {
        target += &format!("&tag={}", encoded(tag));
    }
    target
}

impl Instance {
    /// A service without an address of its own is at its node's.
    fn named(&self) -> Result<Named, String> {
        let Service { address, port, weights } = &self.service;
        let host = if address.is_empty() { &self.node.address } else { address };
        let at = match host.contains(':') {
            true => spec_of(&format!("[{host}]:{port}")),
            false => spec_of(&format!("{host}:{port}")),
        };
        let weight = weights.passing.map(|weight| weight.clamp(1, 65_535));
        Ok(Named { at: at?, weight, backup: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{ApiAddress, EndpointSpec};
    use serde_json::json;

    fn consul() -> Consul {
        let at = ApiAddress(EndpointSpec::Tcp { host: "127.0.0.1".into(), port: 8500 });
        Consul {
            at,
            service: "php fpm".into(),
            tags: vec!["v2".into(), "a&b".into()],
            datacenter: Some("ams".into()),
            token: None,
        }
    }

    #[test]
    fn a_query_asks_for_those_that_pass_with_all_the_tags() {
        let all = "/v1/health/service/php%20fpm?passing=true&index=7&wait=55s&dc=ams&tag=v2&tag=a%26b";
        assert_eq!(target(&consul(), 7), all);
    }

    #[test]
    fn an_index_that_goes_back_begins_anew() {
        assert_eq!(next_index(0, Some(42)), 42);
        assert_eq!(next_index(42, Some(42)), 42);
        assert_eq!(next_index(42, Some(7)), 0);
        assert_eq!(next_index(0, Some(0)), 1, "0 would not block");
        assert_eq!(next_index(42, None), 0);
    }

    #[test]
    fn an_instance_is_at_its_own_address_or_at_its_nodes() {
        let told = |service: serde_json::Value| {
            let instance = json!({"Node": {"Address": "10.0.0.1"}, "Service": service, "Checks": []});
            serde_json::from_value::<Instance>(instance).unwrap().named().unwrap()
        };
        let own = told(json!({"Address": "10.0.0.2", "Port": 9000, "Weights": {"Passing": 5, "Warning": 1}}));
        assert_eq!((own.at, own.weight), (spec_of("10.0.0.2:9000").unwrap(), Some(5)));
        assert_eq!(told(json!({"Address": "", "Port": 9000})).at, spec_of("10.0.0.1:9000").unwrap());
        assert_eq!(told(json!({"Address": "fd00::2", "Port": 9000})).at, spec_of("[fd00::2]:9000").unwrap());
    }
}
