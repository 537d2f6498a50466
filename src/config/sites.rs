//! `[[sites]]`: where a site listens, what it is called, and what its routes inherit.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::route::{Location, PoolId, Settings, Template};

use super::handlers::SitePool;
use super::model::{Listener, Pool, Site, SiteName};
use super::names::{self, Claim};
use super::presets::Preset;
use super::reader::{Node, Table};
use super::routes::{self, Around};
use super::text::Text;
use super::{error_pages, guards, handlers, https, listeners, real_ip, settings, tls, values};

/// Twice nginx's would surprise nobody, but uploads to PHP are rarely below its 1m.
const MAX_BODY: u64 = 64 << 20;

/// The root of a site that has none: nothing lies below a device.
const NOWHERE: &str = "/dev/null";

/// Reads every site.
pub(super) fn read(root: &Table<'_>, pools: &[Pool], base: &Path) -> (Vec<Site>, Vec<Listener>) {
    let hint = "add one: [[sites]] with listen and root";
    let Some(list) = root.required("sites", hint) else { return Default::default() };
    let elements = match list.is_table() {
        true => {
            list.mistake_at_key("expected [[sites]], found [sites]", "sites are a list: write [[sites]]");
            Vec::new()
        }
        false => list.list("a list of tables").unwrap_or_default(),
    };
    if elements.is_empty() && list.is_list() {
        list.mistake("the list is empty", hint);
    }
    let mut claims = Vec::new();
    let read_one = |element: Node<'_>| {
        let (site, claim) = read_site(element.table()?, pools, base);
        claims.push(claim);
        Some(site)
    };
    let sites = elements.into_iter().filter_map(read_one).collect();
    names::check(&claims, root.report);
    (sites, listeners::agreed(&claims, root.report))
}

fn read_site(table: Table<'_>, pools: &[Pool], base: &Path) -> (Site, Claim) {
    let (tls, https) = (tls::read(&table, base), https::read(&table));
    let listen = listeners::read(&table, base, tls.is_some());
    tls::check_use(&table, tls.as_ref(), https.as_ref(), &listen);
    let names = table.get("names").map(names::read).unwrap_or_default();
    let known = captured(&names);
    let preset = table.get("preset").and_then(|preset| preset.choice(&Preset::CHOICES));
    let pool = read_pool(&table, pools, preset);
    let remote =
        table.get("scripts").and_then(|scripts| scripts.choice(&[("local", false), ("remote", true)]));
    let remote = remote.unwrap_or(false);
    let params = values::params(&table, &known);
    let mut settings = read_settings(&table, preset, &known);
    let rooted = settings::read_roots(&mut settings, &table, base, remote) || table.get("root").is_some();
    if !rooted {
        settings.root = NOWHERE.into();
        settings.backend_root = NOWHERE.into();
    }
    let scene = guards::Scene { base, known: &known, at: "", hides_dotfiles: preset.is_some() };
    guards::read_over(&mut settings, &table, scene);
    let around =
        Around { base, pools, pool, settings: &settings, params: &params, remote, known: &known, scene };
    let (locations, need_root) = read_locations(&table, preset, &around);
    if need_root && !rooted {
        let hint = "root = \"public\": the folder with the site's files";
        table.report.absent(table.span.clone(), "'root' is missing", hint);
    }
    let site = Site {
        listen: listen.iter().map(|written| written.listen.clone()).collect(),
        server_name: names.first().map(|(name, _)| names::spelling(name)).unwrap_or_default(),
        names: names.iter().map(|(name, _)| name.clone()).collect(),
        real_ip: real_ip::read(&table),
        rules: https::rules(https.as_ref(), &listen),
        preset,
        locations,
        settings: Arc::new(settings),
        pool: pool.chosen(),
        tls,
        hsts: https.and_then(|https| https.hsts),
    };
    listeners::warn_of_unbelieved(&listen, site.real_ip.is_some(), table.report);
    let claim = Claim { listen, names, header: table.span.clone() };
    table.finish(&[]);
    (site, claim)
}

/// The site's own routes, then the preset's as far as they match something else; and whether any needs the root.
fn read_locations(table: &Table<'_>, preset: Option<Preset>, around: &Around<'_>) -> (Vec<Location>, bool) {
    let mut own = table.get("routes").map(|list| routes::read(list, around)).unwrap_or_default();
    own.named.extend(error_pages::names(table));
    let mut locations = own.locations.clone();
    let presets = preset.map(|preset| preset.locations(around)).unwrap_or_default();
    locations.extend(
        presets
            .into_iter()
            .filter(|location| !own.locations.iter().any(|own| routes::same_match(own, location))),
    );
    routes::check_names(&own, &locations);
    let need_root = preset.is_some() || own.need_root || own.locations.is_empty();
    (locations, need_root)
}

/// What the regexes among the names capture: the site's templates may use it.
fn captured(names: &[(SiteName, Range<usize>)]) -> Vec<String> {
    let groups = names.iter().flat_map(|(name, _)| match name {
        SiteName::Regex(regex) => regex.capture_names().flatten().map(ToOwned::to_owned).collect(),
        _ => Vec::new(),
    });
    groups.collect()
}

/// The site's pool, which a preset needs and a site that runs no script does not.
fn read_pool(table: &Table<'_>, pools: &[Pool], preset: Option<Preset>) -> SitePool {
    if let Some(node) = table.get("pool") {
        let named = node.text().and_then(|text| handlers::named_pool(&text, pools));
        return named.map_or(SitePool::Wrong, SitePool::Chosen);
    }
    let complain = |message: &str, hint: String| {
        if let (Some(_), Some(node)) = (preset, table.get("preset")) {
            node.report.absent(node.span(), format_args!("preset: {message}"), hint);
        }
    };
    match pools {
        [] => {
            complain("it runs scripts, but there is no pool", handlers::ADD_A_POOL.to_owned());
            SitePool::Missing
        }
        [_] => SitePool::Chosen(PoolId(0)),
        [first, ..] => {
            let hint = format!("pool = \"{}\"", first.name);
            complain("it runs scripts, but the site does not say in which of the pools", hint);
            SitePool::Ambiguous
        }
    }
}

fn read_settings(table: &Table<'_>, preset: Option<Preset>, known: &[String]) -> Settings {
    let mut settings = Settings {
        root: PathBuf::new(),
        alias: None,
        backend_root: PathBuf::new(),
        index: preset.map_or_else(|| vec![Template::literal(settings::INDEX)], Preset::index),
        internal: false,
        access: Vec::new(),
        guard: None,
        script_extensions: vec![".php".to_owned()],
        serve_source: false,
        sendfile: true,
        headers: Vec::new(),
        expires: None,
        types: None,
        autoindex: None,
        charset: "utf-8".to_owned(),
        compression: Some(Arc::default()),
        max_body: MAX_BODY,
        buffering: true,
        first_byte_timeout: None,
        between_reads_timeout: None,
        error_pages: Vec::new(),
        intercept_errors: false,
        x_sendfile: Vec::new(),
        beneath: false,
        absolute_redirect: false,
    };
    settings::read_over(&mut settings, table, known);
    if let Some(extensions) = table.get("script_extensions").and_then(Node::texts) {
        settings.script_extensions = extensions.iter().filter_map(read_extension).collect();
    }
    settings
}

fn read_extension(text: &Text<'_>) -> Option<String> {
    let name = text.strip_prefix('.').unwrap_or_default();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let hint = "write \".php\": a dot, then letters and digits";
        text.mistake(format_args!("'{}' is not an extension", text.value), hint);
        return None;
    }
    Some(text.value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::testing::{mistakes_in, model, project, site};

    #[test]
    fn a_site_s_own_routes_come_before_its_preset_s_and_replace_those_that_match_the_same() {
        let written =
            |site: &Site| site.locations.iter().map(|location| location.written.clone()).collect::<Vec<_>>();
        let preset = written(&site("preset = \"laravel\""));
        let both = site(
            "preset = \"laravel\"\n[[sites.routes]]\nmatch = \"/api/\"\n[[sites.routes]]\nmatch = \"/\"\nfastcgi = true",
        );
        let mut expected = vec!["/api/".to_owned(), "/".to_owned()];
        expected.extend(preset.into_iter().filter(|match_| match_ != "/"));
        assert_eq!(written(&both), expected);
        assert_eq!(both.preset, Some(Preset::Laravel));
    }

    #[test]
    fn the_index_is_the_site_s_or_its_preset_s_or_nginx_s() {
        let index = |lines: &str| {
            let settings = site(lines).settings;
            settings.index.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(index(""), ["index.html"]);
        assert_eq!(index("preset = \"thinkphp\""), ["index.php", "index.html"]);
        assert_eq!(index("preset = \"thinkphp\"\nindex = [\"home.php\"]"), ["home.php"]);
    }

    #[test]
    fn a_site_that_only_answers_needs_no_root_and_no_pool() {
        let text = "[[sites]]\nlisten = [\":80\"]\n[[sites.routes]]\nmatch = \"/\"\nreturn = { status = 301, url = \"/x\" }\n";
        let site = model(text).sites.remove(0);
        assert_eq!((site.settings.root.to_str(), site.pool), (Some(NOWHERE), None));
    }

    #[test]
    fn a_root_that_is_a_link_stays_as_it_is_written() {
        let project = project();
        std::os::unix::fs::symlink(project.path().join("public"), project.path().join("current")).unwrap();
        let text = "[[sites]]\nlisten = [\":80\"]\nroot = \"./current/\"\n";
        let site = crate::config::testing::model_in(project.path(), text).sites.remove(0);
        assert_eq!(site.settings.root, project.path().join("current"));
    }

    #[test]
    fn every_example_in_the_repository_is_right() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let mut seen = 0;
        for entry in fs::read_dir(&examples).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            // What an example says about another machine's folders cannot be true here.
            let elsewhere =
                |mistake: &String| mistake.contains(": root: /srv/") && mistake.contains("does not exist");
            let text = fs::read_to_string(&path).unwrap();
            let mistakes: Vec<_> =
                mistakes_in(&examples, &text).into_iter().filter(|one| !elsewhere(one)).collect();
            assert!(mistakes.is_empty(), "{}: {mistakes:#?}", path.display());
            seen += 1;
        }
        assert!(seen > 0, "examples were seen");
    }
}
