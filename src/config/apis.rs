//! Sources of `discover` that have an HTTP interface: Docker, Consul, etcd. Where it is, and what is asked of it.

use std::path::Path;

use super::admin::read_token;
use super::endpoints;
use super::model::{ApiAddress, Consul, Docker, EndpointSpec, Etcd};
use super::reader::{Node, Table};
use super::text::Text;

const DOCKER: &str = "{ docker = \"unix:/var/run/docker.sock\", label = \"cornac.pool=php\" }";
const CONSUL: &str = "{ consul = \"http://127.0.0.1:8500\", service = \"php-fpm\" }";
const ETCD: &str = "{ etcd = [\"http://127.0.0.1:2379\"], prefix = \"/cornac/php/\" }";
const TOKEN: &str = "token = { env = \"CONSUL_HTTP_TOKEN\" } or { file = \"consul.token\" }";

/// `{ docker, label, port, network }`.
pub(super) fn docker(kind: Node<'_>, table: &Table<'_>, base: &Path) -> Option<Docker> {
    let at = kind.text().and_then(|text| address(&text, base));
    let label = table.required("label", DOCKER).and_then(filled);
    let port = table.get("port").and_then(|port| port.number(1..=65_535));
    let network = table.get("network").and_then(filled);
    // Within its bounds already.
    Some(Docker { at: at?, label: label?, port: port.map(|port| port as u16), network })
}

/// `{ consul, service, tags, datacenter, token }`.
pub(super) fn consul(kind: Node<'_>, table: &Table<'_>, base: &Path) -> Option<Consul> {
    let at = kind.text().and_then(|text| address(&text, base));
    let service = table.required("service", CONSUL).and_then(filled);
    let tags = table.get("tags").and_then(Node::texts).unwrap_or_default();
    let tags = tags.iter().map(|tag| tag.value.to_owned()).collect();
    let datacenter = table.get("datacenter").and_then(filled);
    let token = table.get("token").and_then(|token| read_token(token, TOKEN, base));
    Some(Consul { at: at?, service: service?, tags, datacenter, token })
}

/// `{ etcd, prefix }`.
pub(super) fn etcd(kind: Node<'_>, table: &Table<'_>, base: &Path) -> Option<Etcd> {
    let texts = kind.texts().unwrap_or_default();
    if texts.is_empty() && kind.is_list() {
        kind.mistake("the list is empty", ETCD);
    }
    let endpoints: Vec<_> = texts.iter().filter_map(|text| address(text, base)).collect();
    let prefix = table.required("prefix", ETCD).and_then(filled);
    (!endpoints.is_empty()).then_some(Etcd { endpoints, prefix: prefix? })
}

fn filled(node: Node<'_>) -> Option<String> {
    let text = node.text()?;
    if text.trim().is_empty() {
        text.mistake("there is nothing in it", None);
        return None;
    }
    Some(text.value.to_owned())
}

/// `"unix:/path"`, `"http://host:port"`, or Docker's own spelling `"tcp://host:port"`.
fn address(text: &Text<'_>, base: &Path) -> Option<ApiAddress> {
    let hint = "write \"http://host:port\" or \"unix:/path\"";
    if text.starts_with("https://") {
        let hint = "use http:// on this machine, such as an agent or a tunnel that speaks TLS to the others";
        text.mistake_in(0..8, "not supported yet: TLS to a source", hint);
        return None;
    }
    if text.starts_with("unix:") {
        return endpoints::server(text, base).map(ApiAddress);
    }
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("tcp://")) else {
        text.mistake(format_args!("'{}' is not the address of an HTTP interface", text.value), hint);
        return None;
    };
    let authority: Option<http::uri::Authority> = rest.strip_suffix('/').unwrap_or(rest).parse().ok();
    let known = authority.as_ref().filter(|authority| !authority.as_str().contains('@'));
    let Some((authority, port)) =
        known.and_then(|known| Some((known, known.port_u16().filter(|&port| port > 0)?)))
    else {
        text.mistake(format_args!("'{}' has no host and port, or more than that", text.value), hint);
        return None;
    };
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some(ApiAddress(EndpointSpec::Tcp { host: host.to_owned(), port }))
}
