//! Runs the rules of nginx's rewrite module (<http://nginx.org/en/docs/http/ngx_http_rewrite_module.html>): `rewrite`,
//! `set`, `if`, `return`, `break`. What follows from a changed path is `router`'s.

use std::borrow::Cow;
use std::ops::ControlFlow;

use http::StatusCode;

use super::disk_path::DiskPath;
use super::router::{Journey, Next};
use super::template::Part;
use super::trace::{Step, text};
use super::variables::{Matched, Variable};
use super::{
    Condition, Flag, Kind, Lookup, Plan, Return, ReturnBody, Rewrite, Rule, Template, Trace, escape,
};

/// Why a round of rules ends before its last one.
enum End {
    /// `break`: the location stays, whatever was rewritten before.
    Stay,
    /// `last`: another location is searched.
    Leave,
    /// The request is answered.
    Answered(Plan),
}

impl<'a, D: Lookup, T: Trace> Journey<'a, D, T> {
    /// Runs `rules`; breaks when another location is to be searched or the request is answered.
    pub(super) fn run_rules(&mut self, rules: &'a [Rule]) -> ControlFlow<Next<'a>> {
        let mut changed = false;
        match self.run_each(rules, &mut changed) {
            ControlFlow::Break(End::Answered(plan)) => ControlFlow::Break(Next::Done(plan)),
            ControlFlow::Break(End::Leave) => ControlFlow::Break(Next::Search),
            ControlFlow::Continue(()) if changed => ControlFlow::Break(Next::Search),
            ControlFlow::Continue(()) | ControlFlow::Break(End::Stay) => ControlFlow::Continue(()),
        }
    }

    fn run_each(&mut self, rules: &'a [Rule], changed: &mut bool) -> ControlFlow<End> {
        for rule in rules {
            match rule {
                Rule::Rewrite(rewrite) => self.rewrite(rewrite, changed)?,
                Rule::Set { name, value } => {
                    let value = value.expand(&self.variables).into_owned();
                    self.trace.step(|| Step::Set { name: name.clone(), value: text(&value) });
                    self.variables.set(name, value);
                }
                Rule::If { condition, rules } => {
                    let held = self.holds(condition);
                    self.trace.step(|| Step::If { held });
                    if held {
                        self.run_each(rules, changed)?;
                    }
                }
                Rule::Return(answer) => return ControlFlow::Break(End::Answered(self.give(answer))),
                Rule::Break => return ControlFlow::Break(End::Stay),
            }
        }
        ControlFlow::Continue(())
    }

    fn rewrite(&mut self, rewrite: &'a Rewrite, changed: &mut bool) -> ControlFlow<End> {
        let Some(matched) = Matched::of(&rewrite.from, &self.variables.uri) else {
            self.trace.step(|| Step::RewriteSkipped { pattern: rewrite.from.to_string() });
            return ControlFlow::Continue(());
        };
        if rewrite.unless_file && self.keeps_what_exists(rewrite) {
            return ControlFlow::Continue(());
        }
        self.variables.take(matched);
        if let Some(status) = redirects_with(rewrite) {
            let location = self.redirect_target(&rewrite.to);
            self.trace.step(|| Step::Rewritten { from: text(&self.variables.uri), to: text(&location) });
            return ControlFlow::Break(End::Answered(self.redirect(status, location)));
        }
        if !self.change_uri(&rewrite.to) {
            let why = "the rewritten path is empty";
            return ControlFlow::Break(End::Answered(self.refuse(StatusCode::INTERNAL_SERVER_ERROR, why)));
        }
        *changed = true;
        match rewrite.flag {
            Flag::Break => ControlFlow::Break(End::Stay),
            Flag::Last => ControlFlow::Break(End::Leave),
            _ => ControlFlow::Continue(()),
        }
    }

    fn keeps_what_exists(&mut self, rewrite: &Rewrite) -> bool {
        let Some(path) = self.variables.disk_path(&self.variables.uri) else { return false };
        let exists = path.kind(self.disk) != Kind::Missing;
        if exists {
            let pattern = rewrite.from.to_string();
            self.trace.step(|| Step::RewriteKept { pattern, path: text(path.as_bytes()) });
        }
        exists
    }

    /// Where the client is sent. Relative to whatever host it used, and never to another one by a captured `//`.
    fn redirect_target(&self, to: &Template) -> Vec<u8> {
        let mut expanded = self.expand_replacement(to, true);
        if expanded.keeps_args && !self.variables.args.is_empty() {
            expanded.text.push(if expanded.question.is_some() { b'&' } else { b'?' });
            expanded.text.extend_from_slice(&self.variables.args);
        }
        location_of(to, &expanded.text)
    }

    /// The new path, and the new query: what the replacement says, then the old one unless it ends in `?`.
    fn change_uri(&mut self, to: &Template) -> bool {
        let Replacement { text: mut uri, question, keeps_args } = self.expand_replacement(to, false);
        let old = if keeps_args { self.variables.args.as_ref() } else { b"" };
        let args = match question {
            Some(at) => {
                let mut args = uri.split_off(at);
                args.remove(0);
                if !old.is_empty() {
                    args.push(b'&');
                    args.extend_from_slice(old);
                }
                args
            }
            None => old.to_vec(),
        };
        self.trace.step(|| {
            let from = text(&self.variables.uri);
            let mark = if args.is_empty() { "" } else { "?" };
            Step::Rewritten { from, to: format!("{}{mark}{}", text(&uri), text(&args)) }
        });
        let empty = uri.is_empty();
        self.variables.uri = Cow::Owned(uri);
        self.variables.args = Cow::Owned(args);
        self.internal = true;
        !empty
    }

    /// nginx escapes a capture again in the query and in a redirect, if the client had sent the path escaped.
    fn expand_replacement(&self, to: &Template, redirects: bool) -> Replacement {
        let variables = &self.variables;
        let mut out = Vec::with_capacity(to.as_str().len() + variables.uri.len());
        let mut question = None;
        let drops_args = matches!(to.parts().last(), Some(Part::Text(text)) if text.ends_with('?'));
        for (place, part) in to.parts().iter().enumerate() {
            match part {
                Part::Text(text) => {
                    let last = drops_args && place + 1 == to.parts().len();
                    let text = if last { &text[..text.len() - 1] } else { text };
                    question = question.or_else(|| text.find('?').map(|at| out.len() + at));
                    out.extend_from_slice(text.as_bytes());
                }
                Part::Variable(Variable::Capture(group))
                    if (redirects || question.is_some()) && variables.facts.target.escaped =>
                {
                    escape::args(variables.captures.group(*group), &mut out);
                }
                Part::Variable(variable) => variables.write(variable, &mut out),
            }
        }
        Replacement { text: out, question, keeps_args: !drops_args }
    }

    fn holds(&mut self, condition: &Condition) -> bool {
        match condition {
            Condition::Truthy(value) => {
                let value = value.expand(&self.variables);
                !value.is_empty() && value.as_ref() != b"0"
            }
            Condition::Equals { left, right, negated } => {
                (left.expand(&self.variables) == right.expand(&self.variables)) != *negated
            }
            Condition::Matches { value, regex, negated } => {
                let matched = Matched::of(regex, &value.expand(&self.variables));
                let found = matched.is_some();
                if let Some(matched) = matched {
                    self.variables.take(matched);
                }
                found != *negated
            }
            Condition::Exists { path, file, directory, negated } => {
                let path = DiskPath::absolute(&path.expand(&self.variables));
                let exists = match path.map_or(Kind::Missing, |path| path.kind(self.disk)) {
                    Kind::File => *file,
                    Kind::Directory => *directory,
                    Kind::Other => *file && *directory,
                    Kind::Missing => false,
                };
                exists != *negated
            }
        }
    }

    fn give(&mut self, answer: &Return) -> Plan {
        self.trace.step(|| Step::Returned { status: answer.status });
        let Ok(status) = StatusCode::from_u16(answer.status) else {
            return self
                .refuse(StatusCode::INTERNAL_SERVER_ERROR, "return has a status that HTTP does not know");
        };
        match &answer.body {
            ReturnBody::None => self.answer(status, None),
            ReturnBody::Text(text) => {
                let body = text.expand(&self.variables).into_owned();
                self.answer(status, Some(body))
            }
            ReturnBody::Url(url) => {
                let location = location_of(url, &url.expand(&self.variables));
                self.redirect(status, location)
            }
        }
    }
}

/// A replacement with its variables filled in.
struct Replacement {
    text: Vec<u8>,
    /// Where the first `?` stands that the configuration wrote.
    question: Option<usize>,
    /// It did not end in `?`.
    keeps_args: bool,
}

fn redirects_with(rewrite: &Rewrite) -> Option<StatusCode> {
    let to = rewrite.to.as_str();
    match rewrite.flag {
        Flag::Permanent => Some(StatusCode::MOVED_PERMANENTLY),
        Flag::Redirect => Some(StatusCode::FOUND),
        _ if ["http://", "https://", "$scheme"].iter().any(|start| to.starts_with(start)) => {
            Some(StatusCode::FOUND)
        }
        _ => None,
    }
}

/// What is sent as Location. Another host (`//host`) is the configuration's to name, not the client's.
fn location_of(written: &Template, expanded: &[u8]) -> Vec<u8> {
    let slashes = expanded.iter().take_while(|&&byte| byte == b'/').count();
    let own = slashes < 2 || written.as_str().starts_with("//");
    escape::location(if own { expanded } else { &expanded[slashes - 1..] })
}
