//! Can the world reach php-fpm's own pages through a site?
//!
//! php-fpm takes a request for its status or ping page by its SCRIPT_NAME, and with `cgi.fix_pathinfo = 0` by its PATH_INFO
//! where there is one: then `/index.php/status` is the status page on every site that passes PATH_INFO on. (Seen on
//! php-fpm 8.2.) Nothing is sent: the site's own router says what would be.

use std::net::SocketAddr;

use http::{HeaderMap, Method};

use super::finding::Finding;
use crate::config::model::{Model, Site};
use crate::files::Disk;
use crate::route::{Address, Label, NoTrace, Plan, PoolId, RequestFacts, Router, Scheme, Target, env};

/// Somebody out there: an address for documentation (RFC 5737), which no rule allows by name.
const STRANGER: [u8; 4] = [203, 0, 113, 9];

/// Each way by which a stranger gets to one of these pages of a pool. `by_path_info`: whether php-fpm judges by PATH_INFO too.
pub(super) fn findings(model: &Model, pool: PoolId, pages: &[String], by_path_info: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    for site in &model.sites {
        for page in pages {
            let ways = [page.clone(), format!("/index.php{page}")];
            let way = ways.iter().find(|way| leads_to(site, pool, page, way, by_path_info));
            found.extend(way.map(|way| exposed(site, page, way)));
        }
    }
    found
}

fn exposed(site: &Site, page: &str, way: &str) -> Finding {
    let change = match page == way {
        true => format!("A route \"= {page}\" with allow = [\"127.0.0.1\"], deny = [\"all\"], or with return = {{ status = 404 }}."),
        false => "cgi.fix_pathinfo = 1 for php-fpm, or give pm.status_path and ping.path a name that nobody guesses.".to_owned(),
    };
    Finding::problem(format!("{way} is php-fpm's own page {page} for everybody"))
        .means("It tells the world how many workers there are, and with ?full what each of them is doing.")
        .change(change)
        .of_site(&site.label())
}

/// Whether php-fpm would take a request for `url` as one for its page.
fn leads_to(site: &Site, pool: PoolId, page: &str, url: &str, by_path_info: bool) -> bool {
    let Ok(target) = Target::parse(url.as_bytes()) else { return false };
    let headers = HeaderMap::new();
    let stranger = Address::from(SocketAddr::from((STRANGER, 40_000)));
    let facts = RequestFacts {
        method: &Method::GET,
        version: http::Version::HTTP_11,
        target: &target,
        host: &site.server_name,
        headers: &headers,
        scheme: Scheme::Http,
        tls: None,
        peer: Some(&stranger),
        hop: None,
        announced: None,
        local: None,
        server_name: &site.server_name,
        content_length: None,
        request_id: Label::default(),
        user: None,
    };
    let router =
        Router::new(site.rules.clone(), site.locations.clone(), std::sync::Arc::clone(&site.settings));
    let Plan::Script(script) = router.plan(&facts, &Disk, &mut NoTrace) else { return false };
    let (mut name, mut path_info) = (Vec::new(), Vec::new());
    let collected = env::params(&script, &facts, &mut |param: &[u8], parts: &[&[u8]]| {
        match param {
            b"SCRIPT_NAME" => name = parts.concat(),
            b"PATH_INFO" => path_info = parts.concat(),
            _ => {}
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let asked = if by_path_info && !path_info.is_empty() { &path_info } else { &name };
    collected.is_ok() && script.fastcgi.pool == pool && asked == page.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::testing::model_in;
    use super::*;

    fn said(routes: &str, by_path_info: bool) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("index.php"), "").unwrap();
        let model = model_in(root.path(), routes);
        let found = findings(&model, PoolId(0), &["/status".to_owned()], by_path_info);
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_front_controller_keeps_the_page_from_the_world() {
        assert_eq!(said("preset = \"thinkphp\"", false), [""; 0]);
    }

    #[test]
    fn with_fix_pathinfo_0_every_path_info_may_be_the_page() {
        let expected = ["/status is php-fpm's own page /status for everybody"];
        assert_eq!(said("preset = \"thinkphp\"", true), expected);
        let expected = ["/index.php/status is php-fpm's own page /status for everybody"];
        assert_eq!(said("preset = \"front-controller\"", true), expected);
    }

    #[test]
    fn a_route_of_its_own_is_seen_unless_strangers_are_denied() {
        let route = |more: &str| {
            format!(
                "scripts = \"remote\"\n[[sites.routes]]\nmatch = \"= /status\"\nfastcgi = true\nscript = \"/status\"\n{more}"
            )
        };
        assert_eq!(said(&route(""), false), ["/status is php-fpm's own page /status for everybody"]);
        assert_eq!(said(&route("allow = [\"127.0.0.1\"]\ndeny = [\"all\"]"), false), [""; 0]);
    }
}
