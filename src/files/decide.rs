//! What to send for a file: opens it, holds the request against it, and says so in one [`Decision`]. No socket, no
//! header written: that is `render`'s.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use http::header::RANGE;
use http::{HeaderValue, Method, StatusCode};
use smallvec::SmallVec;

use super::FileRequest;
use super::media::Media;
use super::open::{Opened, Source, State, Unopened, open};
use super::preconditions::{self, Outcome};
use super::ranges::{self, Asked, Span, Spans};
use super::validators::Validators;
use crate::route::{Coding, acceptable};

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
    select(&request).map_or_else(Decision::from, |chosen| answer(&request, chosen))
}

/// nginx answers 404 to a POST that finds no file, and 405 to all else.
fn refuse_method(request: &FileRequest<'_>) -> Decision {
    if request.method != Method::POST {
        return Decision::MethodNotAllowed;
    }
    open(request.path, request.beneath).map_or_else(Decision::from, |_| Decision::MethodNotAllowed)
}

/// The stored bytes that a request gets.
struct Chosen<'a> {
    opened: Opened,
    coding: Option<Coding>,
    negotiated: bool,
    /// Of the file itself, also where a neighbour is sent.
    media: Media<'a>,
}

/// The file is opened first even where a neighbour is sent: without a file of that name there is nothing to stand in for.
fn select<'a>(request: &FileRequest<'a>) -> Result<Chosen<'a>, Unopened> {
    let plain = find(request, request.path, None)?;
    let usual = plain.ready.as_ref().map(|ready| ready.media);
    let media = Media::of(request.path, request.options.types, usual);
    let negotiated = !request.options.codings.is_empty() && media.is_worth_compressing();
    let neighbour = if negotiated { neighbour(request, plain.state.modified) } else { None };
    let (opened, coding) = neighbour.map_or((plain, None), |(opened, coding)| (opened, Some(coding)));
    Ok(Chosen { opened, coding, negotiated, media })
}

/// A part is always read from the file, and so is what may not lie outside of a folder.
fn find(request: &FileRequest<'_>, path: &Path, coding: Option<Coding>) -> Result<Opened, Unopened> {
    let may_be_held = request.beneath.is_none() && !request.headers.contains_key(RANGE);
    let Some(held) = request.held.filter(|_| may_be_held) else { return open(path, request.beneath) };
    match held.get(path.as_os_str()) {
        Some(opened) => Ok(opened),
        None => Ok(held.hold(path.as_os_str(), open(path, None)?, coding)),
    }
}

/// One that is older was made of another state of the file.
fn neighbour(request: &FileRequest<'_>, modified: i64) -> Option<(Opened, Coding)> {
    let offered = Coding::ALL.into_iter().filter(|coding| request.options.codings.contains(coding));
    let offered: SmallVec<[Coding; 3]> = offered.collect();
    acceptable(request.headers, &offered).into_iter().find_map(|coding| {
        let mut path: SmallVec<[u8; 256]> = SmallVec::from_slice(request.path.as_os_str().as_bytes());
        path.extend_from_slice(coding.suffix().as_bytes());
        let opened = find(request, Path::new(OsStr::from_bytes(&path)), Some(coding)).ok()?;
        if opened.state.modified < modified {
            return None;
        }
        Some((opened, coding))
    })
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

    fn coding_of(decision: &Decision) -> Option<Coding> {
        match decision {
            Decision::Full(entity) | Decision::Range(entity, _) => entity.stored().coding(),
            other => panic!("nothing is sent: {other:?}"),
        }
    }

    #[test]
    fn the_best_neighbour_that_exists_stands_in() {
        let root = Root::with(&[("a.js", "plain"), ("a.js.br", "br"), ("a.js.gz", "gz"), ("b.js", "plain")]);
        for (name, accept, expected) in [
            ("a.js", "gzip, br", Some(Coding::Brotli)),
            ("a.js", "gzip, zstd", Some(Coding::Gzip)),
            ("a.js", "zstd", None),
            ("a.js", "br;q=0.1, gzip", Some(Coding::Gzip)),
            ("a.js", "br;q=0, gzip;q=0", None),
            ("b.js", "gzip, br", None),
        ] {
            let decision = root.ask(name).header(ACCEPT_ENCODING, accept).decide();
            assert_eq!(coding_of(&decision), expected, "{name} {accept}");
        }
        assert_eq!(coding_of(&root.ask("a.js").decide()), None);
    }

    #[test]
    fn a_neighbour_that_was_left_behind_is_not_sent() {
        let root = Root::with(&[("a.js", "new"), ("a.js.br", "old"), ("a.js.gz", "packed")]);
        let before = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::options()
            .append(true)
            .open(root.path("a.js.br"))
            .unwrap()
            .set_modified(before)
            .unwrap();
        let decision = root.ask("a.js").header(ACCEPT_ENCODING, "br, gzip;q=0.5").decide();
        assert_eq!(coding_of(&decision), Some(Coding::Gzip));
    }

    #[test]
    fn a_neighbour_without_its_file_is_nothing() {
        let root = Root::with(&[("a.js.gz", "gz"), ("dir/x", ""), ("dir.gz", "gz")]);
        let ask = |name| root.ask(name).header(ACCEPT_ENCODING, "gzip").decide();
        assert!(matches!(ask("a.js"), Decision::NotFound));
        assert!(matches!(ask("dir"), Decision::Directory));
        assert_eq!(coding_of(&ask("a.js.gz")), None);
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
