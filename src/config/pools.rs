//! `[pools.NAME]`: members, the policy that chooses among them, and the bounds of every exchange.

use std::path::Path;
use std::time::Duration;

use http::HeaderName;

use crate::balance::{Backoff, Keepalive, MaxConns, PolicyKind, Rules, Tier};
use crate::route::Template;

use super::discover;
use super::endpoints;
use super::health;
use super::model::{EndpointSpec, Pool, Queue, Retry, Server, ServerSpec, Terms, Timeouts};
use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const QUEUE: Queue = Queue { size: 1024, timeout: Duration::from_secs(30), header: false };
const RETRY: Retry =
    Retry { tries: 3, budget: 20, timeout: None, non_idempotent: false, idempotency_key: None };
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
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
pub(super) fn read(root: &Table<'_>, server: &Server, base: &Path) -> Vec<Pool> {
    let Some(pools) = root.get("pools").and_then(Node::table) else { return Vec::new() };
    let entries = pools.entries();
    entries.into_iter().map(|entry| read_pool(entry, server, base)).collect()
}

fn read_pool(entry: Node<'_>, server: &Server, base: &Path) -> Pool {
    let mut pool = Pool {
        name: entry.key().to_owned(),
        servers: Vec::new(),
        discover: Vec::new(),
        policy: PolicyKind::default(),
        hash_key: None,
        queue: QUEUE,
        shares: Vec::new(),
        keepalive: Keepalive::AUTO,
        health: None,
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
    let mut zones = Zones::of(&table);
    pool.servers = read_servers(&table, base, &mut zones);
    pool.discover = discover::read(&table, &mut zones, server, base);
    zones.finish();
    (pool.policy, pool.hash_key) = read_policy(&table);
    refuse_slow_start_by_key(&table, &pool);
    pool.queue = table.table("queue").map_or(QUEUE, read_queue);
    pool.keepalive = table.table("keepalive").map_or(Keepalive::AUTO, read_keepalive);
    pool.health = table.table("health").map(|table| health::read(table, &pool, base));
    pool.retry = table.table("retry").map_or(RETRY, read_retry);
    pool.timeouts = table.table("timeouts").map_or(TIMEOUTS, read_timeouts);
    pool.params = values::params(&table, &[]);
    pool.resolve = table.positive_duration_or("resolve", RESOLVE);
    table.finish(&[]);
    pool
}

fn read_protocol(pool: &Table<'_>) {
    let Some(protocol) = pool.get("protocol") else { return };
    if let Some("http") = protocol.choice(&[("fastcgi", "fastcgi"), ("http", "http")]) {
        protocol.mistake("not supported yet: \"http\"", "only \"fastcgi\" is built by now");
    }
}

fn read_servers(pool: &Table<'_>, base: &Path, zones: &mut Zones<'_>) -> Vec<ServerSpec> {
    let hint = "name at least one server: servers = [\"127.0.0.1:9000\"]";
    let others_tell = pool.get("discover").is_some();
    let list = if others_tell { pool.get("servers") } else { pool.required("servers", hint) };
    let Some(list) = list else { return Vec::new() };
    let elements = list.list("a list of addresses").unwrap_or_default();
    if elements.is_empty() && list.is_list() && !others_tell {
        list.mistake("the list is empty", hint);
    }
    let mut servers: Vec<ServerSpec> = Vec::new();
    for element in elements {
        let Some(server) = read_server(element, base, zones) else { continue };
        if servers.iter().any(|other| other.endpoint == server.endpoint) {
            element
                .mistake("this server is in the list already", "to give it more requests, raise its weight");
        }
        servers.push(server);
    }
    servers
}

/// `prefer_zone`, and whether any server is there.
pub(super) struct Zones<'a> {
    preferred: Option<Text<'a>>,
    found: bool,
}

impl<'a> Zones<'a> {
    fn of(pool: &Table<'a>) -> Self {
        Self { preferred: pool.get("prefer_zone").and_then(Node::text), found: false }
    }

    fn tier(&mut self, zone: Option<&str>, backup: bool) -> Tier {
        let is_near = self.preferred.as_ref().is_none_or(|preferred| zone == Some(preferred.value));
        self.found |= is_near;
        match (backup, is_near) {
            (true, _) => Tier::Backup,
            (false, true) => Tier::Near,
            (false, false) => Tier::Far,
        }
    }

    fn finish(self) {
        if let Some(preferred) = self.preferred.filter(|_| !self.found) {
            let hint = "give the servers of that zone a zone: { address = \"10.0.0.1:9000\", zone = \"…\" }";
            preferred.mistake(format_args!("no server is in zone '{}'", preferred.value), hint);
        }
    }
}

fn read_server(element: Node<'_>, base: &Path, zones: &mut Zones<'_>) -> Option<ServerSpec> {
    if !element.is_table() {
        let address = element.text_or(" or a table")?;
        return Some(plain_server(endpoints::server(&address, base)?, zones.tier(None, false)));
    }
    let table = element.table()?;
    let address = table.required("address", "{ address = \"127.0.0.1:9000\" }").and_then(Node::text);
    let endpoint = address.and_then(|address| endpoints::server(&address, base));
    let terms = Terms { down: table.boolean_or("down", false), ..read_terms(&table, zones) };
    table.finish(&[]);
    Some(terms.at(endpoint?))
}

/// The keys that a server and those that are discovered have in common.
pub(super) fn read_terms(table: &Table<'_>, zones: &mut Zones<'_>) -> Terms {
    let zone = table.get("zone").and_then(Node::text);
    let backup = table.boolean_or("backup", false);
    Terms {
        weight: table.get("weight").and_then(read_weight).unwrap_or(1),
        max_conns: table.get("max_conns").and_then(read_max_conns).unwrap_or_default(),
        rules: read_rules(table),
        slow_start: table.duration_or("slow_start", Duration::ZERO),
        tier: zones.tier(zone.as_ref().map(|zone| zone.value), backup),
        down: false,
    }
}

fn plain_server(endpoint: EndpointSpec, tier: Tier) -> ServerSpec {
    let (rules, slow_start) = (Rules::DEFAULT, Duration::ZERO);
    let terms = Terms { weight: 1, max_conns: MaxConns::Auto, rules, slow_start, tier, down: false };
    terms.at(endpoint)
}

/// As nginx does (`balance::slow_start` says why).
fn refuse_slow_start_by_key(table: &Table<'_>, pool: &Pool) {
    if let Some(policy) = table.get("policy")
        && pool.policy.is_by_key()
        && pool.all_terms().any(|terms| !terms.slow_start.is_zero())
    {
        policy.mistake(
            "a policy that goes by a key has no slow_start: its keys would move twice",
            "remove slow_start from the servers, or choose another policy",
        );
    }
}

fn read_weight(weight: Node<'_>) -> Option<u32> {
    if weight.as_integer() == Some(0) {
        weight.mistake("0 would get no requests", "to take a server out, say down = true");
        return None;
    }
    weight.number(1..=65_535)
}

/// 0 is nginx's way to say that there is no limit.
fn read_max_conns(most: Node<'_>) -> Option<MaxConns> {
    if most.as_text().is_some() {
        return most.choice(&[("auto", MaxConns::Auto), ("unlimited", MaxConns::Unlimited)]);
    }
    Some(match most.number(0..=1_000_000)? {
        0 => MaxConns::Unlimited,
        most => MaxConns::Most(most),
    })
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

fn read_policy(pool: &Table<'_>) -> (PolicyKind, Option<Template>) {
    let choices = [
        ("round_robin", PolicyKind::RoundRobin),
        ("least_conn", PolicyKind::LeastConn),
        ("least_time", PolicyKind::LeastTime),
        ("random", PolicyKind::Random),
        ("ip_hash", PolicyKind::IpHash),
        ("hash", PolicyKind::Hash),
    ];
    let written = pool.get("policy");
    let chosen = written.and_then(|policy| policy.choice(&choices));
    let kind = chosen.unwrap_or_default();
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
    let header = queue.boolean_or("header", QUEUE.header);
    queue.finish(&[]);
    Queue { size: size.map_or(QUEUE.size, |size| size as usize), timeout, header }
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
    let budget = table.get("budget").and_then(|percent| percent.number(0..=1_000));
    let retry = Retry {
        tries: tries.unwrap_or(RETRY.tries),
        budget: budget.unwrap_or(RETRY.budget),
        timeout: table.get("timeout").and_then(Node::positive_duration),
        non_idempotent: table.boolean_or("non_idempotent", RETRY.non_idempotent),
        idempotency_key: table.get("idempotency_key").and_then(read_idempotency_key),
    };
    table.finish(&[]);
    retry
}

/// `true` is the header of the IETF's draft; a name is another one.
fn read_idempotency_key(key: Node<'_>) -> Option<HeaderName> {
    if key.is_true() || key.is_false() {
        return key.is_true().then_some(IDEMPOTENCY_KEY);
    }
    let name = key.text_or(" or true")?;
    let header = HeaderName::try_from(name.value).ok();
    if header.is_none() {
        name.mistake(
            format_args!("'{}' is not a header's name", name.value),
            "true is Idempotency-Key; or write the name that your clients send",
        );
    }
    header
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::model;

    const SITE: &str = "[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n";

    fn pool(lines: &str) -> Pool {
        model(&format!("{SITE}[pools.php]\n{lines}\n")).pools.remove(0)
    }

    #[test]
    fn the_smallest_pool_has_the_documented_defaults() {
        let pool = pool(r#"servers = ["fpm1:9000", "unix:/run/fpm.sock", "[::1]:9001"]"#);
        assert_eq!(pool.name, "php");
        assert_eq!((pool.policy, pool.keepalive), (PolicyKind::LeastConn, Keepalive::AUTO));
        assert_eq!((pool.queue.size, pool.queue.timeout), (1024, Duration::from_secs(30)));
        assert_eq!((pool.retry.tries, pool.retry.timeout, pool.retry.non_idempotent), (3, None, false));
        assert_eq!((pool.timeouts.connect, pool.timeouts.total), (Duration::from_secs(1), None));
        assert_eq!(pool.resolve, Duration::from_secs(5));
        let tcp = |host: &str, port| EndpointSpec::Tcp { host: host.to_owned(), port };
        let endpoints: Vec<_> = pool.servers.iter().map(|server| server.endpoint.clone()).collect();
        assert_eq!(
            endpoints,
            [tcp("fpm1", 9000), EndpointSpec::Unix("/run/fpm.sock".into()), tcp("::1", 9001)]
        );
        assert!(pool.servers.iter().all(|server| (server.weight, server.max_conns) == (1, MaxConns::Auto)));
        assert!(
            pool.servers
                .iter()
                .all(|server| server.rules == Rules::DEFAULT && server.tier == Tier::Near && !server.down)
        );
    }

    #[test]
    fn every_key_of_a_server_is_heard() {
        let pool = pool(
            r#"servers = [
                { address = "a:1", weight = 4, max_conns = 20, max_fails = 0, fail_timeout = "90s", slow_start = "20s" },
                { address = "b:1", backup = true },
                { address = "c:1", down = true },
            ]"#,
        );
        let [a, b, c] = &pool.servers[..] else { panic!("three servers") };
        assert_eq!((a.weight, a.max_conns, a.rules.max_fails), (4, MaxConns::Most(20), 0));
        let time = Duration::from_secs(90);
        assert_eq!((a.rules.window, a.rules.backoff.first, a.rules.backoff.longest), (time, time, time));
        assert_eq!((a.slow_start, b.slow_start), (Duration::from_secs(20), Duration::ZERO));
        assert!(b.tier == Tier::Backup && !b.down && c.down && c.tier == Tier::Near);
    }

    #[test]
    fn servers_of_another_zone_come_after_those_of_the_preferred_one() {
        let servers = r#"servers = [
            { address = "a:1", zone = "rack1" }, { address = "b:1", zone = "rack2" },
            { address = "c:1", zone = "rack1", backup = true }, "d:1",
        ]"#;
        let tiers = |lines: &str| pool(lines).servers.iter().map(|server| server.tier).collect::<Vec<_>>();
        let (near, far, backup) = (Tier::Near, Tier::Far, Tier::Backup);
        assert_eq!(tiers(&format!("{servers}\nprefer_zone = \"rack1\"")), [near, far, backup, far]);
        assert_eq!(tiers(servers), [near, near, backup, near]);
    }

    #[test]
    fn max_conns_is_learnt_told_or_none() {
        for (written, meant) in [
            ("\"auto\"", MaxConns::Auto),
            ("\"unlimited\"", MaxConns::Unlimited),
            ("0", MaxConns::Unlimited),
            ("1", MaxConns::Most(1)),
        ] {
            let pool = pool(&format!("servers = [{{ address = \"a:1\", max_conns = {written} }}]"));
            assert_eq!(pool.servers[0].max_conns, meant, "{written}");
        }
    }

    #[test]
    fn every_policy_has_its_name() {
        for (name, kind) in [
            ("round_robin", PolicyKind::RoundRobin),
            ("least_conn", PolicyKind::LeastConn),
            ("least_time", PolicyKind::LeastTime),
            ("random", PolicyKind::Random),
            ("ip_hash", PolicyKind::IpHash),
        ] {
            assert_eq!(pool(&format!("servers = [\"a:1\"]\npolicy = \"{name}\"")).policy, kind);
        }
        let hash = pool("servers = [\"a:1\"]\npolicy = \"hash\"\nhash_key = \"$request_uri\"");
        assert_eq!(hash.policy, PolicyKind::Hash);
        assert_eq!(hash.hash_key.unwrap().as_str(), "$request_uri");
    }

    #[test]
    fn an_operator_overrules_what_auto_would_do() {
        let keepalive = |table: &str| pool(&format!("servers = [\"a:1\"]\nkeepalive = {table}")).keepalive;
        let Keepalive::Auto { hold, max_age, max_requests } =
            keepalive(r#"{ timeout = "2s", max_requests = 9 }"#)
        else {
            panic!("auto")
        };
        assert_eq!((hold, max_age, max_requests), (Duration::from_secs(2), Duration::from_secs(2), 9));
        assert_eq!(keepalive("{ mode = \"off\" }"), Keepalive::Off);
        assert_eq!(
            keepalive(r#"{ mode = "on", idle = 8, timeout = "1m", max_age = "1h" }"#),
            Keepalive::On {
                timeout: Duration::from_secs(60),
                idle: 8,
                max_requests: None,
                max_age: Some(Duration::from_secs(3600)),
            }
        );
    }

    #[test]
    fn queue_retry_and_timeouts_are_heard() {
        let pool = pool(
            "servers = [\"a:1\"]\nresolve = 60\nqueue = { size = 0, timeout = \"1s\", header = true }\n\
             retry = { tries = 1, budget = 50, timeout = \"2s\", non_idempotent = true, idempotency_key = \"X-Once\" }\n\
             timeouts = { connect = \"100ms\", first_byte = \"5m\", between_reads = 3, total = \"off\" }",
        );
        let seconds = Duration::from_secs;
        assert_eq!(pool.queue, Queue { size: 0, timeout: seconds(1), header: true });
        let (tries, timeout) = (1, Some(seconds(2)));
        let idempotency_key = Some(HeaderName::from_static("x-once"));
        assert_eq!(pool.retry, Retry { tries, budget: 50, timeout, non_idempotent: true, idempotency_key });
        let connect = Duration::from_millis(100);
        let expected = Timeouts { connect, first_byte: seconds(300), between_reads: seconds(3), total: None };
        assert_eq!((pool.timeouts, pool.resolve), (expected, seconds(60)));
    }

    #[test]
    fn idempotency_key_is_a_switch_or_a_name() {
        let key = |written: &str| {
            pool(&format!("servers = [\"a:1\"]\nretry = {{ {written} }}")).retry.idempotency_key
        };
        assert_eq!(key(""), None);
        assert_eq!(key("idempotency_key = false"), None);
        assert_eq!(key("idempotency_key = true").unwrap(), "idempotency-key");
        assert_eq!(key("idempotency_key = \"X-Request-Key\"").unwrap(), "x-request-key");
    }

    #[test]
    fn pools_stand_in_the_order_of_the_file() {
        let text = format!("{SITE}[pools.z]\nservers = [\"a:1\"]\n[pools.a]\nservers = [\"a:1\"]\n");
        let names: Vec<_> = model(&text).pools.into_iter().map(|pool| pool.name).collect();
        assert_eq!(names, ["z", "a"]);
    }
}
