//! docs/security.md names the tests that hold each of its lines: they are there, and are tests.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of all tables: what must never happen, and what stands beside it.
fn rows(manual: &str) -> Vec<(&str, &str)> {
    let lines = manual.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let rows = lines.filter_map(|line| line.trim_matches('|').rsplit_once('|'));
    rows.map(|(never, tests)| (never.trim(), tests.trim())).filter(|(_, tests)| tests.contains('`')).collect()
}

/// The files that `place` means: `tests/place.rs`, `tests/place/`, or all below `src/place`.
fn files_of(place: &str) -> Vec<PathBuf> {
    let mut files = vec![];
    let mut folders = vec![root().join("tests").join(place), root().join("src").join(place)];
    files.extend(
        [root().join("tests").join(place).with_extension("rs")].into_iter().filter(|file| file.exists()),
    );
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten().map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Whether a function of that name stands behind `#[test]`, `#[tokio::test]`, or in `proptest!`, whose tests have the attribute too.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let at = lines.iter().position(|line| line.trim_start_matches("async ").starts_with(&head));
    at.is_some_and(|at| {
        lines[at.saturating_sub(3)..at].iter().any(|line| line.starts_with("#[") && line.contains("test"))
    })
}

#[test]
fn every_line_of_the_manual_is_held_by_tests_that_are_there() {
    let manual = fs::read_to_string(root().join("docs/security.md")).expect("the manual");
    let (mut missing, mut held) = (String::new(), 0);
    for (never, tests) in rows(&manual) {
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "nothing holds: {never}");
        for name in names {
            let (place, test) = name.split_once("::").unwrap_or_else(|| panic!("{name}: place::test"));
            let there = files_of(place).into_iter().filter_map(|file| fs::read_to_string(file).ok());
            if !there.into_iter().any(|text| is_test(&text, test)) {
                missing += &format!("\n  {name} ({never})");
            }
            held += 1;
        }
    }
    assert!(missing.is_empty(), "named in docs/security.md, and no test:{missing}");
    assert!(held > 80, "only {held} tests are named");
}

#[test]
fn what_is_no_test_is_not_taken_for_one() {
    assert!(is_test("    #[test]\n    fn a() {\n", "a"));
    assert!(is_test("#[tokio::test(start_paused = true)]\nasync fn a() {\n", "a"));
    assert!(is_test("#[test]\n#[ignore = \"slow\"]\nfn a() {\n", "a"));
    assert!(!is_test("fn a() {\n", "a"));
    assert!(!is_test("#[test]\nfn ab() {\n", "a"));
}
