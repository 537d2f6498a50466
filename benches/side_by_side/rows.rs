//! What is compared: the rows of the table, each with its load, its backend and who takes part.

use crate::args::{Args, Subject};
use crate::contestant::{Contestant, Told, Tuning};
use crate::sharing;

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) task: Task,
    pub(crate) backend: BackendKind,
    /// The first is the reference: plain nginx, where nothing else is said.
    pub(crate) contestants: Vec<Contestant>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// How each contestant carries a load.
    Load(Load),
    /// What each one leaves to another front end of the same pools.
    SecondFrontEnd(sharing::Load),
    /// What clients see of a pool that crashes and comes back.
    Failover,
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// wrk asks for `target` over so many connections, as fast as it is answered.
    Requests { target: &'static str, connections: u32 },
    /// So many clients; three of a hundred requests keep a worker for 200 ms, the others for 2 ms.
    Mixed { connections: u32 },
    /// 100 MB to a script that answers its digest.
    Upload,
    /// 100 MB from a script, compared byte by byte.
    Download,
}

/// What stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackendKind {
    /// Nothing: files only.
    None,
    /// Our null responder, which answers so many bytes.
    Null(usize),
    /// Three php-fpm pools of four workers each.
    Fpm,
}

impl Row {
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
            Task::Load(Load::Requests { connections, .. } | Load::Mixed { connections }) => Some(connections),
            _ => None,
        }
    }
}

const KEEPALIVE: Tuning = Tuning { keepalive: true, open_file_cache: false };

/// 12 workers, 0.97 × 2 ms + 0.03 × 200 ms a request.
const MIXED_12: &str = "3 % of scripts take 200 ms, the others 2 ms, on 3 pools of 4 workers, 12 clients; no more than 1,511/s is possible; times of the quick ones";

/// The first is the reference.
const AUTO: [Contestant; 2] = [Contestant::Cornac(Told::MaxConns), Contestant::Cornac(Told::Nothing)];

const SECOND_FRONT_END: &str = "what nginx without keepalive gets of 3 pools of 4 workers, 12 clients, beside another front end: nginx with keepalive 64, or cornac";

const SECOND_FRONT_END_SLOW: &str = "the same with scripts that sleep for 2 ms and 24 clients: the workers are what is short, not the processors";

/// The rows that were asked for.
pub(crate) fn chosen(args: &Args) -> Result<Vec<Row>, String> {
    let subject = match args.subject {
        Subject::Cornac => Contestant::Cornac(Told::Nothing),
        Subject::Nginx => Contestant::NginxAgain,
    };
    let all = all(subject);
    if args.list {
        let list: Vec<_> = all.iter().map(|row| format!("  {:<18}{}", row.name, row.what)).collect();
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

fn all(subject: Contestant) -> Vec<Row> {
    let nginx = Contestant::Nginx(KEEPALIVE);
    let no_keepalive = Contestant::Nginx(Tuning { keepalive: false, ..KEEPALIVE });
    let file_cache = Contestant::Nginx(Tuning { open_file_cache: true, ..KEEPALIVE });
    let asked = |target, connections| Load::Requests { target, connections };
    let row = |name, what, load, backend, contestants: &[Contestant]| Row {
        name,
        what,
        task: Task::Load(load),
        backend,
        contestants: contestants.to_vec(),
    };
    let (null, none, fpm) = (BackendKind::Null, BackendKind::None, BackendKind::Fpm);
    let files = [nginx, subject, file_cache];
    let mixed = [nginx, subject, no_keepalive, Contestant::Straight];
    vec![
        row(
            "hello",
            "FastCGI, 12 bytes from a null responder",
            asked("/hello.php", 64),
            null(12),
            &[nginx, subject],
        ),
        row(
            "floor",
            "the same through a bare epoll loop: what the kernel alone costs",
            asked("/hello.php", 64),
            null(12),
            &[nginx, subject, Contestant::Floor],
        ),
        row(
            "hello-fpm",
            "a one-line script on 3 php-fpm pools of 4 workers, 12 clients",
            asked("/hello.php", 12),
            fpm,
            &[nginx, subject, no_keepalive],
        ),
        row("mixed-12", MIXED_12, Load::Mixed { connections: 12 }, fpm, &mixed),
        row("mixed-24", "the same, 24 clients", Load::Mixed { connections: 24 }, fpm, &mixed),
        row("mixed-96", "the same, 96 clients", Load::Mixed { connections: 96 }, fpm, &mixed),
        row("static-1k", "a file of 1 KiB", asked("/1k.bin", 64), none, &files),
        row("static-100k", "a file of 100 KiB", asked("/100k.bin", 64), none, &files),
        row("static-10m", "a file of 10 MiB", asked("/10m.bin", 16), none, &files),
        row(
            "reply-64k",
            "FastCGI, 64 KiB from a null responder",
            asked("/hello.php", 64),
            null(64 << 10),
            &[nginx, subject],
        ),
        row(
            "reply-1m",
            "FastCGI, 1 MiB from a null responder",
            asked("/hello.php", 64),
            null(1 << 20),
            &[nginx, subject],
        ),
        row(
            "upload-100m",
            "100 MB to a script on php-fpm, digest checked",
            Load::Upload,
            fpm,
            &[nginx, subject],
        ),
        row(
            "download-100m",
            "100 MB from a script on php-fpm, every byte checked",
            Load::Download,
            fpm,
            &[nginx, subject],
        ),
        row(
            "auto-hello",
            "hello-fpm, nothing told against max_conns = 4",
            asked("/hello.php", 12),
            fpm,
            &AUTO,
        ),
        row(
            "auto-mixed",
            "mixed-24, nothing told against max_conns = 4",
            Load::Mixed { connections: 24 },
            fpm,
            &AUTO,
        ),
        Row {
            name: "second-front-end",
            what: SECOND_FRONT_END,
            task: Task::SecondFrontEnd(sharing::QUICK),
            backend: fpm,
            contestants: vec![nginx, subject],
        },
        Row {
            name: "second-front-end-slow",
            what: SECOND_FRONT_END_SLOW,
            task: Task::SecondFrontEnd(sharing::SLOW),
            backend: fpm,
            contestants: vec![nginx, subject],
        },
        Row {
            name: "failover",
            what: "one of 3 pools is killed and started again under a load of GETs, nginx without keepalive",
            task: Task::Failover,
            backend: fpm,
            contestants: vec![no_keepalive, subject, Contestant::Cornac(Told::Health)],
        },
    ]
}
