//! Who answers for a route: `fastcgi` with its pool, script and params, or else files.

use std::sync::Arc;

use crate::balance::MaxConns;
use crate::route::{FastCgi, Handler, Location, MaxShare, PoolId, ScriptSource};

use super::model::{Pool, Site};
use super::reader::{Node, Table};
use super::report::nearest;
use super::routes::Around;
use super::text::Text;
use super::values;

/// The pool of routes that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SitePool {
    Chosen(PoolId),
    /// There are several, and the site names none.
    Ambiguous,
    /// There is none at all.
    Missing,
    /// The site names one that does not exist: reported there.
    Wrong,
}

impl SitePool {
    pub(super) fn chosen(self) -> Option<PoolId> {
        match self {
            Self::Chosen(pool) => Some(pool),
            Self::Ambiguous | Self::Missing | Self::Wrong => None,
        }
    }
}

/// The remedy where there is no pool at all.
pub(super) const ADD_A_POOL: &str = "add one: [pools.php] with servers = [\"127.0.0.1:9000\"]";

/// Reads what a route says about its handler.
pub(super) fn read(table: &Table<'_>, around: &Around<'_>, known: &[String]) -> Handler {
    let Some(node) = table.get("fastcgi") else {
        for key in ["split_path_info", "script", "params", "max_share"] {
            if let Some(node) = table.get(key) {
                let hint = "say which pool runs the script: fastcgi = \"NAME\", or true for the site's";
                node.mistake_at_key(format_args!("{key} needs fastcgi"), hint);
            }
        }
        return Handler::Static;
    };
    let script = read_script(table, known);
    let own = values::params(table, known);
    let share = table.get("max_share");
    let max_share = share.and_then(read_share);
    let Some(pool) = read_pool(node, around) else { return Handler::Static };
    if let Some(share) = share {
        refuse_share_of_unlimited(&share, pool, around);
    }
    let of_pool = around.pools.get(pool.0).map_or(&[][..], |pool| &pool.params);
    let params = values::merged_params([of_pool, around.params, &own]);
    Handler::FastCgi(Arc::new(FastCgi { pool, script, remote: around.remote, params, max_share }))
}

/// `"25%"`. Its place is found when every route of every site is read.
fn read_share(node: Node<'_>) -> Option<MaxShare> {
    let hint = "write the part of the pool's workers that it may have at once: max_share = \"25%\"";
    let Some(text) = node.as_text() else {
        node.mistake(format_args!("expected a part in percent, found {}", node.kind()), hint);
        return None;
    };
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let percent = number.filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        text.mistake(format_args!("'{}' is not a part from 1% to 100%", text.value), hint);
    }
    percent.map(|percent| MaxShare { percent, place: 0 })
}

fn refuse_share_of_unlimited(share: &Node<'_>, pool: PoolId, around: &Around<'_>) {
    let Some(pool) = around.pools.get(pool.0) else { return };
    if pool.all_terms().any(|terms| terms.max_conns == MaxConns::Unlimited) {
        share.mistake_at_key(
            format_args!("max_share is a part of nothing: the pool '{}' has an unlimited server", pool.name),
            "give each of its servers a number or \"auto\" as max_conns",
        );
    }
}

/// Gives each `max_share` its place among those of its pool.
pub(super) fn place_shares(pools: &mut [Pool], sites: &mut [Site]) {
    for location in sites.iter_mut().flat_map(|site| &mut site.locations) {
        let Location { handler: Handler::FastCgi(fastcgi), .. } = location else { continue };
        let Some(MaxShare { percent, .. }) = fastcgi.max_share else { continue };
        let Some(pool) = pools.get_mut(fastcgi.pool.0) else { continue };
        Arc::make_mut(fastcgi).max_share = Some(MaxShare { percent, place: pool.shares.len() });
        pool.shares.push(percent);
    }
}

/// A name, or `true` for the site's own pool.
fn read_pool(node: Node<'_>, around: &Around<'_>) -> Option<PoolId> {
    if node.is_false() {
        return None;
    }
    if node.is_true() {
        return match around.pool {
            SitePool::Chosen(pool) => Some(pool),
            SitePool::Wrong => None,
            SitePool::Missing => {
                node.mistake("there is no pool", ADD_A_POOL);
                None
            }
            SitePool::Ambiguous => {
                node.mistake(
                    "there are several pools, and the site names none",
                    "name one here, or give the site a pool",
                );
                None
            }
        };
    }
    named_pool(&node.text_or(" or true")?, around.pools)
}

/// A pool by its name.
pub(super) fn named_pool(text: &Text<'_>, pools: &[Pool]) -> Option<PoolId> {
    let found = pools.iter().position(|pool| pool.name == text.value);
    if found.is_none() {
        let names: Vec<_> = pools.iter().map(|pool| &*pool.name).collect();
        let near = nearest(text, &names, "pools");
        let hint = near.unwrap_or_else(|| format!("add it: [pools.{}]", text.value));
        text.mistake(format_args!("there is no pool '{}'", text.value), hint);
    }
    found.map(PoolId)
}

fn read_script(table: &Table<'_>, known: &[String]) -> ScriptSource {
    let split = table.get("split_path_info");
    let script = table.get("script");
    if let (Some(_), Some(script)) = (split, script) {
        script.mistake_at_key("script and split_path_info exclude each other", "remove one of the two");
    }
    let split = split.and_then(Node::text).and_then(|text| read_split(&text));
    let named = script.and_then(Node::text).and_then(|text| {
        if !text.starts_with(['/', '$']) {
            text.mistake("a script is a path below the root", format!("write \"/{}\"", text.value));
        }
        values::template(&text, known)
    });
    match (split, named) {
        (Some(split), _) => ScriptSource::Split(split),
        (None, Some(script)) => ScriptSource::Named(script),
        (None, None) => ScriptSource::OnDisk,
    }
}

fn read_split(text: &Text<'_>) -> Option<regex::bytes::Regex> {
    let regex = values::regex(text, 0..text.len(), false)?;
    if regex.captures_len() < 3 {
        text.mistake("needs two groups: the script, and what follows it", r"'^(.+?\.php)(/.*)?$'");
    }
    Some(regex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{model, site};
    use crate::route::Location;

    fn route(lines: &str) -> Location {
        site(&format!("[[sites.routes]]\n{lines}")).locations.remove(0)
    }

    fn fastcgi(location: &Location) -> &FastCgi {
        let Handler::FastCgi(fastcgi) = &location.handler else { panic!("{location:?}") };
        fastcgi
    }

    #[test]
    fn a_script_is_found_on_disk_or_as_the_route_says() {
        let source =
            |lines: &str| fastcgi(&route(&format!("match = \"/\"\nfastcgi = true\n{lines}"))).script.clone();
        assert!(matches!(source(""), ScriptSource::OnDisk));
        assert!(matches!(source("script = \"/index.php\""), ScriptSource::Named(_)));
        assert!(matches!(source(r"split_path_info = '^(.+?\.php)(/.*)?$'"), ScriptSource::Split(_)));
    }

    #[test]
    fn fastcgi_names_a_pool_or_takes_the_site_s() {
        let text = |fastcgi: &str| {
            format!(
                "[pools.b]\nservers = [\"b:1\"]\n[pools.a]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\n\
                 root = \"public\"\npool = \"b\"\n[[sites.routes]]\nmatch = \"/\"\nfastcgi = {fastcgi}\n"
            )
        };
        let pool = |written: &str| fastcgi(&model(&text(written)).sites[0].locations[0]).pool;
        assert_eq!(pool("true"), PoolId(0));
        assert_eq!(pool("\"a\""), PoolId(1));
    }

    #[test]
    fn each_max_share_has_a_place_of_its_own_in_its_pool() {
        let share = |path: &str, share: &str| {
            format!("[[sites.routes]]\nmatch = \"{path}\"\nfastcgi = true\n{share}\n")
        };
        let routes =
            [share("/a", "max_share = \"25%\""), share("/b", ""), share("/c", "max_share = \" 100 %\"")];
        let text = |more: &str| {
            format!(
                "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n{}\
                 [[sites]]\nlisten = [\":81\"]\nroot = \"public\"\n{more}",
                routes.concat()
            )
        };
        let model = model(&text(&share("/a", "max_share = \"1%\"")));
        assert_eq!(model.pools[0].shares, [25, 100, 1]);
        let locations = model.sites.iter().flat_map(|site| &site.locations);
        let places: Vec<_> =
            locations.map(|location| fastcgi(location).max_share.map(|share| share.place)).collect();
        assert_eq!(places, [Some(0), None, Some(1), Some(2)]);
    }

    #[test]
    fn params_of_a_route_are_over_its_site_s_and_those_over_its_pool_s() {
        let text = "[pools.php]\nservers = [\"a:1\"]\nparams = { A = \"pool\", B = \"pool\", C = \"pool\" }\n\
                    [[sites]]\nlisten = [\":80\"]\nroot = \"public\"\nparams = { B = \"site\", C = \"site\" }\n\
                    [[sites.routes]]\nmatch = \"/\"\nfastcgi = true\nparams = { C = \"$uri\", Z = \"route\" }\n";
        let model = model(text);
        let params: Vec<_> = fastcgi(&model.sites[0].locations[0])
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(params, [("A", "pool"), ("B", "site"), ("C", "$uri"), ("Z", "route")]);
    }

    #[test]
    fn a_group_s_name_is_a_variable_of_its_route() {
        let location = route(
            "match = '~ ^/(?<lang>de|fr)/'\nheaders = { Content-Language = \"$lang\" }\nfastcgi = true\nparams = { L = \"$lang\" }",
        );
        assert_eq!(location.settings.headers[0].value.as_str(), "$lang");
        assert_eq!(fastcgi(&location).params[0].1.as_str(), "$lang");
    }
}
