//! What to send for a file: holds the request against the bytes that `choose` found, and says so in one [`Decision`]. No socket, no
//! header written: that is `render`'s.

use http::header::RANGE;
use http::{HeaderValue, Method, StatusCode};

use super::FileRequest;
use super::choose::{Chosen, choose};
use super::open::{Opened, Source, State, Unopened, open};
use super::preconditions::{self, Outcome};
use super::ranges::{self, Asked, Span, Spans};
use super::validators::Validators;
use crate::route::Coding;

/// What will be sent.
#[derive(Debug)]
pub enum Decision {
    /// 405: only GET and HEAD read a file.
    MethodNotAllowed,
    /// 404: nothing there, or neither a file nor a directory.
    NotFound,
    /// 403: the file's permissions refuse us.
    Forbidden,
    /// A directory; 403 if rendered. The router finds index files and redirects to `/dir/` before it comes to this.
    Directory,
    /// 500, or 503 where the next try may succeed: the server could not open it.
    Failed(StatusCode),
    /// 304
    NotModified(Stored),
    /// 412
    PreconditionFailed,
    /// 416
    RangeNotSatisfiable {
        /// The length of what is stored, in bytes.
        len: u64,
    },
    /// 200
    Full(Entity),
    /// 206, one part.
    Range(Entity, Span),
    /// 206, `multipart/byteranges`.
    Ranges(Entity, Spans),
}

/// What identifies the stored bytes that were chosen.
#[derive(Debug)]
pub struct Stored {
    pub(super) validators: Validators,
    pub(super) coding: Option<Coding>,
    /// Another client may get another coding.
    pub(super) negotiated: bool,
}

/// An open file, and what its reply's header says.
#[derive(Debug)]
pub struct Entity {
    pub(super) stored: Stored,
    pub(super) source: Source,
    pub(super) state: State,
    pub(super) media: HeaderValue,
    pub(super) takes_ranges: bool,
    /// HEAD: all but the bytes.
    pub(super) head_only: bool,
    /// What is large may go out unread.
    pub(super) sendfile: bool,
}

impl Stored {
    /// How the chosen file is compressed; `None` for the file itself.
    #[must_use]
    pub const fn coding(&self) -> Option<Coding> {
        self.coding
    }
}

impl Entity {
    /// What identifies the stored bytes.
    #[must_use]
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Length of the whole file in bytes, as it is stored.
    #[must_use]
    pub const fn stored_len(&self) -> u64 {
        self.state.len
    }
}

/// Opens the file of `request`, or a precompressed neighbour, and says what to send.
#[must_use]
pub fn decide(request: FileRequest<'_>) -> Decision {
    if !matches!(*request.method, Method::GET | Method::HEAD) {
        return refuse_method(&request);
    }
    choose(&request).map_or_else(Decision::from, |chosen| answer(&request, chosen))
}

/// nginx answers 404 to a POST that finds no file, and 405 to all else.
fn refuse_method(request: &FileRequest<'_>) -> Decision {
    if request.method != Method::POST {
        return Decision::MethodNotAllowed;
    }
    open(request.path, request.beneath).map_or_else(Decision::from, |_| Decision::MethodNotAllowed)
}

fn answer(request: &FileRequest<'_>, chosen: Chosen<'_>) -> Decision {
    let options = request.options;
    let Chosen { opened: Opened { source, state, ready }, coding, negotiated, media } = chosen;
    let State { len, modified, .. } = state;
    let validators = ready
        .and_then(|ready| ready.validators.suit(coding, options.etag))
        .unwrap_or_else(|| Validators::new(modified, len, coding, options.etag));
    let stored = Stored { validators, coding, negotiated };
    match preconditions::evaluate(request.headers, &stored.validators, options.if_modified_since) {
        Outcome::Failed => return Decision::PreconditionFailed,
        Outcome::NotModified => return Decision::NotModified(stored),
        Outcome::Proceed => {}
    }
    let asked = asked(request, &stored, len);
    let takes_ranges = options.max_ranges > 0;
    let head_only = request.method == Method::HEAD;
    let media = media.header(options);
    let sendfile = options.sendfile;
    let entity = Entity { stored, source, state, media, takes_ranges, head_only, sendfile };
    match asked {
        Asked::Nothing => Decision::RangeNotSatisfiable { len },
        Asked::Whole => Decision::Full(entity),
        Asked::These(spans) => match spans.as_slice() {
            [span] => Decision::Range(entity, span.clone()),
            _ => Decision::Ranges(entity, spans),
        },
    }
}

/// HEAD is told what GET would get, 206 included, as nginx and Apache httpd do.
fn asked(request: &FileRequest<'_>, stored: &Stored, len: u64) -> Asked {
    let max = request.options.max_ranges;
    let Some(range) = request.headers.get(RANGE).filter(|_| max > 0) else { return Asked::Whole };
    if !preconditions::part_still_fits(request.headers, &stored.validators) {
        return Asked::Whole;
    }
    match ranges::read(range.as_bytes(), len, max) {
        // No header can say that the parts are compressed and the multipart around them is not.
        Asked::These(spans) if spans.len() > 1 && stored.coding.is_some() => Asked::Whole,
        asked => asked,
    }
}

impl From<Unopened> for Decision {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::NotFound => Self::NotFound,
            Unopened::Forbidden => Self::Forbidden,
            Unopened::Directory => Self::Directory,
            Unopened::Failed(status) => Self::Failed(status),
        }
    }
}

impl Decision {
    /// The status that [`render`](Self::render) will answer, or refuse, with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden | Self::Directory => StatusCode::FORBIDDEN,
            Self::Failed(status) => *status,
            Self::NotModified(_) => StatusCode::NOT_MODIFIED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Full(_) => StatusCode::OK,
            Self::Range(..) | Self::Ranges(..) => StatusCode::PARTIAL_CONTENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH, IF_RANGE};

    use super::super::FileOptions;
    use super::super::testing::Root;
    use super::*;

    #[test]
    fn only_get_and_head_read_a_file() {
        let root = Root::with(&[("a.txt", "abc")]);
        let status = |name, method: &Method| root.ask(name).method(method.clone()).decide().status();
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            assert_eq!(status("a.txt", &method), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        }
        assert_eq!(status("missing", &Method::DELETE), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(status("missing", &Method::POST), StatusCode::NOT_FOUND, "as nginx");
        assert_eq!(root.ask("a.txt").method(Method::HEAD).decide().status(), StatusCode::OK);
    }

    #[test]
    fn what_is_not_a_file_is_said_to_be_what_it_is() {
        let root = Root::with(&[("dir/a.txt", "abc")]);
        assert!(matches!(root.ask("dir").decide(), Decision::Directory));
        assert!(matches!(root.ask("none").decide(), Decision::NotFound));
        assert!(matches!(root.ask("dir/a.txt/b").decide(), Decision::NotFound));
    }

    #[test]
    fn switched_off_options_are_off() {
        let plain = FileOptions { codings: &[], max_ranges: 0, ..FileOptions::default() };
        let root = Root::with(&[("a.js", "plain"), ("a.js.gz", "gz")]);
        let ask = root.ask("a.js").options(plain);
        let decision = ask.header(ACCEPT_ENCODING, "gzip").header(RANGE, "bytes=0-1").decide();
        assert!(matches!(&decision, Decision::Full(entity) if entity.stored_len() == 5), "{decision:?}");
    }

    #[test]
    fn ranges_are_of_the_bytes_that_are_stored() {
        let root = Root::with(&[("a.js", "0123456789"), ("a.js.gz", "01234")]);
        let ask = |range| root.ask("a.js").header(ACCEPT_ENCODING, "gzip").header(RANGE, range).decide();
        assert!(matches!(ask("bytes=1-"), Decision::Range(_, span) if span == (1..5)));
        assert!(matches!(ask("bytes=7-8"), Decision::RangeNotSatisfiable { len: 5 }));
        assert!(matches!(ask("bytes=0-0,2-2"), Decision::Full(_)), "compressed parts cannot be labelled");
    }

    #[test]
    fn if_range_and_if_none_match_come_before_range() {
        let root = Root::with(&[("a.txt", "0123456789")]);
        let etag = root.etag("a.txt");
        let ask = || root.ask("a.txt").header(RANGE, "bytes=0-1");
        assert!(matches!(ask().decide(), Decision::Range(..)));
        assert!(matches!(ask().header(IF_RANGE, &etag).decide(), Decision::Range(..)));
        assert!(matches!(ask().header(IF_RANGE, "\"old\"").decide(), Decision::Full(_)));
        assert!(matches!(ask().header(IF_NONE_MATCH, &etag).decide(), Decision::NotModified(_)));
        let beyond = root.ask("a.txt").header(RANGE, "bytes=50-");
        assert!(matches!(beyond.header(IF_RANGE, "\"old\"").decide(), Decision::Full(_)));
    }
}
