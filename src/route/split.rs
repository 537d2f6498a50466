//! Which script a path means, and its PATH_INFO. On the path that exists: the first element that ends in a script
//! extension **and** is a regular file below the root, so that `x.jpg/a.php` never runs `x.jpg`. Which parameters
//! php-fpm gets for it is `env`'s.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use memchr::memchr_iter;
use regex::bytes::Regex;

use super::disk_path::DiskPath;
use super::router::Journey;
use super::trace::{Step, text};
use super::variables::{Script, Variables};
use super::{FastCgi, Kind, Lookup, Plan, ScriptPlan, ScriptSource, Settings, Trace, os_bytes};

/// Hands the request to a pool, or says why there is nothing to run.
pub(super) fn serve<D: Lookup, T: Trace>(journey: &mut Journey<'_, D, T>, fastcgi: &Arc<FastCgi>) -> Plan {
    let (script, path) = match find(&journey.variables, fastcgi, journey.disk) {
        Ok(found) => found,
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
    let settings = journey.place.settings.clone();
    Plan::Script(ScriptPlan {
        fastcgi: fastcgi.clone(),
        script_name: name,
        path_info,
        script_filename: for_backend(&settings, path),
        uri: std::mem::take(&mut variables.uri).into_owned(),
        args: Bytes::from(std::mem::take(&mut variables.args).into_owned()),
        params,
        settings,
        route: journey.place.route.clone(),
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
        match if remote { Kind::File } else { path.kind(disk) } {
            Kind::File => return Ok((Script { name: name.to_vec(), path_info: path_info.to_vec() }, path)),
            // A directory may be called a.php; the script may lie in it.
            Kind::Directory => {}
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
    if !remote && path.kind(disk) != Kind::File {
        return Err("no such script");
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

/// The same file as php-fpm names it. An alias outside of the root has the same path there.
fn for_backend(settings: &Settings, path: DiskPath) -> Vec<u8> {
    if settings.root == settings.backend_root {
        return path.into_bytes();
    }
    let trim = |root| -> &[u8] { os_bytes(root).strip_suffix(b"/").unwrap_or(os_bytes(root)) };
    match path.as_bytes().strip_prefix(trim(&settings.root)) {
        Some(below @ [b'/', ..]) => [trim(&settings.backend_root), below].concat(),
        _ => path.into_bytes(),
    }
}
