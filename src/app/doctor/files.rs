//! Does php-fpm see the site's files where it will be told to look for them?
//!
//! php-fpm can be asked without running anything. It looks for the file first, and judges its name then: where nothing
//! lies it answers 404 "File not found."; where something lies that is no script (`security.limit_extensions`: .php and
//! .phar) it answers 403 "Access denied." So the root folder is asked for, which is never a script, and then a file beside the
//! front controller that is not one either: an empty volume has the folder too.
//!
//! With `cgi.fix_pathinfo = 0` the name is judged alone, and 403 says nothing; there is no question then that an existing
//! script would not answer by running. With an empty `security.limit_extensions` the folder cannot be opened ("No input file
//! specified."), and no file is asked for, because it would be run. (Seen on php-fpm 8.2.)

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::door::Php;
use super::finding::Finding;
use crate::config::model::Model;
use crate::route::{Handler, Location, PoolId};
use crate::upstream::{Endpoint, Question, Reaction, ask};

/// What no configuration of php-fpm takes for a script.
const HARMLESS: [&str; 9] = ["txt", "ico", "css", "js", "png", "jpg", "gif", "webp", "woff2"];

/// A folder of scripts, as cornac and php-fpm see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) site: String,
    root: PathBuf,
    backend_root: PathBuf,
}

/// Where the scripts lie that a pool runs.
pub(super) fn places(model: &Model, pool: PoolId) -> Vec<Place> {
    let mut places = Vec::new();
    for site in &model.sites {
        for location in all(&site.locations).filter(|location| runs_in(location, pool)) {
            let settings = &location.settings;
            let place = Place {
                site: site.label(),
                root: settings.root.clone(),
                backend_root: settings.backend_root.clone(),
            };
            // Where scripts lie below an alias, the folder is not the root's.
            if settings.alias.is_none() && !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

fn all(locations: &[Location]) -> Box<dyn Iterator<Item = &Location> + '_> {
    Box::new(locations.iter().flat_map(|location| std::iter::once(location).chain(all(&location.nested))))
}

fn runs_in(location: &Location, pool: PoolId) -> bool {
    matches!(&location.handler, Handler::FastCgi(fastcgi) if fastcgi.pool == pool)
}

/// Whether this php-fpm sees the place.
pub(super) async fn look(place: &Place, endpoint: &Endpoint, php: Php, patience: Duration) -> Finding {
    let finding = match php {
        Php::LooksFirst => ask_for(place, endpoint, patience).await,
        Php::JudgesByName => {
            Finding::hint(format!("whether php-fpm sees {} cannot be asked", place.backend_root.display()))
                .means(
                    "With cgi.fix_pathinfo = 0 it does not say whether a file is there without running it.",
                )
        }
        Php::Other => {
            Finding::hint(format!("whether it sees {} cannot be asked", place.backend_root.display()))
        }
    };
    finding.of_site(&place.site)
}

/// What php-fpm says of a file.
enum Said {
    /// There, and no script.
    Denied,
    /// Not there, or not to be reached.
    NotFound,
    /// There, and may be run whatever its name is.
    NoScriptsOnly,
    Else(String),
}

async fn ask_for(place: &Place, endpoint: &Endpoint, patience: Duration) -> Finding {
    let folder = place.backend_root.display();
    match said_of(&place.backend_root, endpoint, patience).await {
        Said::NotFound => not_there(place),
        Said::NoScriptsOnly => {
            Finding::warning(format!("php-fpm sees {folder}, and would run any file there"))
                .means("security.limit_extensions is empty: an uploaded picture with PHP in it could be run.")
                .change("security.limit_extensions = .php")
        }
        Said::Else(what) => {
            Finding::hint(format!("whether php-fpm sees {folder} could not be found out: {what}"))
        }
        Said::Denied => match witness(&place.root) {
            None => Finding::ok(format!("php-fpm sees the folder {folder}")),
            Some(name) => ask_for_witness(place, &name, endpoint, patience).await,
        },
    }
}

fn not_there(place: &Place) -> Finding {
    let folder = place.backend_root.display();
    let change = match place.backend_root == place.root {
        true => format!(
            "If php-fpm has its own file system (a container, a chroot), set backend_root to the path of {folder} there. Otherwise let its user reach the folder."
        ),
        false => {
            "Set backend_root to the path that the site's root has for php-fpm, and let its user reach it."
                .to_owned()
        }
    };
    Finding::problem(format!("php-fpm finds nothing at {folder}"))
        .means("Every script of the site gets 404, \"File not found.\"")
        .change(change)
}

/// A file that only somebody with the same files has.
async fn ask_for_witness(place: &Place, name: &str, endpoint: &Endpoint, patience: Duration) -> Finding {
    let folder = place.backend_root.display();
    match said_of(&place.backend_root.join(name), endpoint, patience).await {
        Said::NotFound => Finding::warning(format!("php-fpm sees the folder {folder}, but no {name} in it"))
            .means("Another release lies there, or nothing at all; or only the scripts were copied.")
            .change("Compare the folder with the site's root; backend_root may point beside it."),
        Said::Denied | Said::NoScriptsOnly | Said::Else(_) => {
            Finding::ok(format!("php-fpm sees the site's files at {folder}"))
        }
    }
}

async fn said_of(file: &Path, endpoint: &Endpoint, patience: Duration) -> Said {
    let Some(file) = file.to_str() else { return Said::Else("its name is not UTF-8".to_owned()) };
    // php-fpm finds no folder whose name ends with a slash.
    let file = if file.len() > 1 { file.trim_end_matches('/') } else { file };
    match ask(endpoint, &Question::file(file), patience).await {
        Reaction::Answered(answer) => match (answer.status.as_u16(), answer.body.trim_ascii()) {
            (403, b"Access denied.") => Said::Denied,
            (404, b"File not found.") => Said::NotFound,
            (404, b"No input file specified.") => Said::NoScriptsOnly,
            (status, _) => Said::Else(format!("it answers {status}")),
        },
        Reaction::Busy => Said::Else("it was busy then".to_owned()),
        Reaction::Failed(failure) | Reaction::NotAsked(failure) => Said::Else(failure.to_string()),
    }
}

/// A regular file in the root that nobody takes for a script; the same one each time.
fn witness(root: &Path) -> Option<String> {
    let entries = std::fs::read_dir(root).ok()?.flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = files.filter_map(|entry| entry.file_name().into_string().ok());
    let is_harmless = |name: &String| name.rsplit_once('.').is_some_and(|(_, end)| HARMLESS.contains(&end));
    // "x.php.txt" may be a script for somebody who matches carelessly.
    names.filter(is_harmless).filter(|name| !name.contains(".ph")).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_nobody_runs_is_asked_for() {
        let root = tempfile::tempdir().unwrap();
        for name in ["index.php", "a.html", "a.php.txt", "b.inc", ".env", "z.css", "y.txt"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        assert_eq!(witness(root.path()).as_deref(), Some("y.txt"));
        assert_eq!(witness(&root.path().join("missing")), None);
    }
}
