//! A stand-in for Consul's HTTP API, as much of it as discovery uses: the health endpoint with blocking queries, as Consul's manual
//! describes them ("Blocking Queries", "Health HTTP Endpoint"), and the ways in which it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

use super::api::{Api, Asked, Reply};
use super::{Port, free_port};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Answers,
    /// As while there is no leader.
    NoLeader,
    Silent,
}

struct Catalog {
    index: u64,
    instances: Vec<Value>,
    mood: Mood,
    queries: Vec<u64>,
}

type Shared = Arc<(Mutex<Catalog>, Condvar)>;

pub struct Consul {
    catalog: Shared,
    port: Port,
    _api: Api,
}

impl Consul {
    /// Asks for the token "open-sesame".
    pub fn start(index: u64) -> Self {
        let catalog = Catalog { index, instances: vec![], mood: Mood::Answers, queries: vec![] };
        let (catalog, port): (Shared, _) = (Arc::new((Mutex::new(catalog), Condvar::new())), free_port());
        let its_catalog = Arc::clone(&catalog);
        let api = Api::on_port(&port, move |asked, reply| answer(&its_catalog, asked, reply));
        Self { catalog, port, _api: api }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.port)
    }

    /// These instances are registered from now on: address, its weight if any, tags, and whether its checks pass.
    pub fn register(&self, instances: &[(&str, Option<u32>, &[&str], bool)]) {
        self.change(|catalog| {
            catalog.index += 10;
            catalog.instances = instances
                .iter()
                .map(|&(at, weight, tags, passes)| instance(at, weight, tags, passes))
                .collect();
        });
    }

    /// As when a snapshot is restored: another history, with a lower index.
    pub fn restore(&self, index: u64) {
        self.change(|catalog| catalog.index = index);
    }

    pub fn be(&self, mood: Mood) {
        self.change(|catalog| catalog.mood = mood);
    }

    /// The indexes of all queries so far.
    pub fn queries(&self) -> Vec<u64> {
        self.catalog.0.lock().queries.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Catalog)) {
        change(&mut self.catalog.0.lock());
        self.catalog.1.notify_all();
    }
}

/// With an address of its own where there is a weight, and with its node's where there is none.
fn instance(at: &str, weight: Option<u32>, tags: &[&str], passes: bool) -> Value {
    let (ip, port) = at.rsplit_once(':').expect("ip:port");
    let port: u16 = port.parse().expect("a port");
    let (own, weights) = match weight {
        Some(weight) => (ip, json!({"Passing": weight, "Warning": 1})),
        None => ("", json!({"Passing": 1, "Warning": 1})),
    };
    let status = if passes { "passing" } else { "critical" };
    json!({
        "Node": {"ID": "40e4a748", "Node": "node", "Address": if own.is_empty() { ip } else { "192.0.2.1" }, "Datacenter": "dc1"},
        "Service": {"ID": at, "Service": "php-fpm", "Tags": tags, "Address": own, "Port": port, "Weights": weights},
        "Checks": [{"CheckID": "serfHealth", "Status": status}],
    })
}

fn answer((catalog, news): &(Mutex<Catalog>, Condvar), asked: &Asked, reply: &mut Reply) {
    if !asked.headers.iter().any(|header| header.eq_ignore_ascii_case("x-consul-token: open-sesame")) {
        return reply.send(
            "403 Forbidden",
            "",
            "Permission denied: anonymous token lacks permission 'service:read'",
        );
    }
    if !asked.target.starts_with("/v1/health/service/php-fpm?") {
        return reply.send("404 Not Found", "", "");
    }
    let known: u64 = asked.value("index").parse().unwrap_or_default();
    let wait: u64 = asked.value("wait").trim_end_matches('s').parse().unwrap_or(300);
    let mut catalog = catalog.lock();
    catalog.queries.push(known);
    let (asked_at, deadline) = (catalog.index, Instant::now() + Duration::from_secs(wait));
    // Whoever knows the present is answered when it is past, or restored.
    let waits = |catalog: &Catalog| match catalog.mood {
        Mood::Silent => true,
        Mood::NoLeader => false,
        Mood::Answers => known >= catalog.index && catalog.index == asked_at,
    };
    while reply.goes_on() && waits(&catalog) && Instant::now() < deadline {
        news.wait_for(&mut catalog, Duration::from_millis(50));
    }
    if catalog.mood != Mood::Answers {
        return reply.send("500 Internal Server Error", "", "rpc error making call: No cluster leader");
    }
    let passing = asked.value("passing") == "true";
    let tag = asked.value("tag");
    let fits = |instance: &&Value| {
        (!passing || instance["Checks"][0]["Status"] == "passing")
            && (tag.is_empty()
                || instance["Service"]["Tags"].as_array().is_some_and(|tags| tags.iter().any(|t| t == tag)))
    };
    let list: Vec<_> = catalog.instances.iter().filter(fits).cloned().collect();
    reply.send("200 OK", &format!("X-Consul-Index: {}\r\n", catalog.index), &json!(list).to_string());
}
