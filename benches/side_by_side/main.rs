//! cornac beside nginx: the same load, the same backends, in turns, and the ratio of what came out.
//!
//! Here is the order of things. What is compared stands in `table`, how a server is started in `contestant`, what
//! is measured in `sample`, and what becomes of the numbers in `report`.
//!
//! Absolute figures depend on the machine and on its mood; a ratio within one run holds. So every round measures each
//! contestant once, and the ratios are those of neighbours in time.

#![expect(clippy::print_stdout, reason = "the table is what one runs this for")]

mod args;
mod backend;
mod client;
mod clients;
mod contestant;
mod crowd;
mod failover;
mod feature;
mod findings;
mod floor;
mod h2load;
mod handshakes;
mod idle;
mod mixed;
mod null;
mod overload;
mod process;
mod reaper;
mod reload;
mod report;
mod rows;
mod sample;
mod sharing;
mod slow;
mod start;
mod straight;
#[path = "../../tests/support/mod.rs"]
mod support;
mod system_calls;
mod table;
mod transfer;
mod wrk;

use std::process::ExitCode;
use std::time::Instant;

use args::{Args, Command};
use backend::{Backend, Document};
use contestant::{Contestant, Server};
use findings::Findings;
use process::Processors;
use reaper::Reaper;
use report::Report;
use rows::{Load, Row, Task, Turn};
use sample::{Length, Sample};
use support::find_program;

fn main() -> ExitCode {
    let done = match Command::parse(std::env::args().skip(1)) {
        Ok(Command::Compare(args)) => compare(&args),
        Ok(Command::Floor { listen, backend }) => {
            floor::serve(listen, backend).map_err(|error| error.to_string())
        }
        Ok(Command::Reap) => reaper::reap(std::io::stdin().lock()).map_err(|error| error.to_string()),
        Err(problem) => Err(problem),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("side_by_side: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), String> {
    let rows = rows::chosen(args)?;
    look_for_tools(&rows)?;
    let reaper = Reaper::start()?;
    let document = Document::new(&reaper);
    let mut report = Report::begin(args);
    for row in &rows {
        let length = Length::of(args);
        eprint!("{:<18} ", row.name);
        let backend = Backend::start(row.backend, &document, &reaper)?;
        let scene = Scene { row, document: &document, reaper: &reaper, length };
        let before = Processors::so_far();
        match row.task {
            Task::Load(load) => report.add(row, scene.load(load, &backend)?),
            Task::Turn(turn) => report.add_findings(row, &scene.turns(turn, &backend)?),
            Task::Failover => report.add_findings(row, &scene.failover(backend)?),
        }
        report.add_stolen(before.and_then(Processors::stolen_since));
    }
    report.finish(args)
}

/// Everything that is missing is told at once, before the first minute is spent.
fn look_for_tools(rows: &[Row]) -> Result<(), String> {
    let mut groups = vec![];
    let lacks = |tools: &[&str]| tools.iter().any(|tool| find_program(&[tool]).is_none());
    if lacks(&["wrk", "h2load", "haproxy", "strace"]) {
        groups.push("bench");
    }
    if rows.iter().any(|row| row.contestants.contains(&Contestant::Caddy))
        && lacks(&["caddy", "apache2", "lighttpd"])
    {
        groups.push("peers");
    }
    if find_program(&["nginx"]).is_none() {
        groups.push("nginx");
    }
    if rows.iter().any(Row::needs_php) && !backend::php_fpm_is_there() {
        groups.push("php");
    }
    if !groups.is_empty() {
        return Err(format!(
            "something is missing; install it by:\n    scripts/install-deps.sh {}",
            groups.join(" ")
        ));
    }
    null::look_for_null_responder()
}

/// What a row is measured with.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) row: &'a Row,
    pub(crate) document: &'a Document,
    pub(crate) reaper: &'a Reaper,
    pub(crate) length: Length,
}

impl<'a> Scene<'a> {
    /// Anew each time: nobody holds php-fpm's workers, or a warm heap, while it is the other's turn.
    pub(crate) fn start(self, contestant: Contestant, backend: &Backend<'_>) -> Result<Server<'a>, String> {
        contestant.start(self.row, backend, self.document, self.reaper)
    }

    /// Started, though perhaps not listening yet, and when.
    pub(crate) fn spawn(
        self,
        contestant: Contestant,
        backend: &Backend<'_>,
    ) -> Result<(Server<'a>, Instant), String> {
        contestant.spawn(self.row, backend, self.document, self.reaper)
    }

    /// One list of samples a contestant, in the row's order, one sample a round.
    fn load(self, load: Load, backend: &Backend<'_>) -> Result<Vec<(Contestant, Vec<Sample>)>, String> {
        let contestants = self.row.contestants.iter();
        let mut measured: Vec<_> = contestants.map(|contestant| (*contestant, vec![])).collect();
        for _ in 0..self.length.rounds {
            for (contestant, samples) in &mut measured {
                let turn = || {
                    if *contestant == Contestant::Straight {
                        return Ok(Some(sample::take_straight(
                            &backend.addresses(),
                            self.document,
                            self.length,
                        )));
                    }
                    let server = self.start(*contestant, backend)?;
                    sample::take(self.row, load, self.document, &server, self.length)
                };
                samples.push(until_answered(contestant.name(), turn)?);
                eprint!(".");
            }
        }
        eprintln!();
        Ok(measured)
    }

    fn turns(self, turn: Turn, backend: &Backend<'_>) -> Result<Vec<Findings>, String> {
        let mut found = self.nothing_found();
        for _ in 0..self.length.rounds {
            for findings in &mut found {
                findings.add(turn(self, findings.contestant, backend)?);
                eprint!(".");
            }
        }
        eprintln!();
        Ok(found)
    }

    fn failover(self, mut backend: Backend<'_>) -> Result<Vec<Findings>, String> {
        let mut found = self.nothing_found();
        for _ in 0..self.length.crashes() {
            for (findings, seen) in found.iter_mut().zip(failover::round(self, &mut backend)?) {
                findings.add(seen);
            }
            eprint!(".");
        }
        eprintln!();
        Ok(found)
    }

    fn nothing_found(self) -> Vec<Findings> {
        self.row.contestants.iter().map(|contestant| Findings::none_yet(*contestant)).collect()
    }
}

/// A turn in which nobody was answered is told, and taken again.
fn until_answered(
    name: &str,
    mut turn: impl FnMut() -> Result<Option<Sample>, String>,
) -> Result<Sample, String> {
    const TURNS: usize = 5;
    for _ in 0..TURNS {
        if let Some(sample) = turn()? {
            return Ok(sample);
        }
        eprint!(" [{name} answered nobody] ");
    }
    Err(format!("{name} answered nobody in {TURNS} turns"))
}
