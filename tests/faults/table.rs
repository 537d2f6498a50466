//! What a row of the matrix is. The rows themselves: `php`, `scripted` and `names`.

use super::support::{FpmBuilder, Mode};

/// What a request is doing when the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Get,
    Post,
    Upload,
    Stream,
    Queued,
}

impl Column {
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Upload, Self::Stream, Self::Queued];

    pub fn title(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Upload => "upload in flight",
            Self::Stream => "streaming reply in flight",
            Self::Queued => "queued request",
        }
    }
}

/// A fault, and what it does to each column.
#[derive(Debug)]
pub struct Row {
    /// The name of its test, too.
    pub id: &'static str,
    pub title: &'static str,
    /// For the reader of the document: what happens, and how the member is put right.
    pub does: &'static str,
    pub victim: Victim,
    pub strike: Strike,
    pub when: When,
    /// Whether what runs on the victim may go on after the strike.
    pub release: bool,
    /// Whether what runs on the victim ends by the strike or by the release.
    pub ends: bool,
    /// The request that is watched may be silent for 2 s only.
    pub impatient: bool,
    /// More for the query of the request that is struck.
    pub query: &'static str,
    /// More lines for the pool.
    pub pool: &'static str,
    /// In the order of [`Column::ALL`].
    pub cells: [Cell; 5],
}

/// A running php-fpm with one worker, except where it says otherwise.
#[derive(Clone, Copy, Debug)]
pub enum Victim {
    Php(fn(FpmBuilder) -> FpmBuilder),
    Scripted,
    /// php-fpms whose addresses stand in `/etc/hosts` under one name.
    Named,
}

/// When the fault strikes. The queued request always waits already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The script runs, and has said nothing (or, streaming, the first of its reply).
    Running,
    /// Before the request is sent.
    Before,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It is in the configuration or in the script.
    Nothing,
    KillWorker,
    CrashWorker,
    KillMaster,
    KillAll,
    Quit,
    Reload,
    StopWorker,
    StopAll,
    StopAndContinue,
    RemoveSocket,
    FillBacklog,
    Be(Mode),
    /// 3 addresses, then 5, then 2, the victim's not among them.
    Scale,
    /// From the victim's address to another's.
    Readdress,
    LoseName,
}

/// What is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub client: &'static str,
    /// Runs of the script: on the victim, on the others.
    pub runs: (u64, u64),
    /// The lines of the event log at INFO and above, without times and fields; ` | ` parts alternatives of a line.
    pub log: &'static [&'static str],
    /// The how many-th request after the repair the victim serves.
    pub back: &'static str,
}

pub const fn cell(
    client: &'static str,
    runs: (u64, u64),
    log: &'static [&'static str],
    back: &'static str,
) -> Cell {
    Cell { client, runs, log, back }
}

/// What most rows have in common.
pub const fn row(id: &'static str, title: &'static str, does: &'static str, cells: [Cell; 5]) -> Row {
    Row {
        id,
        title,
        does,
        victim: Victim::Php(|fpm| fpm),
        strike: Strike::Nothing,
        when: When::Running,
        release: true,
        ends: true,
        impatient: false,
        query: "",
        pool: "",
        cells,
    }
}
