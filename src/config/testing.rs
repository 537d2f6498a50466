//! What the tests of this room share: a folder to point at, and short ways to a model or to its mistakes.

use std::path::Path;

use toml::de::DeTable;

use super::reader::Table;
use super::report::Report;
use super::{Diagnostic, Model, parse};

/// A folder with a file and a folder in it.
pub(super) fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("public/sub")).unwrap();
    std::fs::write(folder.path().join("file.txt"), "").unwrap();
    folder
}

/// The model of a text that has no mistakes.
pub(super) fn model_in(base: &Path, text: &str) -> Model {
    parse(text, "c.toml", base).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes}"))
}

/// The same where no path matters.
pub(super) fn model(text: &str) -> Model {
    model_in(project().path(), text)
}

/// A site with these lines in it, beside one pool.
pub(super) fn site(lines: &str) -> super::model::Site {
    let text = format!(
        "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n{lines}\n"
    );
    model(&text).sites.remove(0)
}

/// Every mistake as `line:column: message [hint]`.
pub(super) fn mistakes_in(base: &Path, text: &str) -> Vec<String> {
    let Err(mistakes) = parse(text, "c.toml", base) else { return Vec::new() };
    let one = |mistake: &Diagnostic| {
        let (line, column) = mistakes.place(mistake).unwrap();
        let hint = mistake.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        let shown = format!("{line}:{column}: {}{hint}", mistake.message);
        shown.replace(&*base.to_string_lossy(), "BASE")
    };
    mistakes.iter().map(one).collect()
}

/// Runs `look` over a text's root table, and gives back the messages with the marked source.
pub(super) fn mistakes(text: &str, look: impl Fn(Table<'_>)) -> Vec<(String, String, Option<String>)> {
    let document = DeTable::parse(text).unwrap();
    let report = Report::new(text);
    look(Table::new(&report, document.get_ref(), 0..0));
    let shown = |d: Diagnostic| (d.message, text[d.span.unwrap()].to_owned(), d.hint);
    report.into_found().into_iter().map(shown).collect()
}
