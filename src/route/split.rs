//! Which script a path means, and its PATH_INFO. On the path that exists: the first element that ends in a script
//! extension **and** is a regular file below the root, so that `x.jpg/a.php` never runs `x.jpg`. Which parameters
//! php-fpm gets for it is `env`'s.

use bytes::Bytes;
use http::StatusCode;
use memchr::memchr_iter;
use regex::bytes::Regex;

use super::content::OUTSIDE;
use super::disk_path::DiskPath;
use super::router::Journey;
use super::trace::{Step, text};
use super::variables::{Script, Variables};
use super::{FastCgi, Kind, Lookup, Plan, ScriptPlan, ScriptSource, Settings, Trace, os_bytes};

/// Hands the request to a pool, or says why there is nothing to run.
pub(super) fn serve<'a, D: Lookup, T: Trace>(
    journey: &mut Journey<'a, D, T>,
    fastcgi: &'a FastCgi,
) -> Plan<'a> {
    let (script, path) = match find(&journey.variables, fastcgi, &journey.disk) {
        Ok(found) => found,
        Err(why) if why == OUTSIDE => return journey.refuse(StatusCode::FORBIDDEN, why),
        Err(why) => return journey.refuse(StatusCode::NOT_FOUND, why),
    };
    journey.trace.step(|| Step::Split { script: text(&script.name), path_info: text(&script.path_info) });
    journey.variables.script = Some(script);
    let variables = &mut journey.variables;
    let filled = |(name, value): &(String, _)| -> (String, Vec<u8>) {
        (name.clone(), super::Template::expand(value, variables).into_owned())
    };
    let params = fastcgi.params.iter().map(filled).collect();
    let Script { name, path_info } = variables.script.take().unwrap_or_default();
    let settings = &*journey.place.settings;
    Plan::Script(ScriptPlan {
        fastcgi,
        script_name: name,
        path_info,
        script_filename: for_backend(settings, path),
        uri: std::mem::take(&mut variables.uri).into_owned(),
        args: Bytes::from(std::mem::take(&mut variables.args).into_owned()),
        params,
        settings,
        route: &journey.place.route,
    })
}

fn find(
    variables: &Variables<'_>,
    fastcgi: &FastCgi,
    disk: &impl Lookup,
) -> Result<(Script, DiskPath), &'static str> {
    let uri = variables.uri();
    match &fastcgi.script {
        ScriptSource::OnDisk => on_path(variables, fastcgi.remote, disk),
        ScriptSource::Split(regex) => {
            let (name, path_info) = by_regex(regex, uri);
            if !ends_in_script(variables.settings, name) {
                return Err("what split_path_info names does not end in a script extension");
            }
            runnable(variables, fastcgi.remote, disk, name, path_info)
        }
        ScriptSource::Named(template) => {
            let name = template.expand(variables);
            if template.as_literal().is_none() && !ends_in_script(variables.settings, &name) {
                return Err("the script's name does not end in a script extension");
            }
            runnable(variables, fastcgi.remote, disk, &name, b"")
        }
    }
}

fn on_path(
    variables: &Variables<'_>,
    remote: bool,
    disk: &impl Lookup,
) -> Result<(Script, DiskPath), &'static str> {
    let uri = variables.uri();
    for end in memchr_iter(b'/', uri).skip(1).chain([uri.len()]) {
        let (name, path_info) = uri.split_at(end);
        if !ends_in_script(variables.settings, name) {
            continue;
        }
        let path = variables.disk_path(name).ok_or("no file can have that path")?;
        match if remote { Kind::File } else { path.script_kind(disk) } {
            Kind::File => return Ok((Script { name: name.to_vec(), path_info: path_info.to_vec() }, path)),
            // A directory may be called a.php; the script may lie in it.
            Kind::Directory => {}
            Kind::Outside => return Err(OUTSIDE),
            Kind::Other | Kind::Missing => return Err("no such script"),
        }
    }
    Err("nothing in the path is a script")
}

fn runnable(
    variables: &Variables<'_>,
    remote: bool,
    disk: &impl Lookup,
    name: &[u8],
    path_info: &[u8],
) -> Result<(Script, DiskPath), &'static str> {
    let path = variables.disk_path(name).ok_or("no file can have that path")?;
    match if remote { Kind::File } else { path.script_kind(disk) } {
        Kind::File => {}
        Kind::Outside => return Err(OUTSIDE),
        _ => return Err("no such script"),
    }
    Ok((Script { name: name.to_vec(), path_info: path_info.to_vec() }, path))
}

/// nginx: the first group is the script, the second PATH_INFO; without a match the whole path is the script.
pub(super) fn by_regex<'u>(regex: &Regex, uri: &'u [u8]) -> (&'u [u8], &'u [u8]) {
    let Some(found) = regex.captures(uri) else { return (uri, b"") };
    let group = |number| found.get(number).map_or(&b""[..], |group| group.as_bytes());
    (group(1), group(2))
}

/// The case is php-fpm's too (`security.limit_extensions`); a name that is nothing but the extension is a dotfile.
fn ends_in_script(settings: &Settings, path: &[u8]) -> bool {
    let mut extensions = settings.script_extensions.iter();
    extensions.any(|extension| {
        let stem = path.strip_suffix(extension.as_bytes());
        stem.is_some_and(|stem| !stem.is_empty() && !stem.ends_with(b"/"))
    })
}

fn for_backend(settings: &Settings, path: DiskPath) -> Vec<u8> {
    if settings.root == settings.backend_root {
        return path.into_bytes();
    }
    as_backend_sees(settings, path.as_bytes()).concat()
}

/// A path below the root as php-fpm names it, in two pieces. What an alias brought from elsewhere has the same path
/// there.
pub(super) fn as_backend_sees<'p>(settings: &'p Settings, path: &'p [u8]) -> [&'p [u8]; 2] {
    let trim = |root| -> &[u8] { os_bytes(root).strip_suffix(b"/").unwrap_or(os_bytes(root)) };
    match path.strip_prefix(trim(&settings.root)) {
        Some(below @ ([] | [b'/', ..])) => [trim(&settings.backend_root), below],
        _ => [b"", path],
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{FakeDisk, check, fastcgi, location, router, script, settings, steps, template};
    use super::super::{Location, Router, pattern};
    use super::*;

    fn site(script: ScriptSource) -> Router {
        router(vec![location("/").runs_as(fastcgi(script))])
    }

    fn on_disk() -> Router {
        site(ScriptSource::OnDisk)
    }

    fn disk() -> FakeDisk {
        FakeDisk::of(&[
            "/www/index.php",
            "/www/a/b.php",
            "/www/dir.php/x.php",
            "/www/dir.php/plain.txt",
            "/www/uploads/x.jpg",
            "/www/uploads/a.php.jpg",
            "/www/中/页.php",
            "/www/a b.php",
            "/www/.php",
            "/www/X.PHP",
            "/www/sock.php=",
            "/www/n\n.php",
        ])
    }

    #[test]
    fn the_script_is_the_first_one_that_exists_on_the_path() {
        check(
            &on_disk(),
            &disk(),
            &[
                ("/index.php", "script /index.php info  args"),
                ("/index.php/", "script /index.php info / args"),
                ("/index.php/a/b.html?q", "script /index.php info /a/b.html args q"),
                ("/index.php/b.php/c.php", "script /index.php info /b.php/c.php args"),
                ("/a/b.php/c", "script /a/b.php info /c args"),
                ("/dir.php/x.php/y", "script /dir.php/x.php info /y args"),
                ("/%E4%B8%AD/%E9%A1%B5.php/%E6%96%87", "script /中/页.php info /文 args"),
                ("/a%20b.php/c%20d", "script /a b.php info /c d args"),
                ("/index.php%2Fa//b", "script /index.php info /a/b args"),
                ("/index.php/a%3Fb", "script /index.php info /a?b args"),
            ],
        );
    }

    #[test]
    fn what_is_no_script_never_runs() {
        check(
            &on_disk(),
            &disk(),
            &[
                ("/uploads/x.jpg/a.php", "404"),
                ("/uploads/x.jpg/.php", "404"),
                ("/uploads/x.jpg", "404"),
                ("/uploads/a.php.jpg", "404"),
                ("/uploads/a.php.jpg/b.php", "404"),
                ("/dir.php/plain.txt", "404"),
                ("/dir.php", "404"),
                ("/dir.php/", "404"),
                ("/missing.php", "404"),
                ("/missing.php/index.php", "404"),
                ("/.php", "404"),
                ("/X.PHP", "404"),
                ("/index.PHP", "404"),
                ("/index.php.", "404"),
                ("/index.php%20", "404"),
                ("/index.phpx", "404"),
                ("/sock.php", "404"),
                ("/", "404"),
            ],
        );
    }

    #[test]
    fn newlines_and_invalid_utf8_never_shift_the_split() {
        for router in [on_disk(), site(ScriptSource::Split(pattern(r"^(.+?\.php)(/.*)?$", false).unwrap()))] {
            check(
                &router,
                &disk(),
                &[
                    ("/index.php/a%0A.php/b", "script /index.php info /a\n.php/b args"),
                    ("/index.php/%0Ab", "script /index.php info /\nb args"),
                    ("/index.php/%FF%FE", "script /index.php info /\u{fffd}\u{fffd} args"),
                    ("/n%0A.php/x", "script /n\n.php info /x args"),
                    ("/index.php%0A", "404"),
                    ("/%0Aindex.php", "404"),
                    ("/uploads/x.jpg%0A.php", "404"),
                    ("/uploads/x.jpg/%0A.php", "404"),
                ],
            );
        }
    }

    #[test]
    fn a_regex_of_the_user_splits_and_the_disk_still_decides() {
        let nginx = site(ScriptSource::Split(pattern(r"^(.+\.php)(/.+)$", false).unwrap()));
        check(
            &nginx,
            &disk(),
            &[
                ("/index.php/a", "script /index.php info /a args"),
                ("/index.php", "script /index.php info  args"),
                ("/index.php/b.php/c", "404"),
                ("/uploads/x.jpg/a.php", "404"),
                ("/uploads/x.jpg", "404"),
            ],
        );
        let any = site(ScriptSource::Split(pattern("^(/uploads/x.jpg)(/.*)$", false).unwrap()));
        check(&any, &disk(), &[("/uploads/x.jpg/a", "404")]);
    }

    #[test]
    fn a_named_script_answers_for_every_path() {
        let named = site(ScriptSource::Named(template("/index.php")));
        check(
            &named,
            &disk(),
            &[("/any/path?q", "script /index.php info  args q"), ("/", "script /index.php info  args")],
        );
        let sent = script(&named, &disk(), "/any/path", |script| (script.uri, script.script_filename));
        assert_eq!(sent, (b"/any/path".to_vec(), b"/www/index.php".to_vec()));
        check(&site(ScriptSource::Named(template("/gone.php"))), &disk(), &[("/", "404")]);
    }

    #[test]
    fn a_script_named_by_the_client_must_be_one() {
        let named = site(ScriptSource::Named(template("$uri")));
        check(&named, &disk(), &[("/uploads/x.jpg", "404"), ("/index.php", "script /index.php info  args")]);
    }

    fn remote(script: ScriptSource) -> Router {
        router(vec![location("/").runs_as(FastCgi { remote: true, ..fastcgi(script) })])
    }

    #[test]
    fn remote_scripts_are_found_by_their_text() {
        let nothing = FakeDisk::default();
        check(
            &remote(ScriptSource::OnDisk),
            &nothing,
            &[
                ("/index.php/a", "script /index.php info /a args"),
                ("/a.php/b.php/c", "script /a.php info /b.php/c args"),
                ("/a.txt", "404"),
                ("/.php", "404"),
            ],
        );
        check(
            &remote(ScriptSource::Named(template("/index.php"))),
            &nothing,
            &[("/x", "script /index.php info  args")],
        );
        assert!(nothing.asked.borrow().is_empty(), "the disk was asked");
    }

    fn filename(location: Location, request: &str) -> String {
        let disk = FakeDisk::of(&["/www/index.php", "/elsewhere/x.php", "/www/in/x.php"]);
        let sent = script(&router(vec![location]), &disk, request, |script| script.script_filename);
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn the_filename_is_the_one_that_php_fpm_sees() {
        let backend =
            |location: Location| location.runs().with(|settings| settings.backend_root = "/app/".into());
        let alias = |to: &'static str| location("/i/").with(move |settings| settings.alias = Some(to.into()));
        for (location, request, expected) in [
            (location("/").runs(), "/index.php/a", "/www/index.php"),
            (backend(location("/")), "/index.php/a", "/app/index.php"),
            (backend(alias("/elsewhere/")), "/i/x.php", "/elsewhere/x.php"),
            (backend(alias("/www/in/")), "/i/x.php", "/app/in/x.php"),
        ] {
            assert_eq!(filename(location, request), expected);
        }
        let settings = Settings { backend_root: "/app".into(), ..settings() };
        assert_eq!(as_backend_sees(&settings, b"/wwwx/a").concat(), b"/wwwx/a");
    }

    #[test]
    fn few_look_ups_are_made_for_many_elements() {
        let disk = disk();
        check(&on_disk(), &disk, &[(&format!("/missing.php{}", "/a.php".repeat(500)), "404")]);
        assert_eq!(disk.asked.borrow().len(), 1);
    }

    #[test]
    fn extra_params_know_the_split() {
        let params = vec![("X_SPLIT".to_owned(), template("$fastcgi_script_name|$fastcgi_path_info|$args"))];
        let site = location("/").runs_as(FastCgi { params, ..fastcgi(ScriptSource::OnDisk) });
        let sent = script(&router(vec![site]), &disk(), "/index.php/a?$uri", |script| script.params);
        assert_eq!(sent, [("X_SPLIT".to_owned(), b"/index.php|/a|$uri".to_vec())]);
    }

    #[test]
    fn the_split_and_its_refusal_are_told() {
        assert_eq!(
            steps(&on_disk(), &disk(), "/index.php/a").last().unwrap(),
            "script /index.php, PATH_INFO \"/a\""
        );
        assert_eq!(steps(&on_disk(), &disk(), "/no.php").last().unwrap(), "refused with 404: no such script");
    }
}
