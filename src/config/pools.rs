//! `[pools.NAME]`: members, the policy that chooses among them, and the bounds of every exchange.

use std::path::Path;
use std::time::Duration;

use crate::balance::{Backoff, Keepalive, PolicyKind, Rules};
use crate::route::Template;

use super::endpoints;
use super::model::{Pool, Queue, Retry, ServerSpec, Timeouts};
use super::reader::{Node, Table};
use super::values;

const QUEUE: Queue = Queue { size: 1024, timeout: Duration::from_secs(30) };
const RETRY: Retry = Retry { tries: 3, timeout: None, non_idempotent: false };
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    first_byte: Duration::from_secs(60),
    between_reads: Duration::from_secs(60),
    total: None,
};
const RESOLVE: Duration = Duration::from_secs(5);

/// What `keepalive = { mode = "on" }` keeps when it says no more: nginx's `keepalive_timeout`, and as many idle
/// connections as a small pool has workers.
const ON_TIMEOUT: Duration = Duration::from_secs(60);
const ON_IDLE: u32 = 16;

/// Reads `[pools]`. A pool with mistakes is there all the same, so that sites can name it.
pub(super) fn read(root: &Table<'_>, base: &Path) -> Vec<Pool> {
    let Some(pools) = root.get("pools").and_then(Node::table) else { return Vec::new() };
    let entries = pools.entries();
    entries.into_iter().map(|entry| read_pool(entry, base)).collect()
}

fn read_pool(entry: Node<'_>, base: &Path) -> Pool {
    let mut pool = Pool {
        name: entry.key().to_owned(),
        servers: Vec::new(),
        policy: PolicyKind::default(),
        hash_key: None,
        queue: QUEUE,
        keepalive: Keepalive::AUTO,
        retry: RETRY,
        timeouts: TIMEOUTS,
        params: Vec::new(),
        resolve: RESOLVE,
    };
    if pool.name.is_empty() {
        entry.mistake_at_key("a pool needs a name", "write [pools.php]");
    }
    let Some(table) = entry.table() else { return pool };
    read_protocol(&table);
    pool.servers = read_servers(&table, base);
    (pool.policy, pool.hash_key) = read_policy(&table);
    pool.queue = table.table("queue").map_or(QUEUE, read_queue);
    pool.keepalive = table.table("keepalive").map_or(Keepalive::AUTO, read_keepalive);
    pool.retry = table.table("retry").map_or(RETRY, read_retry);
    pool.timeouts = table.table("timeouts").map_or(TIMEOUTS, read_timeouts);
    pool.params = values::params(&table, &[]);
    pool.resolve = table.positive_duration_or("resolve", RESOLVE);
    table.finish(&["discover", "health"]);
    pool
}

fn read_protocol(pool: &Table<'_>) {
    let Some(protocol) = pool.get("protocol") else { return };
    if let Some("http") = protocol.choice(&[("fastcgi", "fastcgi"), ("http", "http")]) {
        protocol.mistake("not supported yet: \"http\"", "only \"fastcgi\" is built by now");
    }
}

fn read_servers(pool: &Table<'_>, base: &Path) -> Vec<ServerSpec> {
    let hint = "name at least one server: servers = [\"127.0.0.1:9000\"]";
    let Some(list) = pool.required("servers", hint) else { return Vec::new() };
    let elements = list.list().unwrap_or_default();
    if elements.is_empty() && list.is_list() {
        list.mistake("the list is empty", hint);
    }
    let mut servers: Vec<ServerSpec> = Vec::new();
    for element in elements {
        let Some(server) = read_server(element, base) else { continue };
        if servers.iter().any(|other| other.endpoint == server.endpoint) {
            element
                .mistake("this server is in the list already", "to give it more requests, raise its weight");
        }
        servers.push(server);
    }
    servers
}

fn read_server(element: Node<'_>, base: &Path) -> Option<ServerSpec> {
    if !element.is_table() {
        let address = element.text_or(" or a table")?;
        return Some(plain_server(endpoints::server(&address, base)?));
    }
    let table = element.table()?;
    let address = table.required("address", "{ address = \"127.0.0.1:9000\" }").and_then(Node::text);
    let endpoint = address.and_then(|address| endpoints::server(&address, base));
    let server = ServerSpec {
        weight: table.get("weight").and_then(read_weight).unwrap_or(1),
        max_conns: table.get("max_conns").and_then(|most| most.number(1..=1_000_000)),
        rules: read_rules(&table),
        backup: table.boolean_or("backup", false),
        down: table.boolean_or("down", false),
        ..plain_server(endpoint.unwrap_or(super::model::EndpointSpec::Unix(base.into())))
    };
    table.finish(&["slow_start"]);
    address.map(|_| server)
}

fn plain_server(endpoint: super::model::EndpointSpec) -> ServerSpec {
    ServerSpec { endpoint, weight: 1, max_conns: None, rules: Rules::DEFAULT, backup: false, down: false }
}

fn read_weight(weight: Node<'_>) -> Option<u32> {
    if weight.as_integer() == Some(0) {
        weight.mistake("0 would get no requests", "to take a server out, say down = true");
        return None;
    }
    weight.number(1..=65_535)
}

fn read_rules(server: &Table<'_>) -> Rules {
    let max_fails = server.get("max_fails").and_then(|most| most.number(0..=1_000_000));
    let time = server.get("fail_timeout").and_then(Node::positive_duration);
    Rules {
        max_fails: max_fails.unwrap_or(Rules::DEFAULT.max_fails),
        window: time.unwrap_or(Rules::DEFAULT.window),
        backoff: time.map_or(Backoff::DEFAULT, Backoff::starting_at),
    }
}

/// `least_time` needs the times of requests, which no member knows yet.
fn read_policy(pool: &Table<'_>) -> (PolicyKind, Option<Template>) {
    let choices = [
        ("round_robin", Some(PolicyKind::RoundRobin)),
        ("least_conn", Some(PolicyKind::LeastConn)),
        ("random", Some(PolicyKind::Random)),
        ("ip_hash", Some(PolicyKind::IpHash)),
        ("hash", Some(PolicyKind::Hash)),
        ("least_time", None),
    ];
    let written = pool.get("policy");
    let chosen = written.and_then(|policy| policy.choice(&choices));
    if let (Some(policy), Some(None)) = (written, chosen) {
        policy.mistake("not supported yet: \"least_time\"", "\"least_conn\" is the nearest that is built");
    }
    let kind = chosen.flatten().unwrap_or_default();
    let hash_key = pool.get("hash_key");
    match (hash_key, written) {
        (None, Some(policy)) if kind == PolicyKind::Hash => {
            policy.report.absent(
                policy.span(),
                "policy: \"hash\" needs a hash_key",
                "hash_key = \"$request_uri\"",
            );
        }
        (Some(key), _) if kind != PolicyKind::Hash && (written.is_none() || chosen.is_some()) => {
            key.mistake_at_key(
                "hash_key is for policy = \"hash\" only",
                "set policy = \"hash\", or remove it",
            );
        }
        _ => {}
    }
    (kind, hash_key.and_then(Node::text).and_then(|key| values::template(&key, &[])))
}

fn read_queue(queue: Table<'_>) -> Queue {
    let size = queue.get("size").and_then(|size| size.number(0..=10_000_000));
    let timeout = queue.duration_or("timeout", QUEUE.timeout);
    queue.finish(&[]);
    Queue { size: size.map_or(QUEUE.size, |size| size as usize), timeout }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Auto,
    On,
    Off,
}

fn read_keepalive(table: Table<'_>) -> Keepalive {
    let mode = table
        .get("mode")
        .and_then(|m| m.choice(&[("auto", Mode::Auto), ("on", Mode::On), ("off", Mode::Off)]));
    let mode = mode.unwrap_or(Mode::Auto);
    let settings = ["idle", "timeout", "max_requests", "max_age"].map(|key| table.get(key));
    let [idle, timeout, requests, age] = settings;
    let timeout = timeout.and_then(Node::positive_duration);
    let max_requests = requests.and_then(|requests| requests.number(1..=u32::MAX));
    let max_age = age.and_then(Node::positive_duration);
    table.finish(&[]);
    let most_idle = idle.and_then(|idle| idle.number(1..=1_000_000));
    match mode {
        Mode::Off => {
            let refuse =
                |node: Node<'_>| node.mistake_at_key("mode = \"off\" keeps nothing", "remove this key");
            settings.into_iter().flatten().for_each(refuse);
            Keepalive::Off
        }
        Mode::On => Keepalive::On {
            timeout: timeout.unwrap_or(ON_TIMEOUT),
            idle: most_idle.unwrap_or(ON_IDLE),
            max_requests,
            max_age,
        },
        Mode::Auto => {
            if let Some(idle) = idle {
                let hint = "auto decides how many lie idle; to set it yourself, say mode = \"on\"";
                idle.mistake_at_key("idle is for mode = \"on\"", hint);
            }
            overruled(timeout, max_requests, max_age)
        }
    }
}

/// auto, as far as the operator does not know better (fpm-facts 13).
fn overruled(timeout: Option<Duration>, requests: Option<u32>, age: Option<Duration>) -> Keepalive {
    let Keepalive::Auto { hold, max_age, max_requests } = Keepalive::AUTO else { return Keepalive::AUTO };
    Keepalive::Auto {
        hold: timeout.unwrap_or(hold),
        // A hold that is longer than the age would never be reached.
        max_age: age.unwrap_or(max_age.max(timeout.unwrap_or_default())),
        max_requests: requests.unwrap_or(max_requests),
    }
}

fn read_retry(table: Table<'_>) -> Retry {
    let tries = table.get("tries").and_then(|tries| tries.number(1..=100));
    let retry = Retry {
        tries: tries.unwrap_or(RETRY.tries),
        timeout: table.get("timeout").and_then(Node::positive_duration),
        non_idempotent: table.boolean_or("non_idempotent", RETRY.non_idempotent),
    };
    table.finish(&[]);
    retry
}

fn read_timeouts(table: Table<'_>) -> Timeouts {
    let off = |node: &Node<'_>| node.as_text().is_some_and(|text| &*text == "off");
    let timeouts = Timeouts {
        connect: table.positive_duration_or("connect", TIMEOUTS.connect),
        first_byte: table.positive_duration_or("first_byte", TIMEOUTS.first_byte),
        between_reads: table.positive_duration_or("between_reads", TIMEOUTS.between_reads),
        total: table.get("total").filter(|total| !off(total)).and_then(Node::positive_duration),
    };
    table.finish(&[]);
    timeouts
}
