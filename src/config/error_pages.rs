//! `error_pages = { 404 = "/404.html", "502 503 504" = "=200 /maintenance.html" }`: nginx's `error_page`, with its own spelling for the
//! status of the reply.

use http::StatusCode;

use crate::route::{ErrorPage, PageStatus};

use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const HINT: &str = "\"/404.html\", \"@name\", \"https://example.com/\", or with a status for the reply: \"=200 /page\"; \
                    \"= @name\" leaves the status to the page";

/// Reads the key over what is inherited: a status that is named again has its own page, `false` gives it the standard one.
pub(super) fn read_over(inherited: &mut Vec<ErrorPage>, table: &Table<'_>, known: &[String]) {
    let Some(pages) = table.get("error_pages").filter(|node| !node.is_false()) else { return };
    let Some(pages) = pages.table() else { return };
    for entry in pages.entries() {
        let statuses = read_statuses(&entry);
        inherited.retain(|page| !statuses.contains(&page.on));
        if entry.is_false() {
            continue;
        }
        if let Some((status, page)) = read_page(entry, known) {
            let of = |on| ErrorPage { on, page: page.clone(), status };
            inherited.extend(statuses.into_iter().map(of));
        }
    }
}

/// The names that the pages lead to: whether they exist is known when all routes are.
pub(super) fn names<'a>(table: &Table<'a>) -> Vec<Text<'a>> {
    let pages = table.get("error_pages").filter(Node::is_table).and_then(Node::table);
    let entries = pages.map(|pages| pages.entries()).unwrap_or_default();
    let names = entries.into_iter().filter_map(|entry| {
        let text = entry.as_text()?;
        let (_, at) = split(&text)?;
        Some(Text { value: &text.value[at..], ..text })
    });
    names.filter(|text| text.starts_with('@')).collect()
}

fn read_statuses(entry: &Node<'_>) -> Vec<u16> {
    let words = entry.key().split([' ', ',']).filter(|word| !word.is_empty());
    let read = |word: &str| word.parse().ok().filter(|status| (300..=599).contains(status));
    let statuses: Option<Vec<u16>> = words.map(read).collect();
    if statuses.as_ref().is_none_or(Vec::is_empty) {
        entry.mistake_at_key(
            format_args!("'{}' names no statuses", entry.key()),
            "404 or \"502 503 504\"; statuses are 300 to 599",
        );
    }
    statuses.unwrap_or_default()
}

fn read_page(entry: Node<'_>, known: &[String]) -> Option<(PageStatus, crate::route::Template)> {
    let text = entry.text_or(" or false")?;
    let Some((status, at)) = split(&text) else {
        text.mistake(format_args!("'{}' is not a page", text.value), HINT);
        return None;
    };
    let page = Text { value: &text.value[at..], ..text };
    let is_page = ["/", "@", "http://", "https://", "$"].iter().any(|start| page.starts_with(start));
    if !is_page {
        text.mistake(format_args!("'{}' is not a page", text.value), HINT);
        return None;
    }
    Some((status, values::template(&page, known)?))
}

/// `=200 /page` → 200, and where the page begins.
fn split(text: &str) -> Option<(PageStatus, usize)> {
    let Some(rest) = text.strip_prefix('=') else { return Some((PageStatus::OfError, 0)) };
    let (status, page) = rest.split_once(' ')?;
    let at = text.len() - page.trim_start().len();
    if status.is_empty() {
        return Some((PageStatus::OfPage, at));
    }
    let status = status.parse().ok().filter(|status| (200..=599).contains(status))?;
    Some((PageStatus::Always(StatusCode::from_u16(status).ok()?), at))
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{mistakes, site};

    use super::*;

    fn pages(of_site: &str, of_route: &str) -> Vec<String> {
        let text = format!(
            "{of_site}\n[[sites.routes]]\nmatch = \"/\"\n{of_route}\n[[sites.routes]]\nmatch = \"@oops\"\n"
        );
        let settings = site(&text).locations.remove(0).settings;
        let spell = |page: &ErrorPage| match page.status {
            PageStatus::OfError => format!("{} {}", page.on, page.page),
            PageStatus::OfPage => format!("{} = {}", page.on, page.page),
            PageStatus::Always(status) => format!("{} ={} {}", page.on, status.as_u16(), page.page),
        };
        let mut pages: Vec<String> = settings.error_pages.iter().map(spell).collect();
        pages.sort();
        pages
    }

    #[test]
    fn pages_are_written_as_nginx_writes_them() {
        let written = r#"error_pages = { 404 = "/404.html", "502 503,504" = "=200 /50x.html", 500 = "= @oops", 403 = "https://a.example/$uri" }"#;
        let expected = [
            "403 https://a.example/$uri",
            "404 /404.html",
            "500 = @oops",
            "502 =200 /50x.html",
            "503 =200 /50x.html",
            "504 =200 /50x.html",
        ];
        assert_eq!(pages(written, ""), expected);
        assert_eq!(pages("", written), expected);
    }

    #[test]
    fn a_route_s_pages_are_over_its_site_s_status_by_status() {
        let of_site = r#"error_pages = { "403 404 410" = "/site.html" }"#;
        let of_route = r#"error_pages = { 404 = "/route.html", 410 = false }"#;
        assert_eq!(pages(of_site, of_route), ["403 /site.html", "404 /route.html"]);
    }

    #[test]
    fn what_is_no_status_or_no_page_is_told() {
        let told = |text: &str| {
            mistakes(text, |table| {
                read_over(&mut Vec::new(), &table, &[]);
                table.finish(&[]);
            })
            .len()
        };
        for wrong in [
            "200 = \"/a\"",
            "600 = \"/a\"",
            "x = \"/a\"",
            "\"\" = \"/a\"",
            "404 = \"a.html\"",
            "404 = \"=\"",
            "404 = \"=200\"",
            "404 = \"=99 /a\"",
            "404 = \"=x /a\"",
            "404 = 5",
            "404 = true",
            "404 = \"/a$nobody\"",
        ] {
            assert_eq!(told(&format!("error_pages = {{ {wrong} }}")), 1, "{wrong}");
        }
        assert_eq!(told("error_pages = { 404 = \"/a\", 405 = false }"), 0);
    }
}
