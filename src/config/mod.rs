//! Floor 3: TOML → one resolved model, or every mistake in it with its place and its remedy.
//!
//! `syntax` reads the text, `reader` walks its tables, `report` collects what is wrong, and one file a table says what the keys mean: `server`,
//! `admin`, `pools` (with `discover` and `apis`), `sites` (with `listeners`, `tls`, `https`, `names`, `settings`, `guards` and `compression`; `certificates` are read there), `routes` (with `rewrites` and `handlers`). What they share lies in `values`,
//! `endpoints`, `regexes` and `units`; `presets` are routes of the same form. The result is [`model`].

mod account;
mod admin;
mod apis;
mod certificates;
mod compression;
mod detect;
mod diagnostic;
mod discover;
mod endpoints;
mod error_pages;
mod expiry;
mod guards;
mod handlers;
mod health;
mod https;
mod listeners;
pub mod model;
mod names;
mod pools;
mod presets;
mod reader;
mod real_ip;
#[cfg(test)]
mod refusals;
mod regexes;
mod report;
mod rewrites;
mod routes;
mod secret;
mod server;
mod settings;
mod sites;
mod syntax;
#[cfg(test)]
mod testing;
mod text;
mod tls;
mod types;
mod units;
mod values;

use std::path::Path;

pub use certificates::{BadCertificate, CertificateFiles, Identity, Stamps, covers};
pub use detect::{Detected, detect};
pub use diagnostic::{Diagnostic, Mistakes};
pub use model::Model;
pub use presets::{Preset, UnknownPreset};
pub use report::nearest;
pub use secret::Secret;

use reader::Table;
use report::Report;
use syntax::Document;

/// Reads a file; paths in it are relative to its folder.
pub fn load(path: &Path) -> Result<Model, Mistakes> {
    let name = path.display().to_string();
    let hint = || Some("name another file with -c FILE".to_owned());
    let bytes = std::fs::read(path)
        .map_err(|error| Mistakes::of_file(&name, format!("the file {}", values::reason(&error)), hint()))?;
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(&name, &error))?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    parse(&text, &name, absolute.parent().unwrap_or(Path::new("/")))
}

/// Reads a text; paths in it are relative to `base`, which is absolute. `file_name` is for the mistakes.
pub fn parse(text: &str, file_name: &str, base: &Path) -> Result<Model, Mistakes> {
    let mut report = Report::new(text);
    let document = syntax::read(text, &report);
    let table = match document {
        Document::Lost => return Err(Mistakes::new(file_name, text, report.into_found())),
        Document::Whole(table) => table,
        Document::Damaged(table, lines) => {
            report.damaged(lines);
            table
        }
    };
    let mut model = read_root(Table::new(&report, &table, 0..0), base);
    let warnings = report.take_warnings();
    model.warnings = (!warnings.is_empty()).then(|| Mistakes::new(file_name, text, warnings));
    match report.into_found() {
        found if found.is_empty() => Ok(model),
        found => Err(Mistakes::new(file_name, text, found)),
    }
}

fn read_root(root: Table<'_>, base: &Path) -> Model {
    let server = server::read(&root, base);
    let mut pools = pools::read(&root, &server, base);
    let (mut sites, listeners) = sites::read(&root, &pools, base);
    handlers::place_shares(&mut pools, &mut sites);
    let admin = admin::read(&root, &sites, base);
    root.finish(&[]);
    Model { server, admin, pools, sites, listeners, warnings: None }
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Mistakes {
    let at = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let message = "the file is not UTF-8 text from here on".to_owned();
    let hint = Some("save it as UTF-8".to_owned());
    Mistakes::new(name, &text, vec![Diagnostic { span: Some(at..at + 1), message, hint }])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::testing::{mistakes_in, project};
    use super::*;

    #[test]
    fn a_file_is_read_relative_to_its_own_folder() {
        let project = project();
        let file = project.path().join("cornac.toml");
        fs::write(&file, "[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n").unwrap();
        let model = load(&file).unwrap();
        assert_eq!(model.sites[0].settings.root, project.path().join("public"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_mistake_too() {
        let project = project();
        let missing = load(&project.path().join("cornac.toml")).unwrap_err().to_string();
        assert!(
            missing.contains("cornac.toml: the file does not exist\n  hint: name another file"),
            "{missing}"
        );
        let folder = load(&project.path().join("public")).unwrap_err().to_string();
        assert!(folder.contains("the file is a folder"), "{folder}");
        let binary = project.path().join("x.toml");
        fs::write(&binary, b"[server]\nlog = \"\xff\"\n").unwrap();
        let binary = load(&binary).unwrap_err().to_string();
        assert!(binary.contains("x.toml:2:8: the file is not UTF-8 text from here on"), "{binary}");
    }

    #[test]
    fn syntax_errors_and_wrong_values_are_told_together() {
        let text = "[server]\nthreads = 0\nlog = info\n[pools.php]\nservers =\n[[sites]]\nlisten = [\":80\"]\nroot = \"nowhere\"\n";
        let lines: Vec<_> = mistakes_in(project().path(), text)
            .iter()
            .map(|mistake| mistake.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(lines, ["2", "3", "5", "8"]);
    }

    /// A good line, and a wrong one for the same place; those without stay.
    const LINES: [(&str, &str); 32] = [
        ("[server]", ""),
        ("threads = 2", "threads = -2"),
        ("log = \"info\"", "lög = \"info\""),
        ("access_log = \"off\"", "access_log = [1]"),
        ("shutdown_timeout = \"1s\"", "shutdown_timeout = 1s"),
        ("[pools.php]", ""),
        ("servers = [\"a:1\", \"b:2\"]", "servers = [\"a:1\", \"a:1\"]"),
        ("policy = \"random\"", "policy = \"rnd\""),
        ("queue = { size = 1 }", "queue = { sise = 1 }"),
        ("retry = { tries = 2 }", "retry = 2"),
        ("timeouts = { connect = \"1s\" }", "timeouts = { connect = \"1 parsec\" }"),
        ("[[sites]]", ""),
        ("listen = [\":80\"]", "listen = [\":x\"]"),
        ("root = \"public\"", "root = \"privat\""),
        ("names = [\"a.de\"]", "names = [\"a/de\"]"),
        ("preset = \"plain\"", "preset = \"plane\""),
        ("max_body = \"1m\"", "max_body = \"1q\""),
        ("charset = \"utf-8\"", "charset = 8"),
        ("deny = [\"10.0.0.0/8\"]", "deny = [\"10.0.0/8\"]"),
        ("params = { A = \"$uri\" }", "params = { A = \"$urj\" }"),
        ("[[sites.routes]]", ""),
        ("match = '~ ^/(a)/'", "match = '~ ^/(a/'"),
        ("rewrite = { from = '^/(.*)', to = \"/$1\" }", "rewrite = { from = '^/(.*)', to = \"/$2\" }"),
        ("try_files = [\"$uri\", \"@b\"]", "try_files = [\"$uri\", \"@c\"]"),
        ("expires = \"1d\"", "expires = \"soon\""),
        ("fastcgi = \"php\"", "fastcgi = \"pph\""),
        ("[[sites.routes]]", ""),
        ("match = \"@b\"", ""),
        ("internal = true", "internal = 1"),
        ("return = { status = 404 }", "return = { status = 4040 }"),
        ("headers = { X = \"a\" }", "headers = { \"X:\" = \"a\" }"),
        ("allow = [\"all\"]", "allow = \"all\""),
    ];

    fn text_with(wrong: &[bool]) -> String {
        let line =
            |(index, (good, bad)): (usize, &(&str, &'static str))| match wrong[index] && !bad.is_empty() {
                true => format!("{bad}\n"),
                false => format!("{good}\n"),
            };
        LINES.iter().enumerate().map(line).collect()
    }

    fn lines_of(text: &str, base: &Path) -> Vec<usize> {
        let line = |mistake: &String| mistake.split(':').next().and_then(|line| line.parse().ok()).unwrap();
        mistakes_in(base, text).iter().map(line).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn a_file_with_many_mistakes_has_each_reported_and_nothing_else(wrong: [bool; LINES.len()]) {
            let project = project();
            let injected: Vec<_> =
                (0..LINES.len()).filter(|&index| wrong[index] && !LINES[index].1.is_empty()).map(|index| index + 1).collect();
            let text = text_with(&wrong);
            prop_assert_eq!(lines_of(&text, project.path()), injected, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[\\[\\]{}=\"'#.,$~@a-z0-9\\n\\\\-]{0,200}") {
            let shown = parse(&text, "c.toml", Path::new("/nowhere")).map_err(|mistakes| mistakes.to_string());
            prop_assert!(shown.is_err());
        }

        #[test]
        fn no_change_of_a_good_file_makes_it_panic(
            cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,6}"), 1..6),
        ) {
            let project = project();
            let mut characters: Vec<char> = text_with(&[false; LINES.len()]).chars().collect();
            for (from, to, new) in cuts {
                let from = from.index(characters.len() + 1);
                let to = (from + to.index(12)).min(characters.len());
                characters.splice(from..to, new.chars());
            }
            let text: String = characters.into_iter().collect();
            if let Err(mistakes) = parse(&text, "c.toml", project.path()) {
                prop_assert!(mistakes.to_string().lines().count() >= mistakes.len());
            }
        }
    }
}
