//! `types`, `default_type`, `autoindex` and `x_sendfile`: what files are, whether a folder tells which it has, and which a script may
//! send.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;

use crate::route::{ListingFormat, Settings, Types};

use super::reader::{Node, Table};
use super::values;

/// Reads the keys over what is inherited: an extension that is named again has its own type, all others stay.
pub(super) fn read_over(settings: &mut Settings, table: &Table<'_>) {
    let (types, default) = (table.get("types"), table.get("default_type"));
    if types.is_some() || default.is_some() {
        let mut own = settings.types.as_deref().cloned().unwrap_or_default();
        if let Some(types) = types.and_then(Node::table) {
            types.entries().into_iter().for_each(|entry| add(&mut own, entry));
        }
        if let Some(media) = default.and_then(read_media) {
            own.default = HeaderValue::from_str(media).ok();
        }
        settings.types = Some(Arc::new(own));
    }
    if let Some(autoindex) = table.get("autoindex") {
        settings.autoindex = read_autoindex(autoindex).unwrap_or(settings.autoindex);
    }
}

fn add(types: &mut Types, entry: Node<'_>) {
    let extension = entry.key().trim_start_matches('.').to_ascii_lowercase();
    if extension.is_empty() || extension.contains(['.', '/', ' ']) {
        entry.mistake_at_key(
            format_args!("'{}' is not an extension", entry.key()),
            "types = { md = \"text/markdown\" }",
        );
    }
    if let Some(media) = read_media(entry) {
        types.by_extension.insert(extension, media.to_owned());
    }
}

/// `type/subtype`, with parameters or without (RFC 9110 §8.3.1).
fn read_media(node: Node<'_>) -> Option<&str> {
    let text = node.text()?;
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let essence = text.value.split(';').next().unwrap_or_default().trim_end();
    let is_media = essence.split_once('/').is_some_and(|(kind, name)| token(kind) && token(name));
    if !is_media || HeaderValue::from_str(text.value).is_err() {
        text.mistake(format_args!("'{}' is not a media type", text.value), "such as \"text/markdown\"");
        return None;
    }
    Some(text.value)
}

/// `x_sendfile`: folders that are the same for php-fpm, or `{ "/php/sees" = "lies/here" }`.
pub(super) fn read_sendfile(node: Node<'_>, base: &Path) -> Vec<(PathBuf, PathBuf)> {
    let hint = "X-Sendfile sends files of existing folders only";
    if !node.is_table() {
        let folders = node.texts().unwrap_or_default();
        let same = folders.iter().map(|text| values::existing_folder(text, base, hint));
        return same.map(|folder| (folder.clone(), folder)).collect();
    }
    let entries = node.table().map(|table| table.entries()).unwrap_or_default();
    let folder = |entry: Node<'_>| {
        if !entry.key().starts_with('/') {
            entry.mistake_at_key(
                format_args!("'{}' is not an absolute path", entry.key()),
                "x_sendfile = { \"/app/storage\" = \"storage\" }: as php-fpm sees it, and where it lies here",
            );
        }
        Some((PathBuf::from(entry.key()), values::existing_folder(&entry.text()?, base, hint)))
    };
    entries.into_iter().filter_map(folder).collect()
}

fn read_autoindex(node: Node<'_>) -> Option<Option<ListingFormat>> {
    if node.is_false() {
        return Some(None);
    }
    if node.is_true() {
        return Some(Some(ListingFormat::Html));
    }
    match node.text_or(" or true or false")?.value {
        "html" => Some(Some(ListingFormat::Html)),
        "json" => Some(Some(ListingFormat::Json)),
        other => {
            node.mistake(format_args!("'{other}' is not a format"), "true, \"html\" or \"json\"");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{mistakes, site};

    use super::*;

    #[test]
    fn a_route_has_its_site_s_types_beside_its_own() {
        let text = "types = { MD = \"text/a\", \".own\" = \"text/b; charset=x\" }\ndefault_type = \"text/c\"\nautoindex = \"json\"\n\
                    [[sites.routes]]\nmatch = \"/\"\ntypes = { md = \"text/d\" }\nautoindex = true\n";
        let settings = site(text).locations.remove(0).settings;
        let types = settings.types.as_ref().unwrap();
        assert_eq!(types.by_extension["md"], "text/d");
        assert_eq!(types.by_extension["own"], "text/b; charset=x");
        assert_eq!(types.default.as_ref().unwrap(), "text/c");
        assert_eq!(settings.autoindex, Some(ListingFormat::Html));
        assert_eq!(site("").settings.types, None, "nobody pays who has none");
    }

    #[test]
    fn what_is_no_type_is_told() {
        for wrong in [
            "types = { md = \"text\" }",
            "types = { md = \"text/\" }",
            "types = { md = \"text/x y\" }",
            "types = { md = 5 }",
            "types = { \"\" = \"text/x\" }",
            "types = { \"tar.gz\" = \"text/x\" }",
            "default_type = \"text/x\\r\\nA: b\"",
            "autoindex = \"xml\"",
            "autoindex = 5",
        ] {
            let found = mistakes(wrong, |table| {
                let mut settings = Settings::clone(&site("").settings);
                read_over(&mut settings, &table);
                table.finish(&[]);
            });
            assert_eq!(found.len(), 1, "{wrong}: {found:?}");
        }
    }
}
