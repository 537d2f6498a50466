//! `rewrite` and `return` of a route: nginx's rewrite phase as far as TOML spells it.

use crate::route::{Flag, Return, ReturnBody, Rewrite, Rule, Template};

use super::reader::{Node, Table};
use super::text::Text;
use super::values;

const EXAMPLE: &str = "rewrite = { from = '^/(.*)$', to = '/index.php/$1', flag = \"last\" }";

/// Reads `rewrite`: a list of tables, or a single one. Adds the names that its regexes capture.
pub(super) fn read(table: &Table<'_>, known: &mut Vec<String>) -> Vec<Rule> {
    let Some(node) = table.get("rewrite") else { return Vec::new() };
    if let Some(text) = node.as_text() {
        text.mistake("expected a table or a list of tables, found a string", EXAMPLE);
        return Vec::new();
    }
    let tables = match node.is_table() {
        true => vec![node],
        false => node.list("a list of tables").unwrap_or_default(),
    };
    tables.into_iter().filter_map(|entry| read_one(entry.table()?, known)).map(Rule::Rewrite).collect()
}

fn read_one(table: Table<'_>, known: &mut Vec<String>) -> Option<Rewrite> {
    let from = table.required("from", EXAMPLE).and_then(Node::text);
    let from = from.and_then(|text| values::regex(&text, 0..text.len(), false));
    let names = from.iter().flat_map(|regex| regex.capture_names().flatten());
    known.extend(names.map(ToOwned::to_owned));
    let written = table.required("to", EXAMPLE).and_then(Node::text);
    let to = written.and_then(|text| values::template(&text, known));
    if let (Some(regex), Some(text)) = (&from, &written) {
        check_groups(text, regex.captures_len() - 1);
    }
    let flags = [
        ("last", Flag::Last),
        ("break", Flag::Break),
        ("redirect", Flag::Redirect),
        ("permanent", Flag::Permanent),
    ];
    let flag = table.get("flag").and_then(|flag| flag.choice(&flags));
    let unless_file = table.boolean_or("unless_file", false);
    table.finish(&[]);
    let to = to?;
    Some(Rewrite { from: from?, flag: flag.unwrap_or_else(|| flag_for(&to)), to, unless_file })
}

/// nginx: a replacement that is a whole URL redirects without being told.
fn flag_for(to: &Template) -> Flag {
    match ["http://", "https://", "$scheme"].iter().any(|start| to.as_str().starts_with(start)) {
        true => Flag::Redirect,
        false => Flag::Next,
    }
}

/// A group that the regex does not have would always be empty: a typing error that nginx lets pass.
fn check_groups(to: &Text<'_>, groups: usize) {
    let value = to.value;
    for (at, _) in value.match_indices('$') {
        let Some(digit) = value[at + 1..].chars().next().and_then(|c| c.to_digit(10)) else { continue };
        if digit as usize > groups && digit > 0 {
            let hint = format!("groups in parentheses that `from` has: {groups}");
            to.mistake_in(at..at + 2, format_args!("${digit} is always empty"), hint);
        }
    }
}

/// Reads `return = { status, url | body }`.
pub(super) fn read_return(table: &Table<'_>, known: &[String]) -> Option<Return> {
    let node = table.get("return")?;
    let table = node.table()?;
    let status = table.get("status");
    let (url, body) = (table.get("url"), table.get("body"));
    table.finish(&[]);
    if let (Some(_), Some(body)) = (url, body) {
        body.mistake_at_key("url and body exclude each other", "remove one of the two");
    }
    let written = url.or(body).and_then(Node::text);
    let template = written.and_then(|text| values::template(&text, known));
    let code = match status {
        Some(status) => read_status(status, url, node)?,
        None if url.is_some() => 302,
        None => {
            node.mistake("needs a status or a url", "return = { status = 404 }");
            return None;
        }
    };
    let body = match (url, template) {
        (_, None) => ReturnBody::None,
        (Some(_), Some(url)) => ReturnBody::Url(url),
        (None, Some(text)) => ReturnBody::Text(text),
    };
    Some(Return { status: code, body })
}

fn read_status(status: Node<'_>, url: Option<Node<'_>>, whole: Node<'_>) -> Option<u16> {
    let number = status.as_integer();
    let Some(code) =
        number.and_then(|number| u16::try_from(number).ok()).filter(|code| (200..=599).contains(code))
    else {
        status.mistake(
            "expected a status from 200 to 599",
            "404, 403, 410, 301 with a url; 444 closes the connection",
        );
        return None;
    };
    match (matches!(code, 301 | 302 | 303 | 307 | 308), url) {
        (true, None) => whole.mistake(
            format_args!("a redirect ({code}) needs a url"),
            "return = { status = 301, url = \"/new\" }",
        ),
        (false, Some(url)) => url.mistake_at_key(
            format_args!("{code} is not a redirect: it takes no url"),
            "301, 302, 303, 307 or 308; or say body",
        ),
        _ => {}
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::site;

    fn rules(lines: &str) -> Vec<Rule> {
        site(&format!("[[sites.routes]]\nmatch = \"/\"\n{lines}")).locations[0].rules.clone()
    }

    #[test]
    fn rewrites_stand_in_order_and_a_single_one_needs_no_list() {
        let flags = |lines: &str| {
            let flag = |rule: &Rule| match rule {
                Rule::Rewrite(rewrite) => (rewrite.flag, rewrite.unless_file),
                other => panic!("{other:?}"),
            };
            rules(lines).iter().map(flag).collect::<Vec<_>>()
        };
        let list = r#"rewrite = [
            { from = '^/a', to = "/b" },
            { from = '^/(?<n>b)', to = "/c?n=$n", flag = "last", unless_file = true },
            { from = '^/c', to = "/d", flag = "break" },
            { from = '^/d', to = "/e", flag = "redirect" },
            { from = '^/e', to = "/f", flag = "permanent" },
            { from = '^/(.*)$', to = "https://$host/$1" },
        ]"#;
        let expected = [
            (Flag::Next, false),
            (Flag::Last, true),
            (Flag::Break, false),
            (Flag::Redirect, false),
            (Flag::Permanent, false),
            (Flag::Redirect, false),
        ];
        assert_eq!(flags(list), expected);
        assert_eq!(flags(r#"rewrite = { from = '^/a', to = "/b" }"#), [(Flag::Next, false)]);
    }

    #[test]
    fn a_return_comes_last_and_carries_a_url_or_a_text_or_nothing() {
        let answer = |table: &str| match rules(&format!("return = {table}")).pop() {
            Some(Rule::Return(answer)) => answer,
            other => panic!("{other:?}"),
        };
        for (table, status) in [
            ("{ status = 404 }", 404),
            ("{ status = 444 }", 444),
            ("{ url = \"/new\" }", 302),
            ("{ status = 301, url = \"https://$host$request_uri\" }", 301),
            ("{ status = 200, body = \"ok\" }", 200),
        ] {
            let answer = answer(table);
            assert_eq!(answer.status, status, "{table}");
            match answer.body {
                ReturnBody::None => assert!(!table.contains("url") && !table.contains("body")),
                ReturnBody::Url(_) => assert!(table.contains("url")),
                ReturnBody::Text(_) => assert!(table.contains("body")),
            }
        }
    }
}
