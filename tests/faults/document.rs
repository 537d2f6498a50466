//! docs/faults.md, made of the same table that the tests compare with.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::said::NOTHING;
use super::table::{Column, Row};

/// Set it, and the test writes the file instead of comparing.
pub const REWRITE: &str = "CORNAC_WRITE_DOCS";

pub fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")
}

pub fn render(rows: &[&Row]) -> String {
    let mut text = include_str!("introduction.md").to_owned();
    overview(&mut text, rows);
    for row in rows {
        section(&mut text, row);
    }
    text
}

fn overview(text: &mut String, rows: &[&Row]) {
    text.push_str("\n## At a glance\n\nThe client's outcome.\n\n| fault |");
    Column::ALL.iter().for_each(|column| *text += &format!(" {} |", column.title()));
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(Column::ALL.len()));
    for row in rows {
        let _ = write!(text, "| [{}](#{}) |", row.title, anchor(row.title));
        row.cells.iter().for_each(|cell| *text += &format!(" {} |", client(cell.client)));
        text.push('\n');
    }
}

fn section(text: &mut String, row: &Row) {
    let _ = writeln!(text, "\n## {}\n\n{}\n", row.title, row.does);
    text.push_str("| | the client gets | runs | the log says | back |\n|---|---|---|---|---|\n");
    for (column, cell) in Column::ALL.iter().zip(&row.cells) {
        let (victim, others) = cell.runs;
        let (title, client, log) = (column.title(), client(cell.client), log(cell.log));
        let _ = writeln!(text, "| {title} | {client} | {victim} + {others} | {log} | {} |", back(cell.back));
    }
}

fn client(outcome: &str) -> String {
    match outcome.split_once(' ') {
        Some((status, "victim")) => format!("{status} from the victim"),
        Some((status, "other")) => format!("{status} from the other"),
        _ if outcome == "cut" => "**cut**".to_owned(),
        _ => format!("**{outcome}**"),
    }
}

fn log(lines: &[&str]) -> String {
    if lines.is_empty() {
        return "nothing".to_owned();
    }
    let quoted = |said: &str| if said == NOTHING { said.to_owned() } else { format!("`{said}`") };
    let line = |line: &&str| line.split(" | ").map(quoted).collect::<Vec<_>>().join(" or ");
    lines.iter().map(line).collect::<Vec<_>>().join("<br>")
}

fn back(requests: &str) -> String {
    if requests == "1" { "next request".to_owned() } else { format!("request {requests}") }
}

/// As GitHub makes it of a heading.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
