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
