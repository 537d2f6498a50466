//! `[pools.NAME] health`: which page of php-fpm is asked, where, and how often.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::endpoints;
use super::model::{EndpointSpec, HealthChecks, Pool, ServerSpec, StatusListen};
use super::reader::{Node, Table};
use super::text::Text;

const INTERVAL: Duration = Duration::from_secs(2);
const FAILS: u32 = 3;
const PASSES: u32 = 2;

/// Reads `health` of a pool whose servers are read already.
pub(super) fn read(health: Table<'_>, pool: &Pool, base: &Path) -> HealthChecks {
    let count = |key| health.get(key).and_then(|count: Node<'_>| count.number(1..=1000));
    let page = |key| health.get(key).and_then(Node::text).and_then(|text| page(&text));
    let checks = HealthChecks {
        interval: health.positive_duration_or("interval", INTERVAL),
        fails: count("fails").unwrap_or(FAILS),
        passes: count("passes").unwrap_or(PASSES),
        ping_path: page("ping_path"),
        status_path: page("status_path"),
        status_listen: read_status_listen(&health, pool, base),
    };
    health.finish(&[]);
    checks
}

/// php-fpm's own rule for `pm.status_path` and `ping.path`.
fn page(text: &Text<'_>) -> Option<String> {
    if !text.starts_with('/') || text.len() < 2 {
        text.mistake("php-fpm's pages begin with a slash", "write it as in php-fpm's pool: \"/status\"");
        return None;
    }
    let strange = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~'));
    if let Some(at) = text.find(strange) {
        let c = text[at..].chars().next().unwrap_or_default();
        let hint = "php-fpm allows letters, digits and / - _ . ~";
        text.mistake_in(at..at + c.len_utf8(), format_args!("'{c}' cannot be in php-fpm's path"), hint);
        return None;
    }
    Some(text.value.to_owned())
}

fn read_status_listen(health: &Table<'_>, pool: &Pool, base: &Path) -> Option<StatusListen> {
    let node = health.get("status_listen")?;
    let text = node.text()?;
    if health.get("status_path").is_none() && health.get("ping_path").is_none() {
        node.mistake_at_key(
            "status_listen needs a page to ask for",
            "set status_path to php-fpm's pm.status_path",
        );
    }
    if let Some(port) = text.strip_prefix(':') {
        return same_host_as(&text, endpoints::read_port(&text, port, 1)?, &pool.servers);
    }
    match endpoints::server(&text, base)? {
        other if pool.servers.len() > 1 || !pool.discover.is_empty() => {
            let hint = match &other {
                EndpointSpec::Tcp { port, .. } => {
                    format!("write \":{port}\": that port on each server's host")
                }
                EndpointSpec::Unix(_) => "leave it out, and each server's own address is asked".to_owned(),
            };
            text.mistake("this is one php-fpm's, and the pool has several servers", hint);
            None
        }
        EndpointSpec::Unix(path) => Some(StatusListen::Unix(path)),
        EndpointSpec::Tcp { host, port } => match host.parse::<IpAddr>() {
            Ok(ip) => Some(StatusListen::Tcp((ip, port).into())),
            Err(_) => {
                text.mistake(
                    "a name is not looked up here",
                    format!("write \":{port}\" for the server's own host, or an address"),
                );
                None
            }
        },
    }
}

fn same_host_as(text: &Text<'_>, port: u16, servers: &[ServerSpec]) -> Option<StatusListen> {
    if servers.iter().any(|server| matches!(server.endpoint, EndpointSpec::Unix(_))) {
        text.mistake("a unix socket has no host", "write \"127.0.0.1:9001\" or \"unix:/path\"");
        return None;
    }
    Some(StatusListen::Port(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::model;

    fn health(servers: &str, table: &str) -> Option<HealthChecks> {
        let site = "[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n";
        model(&format!("{site}[pools.php]\nservers = {servers}\n{table}")).pools.remove(0).health
    }

    #[test]
    fn without_the_key_nothing_is_asked() {
        assert_eq!(health(r#"["a:1"]"#, ""), None);
    }

    #[test]
    fn an_empty_table_asks_every_two_seconds_whether_anybody_is_there() {
        let checks = health(r#"["a:1"]"#, "health = {}").unwrap();
        assert_eq!((checks.interval, checks.fails, checks.passes), (INTERVAL, 3, 2));
        assert_eq!((checks.ping_path, checks.status_path, checks.status_listen), (None, None, None));
    }

    #[test]
    fn every_key_is_heard() {
        let table = r#"health = { interval = "500ms", fails = 5, passes = 1, ping_path = "/fpm-ping", status_path = "/fpm/status", status_listen = ":9001" }"#;
        let checks = health(r#"["a:1", "b:1"]"#, table).unwrap();
        assert_eq!((checks.interval, checks.fails, checks.passes), (Duration::from_millis(500), 5, 1));
        assert_eq!(checks.ping_path.as_deref(), Some("/fpm-ping"));
        assert_eq!(checks.status_path.as_deref(), Some("/fpm/status"));
        assert_eq!(checks.status_listen, Some(StatusListen::Port(9001)));
    }

    #[test]
    fn one_server_may_have_its_status_anywhere() {
        let at = |address: &str| {
            let table = format!(r#"health = {{ status_path = "/s", status_listen = "{address}" }}"#);
            health(r#"["unix:/run/fpm.sock"]"#, &table).unwrap().status_listen
        };
        assert_eq!(at("127.0.0.1:9001"), Some(StatusListen::Tcp(([127, 0, 0, 1], 9001).into())));
        assert_eq!(at("unix:/run/s.sock"), Some(StatusListen::Unix("/run/s.sock".into())));
    }
}
