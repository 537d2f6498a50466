//! Host names of sites, and which listeners they share: two sites that a request could not tell apart are a mistake.

use std::collections::HashMap;
use std::ops::Range;

use super::diagnostic::line_and_column;
use super::listeners::Written;
use super::model::{Listen, SiteName};
use super::reader::Node;
use super::report::Report;
use super::text::Text;
use super::values;

/// Reads `names`. nginx: <http://nginx.org/en/docs/http/server_names.html>
pub(super) fn read(names: Node<'_>) -> Vec<(SiteName, Range<usize>)> {
    let texts = names.texts().unwrap_or_default();
    let placed = |text: &Text<'_>| {
        let span = text.node.span();
        read_one(text).into_iter().map(|name| (name, span.clone())).collect::<Vec<_>>()
    };
    texts.iter().flat_map(placed).collect()
}

fn read_one(text: &Text<'_>) -> Vec<SiteName> {
    if text.starts_with('~') {
        return values::name_regex(text, 1..text.len()).map(SiteName::Regex).into_iter().collect();
    }
    let name = text.to_ascii_lowercase();
    let bare = name.trim_end_matches('.').to_owned();
    let (names, rest) = match bare.as_str() {
        "" => return refuse(text, "an empty name matches nothing", "leave `names` out to take any host"),
        "*" => {
            return refuse(
                text,
                "'*' alone is any host",
                "leave `names` out: the first site of a listener takes any",
            );
        }
        _ if bare.starts_with("*.") => (vec![SiteName::Suffix(bare[1..].to_owned())], &bare[2..]),
        _ if name.ends_with(".*") => {
            let prefix = &name[..name.len() - 1];
            (vec![SiteName::Prefix(prefix.to_owned())], &prefix[..prefix.len() - 1])
        }
        // nginx: `.example.com` is `example.com` and `*.example.com`.
        _ if bare.starts_with('.') => {
            (vec![SiteName::Exact(bare[1..].to_owned()), SiteName::Suffix(bare.clone())], &bare[1..])
        }
        _ => (vec![SiteName::Exact(bare.clone())], &*bare),
    };
    if rest.contains('/') {
        return refuse(text, "a name has no scheme and no path", "\"example.com\"");
    }
    match rest.chars().find(|&c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        None if rest.is_empty() => refuse(text, "a name is missing beside the '.'", "\".example.com\""),
        None => names,
        Some('*') => refuse(
            text,
            "a '*' stands for whole labels at one end",
            "\"*.example.com\" or \"www.*\"; anything else is a regex: \"~^…$\"",
        ),
        Some(':') => refuse(text, "a name has no port", "ports belong into `listen`"),
        Some(c) if !c.is_ascii() => {
            refuse(text, "a name is sent in ASCII", "write its punycode form: \"xn--…\"")
        }
        Some(c) => refuse(text, &format!("'{c}' cannot be in a host name"), "\"example.com\""),
    }
}

fn refuse(text: &Text<'_>, message: &str, hint: &str) -> Vec<SiteName> {
    text.mistake(message, hint);
    Vec::new()
}

/// Where a site listens and what it is called, with places.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) listen: Vec<Written>,
    pub(super) names: Vec<(SiteName, Range<usize>)>,
    /// The site's header: where a site without names is reported.
    pub(super) header: Range<usize>,
}

/// Reports names that two sites claim on one listener, and addresses that cannot both be bound.
pub(super) fn check(claims: &[Claim], report: &Report<'_>) {
    let mut owners: HashMap<(&Listen, String), Range<usize>> = HashMap::new();
    for claim in claims {
        for Written { listen, .. } in &claim.listen {
            for (name, span) in spelled(claim) {
                let taken = owners.insert((listen, name.clone()), span.clone());
                if let Some(first) = taken.filter(|first| *first != span) {
                    report_taken(report, &name, span, &first);
                }
            }
        }
    }
    check_addresses(claims, report);
}

/// Every name as it is compared; no names at all is a name of its own.
fn spelled(claim: &Claim) -> Vec<(String, Range<usize>)> {
    if claim.names.is_empty() {
        return vec![(String::new(), claim.header.clone())];
    }
    let spell = |(name, span): &(SiteName, Range<usize>)| (spelling(name), span.clone());
    claim.names.iter().map(spell).collect()
}

/// As the configuration writes a name.
pub(super) fn spelling(name: &SiteName) -> String {
    match name {
        SiteName::Exact(name) => name.clone(),
        SiteName::Suffix(suffix) => format!("*{suffix}"),
        SiteName::Prefix(prefix) => format!("{prefix}*"),
        SiteName::Regex(regex) => format!("~{regex}"),
    }
}

fn report_taken(report: &Report<'_>, name: &str, span: Range<usize>, first: &Range<usize>) {
    let (line, _) = line_and_column(report.text(), first.start);
    match name {
        "" => {
            let message = format!("two sites without names on one listener (the other is on line {line})");
            report.mistake(span, message, "give this site names, or another address");
        }
        _ => {
            let message = format!("names: '{name}' is taken on the same listener (line {line})");
            report.mistake(span, message, "a name may belong to one site of a listener");
        }
    }
}

/// The kernel refuses a port on one address beside the same port on every address.
fn check_addresses(claims: &[Claim], report: &Report<'_>) {
    let all: Vec<_> = claims.iter().flat_map(|claim| &claim.listen).collect();
    for Written { listen, span, .. } in &all {
        let Listen::Tcp(address) = listen else { continue };
        let covers = |other: &Listen| match other {
            Listen::Tcp(wide) => {
                wide.ip().is_unspecified()
                    && wide.port() == address.port()
                    && wide.is_ipv4() == address.is_ipv4()
                    && !address.ip().is_unspecified()
            }
            Listen::Unix(_) => false,
        };
        if let Some(wide) = all.iter().find(|other| covers(&other.listen)) {
            let wide = &wide.listen;
            let hint = format!("use {wide} for both, and tell the sites apart by `names`");
            report.mistake(
                span.clone(),
                format_args!("listen: {address} is covered by {wide}: they cannot both be opened"),
                hint,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::site;

    #[test]
    fn names_are_nginx_s() {
        let site =
            site(r#"names = ["Example.COM", "*.a.de", ".b.de", "www.*", '~^(?<sub>\w+)\.c\.de$', "x.de."]"#);
        let names: Vec<_> = site.names.iter().map(spelling).collect();
        assert_eq!(
            names,
            ["example.com", "*.a.de", "b.de", "*.b.de", "www.*", r"~^(?<sub>\w+)\.c\.de$", "x.de"]
        );
        assert_eq!(site.server_name, "example.com");
        assert!(matches!(&site.names[1], SiteName::Suffix(suffix) if suffix == ".a.de"));
        assert!(matches!(&site.names[4], SiteName::Prefix(prefix) if prefix == "www."));
    }

    #[test]
    fn what_a_name_captures_is_a_variable_of_its_site() {
        let site = site("names = ['~^(?<sub>\\w+)\\.c\\.de$']\nheaders = { X-Sub = \"$sub\" }");
        assert_eq!(site.settings.headers[0].value.as_str(), "$sub");
    }
}
