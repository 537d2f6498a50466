//! Which stored bytes a request gets: the file's own, or those of a precompressed neighbour (nginx: `gzip_static`). They are found in
//! memory (`held`) or opened; what of them is sent is `decide`'s.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Instant;

use http::header::RANGE;
use smallvec::SmallVec;

use super::FileRequest;
use super::held::{self, Held};
use super::media::Media;
use super::open::{Opened, State, Unopened, open};
use crate::route::{Coding, acceptable};

/// The stored bytes that a request gets.
pub(super) struct Chosen<'a> {
    pub(super) opened: Opened,
    pub(super) coding: Option<Coding>,
    /// Another client may get another coding.
    pub(super) negotiated: bool,
    /// Of the file itself, also where a neighbour is sent.
    pub(super) media: Media<'a>,
}

/// Without a file of that name there is nothing to stand in for; that it is there is enough where a neighbour is sent.
pub(super) fn choose<'a>(request: &FileRequest<'a>) -> Result<Chosen<'a>, Unopened> {
    let plain = Plain::of(request)?;
    let media = Media::of(request.path, request.options.types, plain.usual());
    let negotiated = !request.options.codings.is_empty() && media.is_worth_compressing();
    let neighbour = if negotiated { neighbour(request, plain.modified()) } else { None };
    let (opened, coding) = match neighbour {
        Some((opened, coding)) => (opened, Some(coding)),
        None => (plain.open(request)?, None),
    };
    Ok(Chosen { opened, coding, negotiated, media })
}

/// The file itself, before it is known whether a neighbour is sent in its place.
enum Plain {
    Opened(Opened),
    /// The router has looked at it a moment ago: it is opened where it is what is sent.
    Seen(State),
}

impl Plain {
    fn of(request: &FileRequest<'_>) -> Result<Self, Unopened> {
        if let Some(held) = held(request).and_then(|held| held.get(request.path.as_os_str())) {
            return Ok(Self::Opened(held));
        }
        // The kernel says what lies beneath a folder, and the router's look at a path is not asked for it.
        match request.beneath {
            None => held::seen(request.path.as_os_str()).map_or_else(
                || read(request, request.path, None).map(Self::Opened),
                |state| Ok(Self::Seen(state)),
            ),
            Some(_) => open(request.path, request.beneath).map(Self::Opened),
        }
    }

    fn open(self, request: &FileRequest<'_>) -> Result<Opened, Unopened> {
        match self {
            Self::Opened(opened) => Ok(opened),
            Self::Seen(_) => read(request, request.path, None),
        }
    }

    fn modified(&self) -> i64 {
        match self {
            Self::Opened(opened) => opened.state.modified,
            Self::Seen(state) => state.modified,
        }
    }

    fn usual(&self) -> Option<Media<'static>> {
        match self {
            Self::Opened(opened) => opened.ready.as_ref().map(|ready| ready.media),
            Self::Seen(_) => None,
        }
    }
}

/// A part is always read from the file, and so is what may not lie outside of a folder.
fn held<'a>(request: &FileRequest<'a>) -> Option<&'a Held> {
    request.held.filter(|_| request.beneath.is_none() && !request.headers.contains_key(RANGE))
}

fn find(request: &FileRequest<'_>, path: &Path, coding: Option<Coding>) -> Result<Opened, Unopened> {
    match held(request).and_then(|held| held.get(path.as_os_str())) {
        Some(opened) => Ok(opened),
        None => read(request, path, coding),
    }
}

fn read(request: &FileRequest<'_>, path: &Path, coding: Option<Coding>) -> Result<Opened, Unopened> {
    let opened = open(path, request.beneath)?;
    Ok(match held(request) {
        Some(held) => held.hold(path.as_os_str(), opened, coding),
        None => opened,
    })
}

/// The best that the client takes.
fn neighbour(request: &FileRequest<'_>, modified: i64) -> Option<(Opened, Coding)> {
    let offered = Coding::ALL.into_iter().filter(|coding| request.options.codings.contains(coding));
    let offered: SmallVec<[Coding; 3]> = offered.collect();
    let liked = acceptable(request.headers, &offered);
    if liked.is_empty() {
        return None;
    }
    let (absent, file) = (held(request).map(Held::absent), request.path.as_os_str());
    let mut lack = absent.map(|absent| absent.of(file, Instant::now()));
    let known = lack;
    let found = liked.into_iter().find_map(|coding| {
        if lack.is_some_and(|lack| lack.has(coding)) {
            return None;
        }
        let found = fresh_neighbour(request, coding, modified);
        if let (Err(Unopened::NotFound), Some(lack)) = (&found, &mut lack) {
            lack.note(coding);
        }
        Some((found.ok()??, coding))
    });
    if let (Some(absent), Some(lack)) = (absent, lack.filter(|_| lack != known)) {
        absent.remember(file, lack);
    }
    found
}

/// `None`: it is older than its file, and so was made of another state of it.
fn fresh_neighbour(
    request: &FileRequest<'_>,
    coding: Coding,
    modified: i64,
) -> Result<Option<Opened>, Unopened> {
    let mut path: SmallVec<[u8; 256]> = SmallVec::from_slice(request.path.as_os_str().as_bytes());
    path.extend_from_slice(coding.suffix().as_bytes());
    let opened = find(request, Path::new(OsStr::from_bytes(&path)), Some(coding))?;
    Ok((opened.state.modified >= modified).then_some(opened))
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT_ENCODING;

    use super::super::Decision;
    use super::super::testing::Root;
    use super::*;

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

    /// As the router does, a moment before.
    fn look_at(root: &Root, name: &str) {
        held::saw(&root.path(name), &rustix::fs::stat(root.path(name)).unwrap());
    }

    #[test]
    fn a_file_that_the_router_saw_is_not_opened_where_a_neighbour_is_sent() {
        let root = Root::with(&[("a.js", "plain"), ("a.js.br", "br")]);
        look_at(&root, "a.js");
        std::fs::remove_file(root.path("a.js")).unwrap();
        let ask = || root.ask("a.js").header(ACCEPT_ENCODING, "br").decide();
        assert_eq!(coding_of(&ask()), Some(Coding::Brotli));
        assert!(matches!(ask(), Decision::NotFound), "what was seen is believed once");
    }

    #[test]
    fn what_the_router_saw_is_opened_where_no_neighbour_is_sent() {
        let root = Root::with(&[("a.js", "new"), ("a.js.br", "old"), ("b.png", "plain"), ("b.png.br", "br")]);
        let before = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let old = std::fs::File::options().append(true).open(root.path("a.js.br")).unwrap();
        old.set_modified(before).unwrap();
        for (name, accept) in [("a.js", "br"), ("a.js", "gzip"), ("a.js", "identity"), ("b.png", "br")] {
            look_at(&root, name);
            let decision = root.ask(name).header(ACCEPT_ENCODING, accept).decide();
            assert_eq!(coding_of(&decision), None, "{name} {accept}");
        }
    }

    #[test]
    fn the_router_s_look_at_a_path_does_not_say_what_lies_beneath_a_folder() {
        let root = Root::with(&[("www/b.js.br", "br"), ("secret.js", "secret")]);
        std::os::unix::fs::symlink("../secret.js", root.path("www/b.js")).unwrap();
        look_at(&root, "www/b.js");
        let ask = root.ask("www/b.js").header(ACCEPT_ENCODING, "br").beneath(&root.path("www"));
        assert!(matches!(ask.decide(), Decision::Forbidden));
    }

    #[test]
    fn that_a_neighbour_is_not_there_is_remembered_where_files_are_held() {
        let (root, now) = (Root::with(&[("a.js", "plain")]), Instant::now());
        let held = Held::new(1 << 20).unwrap();
        let ask = || root.ask("a.js").header(ACCEPT_ENCODING, "br, gzip");
        assert_eq!(coding_of(&ask().decide_with(Some(&held))), None);
        let lack = held.absent().of(root.path("a.js").as_os_str(), now);
        assert_eq!(Coding::ALL.map(|coding| lack.has(coding)), [true, false, true], "nobody asked for zstd");
        std::fs::write(root.path("a.js.br"), "br").unwrap();
        assert_eq!(coding_of(&ask().decide()), Some(Coding::Brotli));
        let part = ask().header(RANGE, "bytes=0-0").decide_with(Some(&held));
        assert_eq!(coding_of(&part), Some(Coding::Brotli), "a part is always read");
    }
}
