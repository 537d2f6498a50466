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
enum End<'a> {
    /// `break`: the location stays, whatever was rewritten before.
    Stay,
    /// `last`: another location is searched.
    Leave,
    /// The request is answered.
    Answered(Plan<'a>),
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

    fn run_each(&mut self, rules: &'a [Rule], changed: &mut bool) -> ControlFlow<End<'a>> {
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

    fn rewrite(&mut self, rewrite: &'a Rewrite, changed: &mut bool) -> ControlFlow<End<'a>> {
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
        let exists = !matches!(path.kind(&self.disk), Kind::Missing | Kind::Outside);
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
                let exists = match path.map_or(Kind::Missing, |path| path.kind(&self.disk)) {
                    Kind::File => *file,
                    Kind::Directory => *directory,
                    Kind::Other => *file && *directory,
                    Kind::Missing | Kind::Outside => false,
                };
                exists != *negated
            }
        }
    }

    fn give(&mut self, answer: &Return) -> Plan<'a> {
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

#[cfg(test)]
mod tests {
    use super::super::rig::{
        FakeDisk, check, gives, location, rewrite, router, settings, steps, template, told,
    };
    use super::super::{Router, pattern};
    use super::*;
    use std::sync::Arc;

    /// `/` with these rules, before files at `/www/new`, `/www/f` and scripts on `/run`.
    fn site(rules: &[&str]) -> Router {
        let ruled = rules.iter().fold(location("/"), |location, written| location.rule(rewrite(written)));
        router(vec![ruled, location("/new"), location("/index.php").runs(), location("/run").runs()])
    }

    fn disk() -> FakeDisk {
        FakeDisk::of(&["/www/new", "/www/f", "/www/index.php", "/www/d/"])
    }

    #[test]
    fn a_replacement_with_args_puts_them_before_the_old_ones() {
        for (rule, request, expected) in [
            ("^/(.*)$ /index.php?s=/$1 last", "/a/b", "script /index.php info  args s=/a/b"),
            ("^/(.*)$ /index.php?s=/$1 last", "/a?x=1&y", "script /index.php info  args s=/a&x=1&y"),
            ("^/(.*)$ /index.php?s=/$1? last", "/a?x=1", "script /index.php info  args s=/a"),
            ("^ /index.php last", "/a?x=1", "script /index.php info  args x=1"),
            ("^ /index.php? last", "/a?x=1", "script /index.php info  args"),
            ("^/(.*)$ /index.php/$1 last", "/a/b?x", "script /index.php info /a/b args x"),
        ] {
            assert_eq!(told(&site(&[rule]), &disk(), request), expected, "{rule} {request}");
        }
    }

    #[test]
    fn a_capture_in_the_query_is_escaped_again() {
        let site = site(&["^/(.*)$ /index.php?s=$1 last"]);
        check(
            &site,
            &disk(),
            &[
                ("/a%26b%3Dc", "script /index.php info  args s=a%26b=c"),
                ("/100%25", "script /index.php info  args s=100%25"),
                ("/%E4%B8%AD", "script /index.php info  args s=%E4%B8%AD"),
                ("/a+b", "script /index.php info  args s=a%2Bb"),
                ("/a%0d%0ab", "script /index.php info  args s=a%0D%0Ab"),
            ],
        );
    }

    #[test]
    fn a_decoded_question_mark_starts_no_query() {
        check(
            &site(&["^/(.*)$ /index.php/$1 last"]),
            &disk(),
            &[("/a%3Fb=c?d", "script /index.php info /a?b=c args d")],
        );
    }

    #[test]
    fn the_flags_do_what_nginx_says() {
        check(&site(&["^/a$ /new last", "^ /f break"]), &disk(), &[("/a", "file /www/new")]);
        check(&site(&["^/a$ /f break", "^ /new last"]), &disk(), &[("/a", "file /www/f")]);
        check(&site(&["^/a$ /b", "^/b$ /new", "^/c$ /f"]), &disk(), &[("/a", "file /www/new")]);
        check(&site(&["^/a$ /index.php break"]), &disk(), &[("/a", "404")]);
    }

    #[test]
    fn redirects_go_to_the_client() {
        for (rule, request, expected) in [
            ("^/a/(.*)$ /b/$1 redirect", "/a/x?y=1", "302 /b/x?y=1"),
            ("^/a/(.*)$ /b/$1 permanent", "/a/x", "301 /b/x"),
            ("^/a/(.*)$ /b?p=$1 permanent", "/a/x?y=1", "301 /b?p=x&y=1"),
            ("^/a/(.*)$ /b/$1? permanent", "/a/x?y=1", "301 /b/x"),
            ("^/a/(.*)$ https://other.example/$1", "/a/x", "302 https://other.example/x"),
            ("^/a/(.*)$ $scheme://$host/$1 permanent", "/a/x", "301 http://example.com/x"),
            ("^/a/(.*)$ /b/$1 redirect", "/a/%E4%B8%AD", "302 /b/%E4%B8%AD"),
        ] {
            assert_eq!(told(&site(&[rule]), &disk(), request), expected, "{rule} {request}");
        }
    }

    #[test]
    fn a_line_break_decoded_from_a_url_never_reaches_a_location() {
        let url = |to: &str| router(vec![location("/").rule(gives(302, ReturnBody::Url(template(to))))]);
        for (router, expected) in [
            (url("/to$uri"), "302 /to/a%0D%0AX:%20b"),
            (url("$scheme://$host$uri"), "302 http://example.com/a%0D%0AX:%20b"),
            (site(&["^/(.*)$ /to/$uri redirect"]), "302 /to//a%0D%0AX:%20b"),
            (site(&["^/(.*)$ /to/$1 redirect"]), "302 /to/a%0D%0AX:%20b"),
        ] {
            assert_eq!(told(&router, &disk(), "/a%0d%0aX:%20b"), expected);
        }
    }

    #[test]
    fn a_client_cannot_name_another_host_in_a_redirect() {
        let url = |to: &str| router(vec![location("/").rule(gives(301, ReturnBody::Url(template(to))))]);
        check(&url("$request_uri"), &disk(), &[("//evil.example/x", "301 /evil.example/x")]);
        check(&url("$uri"), &disk(), &[("/%5Cevil.example/x", "301 /%5Cevil.example/x")]);
        check(&url("//cdn.example$uri"), &disk(), &[("/x", "301 //cdn.example/x")]);
    }

    #[test]
    fn unless_file_leaves_what_lies_there() {
        let site = site(&["^/(.*)$ /index.php/$1 last unless_file"]);
        check(
            &site,
            &disk(),
            &[("/f", "file /www/f"), ("/d", "301 /d/"), ("/x", "script /index.php info /x args")],
        );
    }

    #[test]
    fn more_than_ten_changes_are_a_loop() {
        let disk = disk();
        let endless = site(&["^/(.*)$ /x$1 last"]);
        assert_eq!(told(&endless, &disk, "/a"), "500");
        assert_eq!(
            steps(&endless, &disk, "/a").last().unwrap(),
            "refused with 500: rewrite or internal redirection cycle"
        );
        // Each round adds an x, until there are as many as `changes`.
        let chain = |changes: usize| {
            let rule = format!("^/(x{{0,{}}})$ /x$1 last", changes - 1);
            let disk = FakeDisk::of(&[&format!("/www/{}", "x".repeat(changes))]);
            told(&router(vec![location("/").rule(rewrite(&rule))]), &disk, "/")
        };
        assert_eq!(chain(10), "file /www/xxxxxxxxxx");
        assert_eq!(chain(11), "500");
    }

    #[test]
    fn an_empty_path_is_an_error_of_the_configuration() {
        assert_eq!(told(&site(&["^/a(.*)$ $1 last"]), &disk(), "/a"), "500");
    }

    #[test]
    fn break_keeps_the_location_whatever_was_rewritten() {
        let rules = location("/").rule(rewrite("^/a$ /f")).rule(Rule::Break).rule(rewrite("^ /new last"));
        check(
            &router(vec![rules, location("= /f").rule(gives(410, ReturnBody::None))]),
            &disk(),
            &[("/a", "file /www/f")],
        );
    }

    fn when(condition: Condition) -> Router {
        let rule = Rule::If { condition, rules: vec![gives(200, ReturnBody::Text(template("yes $1")))] };
        router(vec![location("/").rule(rule).rule(gives(200, ReturnBody::Text(template("no"))))])
    }

    #[test]
    fn an_if_runs_its_rules_when_it_holds() {
        let truthy = when(Condition::Truthy(template("$arg_a")));
        check(
            &truthy,
            &disk(),
            &[("/?a=1", "200 yes "), ("/?a=0", "200 no"), ("/?a=00", "200 yes "), ("/", "200 no")],
        );
        for (negated, same, other) in [(false, "200 yes ", "200 no"), (true, "200 no", "200 yes ")] {
            let left = template("$request_method");
            let equals = when(Condition::Equals { left, right: template("POST"), negated });
            check(&equals, &disk(), &[("POST /", same), ("GET /", other)]);
        }
        let regex = pattern("^/([a-z]+)$", false).unwrap();
        let matches = when(Condition::Matches { value: template("$uri"), regex, negated: false });
        check(&matches, &disk(), &[("/abc", "200 yes abc"), ("/1", "200 no")]);
    }

    #[test]
    fn an_if_asks_the_disk() {
        let exists = |path: &str, file, directory, negated| {
            when(Condition::Exists { path: template(path), file, directory, negated })
        };
        let name = "$request_filename";
        check(
            &exists(name, true, false, false),
            &disk(),
            &[("/f", "200 yes "), ("/d", "200 no"), ("/x", "200 no")],
        );
        check(&exists(name, false, true, false), &disk(), &[("/f", "200 no"), ("/d", "200 yes ")]);
        check(
            &exists(name, true, true, true),
            &disk(),
            &[("/f", "200 no"), ("/d", "200 no"), ("/x", "200 yes ")],
        );
        check(
            &exists("$document_root/$arg_p", true, true, false),
            &disk(),
            &[("/?p=../etc", "200 no"), ("/?p=f", "200 yes ")],
        );
    }

    #[test]
    fn set_gives_a_variable_that_is_not_expanded_again() {
        let set = Rule::Set { name: "x".into(), value: template("<$arg_a>") };
        let router = router(vec![location("/").rule(set).rule(gives(200, ReturnBody::Text(template("$x"))))]);
        check(&router, &disk(), &[("/?a=$uri$x", "200 <$uri$x>")]);
    }

    #[test]
    fn return_ends_everything() {
        let ends =
            |status, body| router(vec![location("/").rule(gives(status, body)).rule(rewrite("^ /f break"))]);
        check(&ends(444, ReturnBody::None), &disk(), &[("/f", "444")]);
        check(&ends(410, ReturnBody::None), &disk(), &[("/f", "410")]);
        check(
            &ends(200, ReturnBody::Text(template("hello $host"))),
            &disk(),
            &[("/f", "200 hello example.com")],
        );
        check(&ends(308, ReturnBody::Url(template("/x$is_args$args"))), &disk(), &[("/f?q", "308 /x?q")]);
        check(&ends(1000, ReturnBody::None), &disk(), &[("/f", "500")]);
    }

    #[test]
    fn the_rules_of_the_site_run_before_the_search_and_again_after_an_internal_redirect() {
        let rules = vec![rewrite("^/old/(.*)$ /$1")];
        let site = Router::new(rules, vec![location("/").tries("$uri /old/f")], Arc::new(settings()));
        check(&site, &disk(), &[("/old/new", "file /www/new"), ("/missing", "file /www/f")]);
    }

    #[test]
    fn each_rewrite_is_told() {
        let site = site(&["^/x$ /y last", "^/a$ /new?p=1 last"]);
        let steps = steps(&site, &disk(), "/a?q");
        assert_eq!(steps[1..3], ["rewrite ^/x$: no match", "rewrite /a → /new?p=1&q"]);
        let keeping = router(vec![location("/").rule(rewrite("^ /x last unless_file"))]);
        assert_eq!(
            super::super::rig::steps(&keeping, &disk(), "/f")[1],
            "rewrite ^: not used, /www/f exists"
        );
    }
}
