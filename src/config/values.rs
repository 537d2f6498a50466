//! Values that several tables share: templates, regexes, params, headers, access rules, paths.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use http::{HeaderName, HeaderValue};
use regex::bytes::Regex;

use crate::route::{AccessRule, HeaderRule, Template, Who};

use super::reader::{Node, Table};
use super::regexes::{self, BadPattern};
use super::text::Text;

/// Text with `$variables`; `known` are the names that regexes around it capture.
pub(super) fn template(text: &Text<'_>, known: &[String]) -> Option<Template> {
    let wrong = match Template::parse_with(text, known) {
        Ok(template) => return Some(template),
        Err(wrong) => wrong,
    };
    let name = text[wrong.offset..].char_indices().skip(1);
    let length = name.take_while(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '_' | '{' | '}')).last();
    let end = wrong.offset + length.map_or(1, |(at, c)| at + c.len_utf8());
    let hint = wrong.hint.map(|name| format!("did you mean '${name}'?"));
    text.mistake_in(wrong.offset..end, wrong.kind, hint);
    None
}

/// A regex over paths.
pub(super) fn regex(text: &Text<'_>, part: Range<usize>, fold_case: bool) -> Option<Regex> {
    let compiled = regexes::over_bytes(text.get(part.clone())?, fold_case);
    compiled.map_err(|bad| bad_pattern(text, part.start, bad)).ok()
}

/// A regex over host names.
pub(super) fn name_regex(text: &Text<'_>, part: Range<usize>) -> Option<regex::Regex> {
    let compiled = regexes::over_names(text.get(part.clone())?);
    compiled.map_err(|bad| bad_pattern(text, part.start, bad)).ok()
}

fn bad_pattern(text: &Text<'_>, start: usize, bad: BadPattern) {
    let hint = bad.hint.map(ToOwned::to_owned);
    text.mistake_in(start + bad.at.start..start + bad.at.end, bad.message, hint);
}

/// `params`: FastCGI parameters by name, in the order of the file.
pub(super) fn params(table: &Table<'_>, known: &[String]) -> Vec<(String, Template)> {
    let Some(params) = table.get("params").and_then(Node::table) else { return Vec::new() };
    let entries = params.entries();
    entries.into_iter().filter_map(|entry| param(entry, known)).collect()
}

fn param(entry: Node<'_>, known: &[String]) -> Option<(String, Template)> {
    check_param_name(entry);
    Some((entry.key().to_owned(), template(&entry.text()?, known)?))
}

pub(super) fn check_param_name(entry: Node<'_>) {
    let name = entry.key();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        entry.mistake_at_key(
            format_args!("'{name}' is not a name of a parameter"),
            "letters, digits and _ only",
        );
    }
}

/// Later ones replace earlier ones of the same name: a route's word is over its site's, a site's over its pool's.
pub(super) fn merged_params(levels: [&[(String, Template)]; 3]) -> Vec<(String, Template)> {
    let mut merged: Vec<(String, Template)> = Vec::new();
    for (name, value) in levels.into_iter().flatten() {
        match merged.iter_mut().find(|(other, _)| other == name) {
            Some(known) => known.1 = value.clone(),
            None => merged.push((name.clone(), value.clone())),
        }
    }
    merged
}

/// Headers that say how a reply is cut on the wire: only the server itself can tell.
const WIRE: [&str; 7] =
    ["connection", "content-length", "date", "keep-alive", "te", "transfer-encoding", "upgrade"];

/// `headers`: added to replies; `"!Name"` replaces.
pub(super) fn headers(table: &Table<'_>, known: &[String]) -> Option<Vec<HeaderRule>> {
    let headers = table.get("headers")?.table()?;
    let entries = headers.entries();
    Some(entries.into_iter().filter_map(|entry| header(entry, known)).collect())
}

fn header(entry: Node<'_>, known: &[String]) -> Option<HeaderRule> {
    let written = entry.key();
    let replace = written.starts_with('!');
    let Ok(name) = HeaderName::try_from(written.trim_start_matches('!')) else {
        entry.mistake_at_key(
            format_args!("'{written}' is not a header's name"),
            "X-Name = \"value\", \"!X-Name\" to replace",
        );
        return None;
    };
    if WIRE.contains(&name.as_str()) {
        entry.mistake_at_key(format_args!("{written} is the server's own header"), "remove it");
    }
    let (text, always) = header_value(entry)?;
    if HeaderValue::from_str(text.value).is_err() && text.chars().any(char::is_control) {
        text.mistake("a header's value is one line without control characters", None);
    }
    Some(HeaderRule { name, value: template(&text, known)?, replace, always })
}

/// A value, or `{ value = "…", always = true }`.
fn header_value(entry: Node<'_>) -> Option<(Text<'_>, bool)> {
    if !entry.is_table() {
        return Some((entry.text_or(" or { value, always }")?, false));
    }
    let table = entry.table()?;
    let value = table.required("value", "{ value = \"…\", always = true }").and_then(Node::text);
    let always = table.boolean_or("always", false);
    table.finish(&[]);
    Some((value?, always))
}

/// `allow` and `deny`: one list of rules in the order in which the two keys and their elements stand in the file.
pub(super) fn access(table: &Table<'_>) -> Option<Vec<AccessRule>> {
    let mut keys: Vec<_> = [("allow", true), ("deny", false)]
        .into_iter()
        .filter_map(|(key, allow)| table.get(key).map(|node| (node, allow)))
        .collect();
    keys.sort_by_key(|(node, _)| node.key_span().start);
    let rules = |(node, allow): &(Node<'_>, bool)| {
        let allow = *allow;
        let texts = node.texts().unwrap_or_default();
        texts
            .into_iter()
            .filter_map(move |text| Some(AccessRule { allow, who: who(&text)? }))
            .collect::<Vec<_>>()
    };
    (!keys.is_empty()).then(|| keys.iter().flat_map(rules).collect())
}

/// Whom a rule means, or whom a site trusts.
pub(super) fn who(text: &Text<'_>) -> Option<Who> {
    let parsed = Who::parse(text);
    if parsed.is_err() {
        let hint =
            "\"all\", an address (\"192.0.2.1\"), a network (\"10.0.0.0/8\", \"2001:db8::/32\") or \"unix:\"";
        text.mistake(format_args!("'{}' is neither an address nor a network", text.value), hint);
    }
    parsed.ok()
}

/// A path relative to the configuration's folder. Symlinks stay as they are written (a `current` link that moves is the
/// point of it); only `..` is resolved, because it would otherwise show in every SCRIPT_FILENAME.
pub(super) fn path(base: &Path, written: &str) -> PathBuf {
    let path = base.join(written);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    if climbs && let Ok(resolved) = path.canonicalize() {
        return resolved;
    }
    path.components().collect()
}

/// A folder that must be there.
pub(super) fn existing_folder(text: &Text<'_>, base: &Path, hint: &str) -> PathBuf {
    let folder = path(base, text);
    match folder.metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => text.mistake(format_args!("{} is not a folder", folder.display()), hint),
        Err(error) => text.mistake(format_args!("{} {}", folder.display(), reason(&error)), hint),
    }
    folder
}

/// A system's error as the end of a sentence about a path.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a folder".to_owned(),
        std::io::ErrorKind::NotADirectory => "goes through something that is not a folder".to_owned(),
        _ => format!("cannot be read ({error})"),
    }
}
