//! The static handler: a file below the root, a directory's index, or the reason why not. It decides which file;
//! `files` decides how it is sent.

use std::ops::ControlFlow;

use http::{Method, StatusCode};

use super::router::{Journey, Next};
use super::source::is_source;
use super::trace::{Step, text};
use super::{FilePlan, Kind, ListingPlan, Lookup, Plan, Settings, Trace};

/// nginx answers so where `disable_symlinks` forbids a link.
pub(super) const OUTSIDE: &str = "a symbolic link leads out of the root, and symlinks = \"beneath\"";

pub(super) fn serve<'a, D: Lookup, T: Trace>(
    journey: &mut Journey<'a, D, T>,
) -> ControlFlow<Next<'a>, Plan<'a>> {
    if !matches!(*journey.variables.facts.method, Method::GET | Method::HEAD | Method::POST) {
        let why = "files know GET, HEAD and POST only";
        return ControlFlow::Continue(journey.refuse(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    if journey.variables.uri.ends_with(b"/") {
        return serve_index(journey);
    }
    ControlFlow::Continue(serve_file(journey))
}

fn serve_file<'a, D: Lookup, T: Trace>(journey: &mut Journey<'a, D, T>) -> Plan<'a> {
    let place = journey.place;
    let settings = &place.settings;
    let Some(path) = journey.variables.disk_path(&journey.variables.uri) else {
        return journey.refuse(StatusCode::NOT_FOUND, "no file can have that path");
    };
    // Before anything is looked up: whether the script is there is nobody's business either.
    if !settings.serve_source && looks_like_source(settings, path.name()) {
        return journey.refuse(StatusCode::NOT_FOUND, "the source of a script is never sent");
    }
    match path.kind(&journey.disk) {
        Kind::File => {
            journey.trace.step(|| Step::File { path: text(path.as_bytes()) });
            let (settings, route) = (&**settings, &*place.route);
            Plan::File(FilePlan { beneath: path.beneath(), path: path.into_path(), settings, route })
        }
        Kind::Directory => journey.add_slash(),
        Kind::Other => journey.refuse(StatusCode::NOT_FOUND, "neither a file nor a directory"),
        Kind::Missing => journey.refuse(StatusCode::NOT_FOUND, "no such file"),
        Kind::Outside => journey.refuse(StatusCode::FORBIDDEN, OUTSIDE),
    }
}

fn looks_like_source(settings: &Settings, name: &[u8]) -> bool {
    is_source(name) || settings.script_extensions.iter().any(|extension| name.ends_with(extension.as_bytes()))
}

/// An index that is there is asked for by an internal redirect, so that `index.php` finds the location of scripts.
fn serve_index<'a, D: Lookup, T: Trace>(journey: &mut Journey<'a, D, T>) -> ControlFlow<Next<'a>, Plan<'a>> {
    let place = journey.place;
    for candidate in &place.settings.index {
        let name = candidate.expand(&journey.variables).into_owned();
        if name.starts_with(b"/") {
            return ControlFlow::Break(go_with_args(journey, name));
        }
        let uri = [journey.variables.uri(), &name].concat();
        let Some(path) = journey.variables.disk_path(&uri) else { continue };
        let found = path.kind(&journey.disk);
        journey.trace.step(|| Step::Index { path: text(path.as_bytes()), found });
        match found {
            Kind::File => return ControlFlow::Break(go_with_args(journey, uri)),
            Kind::Outside => return ControlFlow::Continue(journey.refuse(StatusCode::FORBIDDEN, OUTSIDE)),
            _ => {}
        }
    }
    let directory = journey.variables.disk_path(journey.variables.uri());
    let found = directory.as_ref().map_or(Kind::Missing, |path| path.kind(&journey.disk));
    let directory = directory.filter(|_| found == Kind::Directory);
    ControlFlow::Continue(match (directory, place.settings.autoindex) {
        (None, _) if found == Kind::Outside => journey.refuse(StatusCode::FORBIDDEN, OUTSIDE),
        (Some(path), Some(format)) if *journey.variables.facts.method != Method::POST => {
            journey.trace.step(|| Step::Listing { path: text(path.as_bytes()) });
            let uri = journey.variables.uri().to_vec();
            let (settings, route) = (&*place.settings, &*place.route);
            Plan::Listing(ListingPlan { path: path.into_path(), uri, format, settings, route })
        }
        (Some(_), _) => journey.refuse(StatusCode::FORBIDDEN, "a directory without an index"),
        (None, _) => journey.refuse(StatusCode::NOT_FOUND, "no such directory"),
    })
}

fn go_with_args<'a, D: Lookup, T: Trace>(journey: &mut Journey<'a, D, T>, mut uri: Vec<u8>) -> Next<'a> {
    let args = &journey.variables.args;
    let question = (!args.is_empty()).then_some(uri.len());
    if question.is_some() {
        uri.push(b'?');
        uri.extend_from_slice(args);
    }
    journey.go_to(uri, question)
}

#[cfg(test)]
mod tests {
    use super::super::ListingFormat;
    use super::super::rig::{FakeDisk, check, location, router, steps, template};

    fn disk() -> FakeDisk {
        FakeDisk::of(&[
            "/www/index.php",
            "/www/a.txt",
            "/www/d/index.html",
            "/www/a b?/x",
            "/www/empty/",
            "/www/sock=",
            "/www/lib.inc",
            "/www/A.PHP",
            "/www/odd/index.html/",
        ])
    }

    #[test]
    fn files_and_directories_are_answered_as_nginx_does() {
        check(
            &router(vec![location("/")]),
            &disk(),
            &[
                ("/a.txt", "file /www/a.txt"),
                ("/a.txt/", "404"),
                ("/d", "301 /d/"),
                ("/d?x=1", "301 /d/?x=1"),
                ("/d/", "file /www/d/index.html"),
                ("/a%20b%3F", "301 /a%20b%3F/"),
                ("/empty/", "403"),
                ("/odd/", "403"),
                ("/nothing/", "404"),
                ("/nothing", "404"),
                ("/sock", "404"),
                ("HEAD /a.txt", "file /www/a.txt"),
                ("POST /a.txt", "file /www/a.txt"),
                ("PUT /a.txt", "405"),
                ("DELETE /d/", "405"),
            ],
        );
    }

    #[test]
    fn an_index_that_is_a_script_reaches_the_location_of_scripts() {
        let router = router(vec![location("/"), location(r"~ \.php$").runs()]);
        check(&router, &disk(), &[("/?a=1", "script /index.php info  args a=1")]);
        assert!(steps(&router, &disk(), "/").contains(&"index /www/index.php is a file".to_owned()));
    }

    #[test]
    fn an_index_may_be_a_uri() {
        let with = |index| location("/").with(move |settings| settings.index = vec![template(index)]);
        check(&router(vec![with("/a.txt")]), &disk(), &[("/empty/", "file /www/a.txt")]);
    }

    #[test]
    fn the_source_of_a_script_is_never_sent() {
        let router = router(vec![location("/")]);
        check(
            &router,
            &disk(),
            &[("/index.php", "404"), ("/A.PHP", "404"), ("/lib.inc", "404"), ("/", "404")],
        );
        assert_eq!(
            steps(&router, &disk(), "/index.php").last().unwrap(),
            "refused with 404: the source of a script is never sent"
        );
    }

    #[test]
    fn a_folder_without_an_index_is_listed_where_the_route_says_so() {
        let listed = location("/").with(|settings| settings.autoindex = Some(ListingFormat::Html));
        check(
            &router(vec![listed]),
            &disk(),
            &[
                ("/empty/", "listing /www/empty"),
                ("/empty", "301 /empty/"),
                ("/d/", "file /www/d/index.html"),
                ("HEAD /empty/", "listing /www/empty"),
                ("POST /empty/", "403"),
                ("/nothing/", "404"),
                ("/a.txt/", "404"),
            ],
        );
    }

    #[test]
    fn a_site_that_says_so_sends_source() {
        let open = router(vec![location("/").with(|settings| settings.serve_source = true)]);
        check(&open, &disk(), &[("/lib.inc", "file /www/lib.inc")]);
    }

    #[test]
    fn the_extensions_of_the_site_are_scripts_too() {
        let cgi = location("/").with(|settings| settings.script_extensions = vec![".txt".into()]);
        check(&router(vec![cgi]), &disk(), &[("/a.txt", "404")]);
    }
}
