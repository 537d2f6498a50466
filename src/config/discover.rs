//! `discover` of a pool: sources that tell of members, one table each. Its first key says which kind of source it is.

use std::path::Path;

use super::endpoints;
use super::model::{Discover, EndpointSpec, Server, Source};
use super::pools::{Zones, read_terms};
use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const KINDS: [&str; 3] = ["dns", "srv", "file"];

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
            let hint = "begin with one of dns, srv, file: { dns = \"fpm:9000\" }";
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
    let text = kind.text()?;
    match kind.key() {
        "dns" => {
            let (host, port) = read_name(&text, base)?;
            Some(Source::Dns { host, port, resolver: resolver() })
        }
        "srv" => Some(Source::Srv { name: read_service(&text)?, resolver: resolver() }),
        _ => read_file(&text, base, table),
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
fn read_file(text: &Text<'_>, base: &Path, _table: &Table<'_>) -> Option<Source> {
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
    fn a_source_takes_the_keys_of_a_server_for_all_its_members() {
        let lines = r#"discover = [{ dns = "fpm:9000", weight = 3, max_conns = 8, max_fails = 1, backup = true, slow_start = "10s" }]"#;
        let terms = pool_in(project().path(), lines).discover[0].terms;
        assert_eq!((terms.weight, terms.max_conns, terms.rules.max_fails), (3, MaxConns::Most(8), 1));
        assert_eq!((terms.tier, terms.slow_start.as_secs()), (Tier::Backup, 10));
    }
}
