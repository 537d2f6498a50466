//! Floor 3: TOML → one resolved model, or every mistake in it with its place and its remedy.
//!
//! `syntax` reads the text, `reader` walks its tables, `report` collects what is wrong, and one file a table says what the keys mean: `server`,
//! `pools`, `sites` (with `names` and `settings`), `routes` (with `rewrites`). What they share lies in `values`,
//! `endpoints`, `regexes` and `units`; `presets` are routes of the same form. The result is [`model`].

mod detect;
mod diagnostic;
mod endpoints;
pub mod model;
mod names;
mod pools;
mod presets;
mod reader;
#[cfg(test)]
mod refusals;
mod regexes;
mod report;
mod rewrites;
mod routes;
mod server;
mod settings;
mod sites;
mod syntax;
#[cfg(test)]
mod testing;
mod text;
mod units;
mod values;

use std::path::Path;

pub use detect::{Detected, detect};
pub use diagnostic::{Diagnostic, Mistakes};
pub use model::Model;
pub use presets::{Preset, UnknownPreset};

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
    let model = read_root(Table::new(&report, &table, 0..0), base);
    match report.into_found() {
        found if found.is_empty() => Ok(model),
        found => Err(Mistakes::new(file_name, text, found)),
    }
}

fn read_root(root: Table<'_>, base: &Path) -> Model {
    let server = server::read(&root, base);
    let pools = pools::read(&root, base);
    let sites = sites::read(&root, &pools, base);
    root.finish(&["admin"]);
    Model { server, pools, sites }
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Mistakes {
    let at = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let message = "the file is not UTF-8 text from here on".to_owned();
    let hint = Some("save it as UTF-8".to_owned());
    Mistakes::new(name, &text, vec![Diagnostic { span: Some(at..at + 1), message, hint }])
}
