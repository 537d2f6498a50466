//! `listen`: where a site listens and how it is spoken to there, and whether all the sites of an address say the same.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::diagnostic::line_and_column;
use super::endpoints;
use super::model::{Listen, Listener};
use super::names::Claim;
use super::reader::{Node, Table};
use super::report::Report;

/// One entry of a site's `listen`.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) listen: Listen,
    pub(super) span: Range<usize>,
    /// As it is written, or as it follows from the rest of the site.
    pub(super) tls: bool,
    http2: Option<bool>,
    proxy_protocol: Option<bool>,
    reuse_port: Option<bool>,
    mode: Option<u32>,
}

impl Written {
    pub(super) fn port(&self) -> Option<u16> {
        match &self.listen {
            Listen::Tcp(address) => Some(address.port()),
            Listen::Unix(_) => None,
        }
    }
}

/// Reads a site's `listen`. A site with certificates speaks TLS wherever the entry does not say otherwise, but for port 80 and unix sockets.
pub(super) fn read(table: &Table<'_>, base: &Path, has_certificates: bool) -> Vec<Written> {
    let hint = "listen = [\"0.0.0.0:8080\"]";
    let Some(list) = table.required("listen", hint) else { return Vec::new() };
    let elements =
        if list.is_list() { list.list("a list of addresses").unwrap_or_default() } else { vec![list] };
    if elements.is_empty() && list.is_list() {
        list.mistake("the list is empty", hint);
    }
    let mut listen: Vec<Written> = Vec::new();
    for element in elements {
        let Some(written) = read_one(element, base, has_certificates) else { continue };
        if listen.iter().any(|other| other.listen == written.listen) {
            element.mistake("this address is in the list already", "remove one of the two");
            continue;
        }
        listen.push(written);
    }
    listen
}

fn read_one(element: Node<'_>, base: &Path, has_certificates: bool) -> Option<Written> {
    let span = element.span();
    if !element.is_table() {
        let listen = match element.as_integer() {
            Some(_) => endpoints::any_address(u16::try_from(element.number(1..=65_535)?).ok()?)?,
            None => endpoints::listen(&element.text_or(", a port or a table")?, base)?,
        };
        let tls = has_certificates && is_secured(&listen);
        return Some(Written {
            listen,
            span,
            tls,
            http2: None,
            proxy_protocol: None,
            reuse_port: None,
            mode: None,
        });
    }
    let table = element.table()?;
    let address = table.required("address", "{ address = \"0.0.0.0:8080\" }").and_then(Node::text);
    let http2 = table.get("http2").and_then(Node::boolean);
    let tls = table.get("tls");
    if let Some(tls) = tls.filter(|tls| tls.is_true() && !has_certificates) {
        let hint =
            "add tls = { cert = \"…\", key = \"…\" } to the site, or tls = \"self-signed\" for development";
        tls.mistake("the site has no certificate", hint);
    }
    let tls = tls.and_then(Node::boolean);
    let proxy_protocol = table.get("proxy_protocol").and_then(Node::boolean);
    let reuse_port = table.get("reuseport");
    let mode = table.get("mode");
    table.finish(&[]);
    let listen = endpoints::listen(&address?, base)?;
    let mode = mode.and_then(|mode| read_mode(mode, &listen));
    let reuse_port = reuse_port.and_then(|reuse_port| read_reuse_port(reuse_port, &listen));
    let tls = tls.unwrap_or(has_certificates && is_secured(&listen));
    Some(Written { listen, span, tls, http2, proxy_protocol, reuse_port, mode })
}

fn read_reuse_port(node: Node<'_>, listen: &Listen) -> Option<bool> {
    if matches!(listen, Listen::Unix(_)) {
        node.mistake("a unix socket has no port", "remove it: one socket serves all threads");
        return None;
    }
    node.boolean()
}

/// Who may connect to a unix socket, as chmod(1) writes it.
fn read_mode(node: Node<'_>, listen: &Listen) -> Option<u32> {
    if matches!(listen, Listen::Tcp(_)) {
        node.mistake("a port has none", "allow and deny say who may come");
        return None;
    }
    let hint = "\"660\" for its user and group, \"666\" for everybody on this machine";
    let text = node.text_or(" of three octal digits")?;
    let mode = u32::from_str_radix(text.value, 8).ok().filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        text.mistake(format_args!("'{}' is no mode", text.value), hint);
    }
    mode
}

/// Their proxies would be written down as the clients: allowed is then who it is not, or nobody.
pub(super) fn warn_of_unbelieved(listen: &[Written], trusts: bool, report: &Report<'_>) {
    if trusts {
        return;
    }
    for written in listen.iter().filter(|written| written.proxy_protocol == Some(true)) {
        let hint = "trusted_proxies = [\"10.0.0.0/8\"]: the addresses of those who send it";
        let message =
            "listen: what a PROXY header says of clients is believed from nobody without trusted_proxies";
        report.warning(written.span.clone(), message, hint);
    }
}

/// Port 80 is where clients start that know of no TLS, and a unix socket is another server's on this machine.
fn is_secured(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp(address) if address.port() != 80)
}

/// Each address once. What one site says of it holds for all; where two say different things, that is a mistake.
pub(super) fn agreed(claims: &[Claim], report: &Report<'_>) -> Vec<Listener> {
    let mut addresses: Vec<(&Listen, Vec<&Written>)> = Vec::new();
    let mut places: HashMap<&Listen, usize> = HashMap::new();
    for written in claims.iter().flat_map(|claim| &claim.listen) {
        let place = *places.entry(&written.listen).or_insert_with(|| {
            addresses.push((&written.listen, Vec::new()));
            addresses.len() - 1
        });
        addresses[place].1.push(written);
    }
    let one = |(listen, written): (&Listen, Vec<&Written>)| {
        let tls = agree("TLS", &written, |written| Some(written.tls), report).unwrap_or(false);
        // Over TLS client and server agree on it; in clear text the client would have to know.
        let http2 = agree("http2", &written, |written| written.http2, report).unwrap_or(tls);
        let announced = agree("proxy_protocol", &written, |written| written.proxy_protocol, report);
        let proxy_protocol = announced.unwrap_or(false);
        let reuse_port = written.iter().any(|written| written.reuse_port == Some(true));
        let mode = written.iter().find_map(|written| written.mode);
        Listener { listen: listen.clone(), tls, http2, proxy_protocol, reuse_port, mode }
    };
    addresses.into_iter().map(one).collect()
}

/// The word of those who have one.
fn agree(
    key: &str,
    written: &[&Written],
    word: impl Fn(&Written) -> Option<bool>,
    report: &Report<'_>,
) -> Option<bool> {
    let mut words = written.iter().filter_map(|&written| Some((written, word(written)?)));
    let (first, agreed) = words.next()?;
    for (second, _) in words.filter(|(_, other)| *other != agreed) {
        let (line, _) = line_and_column(report.text(), first.span.start);
        let (here, there) = if agreed { ("no ", "") } else { ("", "no ") };
        let message =
            format!("listen: {here}{key} at {}, and {there}{key} there on line {line}", second.listen);
        let hint = "an address is spoken to in one way: give both sites certificates, or one of them another address";
        report.mistake(second.span.clone(), message, if key == "TLS" { hint } else { "say the same twice" });
    }
    Some(agreed)
}

#[cfg(test)]
mod tests {
    use crate::config::testing::model;

    fn site(listen: &str, more: &str) -> crate::config::model::Model {
        model(&format!("[[sites]]\nlisten = [{listen}]\nroot = \"public\"\n{more}\n"))
    }

    #[test]
    fn a_proxy_header_that_nobody_believes_is_warned_of() {
        let announced = "{ address = \":80\", proxy_protocol = true }";
        let warnings = site(announced, "").warnings.expect("a warning").to_string();
        assert!(
            warnings.contains("c.toml:2:11: warning: listen: ") && warnings.contains("trusted_proxies = ")
        );
        assert!(site(announced, "trusted_proxies = [\"10.0.0.0/8\"]").warnings.is_none());
        assert!(site("\":80\"", "").warnings.is_none());
    }

    #[test]
    fn the_mode_of_a_socket_is_octal_whoever_of_its_sites_says_it() {
        let socket = |mode: &str| format!("{{ address = \"unix:/run/a.sock\"{mode} }}");
        let mode = |listen: &str, more: &str| site(listen, more).listeners[0].mode;
        assert_eq!(mode(&socket(", mode = \"660\""), ""), Some(0o660));
        assert_eq!(mode(&socket(", mode = \"0666\""), ""), Some(0o666));
        assert_eq!(mode(&socket(""), ""), None);
        let second = format!(
            "names = [\"a\"]\n[[sites]]\nnames = [\"b\"]\nroot = \"public\"\nlisten = {}",
            socket(", mode = \"600\"")
        );
        assert_eq!(mode(&socket(""), &second), Some(0o600));
    }
}
