//! What a row is: a load or a question, its backend and who takes part. Which rows there are stands in `table`.

use crate::Scene;
use crate::args::Args;
use crate::backend::Backend;
use crate::contestant::Contestant;
use crate::feature::Feature;
use crate::findings::Finding;
use crate::table;

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) task: Task,
    pub(crate) backend: BackendKind,
    pub(crate) feature: Feature,
    /// The first is the reference: plain nginx, where nothing else is said.
    pub(crate) contestants: Vec<Contestant>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// How each contestant carries a load.
    Load(Load),
    /// Figures with names of their own, of one contestant at a time.
    Turn(Turn),
    /// What clients see of a pool that crashes and comes back: all contestants meet the same crash.
    Failover,
}

/// One turn of one contestant.
pub(crate) type Turn = fn(Scene<'_>, Contestant, &Backend<'_>) -> Result<Vec<Finding>, String>;

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// wrk asks over HTTP/1.1, as fast as it is answered.
    Requests(Ask),
    /// h2load asks over HTTP/2, so many requests at a time on each connection.
    Http2 { ask: Ask, streams: u32 },
    /// TLS connections, each for one request, by two clients.
    Handshakes { resumed: bool },
    /// So many clients; three of a hundred requests keep a worker for 200 ms, the others for 2 ms.
    Mixed { connections: u32 },
    /// 100 MB to a script that answers its digest.
    Upload,
    /// 100 MB from a script, compared byte by byte.
    Download,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) target: &'static str,
    pub(crate) connections: u32,
    pub(crate) with: With,
}

/// What stands in a request beside its target.
#[derive(Clone, Copy, Debug)]
pub(crate) enum With {
    Nothing,
    Header(&'static str),
    /// All that a browser says: 1 KB in sixteen lines.
    Browser,
    /// 8 KB of them, and a query string of 2 KB.
    Cookies,
    /// A POST of so many bytes.
    Body(usize),
    /// A status that is no success is what is wanted.
    Refusal,
}

/// What stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendKind {
    /// Nothing: files only.
    None,
    /// Our null responder, which answers so many bytes.
    Null(usize),
    /// The same with a page of 40 KB as frameworks make them.
    NullPage,
    /// So many members, all of them one null responder.
    NullMembers(u16),
    /// Three php-fpm pools of four workers each.
    Fpm,
}

impl Row {
    pub(crate) fn load(
        name: &'static str,
        what: &'static str,
        load: Load,
        backend: BackendKind,
        contestants: &[Contestant],
    ) -> Self {
        let (task, contestants) = (Task::Load(load), contestants.to_vec());
        Self { name, what, task, backend, feature: Feature::None, contestants }
    }

    pub(crate) fn turn(
        name: &'static str,
        what: &'static str,
        turn: Turn,
        backend: BackendKind,
        contestants: &[Contestant],
    ) -> Self {
        let (task, contestants) = (Task::Turn(turn), contestants.to_vec());
        Self { name, what, task, backend, feature: Feature::None, contestants }
    }

    /// Who does not have it, takes no part.
    pub(crate) fn with(mut self, feature: Feature) -> Self {
        self.contestants.retain(|contestant| feature.is_known_to(*contestant));
        Self { feature, ..self }
    }

    pub(crate) fn needs_php(&self) -> bool {
        self.backend == BackendKind::Fpm
    }

    /// Whether a sample counts requests, or transfers of 100 MB.
    pub(crate) fn is_transfer(&self) -> bool {
        matches!(self.task, Task::Load(Load::Upload | Load::Download))
    }

    /// Clients that ask at once, where requests are counted.
    pub(crate) fn connections(&self) -> Option<u32> {
        match self.task {
            Task::Load(Load::Requests(ask)) => Some(ask.connections),
            Task::Load(Load::Mixed { connections }) => Some(connections),
            _ => None,
        }
    }
}

impl Ask {
    pub(crate) const fn get(target: &'static str, connections: u32) -> Self {
        Self { target, connections, with: With::Nothing }
    }

    pub(crate) const fn with(self, with: With) -> Self {
        Self { with, ..self }
    }
}

/// The rows that were asked for.
pub(crate) fn chosen(args: &Args) -> Result<Vec<Row>, String> {
    let all = table::all(args);
    if args.list {
        let longest = all.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let list: Vec<_> = all.iter().map(|row| format!("  {:<longest$}  {}", row.name, row.what)).collect();
        return Err(format!("the rows are\n{}", list.join("\n")));
    }
    let known = |name: &String| all.iter().any(|row| row.name == name);
    if let Some(unknown) = args.only.iter().find(|name| !known(name)) {
        return Err(format!("there is no row {unknown}; --list shows them"));
    }
    Ok(all
        .into_iter()
        .filter(|row| args.only.is_empty() || args.only.iter().any(|name| name == row.name))
        .collect())
}
