//! `compression`: false, true, or a table that says how.

use std::sync::Arc;

use crate::route::{Coding, Compression, Levels, MediaTypes};

use super::reader::{Node, Table};
use super::text::Text;

const CODINGS: [(&str, Coding); 3] = [("br", Coding::Brotli), ("zstd", Coding::Zstd), ("gzip", Coding::Gzip)];

/// Reads it over what is inherited: a table changes what it names.
pub(super) fn read_over(inherited: &mut Option<Arc<Compression>>, node: Node<'_>) {
    if node.is_table() {
        let mut own = inherited.as_deref().cloned().unwrap_or_default();
        if let Some(table) = node.table() {
            read_table(&mut own, table);
        }
        *inherited = Some(Arc::new(own));
        return;
    }
    match node.switch() {
        Some(true) => drop(inherited.get_or_insert_default()),
        Some(false) => *inherited = None,
        None => {}
    }
}

fn read_table(own: &mut Compression, table: Table<'_>) {
    if let Some(list) = table.get("algorithms").and_then(|list| list.list("a list of br, zstd and gzip")) {
        own.algorithms.clear();
        for element in list {
            let Some(coding) = element.choice(&CODINGS) else { continue };
            if own.algorithms.contains(&coding) {
                element.mistake(format_args!("'{}' is in the list already", coding.token()), None);
                continue;
            }
            own.algorithms.push(coding);
        }
    }
    if let Some(level) = table.get("level") {
        read_level(&mut own.levels, level);
    }
    if let Some(size) = table.get("min_size").and_then(Node::size) {
        own.min_size = size;
    }
    if let Some(types) = table.get("types").and_then(Node::texts) {
        own.types = MediaTypes::new(types.iter().filter_map(read_type).collect());
    }
    table.finish(&[]);
}

/// A number that every algorithm knows, or one for each.
fn read_level(levels: &mut Levels, node: Node<'_>) {
    if !node.is_table() {
        if let Some(level) = node.number(1..=9) {
            let level = level as u8;
            *levels = Levels { brotli: level, zstd: level, gzip: level };
        }
        return;
    }
    let Some(table) = node.table() else { return };
    let level = |key, bounds| table.get(key).and_then(|node| node.number(bounds)).map(|level| level as u8);
    levels.brotli = level("br", 0..=11).unwrap_or(levels.brotli);
    levels.zstd = level("zstd", 1..=19).unwrap_or(levels.zstd);
    levels.gzip = level("gzip", 1..=9).unwrap_or(levels.gzip);
    table.finish(&[]);
}

/// `text/html`, `text/*`, `application/*+json` or `*`.
pub(super) fn is_media_pattern(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte);
    let stars = text.bytes().filter(|byte| *byte == b'*').count();
    let named = text.split_once('/').is_some_and(|(kind, name)| {
        !kind.is_empty() && !name.is_empty() && (kind.bytes().chain(name.bytes())).all(token)
    });
    stars <= 1 && (named || text == "*")
}

fn read_type(text: &Text<'_>) -> Option<String> {
    if !is_media_pattern(text.value) {
        let hint = "\"text/html\", \"text/*\" or \"application/*+json\"";
        text.mistake(format_args!("'{}' is not a media type", text.value), hint);
        return None;
    }
    Some(text.value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{mistakes_in, project, site};

    fn compression(lines: &str) -> Option<Compression> {
        site(lines).settings.compression.as_deref().cloned()
    }

    #[test]
    fn it_is_on_unless_somebody_says_otherwise() {
        for lines in ["", "compression = true", "compression = \"on\"", "compression = {}"] {
            assert_eq!(compression(lines), Some(Compression::default()), "{lines}");
        }
        for lines in ["compression = false", "compression = \"off\""] {
            assert_eq!(compression(lines), None, "{lines}");
        }
    }

    #[test]
    fn a_table_changes_what_it_names() {
        let own = compression(
            "compression = { algorithms = [\"gzip\", \"br\"], level = { br = 0, zstd = 19 }, min_size = \"2k\", types = [\"text/*\"] }",
        );
        let expected = Compression {
            algorithms: vec![Coding::Gzip, Coding::Brotli],
            levels: Levels { brotli: 0, zstd: 19, ..Levels::default() },
            min_size: 2048,
            types: MediaTypes::new(vec!["text/*".to_owned()]),
        };
        assert_eq!(own, Some(expected));
        let levels = compression("compression = { level = 9 }").map(|own| own.levels);
        assert_eq!(levels, Some(Levels { brotli: 9, zstd: 9, gzip: 9 }));
    }

    #[test]
    fn a_route_changes_its_site_s() {
        let route = |of_site: &str, of_route: &str| {
            let text = format!("{of_site}\n[[sites.routes]]\nmatch = \"/\"\n{of_route}");
            site(&text).locations.remove(0).settings.compression.as_deref().cloned()
        };
        assert_eq!(route("", "compression = false"), None);
        assert_eq!(route("compression = false", "compression = true"), Some(Compression::default()));
        let both = route("compression = { min_size = 7 }", "compression = { level = 1 }").expect("on");
        assert_eq!((both.min_size, both.levels.gzip), (7, 1));
    }

    #[test]
    fn each_mistake_is_told_with_its_remedy() {
        let project = project();
        for (lines, expected) in [
            ("compression = 1", "expected true or false, found an integer"),
            ("compression = \"maybe\"", "unknown value 'maybe'"),
            ("compression = { algorithms = [\"brotli\"] }", "unknown value 'brotli'"),
            ("compression = { algorithms = [\"br\", \"br\"] }", "'br' is in the list already"),
            ("compression = { level = 10 }", "a number from 1 to 9"),
            ("compression = { level = { br = 12 } }", "a number from 0 to 11"),
            ("compression = { level = { deflate = 1 } }", "unknown key 'deflate'"),
            ("compression = { types = [\"html\"] }", "'html' is not a media type"),
            ("compression = { types = [\"*/*\"] }", "'*/*' is not a media type"),
            ("compression = { minimum = 3 }", "unknown key 'minimum'"),
        ] {
            let text = format!("[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n{lines}\n");
            let mistakes = mistakes_in(project.path(), &text).join("\n");
            assert!(mistakes.contains(expected), "{lines}: {mistakes}");
        }
    }
}
