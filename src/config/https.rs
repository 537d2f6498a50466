//! `https` of a site: that who comes in clear text is sent on to TLS, and that browsers remember it.

use std::time::Duration;

use http::HeaderValue;

use super::listeners::Written;
use super::model::Https;
use super::reader::{Node, Table};
use super::regexes;
use crate::route::{Condition, Return, ReturnBody, Rule, Template};

const HINT: &str = "https = \"redirect\", or https = { redirect = true, hsts = \"365d\" }";
/// RFC 8555 §8.3: asked for in clear text, by authorities of which not all follow a redirect.
const ACME: &str = "^/\\.well-known/acme-challenge/";

/// Reads `https`: `"redirect"`, or `{ redirect, hsts, subdomains, preload }`.
pub(super) fn read(site: &Table<'_>) -> Option<Https> {
    let https = site.get("https").filter(|https| !https.is_false())?;
    if !https.is_table() {
        let text = https.text_or(" or a table")?;
        if &*text != "redirect" {
            text.mistake(format_args!("unknown value '{}'", text.value), HINT);
        }
        return Some(Https { redirect: true, hsts: None });
    }
    let table = https.table()?;
    let redirect = table.boolean_or("redirect", true);
    let hsts = table.get("hsts").and_then(Node::duration);
    let (subdomains, preload) = (table.boolean_or("subdomains", false), table.boolean_or("preload", false));
    if let (None, Some(key)) = (hsts, table.get("subdomains").or_else(|| table.get("preload"))) {
        key.mistake("says how far 'hsts' goes, which is missing", HINT);
    }
    table.finish(&[]);
    let hsts = hsts.map(|age| hsts_value(age, subdomains, preload));
    Some(Https { redirect, hsts })
}

/// RFC 6797 §6.1.
fn hsts_value(age: Duration, subdomains: bool, preload: bool) -> HeaderValue {
    let subdomains = if subdomains { "; includeSubDomains" } else { "" };
    let preload = if preload { "; preload" } else { "" };
    HeaderValue::try_from(format!("max-age={}{subdomains}{preload}", age.as_secs()))
        .expect("visible characters")
}

/// The rules that come before all others: `if ($https = "") { return 301 https://$host$request_uri; }`.
pub(super) fn rules(https: Option<&Https>, listen: &[Written]) -> Vec<Rule> {
    if https.is_none_or(|https| !https.redirect) {
        return Vec::new();
    }
    let ports: Vec<_> = listen.iter().filter(|written| written.tls).filter_map(Written::port).collect();
    // 443 also where TLS is spoken by a proxy in front of this one.
    let port = ports.iter().find(|&&port| port == 443).or(ports.first()).copied().unwrap_or(443);
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let to = template(&format!("https://$host{port}$request_uri"));
    let answer = |status| Rule::Return(Return { status, body: ReturnBody::Url(to.clone()) });
    // 308 keeps the method and the body; older clients know 301 only.
    let reads = matches("$request_method", "^(GET|HEAD)$", false);
    let rules = vec![Rule::If { condition: reads, rules: vec![answer(301)] }, answer(308)];
    let elsewhere = Rule::If { condition: matches("$uri", ACME, true), rules };
    let plain = Condition::Equals { left: template("$https"), right: Template::literal(""), negated: false };
    vec![Rule::If { condition: plain, rules: vec![elsewhere] }]
}

fn matches(value: &str, regex: &str, negated: bool) -> Condition {
    let regex = regexes::over_bytes(regex, false).expect("a regex of ours");
    Condition::Matches { value: template(value), regex, negated }
}

fn template(text: &str) -> Template {
    Template::parse(text).expect("variables of ours")
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{mistakes_in, model_in, project};

    fn text(lines: &str) -> String {
        format!(
            "[[sites]]\nlisten = [\":80\", \":443\"]\nroot = \"public\"\ntls = \"self-signed\"\n{lines}\n"
        )
    }

    #[test]
    fn what_browsers_remember_is_one_header() {
        let hsts = |lines: &str| model_in(project().path(), &text(lines)).sites[0].hsts.clone();
        assert_eq!(hsts("https = \"redirect\""), None);
        assert_eq!(hsts("https = { hsts = \"1h\" }").unwrap(), "max-age=3600");
        assert_eq!(
            hsts("https = { hsts = \"365d\", subdomains = true, preload = true }").unwrap(),
            "max-age=31536000; includeSubDomains; preload"
        );
    }

    #[test]
    fn a_wrong_word_is_told_with_the_right_ones() {
        let mistakes = |lines: &str| mistakes_in(project().path(), &text(lines));
        assert!(
            mistakes("https = \"always\"")[0]
                .starts_with("5:9: https: unknown value 'always' [https = \"redirect\"")
        );
        assert!(
            mistakes("https = { preload = true }")[0].starts_with("5:21: preload: says how far 'hsts' goes")
        );
    }
}
