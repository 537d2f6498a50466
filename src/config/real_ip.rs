//! `trusted_proxies` and `real_ip_header`: whom a site believes who its clients are.

use http::HeaderName;

use crate::route::{RealIp, RealIpSource};

use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const HINT: &str = "\"X-Forwarded-For\", \"Forwarded\", \"proxy_protocol\", or another header's name";

/// Reads both keys; `None`: nobody is believed.
pub(super) fn read(table: &Table<'_>) -> Option<RealIp> {
    let proxies = table.get("trusted_proxies");
    let header = table.get("real_ip_header");
    if let (None, Some(header)) = (proxies, header) {
        header.mistake_at_key(
            "real_ip_header is believed from nobody without trusted_proxies",
            "trusted_proxies = [\"10.0.0.0/8\"]: the addresses of your proxies",
        );
    }
    let source = header.and_then(Node::text).and_then(|text| source(&text));
    let trusted = proxies?.texts()?.iter().filter_map(values::who).collect::<Vec<_>>();
    (!trusted.is_empty()).then_some(RealIp { trusted, source })
}

fn source(text: &Text<'_>) -> Option<RealIpSource> {
    match text.to_ascii_lowercase().as_str() {
        "proxy_protocol" => return Some(RealIpSource::ProxyProtocol),
        "forwarded" => return Some(RealIpSource::Forwarded),
        _ => {}
    }
    let name = HeaderName::try_from(text.value).map(RealIpSource::Header);
    name.map_err(|_| text.mistake(format_args!("'{}' is not a header's name", text.value), HINT)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::site;
    use crate::route::Who;

    #[test]
    fn a_site_trusts_nobody_unless_told() {
        assert_eq!(site("").real_ip, None);
        assert_eq!(site("trusted_proxies = []").real_ip, None);
    }

    #[test]
    fn every_spelling_of_a_header() {
        let named = |name| Some(RealIpSource::Header(HeaderName::from_static(name)));
        for (written, source) in [
            ("", None),
            ("real_ip_header = \"X-Forwarded-For\"", named("x-forwarded-for")),
            ("real_ip_header = \"X-Real-IP\"", named("x-real-ip")),
            ("real_ip_header = \"Forwarded\"", Some(RealIpSource::Forwarded)),
            ("real_ip_header = \"proxy_protocol\"", Some(RealIpSource::ProxyProtocol)),
        ] {
            let site = site(&format!("trusted_proxies = [\"10.0.0.0/8\", \"unix:\"]\n{written}"));
            let trusted = vec![Who::parse("10.0.0.0/8").unwrap(), Who::Unix];
            assert_eq!(site.real_ip, Some(RealIp { trusted, source }), "{written}");
        }
    }
}
