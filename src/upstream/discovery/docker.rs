//! Docker as a source: its running containers with a label, listed anew whenever it tells of an event (Docker Engine API).
//!
//! The list alone decides; an event only says that it is time to look. Podman's compatible interface will do as well.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer};
use tokio::time::{sleep, timeout};

use super::complaints::Complaints;
use super::found::{Found, Outlet};
use super::http::{Answer, Call};
use super::pauses::Pauses;
use super::trouble::Trouble;
use crate::config::model::Docker;
use crate::upstream::Endpoint;

/// The containers are listed at least so often, whatever events say.
const RESYNC: Duration = Duration::from_secs(30);
/// After an event they are listed once more: Docker 20.10 tells of a death, and of the network that the dead one left, before its own
/// list knows of either.
const ECHO: Duration = Duration::from_millis(500);
/// Events come in bursts.
const BURST: Duration = Duration::from_millis(20);
/// Docker is on this machine: it may be asked often.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What may change who is there.
const EVENTS: &str = r#"{"type":["container","network"],"event":["start","die","stop","destroy","pause","unpause","health_status","connect","disconnect"]}"#;

/// A container, as far as it concerns us.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    names: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    status: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    ports: Vec<Port>,
    #[serde(default, deserialize_with = "null_is_empty")]
    network_settings: NetworkSettings,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    private_port: u16,
    #[serde(default, rename = "Type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "null_is_empty")]
    networks: BTreeMap<String, Network>,
}

#[derive(Debug, Deserialize)]
struct Network {
    #[serde(default, rename = "IPAddress")]
    ip: String,
    #[serde(default, rename = "GlobalIPv6Address")]
    ip6: String,
}

/// Podman writes null for what there is none of.
fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

/// Tells of the containers.
pub(super) async fn follow(docker: Docker, pool: String, outlet: Outlet) {
    let mut pauses = Pauses::up_to(LONGEST_PAUSE);
    let mut complaints = Complaints::default();
    loop {
        let mut hears = |(found, wrong): (Vec<Found>, Vec<String>)| {
            complaints.tell(wrong, "docker", &pool);
            pauses.end();
            found
        };
        let Err(trouble) = watch(&docker, &outlet, &mut hears).await;
        outlet.tell(Err(trouble)).await;
        sleep(pauses.next(rand::random())).await;
    }
}

/// Until it fails.
async fn watch(
    docker: &Docker,
    outlet: &Outlet,
    hears: &mut impl FnMut((Vec<Found>, Vec<String>)) -> Vec<Found>,
) -> Result<Infallible, Trouble> {
    // The events first: what happens between them and the list is an event.
    let mut events = events(docker).await?;
    let mut quiet = RESYNC;
    loop {
        let found = hears(list(docker).await?);
        outlet.tell(Ok(found)).await;
        quiet = if is_told(&mut events, quiet).await? { ECHO } else { RESYNC };
    }
}

async fn events(docker: &Docker) -> Result<Answer, Trouble> {
    let target = format!("/events?filters={}", encoded(EVENTS));
    Call::get(&docker.at, &target).ask().await
}

/// Until it is time to look: whether there was an event, or it was `quiet` for so long.
async fn is_told(events: &mut Answer, quiet: Duration) -> Result<bool, Trouble> {
    let Ok(part) = timeout(quiet, events.part()).await else { return Ok(false) };
    if part?.is_none() {
        return Err(events.not_understood("it has ended its events"));
    }
    sleep(BURST).await;
    Ok(true)
}

/// Who is there, and what is wrong with others.
async fn list(docker: &Docker) -> Result<(Vec<Found>, Vec<String>), Trouble> {
    let filters = serde_json::json!({ "label": [docker.label], "status": ["running"] }).to_string();
    let target = format!("/containers/json?filters={}", encoded(&filters));
    let containers: Vec<Container> = Call::get(&docker.at, &target).ask().await?.json().await?;
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for container in containers.iter().filter(|container| container.is_fit()) {
        match container.member(docker) {
            Ok(member) => found.push(member),
            Err(why) => wrong.push(format!("container {} is left out: {why}", container.name())),
        }
    }
    Ok((found, wrong))
}

fn encoded(filters: &str) -> String {
    utf8_percent_encode(filters, NON_ALPHANUMERIC).to_string()
}

impl Container {
    /// Docker's `Status` is for people, and the one place where the list tells of a HEALTHCHECK: `Up 2 minutes (unhealthy)`.
    fn is_fit(&self) -> bool {
        self.state == "running" && !self.status.contains("(unhealthy)")
    }

    fn name(&self) -> &str {
        let name = self.names.first().map(|name| name.trim_start_matches('/'));
        name.unwrap_or_else(|| self.id.get(..12).unwrap_or(&self.id))
    }

    fn member(&self, docker: &Docker) -> Result<Found, String> {
        let endpoint = Endpoint::Tcp((self.ip(docker)?, self.port(docker)?).into());
        Ok(Found { weight: self.number::<u16>("cornac.weight")?.map(u32::from), ..endpoint.into() })
    }

    fn port(&self, docker: &Docker) -> Result<u16, String> {
        if let Some(port) = self.number("cornac.port")?.or(docker.port) {
            return Ok(port);
        }
        let ports = self.ports.iter().filter(|port| port.kind != "udp").map(|port| port.private_port);
        let ports: HashSet<u16> = ports.collect();
        match Vec::from_iter(ports)[..] {
            [port] => Ok(port),
            [] => Err("it exposes no port; give it the label cornac.port, or the source a port".to_owned()),
            _ => {
                Err("it exposes several ports; give it the label cornac.port, or the source a port"
                    .to_owned())
            }
        }
    }

    /// A label that is a number from 1 on.
    fn number<N: std::str::FromStr + PartialEq + From<u8>>(&self, label: &str) -> Result<Option<N>, String> {
        let Some(text) = self.labels.get(label) else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number| *number != N::from(0));
        number
            .map(Some)
            .ok_or_else(|| format!("its label {label} is '{text}', and not a number from 1 to 65535"))
    }

    fn ip(&self, docker: &Docker) -> Result<IpAddr, String> {
        let networks = &self.network_settings.networks;
        let mut candidates =
            networks.iter().filter(|(name, _)| docker.network.as_ref().is_none_or(|only| only == *name));
        let ip = candidates.find_map(|(name, network)| network.ip(name));
        ip.ok_or_else(|| match &docker.network {
            Some(network) => format!("it has no address in the network {network}"),
            None => "it has no address in any network".to_owned(),
        })
    }
}

impl Network {
    fn ip(&self, name: &str) -> Option<IpAddr> {
        // Its network is this machine's own.
        if name == "host" {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        self.ip.parse().ok().or_else(|| self.ip6.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{ApiAddress, EndpointSpec};
    use serde_json::json;

    fn docker() -> Docker {
        let at = ApiAddress(EndpointSpec::Unix("/var/run/docker.sock".into()));
        Docker { at, label: "cornac.pool=php".into(), port: None, network: None }
    }

    /// As Docker 27 lists it, without what does not concern us.
    fn container(change: serde_json::Value) -> Container {
        let mut told = json!({
            "Id": "0123456789abcdef", "Names": ["/app-fpm-1"], "State": "running", "Status": "Up 2 minutes",
            "Labels": {"cornac.pool": "php"},
            "Ports": [{"PrivatePort": 9000, "Type": "tcp"}],
            "HostConfig": {"NetworkMode": "app_default"},
            "NetworkSettings": {"Networks": {"app_default": {"IPAddress": "172.18.0.3", "GlobalIPv6Address": "", "MacAddress": "02:42"}}},
        });
        for (key, value) in change.as_object().unwrap() {
            told[key] = value.clone();
        }
        serde_json::from_value(told).unwrap()
    }

    fn member(change: serde_json::Value, docker: &Docker) -> String {
        match container(change).member(docker) {
            Ok(found) => format!("{} {:?}", found.endpoint, found.weight),
            Err(why) => why,
        }
    }

    #[test]
    fn a_container_is_a_member_at_its_only_port_unless_somebody_says_another() {
        assert_eq!(member(json!({}), &docker()), "172.18.0.3:9000 None");
        let labels = json!({"Labels": {"cornac.port": "9001", "cornac.weight": "5"}});
        let told = Docker { port: Some(9002), ..docker() };
        assert_eq!(member(labels, &told), "172.18.0.3:9001 Some(5)");
        assert_eq!(member(json!({}), &told), "172.18.0.3:9002 None");
        let two =
            json!({"Ports": [{"PrivatePort": 9000, "Type": "tcp"}, {"PrivatePort": 9001, "Type": "tcp"}]});
        assert!(member(two, &docker()).starts_with("it exposes several ports"));
        let published = json!({"Ports": [{"PrivatePort": 9000, "PublicPort": 9000, "IP": "::", "Type": "tcp"}, {"PrivatePort": 9000, "Type": "tcp"}]});
        assert_eq!(member(published, &docker()), "172.18.0.3:9000 None");
        assert_eq!(
            member(json!({"Ports": null, "Labels": {"cornac.port": "9000"}}), &docker()),
            "172.18.0.3:9000 None"
        );
        assert!(member(json!({"Ports": [], "Labels": null}), &docker()).starts_with("it exposes no port"));
        assert!(
            member(json!({"Labels": {"cornac.weight": "0"}}), &docker()).contains("cornac.weight is '0'")
        );
    }

    #[test]
    fn a_network_is_chosen_and_the_hosts_own_is_this_machine() {
        let two = json!({"NetworkSettings": {"Networks": {"a": {"IPAddress": "10.1.0.2"}, "b": {"IPAddress": "10.2.0.2"}}}});
        assert_eq!(member(two.clone(), &docker()), "10.1.0.2:9000 None");
        let in_b = Docker { network: Some("b".into()), ..docker() };
        assert_eq!(member(two, &in_b), "10.2.0.2:9000 None");
        assert_eq!(member(json!({}), &in_b), "it has no address in the network b");
        let host = json!({"NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}});
        assert_eq!(member(host, &docker()), "127.0.0.1:9000 None");
        let six = json!({"NetworkSettings": {"Networks": {"a": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}}}});
        assert_eq!(member(six, &docker()), "[fd00::2]:9000 None");
    }

    #[test]
    fn only_who_runs_and_is_not_unhealthy_is_fit() {
        let fit = |state: &str, status: &str| container(json!({"State": state, "Status": status})).is_fit();
        assert!(fit("running", "Up 1 second") && fit("running", "Up 1 second (health: starting)"));
        assert!(!fit("running", "Up 2 hours (unhealthy)") && !fit("paused", "Up 1 second (Paused)"));
    }
}
