//! `discover` of a pool: sources that tell of members, one table each. Its first key says which kind of source it is.

use std::path::Path;

use super::apis;
use super::endpoints;
use super::model::{Discover, EndpointSpec, Server, Source};
use super::pools::{Zones, read_terms};
use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const KINDS: [&str; 6] = ["dns", "srv", "file", "docker", "consul", "etcd"];

/// Reads `discover`, which may be left out.
pub(super) fn read(pool: &Table<'_>, zones: &mut Zones<'_>, server: &Server, base: &Path) -> Vec<Discover> {
    let Some(list) = pool.get("discover") else { return Vec::new() };
    let elements = list.list("a list of tables").unwrap_or_default();
    if elements.is_empty() && list.is_list() && pool.get("servers").is_none() {
        list.mistake(
            "the list is empty",
            "name who tells of the members: discover = [{ dns = \"fpm:9000\" }]",
        );
    }
    let mut sources: Vec<Discover> = Vec::new();
    for element in elements {
        let Some(discover) = read_entry(element, zones, server, base) else { continue };
        if sources.iter().any(|other| other.source == discover.source) {
            element.mistake("this source is in the list already", "remove one of the two");
        }
        sources.push(discover);
    }
    sources
}

fn read_entry(element: Node<'_>, zones: &mut Zones<'_>, server: &Server, base: &Path) -> Option<Discover> {
    let table = element.table()?;
    let kinds: Vec<_> = KINDS.into_iter().filter_map(|kind| table.get(kind)).collect();
    let source = match kinds[..] {
        [kind] => read_source(kind, &table, server, base),
        [] => {
            let hint = "begin with one of dns, srv, file, docker, consul, etcd: { dns = \"fpm:9000\" }";
            table.report.absent(table.span.clone(), "discover: which source is meant?", hint);
            None
        }
        [_, second, ..] => {
            second.mistake_at_key(
                format_args!("{} beside another source", second.key()),
                "write a table for each source: discover = [{ … }, { … }]",
            );
            None
        }
    };
    let terms = read_terms(&table, zones);
    // A table of an unknown kind has keys that only its kind would know.
    match kinds.len() {
        1 => table.finish(&[]),
        _ => drop(table),
    }
    Some(Discover { source: source?, terms })
}

fn read_source(kind: Node<'_>, table: &Table<'_>, server: &Server, base: &Path) -> Option<Source> {
    let resolver = || server.resolver.clone();
    match kind.key() {
        "dns" => {
            let (host, port) = read_name(&kind.text()?, base)?;
            Some(Source::Dns { host, port, resolver: resolver() })
        }
        "srv" => Some(Source::Srv { name: read_service(&kind.text()?)?, resolver: resolver() }),
        "file" => read_file(&kind.text()?, base),
        "docker" => apis::docker(kind, table, base).map(Source::Docker),
        "consul" => apis::consul(kind, table, base).map(Source::Consul),
        _ => apis::etcd(kind, table, base).map(Source::Etcd),
    }
}

/// `host:port`, where the host is a name.
fn read_name(text: &Text<'_>, base: &Path) -> Option<(String, u16)> {
    match endpoints::server(text, base)? {
        EndpointSpec::Tcp { host, port } if host.parse::<std::net::IpAddr>().is_err() => Some((host, port)),
        _ => {
            text.mistake("there is nothing to discover: this is an address", "put it into `servers`");
            None
        }
    }
}

/// RFC 2782: `_service._proto.name`; a port has no place in it.
fn read_service(text: &Text<'_>) -> Option<String> {
    if let Some(at) = text.find(':') {
        let hint = "SRV records tell the port: write the name alone";
        text.mistake_in(at..text.len(), "a port has no place here", hint);
        return None;
    }
    let strange = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    if text.is_empty() || text.contains(strange) {
        text.mistake(format_args!("'{}' is not a name", text.value), "such as \"_fpm._tcp.example.com\"");
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// The file need not be there yet; what it will be must be told by its name.
fn read_file(text: &Text<'_>, base: &Path) -> Option<Source> {
    let path = values::path(base, text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json" | "toml") => Some(Source::File(path)),
        _ => {
            text.mistake("JSON or TOML?", "let its name end in .json or .toml");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{MaxConns, Tier};
    use crate::config::model::Pool;
    use crate::config::testing::{model_in, project};

    const SITE: &str = "[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n";

    fn pool_in(base: &Path, lines: &str) -> Pool {
        let text = format!("[server]\nresolver = [\"127.0.0.1:5353\"]\n{SITE}[pools.php]\n{lines}\n");
        model_in(base, &text).pools.remove(0)
    }

    #[test]
    fn a_pool_may_have_sources_instead_of_servers_and_beside_them() {
        let project = project();
        let alone = pool_in(project.path(), r#"discover = [{ dns = "FPM:9000" }]"#);
        let resolver = vec!["127.0.0.1:5353".parse().unwrap()];
        assert!(alone.servers.is_empty());
        let dns = Source::Dns { host: "fpm".into(), port: 9000, resolver: resolver.clone() };
        assert_eq!(alone.discover[0].source, dns);
        let lines =
            "servers = [\"a:1\"]\ndiscover = [{ srv = \"_fpm._tcp.example\" }, { file = \"m.json\" }]";
        let beside = pool_in(project.path(), lines);
        let sources: Vec<_> = beside.discover.into_iter().map(|discover| discover.source).collect();
        let srv = Source::Srv { name: "_fpm._tcp.example".into(), resolver };
        assert_eq!(sources, [srv, Source::File(project.path().join("m.json"))]);
        assert_eq!(beside.servers.len(), 1);
    }

    #[test]
    fn docker_consul_and_etcd_with_all_their_keys() {
        let project = project();
        std::fs::write(project.path().join("token"), "open-sesame\n").unwrap();
        let lines = r#"discover = [
            { docker = "unix:/var/run/docker.sock", label = "cornac.pool=php", port = 9001, network = "app" },
            { consul = "http://[::1]:8500/", service = "php-fpm", tags = ["v2"], datacenter = "ams", token = { file = "token" } },
            { etcd = ["http://127.0.0.1:2379", "http://etcd:2379"], prefix = "/cornac/php/" },
        ]"#;
        let sources = pool_in(project.path(), lines).discover.into_iter().map(|discover| discover.source);
        let [Source::Docker(docker), Source::Consul(consul), Source::Etcd(etcd)] =
            &sources.collect::<Vec<_>>()[..]
        else {
            panic!("three sources")
        };
        assert_eq!(
            (docker.at.to_string(), &*docker.label),
            ("unix:/var/run/docker.sock".into(), "cornac.pool=php")
        );
        assert_eq!((docker.port, docker.network.as_deref()), (Some(9001), Some("app")));
        assert_eq!((consul.at.to_string(), &*consul.service), ("http://[::1]:8500".into(), "php-fpm"));
        assert_eq!((&consul.tags[..], consul.datacenter.as_deref()), (&["v2".to_owned()][..], Some("ams")));
        assert!(consul.token.as_ref().unwrap().is(b"open-sesame"));
        let endpoints: Vec<_> = etcd.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["http://127.0.0.1:2379", "http://etcd:2379"]);
        assert_eq!(etcd.prefix, "/cornac/php/");
    }

    #[test]
    fn a_source_takes_the_keys_of_a_server_for_all_its_members() {
        let lines = r#"discover = [{ dns = "fpm:9000", weight = 3, max_conns = 8, max_fails = 1, backup = true, slow_start = "10s" }]"#;
        let terms = pool_in(project().path(), lines).discover[0].terms;
        assert_eq!((terms.weight, terms.max_conns, terms.rules.max_fails), (3, MaxConns::Most(8), 1));
        assert_eq!((terms.tier, terms.slow_start.as_secs()), (Tier::Backup, 10));
    }
}
