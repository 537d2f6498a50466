//! `try_files`: the first step that lies on disk, or the last word
//! (<http://nginx.org/en/docs/http/ngx_http_core_module.html#try_files>).

use std::borrow::Cow;
use std::ops::ControlFlow;

use http::StatusCode;

use super::router::{Journey, Next, expand_uri};
use super::trace::{Step, text};
use super::{Kind, Lookup, Template, Trace, TryFiles, TryLast};

/// The steps as they are tried: the slash that asks for a directory taken off.
#[derive(Debug)]
pub(super) struct Steps {
    steps: Vec<Try>,
    last: TryLast,
}

#[derive(Debug)]
struct Try {
    written: Template,
    /// Without the slash, as nginx goes on with it: `/dir` is then redirected to `/dir/`.
    path: Template,
    wanted: Kind,
}

impl Steps {
    pub(super) fn new(configured: TryFiles) -> Self {
        let steps = configured.steps.into_iter().map(|written| match written.strip_end('/') {
            Some(path) => Try { written, path, wanted: Kind::Directory },
            None => Try { path: written.clone(), written, wanted: Kind::File },
        });
        Self { steps: steps.collect(), last: configured.last }
    }
}

impl<'a, D: Lookup, T: Trace> Journey<'a, D, T> {
    /// Goes on in this location with what was found, or leaves it by the last word.
    pub(super) fn try_files(&mut self, steps: &'a Steps) -> ControlFlow<Next<'a>> {
        for step in &steps.steps {
            if let Some(uri) = self.lies_there(step) {
                self.variables.uri = Cow::Owned(uri);
                return ControlFlow::Continue(());
            }
        }
        ControlFlow::Break(match &steps.last {
            TryLast::Uri(to) => {
                let (uri, question) = expand_uri(to, &self.variables);
                self.go_to(uri, question)
            }
            TryLast::Named(name) => self.go_to_named(Cow::Borrowed(name)),
            TryLast::Code(code) => {
                let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Next::Done(self.refuse(status, "nothing that try_files names is there"))
            }
        })
    }

    fn lies_there(&mut self, step: &Try) -> Option<Vec<u8>> {
        let uri = step.path.expand(&self.variables);
        let path = self.variables.disk_path(&uri)?;
        let found = path.kind(&self.disk);
        let taken = found == step.wanted;
        self.trace.step(|| Step::Tried {
            step: step.written.to_string(),
            path: text(path.as_bytes()),
            found,
            taken,
        });
        taken.then(|| uri.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{FakeDisk, check, fastcgi, location, router, steps};
    use super::super::{Router, ScriptSource};

    fn disk() -> FakeDisk {
        FakeDisk::of(&[
            "/www/index.php",
            "/www/a.txt",
            "/www/d/index.html",
            "/www/empty/",
            "/www/s=",
            "/www/x/a.txt",
        ])
    }

    fn front_controller(tries: &str) -> Router {
        router(vec![location("/").tries(tries), location(r"~ \.php(/|$)").runs()])
    }

    #[test]
    fn the_first_that_lies_on_disk_is_served() {
        check(
            &front_controller("$uri $uri/ /index.php$is_args$args"),
            &disk(),
            &[
                ("/a.txt?q", "file /www/a.txt"),
                ("/d", "301 /d/"),
                ("/d/?q=1", "file /www/d/index.html"),
                ("/d?q=1", "301 /d/?q=1"),
                ("/empty/", "403"),
                ("/nothing?q=1", "script /index.php info  args q=1"),
                ("/nothing", "script /index.php info  args"),
                ("/a.txt/", "script /index.php info  args"),
                ("/s", "script /index.php info  args"),
            ],
        );
    }

    #[test]
    fn the_last_uri_carries_only_the_query_that_is_written() {
        let request = "/nothing?q=1";
        check(&front_controller("$uri /index.php"), &disk(), &[(request, "script /index.php info  args")]);
        check(
            &front_controller("$uri /index.php?$args"),
            &disk(),
            &[(request, "script /index.php info  args q=1")],
        );
        check(
            &front_controller("$uri /index.php?s=$uri&$args"),
            &disk(),
            &[(request, "script /index.php info  args s=/nothing&q=1")],
        );
    }

    #[test]
    fn a_question_mark_decoded_from_the_path_starts_no_query() {
        check(
            &front_controller("$uri /index.php$uri$is_args$args"),
            &disk(),
            &[
                ("/a%3Fb=1", "script /index.php info /a?b=1 args"),
                ("/a%3Fb=1?c", "script /index.php info /a?b=1 args c"),
            ],
        );
    }

    #[test]
    fn the_last_word_may_be_a_code_or_a_name() {
        check(
            &router(vec![location("/").tries("$uri =404")]),
            &disk(),
            &[("/x", "404"), ("/a.txt", "file /www/a.txt")],
        );
        check(&router(vec![location("/").tries("$uri =410")]), &disk(), &[("/x", "410")]);
        let named = fastcgi(ScriptSource::Named(super::super::rig::template("/index.php")));
        let sites = vec![location("/").tries("$uri @php"), location("@php").runs_as(named)];
        check(&router(sites), &disk(), &[("/x/y?q", "script /index.php info  args q")]);
        check(&router(vec![location("/").tries("$uri @nobody")]), &disk(), &[("/x", "500")]);
    }

    #[test]
    fn a_fixed_path_is_a_step_too() {
        check(
            &router(vec![location("/").tries("/x$uri /d/ =404")]),
            &disk(),
            &[("/a.txt", "file /www/x/a.txt"), ("/b", "301 /d/")],
        );
    }

    #[test]
    fn steps_below_an_alias_are_looked_for_there() {
        let aliased =
            location("/i/").with(|settings| settings.alias = Some("/www/x/".into())).tries("$uri =404");
        check(&router(vec![aliased]), &disk(), &[("/i/a.txt", "file /www/x/a.txt"), ("/i/b", "404")]);
    }

    #[test]
    fn each_step_is_told_with_what_lay_there() {
        let told = steps(&front_controller("$uri $uri/ /index.php$is_args$args"), &disk(), "/d");
        assert_eq!(
            told[1..3],
            ["try_files $uri: /www/d is a directory, next", "try_files $uri/: /www/d is a directory, taken"]
        );
        let told = steps(&front_controller("$uri /index.php?a"), &disk(), "/no");
        assert_eq!(told[1..3], ["try_files $uri: /www/no is not there, next", "goes on as /index.php?a"]);
    }
}
