//! The fault matrix: what each fault does to each thing that a request may be doing, on real php-fpm. The expectations are data
//! (`php`, `scripted`, `names`), `observe` sees what really happens, and docs/faults.md is printed from the same table.
#![allow(unreachable_pub, reason = "a test's modules are private to it; `pub` is what they offer each other")]

#[path = "../support/mod.rs"]
mod support;

mod document;
mod inject;
mod log;
mod names;
mod observe;
mod php;
mod rig;
mod said;
mod scripted;
mod table;

use observe::{Observed, observe};
use support::Cornac;
use table::{Column, Row, Victim};

fn rows() -> Vec<&'static Row> {
    static TABLE: [&[Row]; 3] = [&php::ROWS, &scripted::ROWS, &names::ROWS];
    TABLE.iter().flat_map(|rows| rows.iter()).collect()
}

/// A test for each row, of its id.
macro_rules! tests {
    ($($row:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($row)),*];
        $(#[test] fn $row() { check(stringify!($row)); })*
    };
}

tests! {
    worker_killed worker_crashed master_killed all_killed restarted_gracefully restarted_hard reloaded_gracefully
    reloaded_hard worker_stopped all_stopped stopped_and_continued socket_removed port_closed backlog_full
    max_requests_1 memory_limit request_terminate_timeout slow_first_byte
    accepts_and_is_silent never_connects closes resets_before_the_first_byte resets_after_the_first_byte truncates
    trickles speaks_something_else overloaded answers_another_request
    scaled readdressed name_lost
}

#[expect(clippy::print_stdout, reason = "what was not run must be said")]
fn is_refused(row: &Row) -> bool {
    let refused = matches!(row.victim, Victim::Named) && !Cornac::can_have_hosts();
    if refused {
        println!("not run: an /etc/hosts of its own needs user and mount namespaces, which are refused here");
    }
    refused
}

/// The columns go side by side: most of their time they wait for something.
fn check(id: &str) {
    let row = rows().into_iter().find(|row| row.id == id).expect("a row for each test");
    if is_refused(row) {
        return;
    }
    let seen: Vec<Observed> = std::thread::scope(|scope| {
        let cells = Column::ALL.iter().zip(&row.cells);
        let cells = cells.map(|(&column, cell)| scope.spawn(move || observe(row, column, cell)));
        let cells: Vec<_> = cells.collect();
        cells.into_iter().map(|cell| cell.join().expect("a cell is observed")).collect()
    });
    let cells = || Column::ALL.iter().zip(&row.cells).zip(&seen);
    let wrong = cells().filter(|((_, cell), seen)| !seen.is(cell));
    let wrong: String = wrong
        .map(|((column, cell), seen)| {
            format!("{}:\n  the table {cell:?}\n  was seen {seen:?}\n", column.title())
        })
        .collect();
    let as_seen: String = seen
        .iter()
        .map(|seen| format!("cell({:?}, {:?}, &{:?}, {:?}),\n", seen.client, seen.runs, seen.log, seen.back))
        .collect();
    assert!(wrong.is_empty(), "{}\n{wrong}\nAs it was seen:\n{as_seen}", row.title);
}

#[test]
fn every_row_has_its_test() {
    assert_eq!(rows().iter().map(|row| row.id).collect::<Vec<_>>(), TESTED);
}

#[test]
fn the_document_is_what_the_table_says() {
    let (file, text) = (document::file(), document::render(&rows()));
    if std::env::var_os(document::REWRITE).is_some() {
        std::fs::write(&file, text).expect("docs/ can be written");
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "docs/faults.md is not what the table says. `make docs-faults` writes it anew."
    );
}
