//! `[[sites.routes]]`: a route becomes a [`Location`], with everything that it inherits filled in.

use std::path::Path;
use std::sync::Arc;

use crate::route::{Location, Match, Rule, Settings, Template, TryFiles, TryLast};

use super::diagnostic::line_and_column;
use super::handlers::SitePool;
use super::model::Pool;
use super::reader::{Node, Table};
use super::report::nearest;
use super::text::Text;
use super::{error_pages, guards, handlers, rewrites, settings, values};

/// Keys of the contract that no room behind this one can do yet.
const PLANNED: [&str; 1] = ["proxy"];

/// What the routes of one site have in common.
pub(super) struct Around<'a> {
    pub(super) base: &'a Path,
    pub(super) pools: &'a [Pool],
    pub(super) pool: SitePool,
    pub(super) settings: &'a Settings,
    pub(super) params: &'a [(String, Template)],
    /// `scripts = "remote"`.
    pub(super) remote: bool,
    /// Names that the regexes of `names` capture.
    pub(super) known: &'a [String],
    /// What `auth` and `limits` want to know of the site.
    pub(super) scene: guards::Scene<'a>,
}

/// The routes of a site as they were read.
#[derive(Debug, Default)]
pub(super) struct Routes<'a> {
    pub(super) locations: Vec<Location>,
    /// Whether one of them looks below the site's root.
    pub(super) need_root: bool,
    /// Names that `try_files` and error pages lead to: whether they exist is known when all routes are.
    pub(super) named: Vec<Text<'a>>,
}

/// Reads a list of routes.
pub(super) fn read<'a>(list: Node<'a>, around: &Around<'_>) -> Routes<'a> {
    let mut routes = Routes::default();
    let mut seen: Vec<Text<'_>> = Vec::new();
    for element in list.list("a list of tables").unwrap_or_default() {
        let Some(table) = element.table() else { continue };
        let Some((written, location)) = read_route(table, around, &mut routes) else { continue };
        match routes.locations.iter().position(|other| same_match(other, &location)) {
            Some(first) => report_duplicate(&written, &seen[first]),
            None => {
                seen.push(written);
                routes.locations.push(location);
            }
        }
    }
    routes
}

/// Reports names that no location has.
pub(super) fn check_names(routes: &Routes<'_>, locations: &[Location]) {
    let names: Vec<&str> =
        locations.iter().map(|location| &*location.written).filter(|name| name.starts_with('@')).collect();
    for text in &routes.named {
        if !names.contains(&text.value) {
            let near = nearest(text, &names, "named routes");
            let hint = near.unwrap_or_else(|| format!("add a route with match = \"{}\"", text.value));
            text.mistake(format_args!("there is no route '{}'", text.value), hint);
        }
    }
}

/// Whether two locations match the same, so that the second would never be reached. nginx: `/p` and `^~ /p` are the same prefix.
pub(super) fn same_match(one: &Location, other: &Location) -> bool {
    match (&one.matches, &other.matches) {
        (Match::Exact(one), Match::Exact(other)) => one == other,
        (Match::Prefix { path: one, .. }, Match::Prefix { path: other, .. }) => one == other,
        (Match::Named(one), Match::Named(other)) => one == other,
        (Match::Regex(_), Match::Regex(_)) => one.written == other.written,
        _ => false,
    }
}

fn report_duplicate(text: &Text<'_>, first: &Text<'_>) {
    let (line, _) = line_and_column(text.node.report.text(), first.node.span().start);
    let message = format!("'{}' is matched by an earlier route (line {line})", text.value);
    text.mistake(message, "this one would never be reached: merge the two");
}

/// All of a route is read, also when its match is wrong: every mistake counts.
fn read_route<'a>(
    table: Table<'a>,
    around: &Around<'_>,
    routes: &mut Routes<'a>,
) -> Option<(Text<'a>, Location)> {
    let hint = "match = \"/path\", \"= /path\", \"^~ /path\", \"~ regex\", \"~* regex\" or \"@name\"";
    let text = table.required("match", hint).and_then(Node::text);
    let matched = text.and_then(|text| read_match(&text));
    let matches = matched.as_ref().map(|(_, matches)| matches);
    let mut known = around.known.to_vec();
    known.extend(matches.into_iter().flat_map(group_names));

    let mut rules = rewrites::read(&table, &mut known);
    let answer = rewrites::read_return(&table, &known);
    let settings = read_settings(&table, around, matches, &known);
    let try_files = read_try_files(&table, &known, routes);
    routes.named.extend(error_pages::names(&table));
    let handler = handlers::read(&table, around, &known);
    if table.get("return").is_some() {
        refuse_unreachable(&table);
    } else {
        routes.need_root |= table.get("root").is_none() && table.get("alias").is_none();
    }
    table.finish(&PLANNED);

    rules.extend(answer.map(Rule::Return));
    let (written, matches) = matched?;
    let location = Location {
        written,
        matches,
        rules,
        try_files,
        handler,
        settings: Arc::new(settings),
        nested: Vec::new(),
    };
    Some((text?, location))
}

/// nginx runs `return` before it looks for a file or a backend.
fn refuse_unreachable(table: &Table<'_>) {
    for key in ["fastcgi", "try_files"] {
        if let Some(node) = table.get(key) {
            node.mistake_at_key(
                format_args!("{key} is never reached: return answers before"),
                "remove one of the two",
            );
        }
    }
}

fn group_names(matches: &Match) -> Vec<String> {
    match matches {
        Match::Regex(regex) => regex.capture_names().flatten().map(ToOwned::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The kind of a match, what it is written with, and where its pattern begins.
fn read_match(text: &Text<'_>) -> Option<(String, Match)> {
    let value = text.value;
    let (modifier, rest) = ["^~", "~*", "~", "="]
        .into_iter()
        .find_map(|modifier| Some((modifier, value.strip_prefix(modifier)?)))
        .unwrap_or(("", value));
    let pattern = if modifier.is_empty() { rest } else { rest.trim_start() };
    let at = value.len() - pattern.len()..value.len();
    let written = [modifier, if modifier.is_empty() { "" } else { " " }, pattern].concat();
    let matches = match modifier {
        "~" | "~*" if pattern.is_empty() => {
            text.mistake("the regex is missing", r"'~ \.php$'");
            return None;
        }
        "~" | "~*" => Match::Regex(values::regex(text, at, modifier == "~*")?),
        "" if pattern.starts_with('@') && pattern.len() > 1 => Match::Named(pattern.to_owned()),
        _ if !pattern.starts_with('/') => {
            let hint = match modifier {
                "" => format!("a path begins with '/': \"/{pattern}\"; a regex with '~': \"~ {pattern}\""),
                _ => format!("a path begins with '/': \"{modifier} /{pattern}\""),
            };
            text.mistake(format_args!("'{value}' is neither a path, a regex nor a name"), hint);
            return None;
        }
        "=" => Match::Exact(pattern.as_bytes().to_vec()),
        modifier => Match::Prefix { path: pattern.as_bytes().to_vec(), stops_regex: modifier == "^~" },
    };
    Some((written, matches))
}

fn read_settings(
    table: &Table<'_>,
    around: &Around<'_>,
    matches: Option<&Match>,
    known: &[String],
) -> Settings {
    let mut settings = around.settings.clone();
    settings::read_over(&mut settings, table, known);
    settings::read_roots(&mut settings, table, around.base, around.remote);
    let at = table.get("match").and_then(Node::as_text).map_or("", |text| text.value);
    guards::read_over(&mut settings, table, guards::Scene { known, at, ..around.scene });
    settings.internal = table.boolean_or("internal", false);
    if let Some(alias) = table.get("alias").and_then(Node::text) {
        read_alias(&mut settings, &alias, table, around, matches);
    }
    if let Some(timeouts) = table.table("timeouts") {
        settings.first_byte_timeout = timeouts.get("first_byte").and_then(Node::positive_duration);
        settings.between_reads_timeout = timeouts.get("between_reads").and_then(Node::positive_duration);
        timeouts.finish(&[]);
    }
    settings
}

fn read_alias(
    settings: &mut Settings,
    alias: &Text<'_>,
    table: &Table<'_>,
    around: &Around<'_>,
    matches: Option<&Match>,
) {
    let hint = "say \"/prefix/\" in match, or use root and rewrite";
    match matches {
        Some(Match::Regex(_)) => {
            return alias
                .mistake("an alias in a regex route needs its captures, which is not supported yet", hint);
        }
        Some(Match::Named(_)) => {
            return alias.mistake("a named route has no path that an alias could replace", hint);
        }
        _ => {}
    }
    if settings::no_variables(alias).is_none() {
        return;
    }
    if table.get("root").is_some() {
        alias.node.mistake_at_key("root and alias exclude each other", "remove one of the two");
    }
    let mut path = values::path(around.base, alias);
    if !around.remote
        && let Err(error) = path.metadata()
    {
        alias.mistake(format_args!("{} {}", path.display(), values::reason(&error)), "it must exist");
    }
    if alias.ends_with('/') {
        path.push("");
    }
    settings.alias = Some(path);
}

fn read_try_files<'a>(table: &Table<'a>, known: &[String], routes: &mut Routes<'a>) -> Option<TryFiles> {
    let node = table.get("try_files")?;
    let mut steps = node.texts()?;
    let hint = "the last one is where the request goes otherwise: [\"$uri\", \"/index.php$is_args$args\"] or [\"$uri\", \"=404\"]";
    if steps.len() < 2 {
        node.mistake("at least two are needed", hint);
        return None;
    }
    let last = steps.pop()?;
    for step in &steps {
        if step.starts_with(['=', '@']) {
            step.mistake(format_args!("'{}' can only be the last one", step.value), hint);
        }
    }
    let steps = steps.iter().filter_map(|step| values::template(step, known)).collect();
    Some(TryFiles { steps, last: read_last(last, known, routes)? })
}

fn read_last<'a>(last: Text<'a>, known: &[String], routes: &mut Routes<'a>) -> Option<TryLast> {
    if last.starts_with('@') {
        routes.named.push(last);
        return Some(TryLast::Named(last.value.to_owned()));
    }
    if let Some(code) = last.strip_prefix('=') {
        let status = code.parse().ok().filter(|code| (200..=599).contains(code));
        if status.is_none() {
            last.mistake(
                format_args!("'{}' is not a status", last.value),
                "\"=404\"; statuses are 200 to 599",
            );
        }
        return status.map(TryLast::Code);
    }
    if !last.starts_with(['/', '$']) {
        last.mistake("the last one is a URI, a status or a name", "it begins with '/', '=' or '@'");
    }
    values::template(&last, known).map(TryLast::Uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::site;

    fn route(lines: &str) -> Location {
        site(&format!("[[sites.routes]]\n{lines}")).locations.remove(0)
    }

    #[test]
    fn every_kind_of_match_and_how_it_is_written() {
        for (written, shown) in [
            ("= /a", "= /a"),
            ("=/a", "= /a"),
            ("/a b", "/a b"),
            ("^~  /a/", "^~ /a/"),
            (r"~ \.php$", r"~ \.php$"),
            (r"~*\.PHP$", r"~* \.PHP$"),
            ("@name", "@name"),
        ] {
            let location = route(&format!("match = '{written}'"));
            assert_eq!(location.written, shown);
            let fits = match &location.matches {
                Match::Exact(path) => path == b"/a",
                Match::Prefix { path, stops_regex: true } => path == b"/a/",
                Match::Prefix { path, stops_regex: false } => path == b"/a b",
                Match::Regex(regex) => regex.is_match(b"/x.pHP") == shown.contains('*'),
                Match::Named(name) => name == "@name",
            };
            assert!(fits, "{location:?}");
        }
    }

    #[test]
    fn try_files_ends_in_a_uri_a_status_or_a_name() {
        let last = |list: &str| {
            let text = format!("match = \"/\"\ntry_files = {list}\n[[sites.routes]]\nmatch = \"@app\"");
            let try_files = route(&text).try_files.unwrap();
            (try_files.steps.len(), try_files.last)
        };
        assert!(matches!(last(r#"["$uri", "$uri/", "/index.php$is_args$args"]"#), (2, TryLast::Uri(_))));
        assert!(matches!(last(r#"["$uri", "=404"]"#), (1, TryLast::Code(404))));
        assert!(matches!(last(r#"["$uri", "@app"]"#), (1, TryLast::Named(name)) if name == "@app"));
    }

    #[test]
    fn a_route_s_own_settings_and_an_alias_that_keeps_its_slash() {
        let location = route(
            "match = \"/a/\"\ninternal = true\nalias = \"public/\"\n\
             timeouts = { first_byte = \"5m\", between_reads = \"1s\" }",
        );
        let settings = &location.settings;
        assert!(settings.internal);
        assert!(settings.alias.as_ref().unwrap().to_str().unwrap().ends_with("/public/"));
        assert_eq!(settings.first_byte_timeout.unwrap().as_secs(), 300);
        assert_eq!(settings.between_reads_timeout.unwrap().as_secs(), 1);
    }
}
