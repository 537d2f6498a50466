//! Which location answers: nginx's precedence
//! (<http://nginx.org/en/docs/http/ngx_http_core_module.html#location>). Exact, then the longest prefix and what is
//! nested in it, then regexes in the order of the file unless `^~` stopped them. What happens there: `router`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use regex::bytes::Regex;

use super::disk_path::Anchor;
use super::try_files::Steps;
use super::variables::Matched;
use super::{Handler, Location, Match, Rule, Settings};

/// A location as the router walks it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) route: Arc<str>,
    pub(super) rules: Vec<Rule>,
    pub(super) try_files: Option<Steps>,
    pub(super) handler: Handler,
    pub(super) settings: Arc<Settings>,
    alias_for: AliasFor,
    nested: Level,
}

#[derive(Debug)]
enum AliasFor {
    Nothing,
    Prefix(Vec<u8>),
    Whole,
}

impl Place {
    /// What answers where no location matches: files below the site's root.
    pub(super) fn of_site(settings: Arc<Settings>) -> Self {
        Self {
            route: Arc::from("site"),
            rules: Vec::new(),
            try_files: None,
            handler: Handler::Static,
            settings,
            alias_for: AliasFor::Nothing,
            nested: Level::default(),
        }
    }

    fn new(location: Location) -> (Match, Self) {
        let alias_for = match &location.matches {
            Match::Exact(path) | Match::Prefix { path, .. } => AliasFor::Prefix(path.clone()),
            Match::Regex(_) => AliasFor::Whole,
            Match::Named(_) => AliasFor::Nothing,
        };
        let place = Self {
            route: Arc::from(location.written),
            rules: location.rules,
            try_files: location.try_files.map(Steps::new),
            handler: location.handler,
            settings: location.settings,
            alias_for,
            nested: Level::new(location.nested),
        };
        (location.matches, place)
    }

    pub(super) fn anchor(&self) -> Anchor<'_> {
        match &self.alias_for {
            AliasFor::Nothing => Anchor::Root,
            AliasFor::Prefix(prefix) => Anchor::Prefix(prefix),
            AliasFor::Whole => Anchor::Whole,
        }
    }
}

/// The locations of one site, or those nested in one location.
#[derive(Debug, Default)]
pub(super) struct Level {
    exact: HashMap<Vec<u8>, Place>,
    /// Sorted by path, so that the longest one that fits is found by halving.
    prefixes: Vec<Prefix>,
    regexes: Vec<(Regex, Place)>,
    named: HashMap<String, Place>,
    /// `/app` where `/app/` goes to a pool: nginx sends such a client to `/app/`.
    lacking_slash: HashSet<Vec<u8>>,
}

#[derive(Debug)]
struct Prefix {
    path: Vec<u8>,
    stops_regex: bool,
    place: Place,
    /// The longest other prefix of the level that this one starts with.
    shorter: Option<usize>,
}

/// What a search found.
#[derive(Debug)]
pub(super) enum Found<'l> {
    /// No location.
    None,
    /// A prefix: a regex of the level above still wins over it.
    Prefix(&'l Place),
    /// Exact or by regex: nothing wins over it.
    Final(&'l Place, Option<Matched>),
    /// The path lacks its last slash.
    LacksSlash,
}

impl Level {
    pub(super) fn new(locations: Vec<Location>) -> Self {
        let mut level = Self::default();
        for location in locations {
            match Place::new(location) {
                (Match::Exact(path), place) => drop(level.exact.entry(path).or_insert(place)),
                (Match::Prefix { path, stops_regex }, place) => {
                    level.prefixes.push(Prefix { path, stops_regex, place, shorter: None });
                }
                (Match::Regex(regex), place) => level.regexes.push((regex, place)),
                (Match::Named(name), place) => drop(level.named.entry(name).or_insert(place)),
            }
        }
        level.sort_prefixes();
        level.find_lacking_slashes();
        level
    }

    fn sort_prefixes(&mut self) {
        self.prefixes.sort_by(|a, b| a.path.cmp(&b.path));
        self.prefixes.dedup_by(|later, earlier| later.path == earlier.path);
        for index in 1..self.prefixes.len() {
            let path = &self.prefixes[index].path;
            let shorter =
                self.chain(Some(index - 1)).find(|&other| path.starts_with(&self.prefixes[other].path));
            self.prefixes[index].shorter = shorter;
        }
    }

    fn find_lacking_slashes(&mut self) {
        let to_pools =
            self.prefixes.iter().filter(|prefix| matches!(prefix.place.handler, Handler::FastCgi(_)));
        let lacking = to_pools.filter_map(|prefix| prefix.path.strip_suffix(b"/")).filter(|path| {
            let has_prefix =
                self.prefixes.binary_search_by(|prefix| prefix.path.as_slice().cmp(path)).is_ok();
            !path.is_empty() && !self.exact.contains_key(*path) && !has_prefix
        });
        self.lacking_slash = lacking.map(<[u8]>::to_vec).collect();
    }

    pub(super) fn named(&self, name: &str) -> Option<&Place> {
        self.named.get(name)
    }

    pub(super) fn find(&self, uri: &[u8]) -> Found<'_> {
        if let Some(place) = self.exact.get(uri) {
            return Found::Final(place, None);
        }
        if self.lacking_slash.contains(uri) {
            return Found::LacksSlash;
        }
        let prefix = self.longest_prefix(uri);
        let best = match prefix.map(|prefix| (prefix, prefix.place.nested.find(uri))) {
            None => Found::None,
            Some((prefix, Found::None)) => Found::Prefix(&prefix.place),
            Some((_, nested @ Found::Prefix(_))) => nested,
            Some((_, last)) => return last,
        };
        if prefix.is_some_and(|prefix| prefix.stops_regex) {
            return best;
        }
        self.first_regex(uri).unwrap_or(best)
    }

    fn first_regex(&self, uri: &[u8]) -> Option<Found<'_>> {
        let mut matches =
            self.regexes.iter().filter_map(|(regex, place)| Some((Matched::of(regex, uri)?, place)));
        let (matched, place) = matches.next()?;
        Some(match place.nested.find(uri) {
            Found::None => Found::Final(place, Some(matched)),
            Found::Prefix(nested) => Found::Final(nested, Some(matched)),
            Found::Final(nested, inner) => Found::Final(nested, inner.or(Some(matched))),
            Found::LacksSlash => Found::LacksSlash,
        })
    }

    /// Any prefix of `uri` sorts at or before it, and is a prefix of the last one that does.
    fn longest_prefix(&self, uri: &[u8]) -> Option<&Prefix> {
        let after = self.prefixes.partition_point(|prefix| prefix.path.as_slice() <= uri);
        let mut candidates = self.chain(after.checked_sub(1)).map(|index| &self.prefixes[index]);
        candidates.find(|prefix| uri.starts_with(&prefix.path))
    }

    fn chain(&self, start: Option<usize>) -> impl Iterator<Item = usize> {
        std::iter::successors(start, |&index| self.prefixes[index].shorter)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{FakeDisk, location, steps};
    use super::super::{Location, Router};
    use super::*;

    fn found(level: &Level, uri: &str) -> String {
        match level.find(uri.as_bytes()) {
            Found::None => "none".to_owned(),
            Found::Prefix(place) | Found::Final(place, _) => place.route.to_string(),
            Found::LacksSlash => "lacks slash".to_owned(),
        }
    }

    fn level(written: &[&str]) -> Level {
        Level::new(written.iter().map(|written| location(written)).collect())
    }

    fn check(level: &Level, table: &[(&str, &str)]) {
        for (uri, expected) in table {
            assert_eq!(found(level, uri), *expected, "{uri}");
        }
    }

    #[test]
    fn the_precedence_is_that_of_the_nginx_manual() {
        let level = level(&["= /", "/", "/documents/", "^~ /images/", r"~* \.(gif|jpg|jpeg)$"]);
        check(
            &level,
            &[
                ("/", "= /"),
                ("/index.html", "/"),
                ("/documents/document.html", "/documents/"),
                ("/images/1.gif", "^~ /images/"),
                ("/documents/1.jpg", r"~* \.(gif|jpg|jpeg)$"),
                ("/documents/1.JPG", r"~* \.(gif|jpg|jpeg)$"),
                ("/documents", "/"),
            ],
        );
    }

    #[test]
    fn the_longest_prefix_wins_whatever_lies_between() {
        let level = level(&["/a", "/a/b/c", "/a/b", "/aa", "/b", "/a/b/d/e"]);
        check(
            &level,
            &[
                ("/a", "/a"),
                ("/a/x", "/a"),
                ("/a/b/", "/a/b"),
                ("/a/b/cc", "/a/b/c"),
                ("/a/b/d/f", "/a/b"),
                ("/a/b/d/e/f", "/a/b/d/e"),
                ("/ab", "/a"),
                ("/aab", "/aa"),
                ("/c", "none"),
                ("/", "none"),
            ],
        );
    }

    #[test]
    fn regexes_are_tried_in_the_order_of_the_file() {
        check(&level(&["~ b", "~ a", "/"]), &[("/ab", "~ b"), ("/a", "~ a"), ("/c", "/")]);
        check(&level(&["~ a", "~ b", "/"]), &[("/ab", "~ a")]);
    }

    #[test]
    fn nested_locations_are_searched_inside_the_best_prefix() {
        let inner = || vec![location("/app/admin/"), location(r"~ \.php$"), location("= /app/x")];
        let level = Level::new(vec![
            location("/app/").holding(inner()),
            location("^~ /shop/").holding(vec![location("/shop/a")]),
            location(r"~ \.(php|css)$"),
            location("/"),
        ]);
        check(
            &level,
            &[
                ("/app/a.php", r"~ \.php$"),
                ("/app/x", "= /app/x"),
                ("/app/y", "/app/"),
                ("/app/admin/y", "/app/admin/"),
                // The regex of the level above still wins over a nested prefix, as in nginx.
                ("/app/admin/y.css", r"~ \.(php|css)$"),
                ("/shop/a.css", "/shop/a"),
                ("/a.php", r"~ \.(php|css)$"),
            ],
        );
    }

    #[test]
    fn locations_nested_in_a_regex_are_searched_too() {
        let level =
            Level::new(vec![location("~ ^/u/(.*)").holding(vec![location(r"~ \.jpg$")]), location("/")]);
        check(&level, &[("/u/a.jpg", r"~ \.jpg$"), ("/u/a", "~ ^/u/(.*)")]);
    }

    #[test]
    fn a_pool_behind_a_directory_is_reached_with_its_slash_only() {
        let level =
            Level::new(vec![location("/app/").runs(), location("/"), location("/b/").runs(), location("/b")]);
        check(&level, &[("/app", "lacks slash"), ("/app/", "/app/"), ("/b", "/b"), ("/", "/")]);
    }

    #[test]
    fn two_hundred_locations_are_told_apart() {
        let all: Vec<Location> = (0..200).map(|number| location(&format!("/p{number}/"))).collect();
        let level = Level::new(all);
        for number in 0..200 {
            assert_eq!(found(&level, &format!("/p{number}/x")), format!("/p{number}/"));
        }
        assert_eq!(found(&level, "/p200/x"), "none");
    }

    #[test]
    fn the_chosen_location_is_told() {
        let router = Router::new(Vec::new(), vec![location("~ a"), location("/")], location("/").settings);
        assert_eq!(steps(&router, &FakeDisk::default(), "/a")[0], "location ~ a");
        assert_eq!(steps(&router, &FakeDisk::default(), "/b")[0], "location /");
    }

    proptest::proptest! {
        #[test]
        fn the_longest_prefix_is_what_a_scan_would_find(
            paths in proptest::collection::vec("(/[ab]{0,2}){1,3}", 1..12),
            uri in "(/[ab]{0,2}){1,4}",
        ) {
            let level = level(&paths.iter().map(String::as_str).collect::<Vec<_>>());
            let longest = paths.iter().filter(|path| uri.starts_with(*path)).max_by_key(|path| path.len());
            proptest::prop_assert_eq!(found(&level, &uri), longest.map_or("none", String::as_str));
        }
    }
}
