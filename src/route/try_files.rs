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
        let found = path.kind(self.disk);
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
