//! What the doctor found, as values; and how they print, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// Might be better, or could not be seen.
    Hint,
    /// Will hurt, or does so at times.
    Warning,
    /// Requests fail.
    Problem,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The site that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<String>,
    pub(super) what: String,
    /// What comes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) means: Option<String>,
    /// What to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<String>,
}

impl Finding {
    fn new(severity: Severity, what: impl Into<String>) -> Self {
        Self { severity, site: None, what: what.into(), means: None, change: None }
    }

    pub(super) fn ok(what: impl Into<String>) -> Self {
        Self::new(Severity::Ok, what)
    }

    pub(super) fn hint(what: impl Into<String>) -> Self {
        Self::new(Severity::Hint, what)
    }

    pub(super) fn warning(what: impl Into<String>) -> Self {
        Self::new(Severity::Warning, what)
    }

    pub(super) fn problem(what: impl Into<String>) -> Self {
        Self::new(Severity::Problem, what)
    }

    pub(super) fn means(self, means: impl Into<String>) -> Self {
        Self { means: Some(means.into()), ..self }
    }

    pub(super) fn change(self, change: impl Into<String>) -> Self {
        Self { change: Some(change.into()), ..self }
    }

    pub(super) fn of_site(self, site: &str) -> Self {
        Self { site: Some(site.to_owned()), ..self }
    }
}

/// Everything about one member, or about a pool as a whole.
#[derive(Debug, Clone)]
pub(super) struct Examined {
    pub(super) pool: String,
    pub(super) member: Option<String>,
    pub(super) findings: Vec<Finding>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Diagnosis(pub(super) Vec<Examined>);

impl Diagnosis {
    pub(super) fn count(&self, severity: Severity) -> usize {
        let findings = self.0.iter().flat_map(|examined| &examined.findings);
        findings.filter(|finding| finding.severity == severity).count()
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut pool = None;
        for examined in &self.0 {
            if pool != Some(&examined.pool) {
                let space = if pool.is_some() { "\n" } else { "" };
                put(&mut text, format_args!("{space}pool {}\n", examined.pool));
                pool = Some(&examined.pool);
            }
            let whom = examined.member.as_deref().unwrap_or("as a whole");
            put(&mut text, format_args!("\n  {whom}\n"));
            examined.findings.iter().for_each(|finding| finding.write(&mut text));
        }
        let [problems, warnings, hints] =
            [Severity::Problem, Severity::Warning, Severity::Hint].map(|severity| self.count(severity));
        put(&mut text, format_args!("\nproblems: {problems}, warnings: {warnings}, hints: {hints}\n"));
        text
    }

    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Line<'a> {
            pool: &'a str,
            member: Option<&'a str>,
            #[serde(flatten)]
            finding: &'a Finding,
        }
        let lines: Vec<Line<'_>> = self
            .0
            .iter()
            .flat_map(|examined| {
                let (pool, member) = (examined.pool.as_str(), examined.member.as_deref());
                examined.findings.iter().map(move |finding| Line { pool, member, finding })
            })
            .collect();
        let count = |severity| self.count(severity);
        serde_json::to_string_pretty(&serde_json::json!({
            "findings": lines,
            "problems": count(Severity::Problem),
            "warnings": count(Severity::Warning),
            "hints": count(Severity::Hint),
        }))
    }
}

impl Finding {
    fn write(&self, text: &mut String) {
        let word = match self.severity {
            Severity::Ok => "ok",
            Severity::Hint => "hint",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        };
        let site = self.site.as_ref().map(|site| format!("site {site}: ")).unwrap_or_default();
        put(text, format_args!("    {word:<8} {site}{}\n", self.what));
        for line in [&self.means, &self.change].into_iter().flatten() {
            put(text, format_args!("    {:<8}   {line}\n", ""));
        }
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        let member =
            |name: &str, findings| Examined { pool: "php".into(), member: Some(name.into()), findings };
        Diagnosis(vec![
            member("a:1", vec![Finding::ok("answers")]),
            member(
                "b:1",
                vec![
                    Finding::problem("nobody listens")
                        .means("it gets nothing")
                        .change("start it")
                        .of_site("x"),
                ],
            ),
        ])
    }

    #[test]
    fn each_finding_stands_below_its_member_with_what_it_means_and_what_to_change() {
        let expected = "pool php\n\n  a:1\n    ok       answers\n\n  b:1\n    problem  site x: nobody listens\n               it gets nothing\n               start it\n\nproblems: 1, warnings: 0, hints: 0\n";
        assert_eq!(diagnosis().to_text(), expected);
    }

    #[test]
    fn programs_get_the_same_findings() {
        let json: serde_json::Value = serde_json::from_str(&diagnosis().to_json().unwrap()).unwrap();
        assert_eq!(json["problems"], 1);
        assert_eq!(json["findings"][1]["member"], "b:1");
        assert_eq!(json["findings"][1]["severity"], "problem");
        assert_eq!(json["findings"][1]["change"], "start it");
        assert!(json["findings"][0]["change"].is_null());
    }
}
