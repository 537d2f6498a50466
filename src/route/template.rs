//! Text with `$variables`, read once when the configuration is loaded. Which variables there are and what they are
//! worth is `variables`; a value is copied in as it is and never looked at for a `$` again.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::variables::{Variable, Variables};

/// Text with `$variables` in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    written: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Variable(Variable),
}

/// A template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind}{}", hint.as_ref().map(|name| format!(" (did you mean ${name}?)")).unwrap_or_default())]
pub struct TemplateError {
    /// What is wrong.
    pub kind: TemplateErrorKind,
    /// Where the `$` stands, in bytes from the start.
    pub offset: usize,
    /// The known name nearest to the one that was written.
    pub hint: Option<String>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateErrorKind {
    /// Nobody knows this variable.
    #[error("unknown variable ${0}")]
    Unknown(String),
    /// A `$` without a name; nginx has no way to write a bare one either.
    #[error("a $ without a variable name")]
    NoName,
    /// `${name` without its `}`.
    #[error("the closing }} of ${{{0} is missing")]
    Unclosed(String),
}

impl Template {
    /// Reads a template that knows the built-in variables only.
    pub fn parse(written: &str) -> Result<Self, TemplateError> {
        Self::parse_with(written, &[])
    }

    /// Reads a template that also knows `known`: names from `set` and from named groups of regexes, without `$`.
    pub fn parse_with(written: &str, known: &[String]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut offset = 0;
        while let Some(found) = written[offset..].find('$') {
            let dollar = offset + found;
            if found > 0 {
                parts.push(Part::Text(written[offset..dollar].to_owned()));
            }
            let (name, length) = name_after(&written[dollar + 1..]).map_err(|kind| TemplateError {
                kind,
                offset: dollar,
                hint: None,
            })?;
            let variable = Variable::named(name, known).ok_or_else(|| TemplateError {
                kind: TemplateErrorKind::Unknown(name.to_owned()),
                offset: dollar,
                hint: nearest(name, known),
            })?;
            parts.push(Part::Variable(variable));
            offset = dollar + 1 + length;
        }
        if offset < written.len() {
            parts.push(Part::Text(written[offset..].to_owned()));
        }
        Ok(Self { written: written.to_owned(), parts })
    }

    /// Text in which a `$` is only a `$`.
    pub fn literal(text: &str) -> Self {
        Self { written: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// As the configuration spells it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The text, if there is no variable in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text with every variable's value in its place.
    pub fn expand_into(&self, variables: &Variables<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => variables.write(variable, out),
            }
        }
    }

    /// The text with every variable's value in its place, copied only where it must be.
    pub fn expand<'t>(&'t self, variables: &'t Variables<'_>) -> Cow<'t, [u8]> {
        match self.parts.as_slice() {
            [] => Cow::Borrowed(b""),
            [Part::Text(text)] => Cow::Borrowed(text.as_bytes()),
            [Part::Variable(Variable::Uri)] => Cow::Borrowed(variables.uri()),
            _ => {
                let mut out = Vec::with_capacity(self.written.len() + 64);
                self.expand_into(variables, &mut out);
                Cow::Owned(out)
            }
        }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The template without its last character, if that is a written `end` (and not a variable's).
    pub(super) fn strip_end(&self, end: char) -> Option<Self> {
        let mut shorter = self.clone();
        let Some(Part::Text(text)) = shorter.parts.last_mut() else { return None };
        text.truncate(text.strip_suffix(end)?.len());
        if text.is_empty() {
            shorter.parts.pop();
        }
        Some(shorter)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.written, f)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The name at the start of what follows a `$`, and how many bytes it takes there. A digit is a name of its own.
fn name_after(text: &str) -> Result<(&str, usize), TemplateErrorKind> {
    if let Some(braced) = text.strip_prefix('{') {
        let name = &braced[..name_length(braced)];
        if !braced[name.len()..].starts_with('}') {
            return Err(TemplateErrorKind::Unclosed(name.to_owned()));
        }
        return if name.is_empty() { Err(TemplateErrorKind::NoName) } else { Ok((name, name.len() + 2)) };
    }
    let length = match text.as_bytes().first() {
        Some(b'1'..=b'9') => 1,
        _ => name_length(text),
    };
    if length == 0 { Err(TemplateErrorKind::NoName) } else { Ok((&text[..length], length)) }
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

fn nearest(name: &str, known: &[String]) -> Option<String> {
    let known = known.iter().map(String::as_str);
    let candidates = Variable::NAMES.iter().map(|(name, _)| *name).chain(known);
    let best = candidates.map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate)).min()?;
    (best.0 <= 1 + name.len() / 4).then(|| best.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::rig::{settings, with_facts};
    use super::*;

    fn expand(written: &str, request: &str) -> String {
        let settings = settings();
        let template = Template::parse_with(written, &["copy".to_owned()]).unwrap();
        with_facts(request, &[], |facts| {
            let mut variables = Variables::new(facts, &settings);
            variables.set("copy", b"$uri ${args} $1".to_vec());
            String::from_utf8(template.expand(&variables).into_owned()).unwrap()
        })
    }

    #[test]
    fn text_and_variables_take_turns() {
        for (written, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$uri", "/a b"),
            ("$uri/", "/a b/"),
            ("/index.php$is_args$args", "/index.php?q=1&p"),
            ("/x${uri}y", "/x/a by"),
            ("${arg_q}2", "12"),
            ("a$1b", "ab"),
            ("$10", "0"),
            ("${1}0", "0"),
            ("$uri$uri", "/a b/a b"),
        ] {
            assert_eq!(expand(written, "/a%20b?q=1&p"), expected, "{written}");
        }
    }

    #[test]
    fn a_value_is_never_expanded_again() {
        assert_eq!(expand("$uri|$args", "/$args$1?$uri"), "/$args$1|$uri");
        assert_eq!(expand("$copy", "/secret"), "$uri ${args} $1");
        assert_eq!(expand("$arg_a", "/x?a=$request_id"), "$request_id");
    }

    #[test]
    fn a_mistake_is_shown_with_its_place_and_a_hint() {
        for (written, kind, offset, hint) in [
            ("a$ur", TemplateErrorKind::Unknown("ur".into()), 1, Some("uri")),
            ("$request_url", TemplateErrorKind::Unknown("request_url".into()), 0, Some("request_uri")),
            ("x$qwertyuiop", TemplateErrorKind::Unknown("qwertyuiop".into()), 1, None),
            ("$copi", TemplateErrorKind::Unknown("copi".into()), 0, Some("copy")),
            ("$http_", TemplateErrorKind::Unknown("http_".into()), 0, None),
            ("中$", TemplateErrorKind::NoName, 3, None),
            ("$.x", TemplateErrorKind::NoName, 0, None),
            ("${}", TemplateErrorKind::NoName, 0, None),
            ("a${uri", TemplateErrorKind::Unclosed("uri".into()), 1, None),
            ("${uri-}", TemplateErrorKind::Unclosed("uri".into()), 0, None),
        ] {
            let error = Template::parse_with(written, &["copy".to_owned()]).unwrap_err();
            assert_eq!((error.kind, error.offset), (kind, offset), "{written}");
            if hint.is_some() {
                assert_eq!(error.hint.as_deref(), hint, "{written}");
            }
        }
    }

    #[test]
    fn the_message_names_the_variable_and_the_nearest_one() {
        let error = Template::parse("$request_url").unwrap_err();
        assert_eq!(error.to_string(), "unknown variable $request_url (did you mean $request_uri?)");
        assert_eq!(Template::parse("${x").unwrap_err().to_string(), "the closing } of ${x is missing");
    }

    #[test]
    fn a_template_without_variables_is_a_literal() {
        assert_eq!(Template::parse("/a").unwrap().as_literal(), Some("/a"));
        assert_eq!(Template::literal("$uri").as_literal(), Some("$uri"));
        assert_eq!(Template::parse("$uri").unwrap().as_literal(), None);
    }
}
