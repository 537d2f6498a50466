//! Who takes part, and how each is started: two workers for two threads, no access log, connections kept on both
//! sides, nothing looked up or stored that the other does not. Each one's configuration is in a file of its own.

mod cornac;
mod haproxy;
mod nginx;
mod others;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::backend::{Backend, Document};
use crate::feature::Feature;
use crate::reaper::Reaper;
use crate::rows::Row;
use crate::support::{Listen, Port, Process, Scratch, Signal, free_port, signal, worker_pids};

pub(crate) use nginx::nginx_knows_brotli;

/// The cornac that is measured: this one, or another build of it by the environment variable CORNAC.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("CORNAC").map_or_else(|| env!("CARGO_BIN_EXE_cornac").into(), PathBuf::from)
}

/// What `make pgo` built, perhaps of an older source: it takes part where it is asked for.
fn guided() -> Result<PathBuf, String> {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pgo/cornac");
    if binary.exists() { Ok(binary) } else { Err(format!("{} is not there: make pgo", binary.display())) }
}

/// Connections to a responder that are kept: as many as clients come.
const KEPT: u32 = 64;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Cornac(Told),
    /// cornac as profile-guided optimisation builds it.
    Guided,
    Nginx(Tuning),
    /// The reference a second time, in the subject's place: what the harness itself makes of equals.
    NginxAgain,
    Haproxy,
    Caddy,
    Apache,
    Lighttpd,
    Floor,
    /// Nobody: clients that talk FastCGI to the workers themselves.
    Straight,
}

/// What cornac is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// How many workers there are, and how long their connections are kept, is for cornac to find out.
    Nothing,
    /// How many workers each pool has.
    MaxConns,
    /// To ask each pool how it is.
    Health,
    /// Of one site only, where the others have many.
    OneSite,
    /// Of the first three members only.
    ThreeMembers,
    /// That a POST may run twice.
    MayRepeat,
}

/// What may differ between two nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// To the responder; to clients it is always on.
    pub(crate) keepalive: bool,
    pub(crate) open_file_cache: bool,
}

impl Contestant {
    pub(crate) const NGINX: Self = Self::Nginx(Tuning { keepalive: true, open_file_cache: false });
    pub(crate) const NGINX_NO_KEEPALIVE: Self =
        Self::Nginx(Tuning { keepalive: false, open_file_cache: false });
    pub(crate) const NGINX_FILE_CACHE: Self = Self::Nginx(Tuning { keepalive: true, open_file_cache: true });
    /// Who comes in by `--all`.
    pub(crate) const PEERS: [Self; 3] = [Self::Caddy, Self::Apache, Self::Lighttpd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cornac(Told::Nothing) => "cornac",
            Self::Cornac(Told::MaxConns) => "cornac, max_conns",
            Self::Cornac(Told::Health) => "cornac, health",
            Self::Cornac(Told::OneSite) => "cornac, 1 site",
            Self::Cornac(Told::ThreeMembers) => "cornac, 3 members",
            Self::Cornac(Told::MayRepeat) => "cornac, non_idempotent",
            Self::Guided => "cornac, pgo",
            Self::Nginx(Tuning { keepalive: false, .. }) => "nginx, no keepalive",
            Self::Nginx(Tuning { open_file_cache: true, .. }) => "nginx, file cache",
            Self::Nginx(_) => "nginx",
            Self::NginxAgain => "nginx again",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
            Self::Apache => "apache",
            Self::Lighttpd => "lighttpd",
            Self::Floor => "floor",
            Self::Straight => "straight to php-fpm",
        }
    }

    /// Started, and listening.
    pub(crate) fn start<'a>(
        self,
        row: &Row,
        backend: &Backend<'_>,
        document: &Document,
        reaper: &'a Reaper,
    ) -> Result<Server<'a>, String> {
        let (mut server, _) = self.spawn(row, backend, document, reaper)?;
        server.process.wait_for_listener(&Listen::Tcp(server.port.address()), None);
        Ok(server)
    }

    /// Started, and perhaps not listening yet; and when that was.
    pub(crate) fn spawn<'a>(
        self,
        row: &Row,
        backend: &Backend<'_>,
        document: &Document,
        reaper: &'a Reaper,
    ) -> Result<(Server<'a>, Instant), String> {
        let (port, scratch) = (free_port(), Scratch::new());
        reaper.watch_folder(scratch.path());
        let upstreams = &backend.addresses();
        let feature = row.feature;
        let setting = Setting { port: &port, scratch: scratch.path(), row, feature, upstreams, document };
        let mut command = self.command(&scratch, &setting)?;
        // The configuration is written: that was the bench's own work.
        let started = Instant::now();
        let process = Process::start(self.name(), &mut command, scratch.join("output.log"));
        reaper.watch(process.pid());
        Ok((Server { contestant: self, process, port, reaper, _scratch: scratch }, started))
    }

    fn command(self, scratch: &Scratch, setting: &Setting<'_>) -> Result<Command, String> {
        match self {
            Self::Cornac(told) => Ok(cornac::command(&binary(), scratch, setting, told)),
            Self::Guided => Ok(cornac::command(&guided()?, scratch, setting, Told::Nothing)),
            Self::Nginx(tuning) => nginx::command(scratch, setting, tuning),
            Self::NginxAgain => {
                nginx::command(scratch, setting, Tuning { keepalive: true, open_file_cache: false })
            }
            Self::Haproxy => haproxy::command(scratch, setting),
            Self::Caddy => others::caddy(scratch, setting),
            Self::Apache => others::apache(scratch, setting),
            Self::Lighttpd => others::lighttpd(scratch, setting),
            Self::Floor => floor(setting),
            Self::Straight => Err("there is nothing to start".to_owned()),
        }
    }
}

struct Setting<'a> {
    port: &'a Port,
    scratch: &'a Path,
    row: &'a Row,
    feature: Feature,
    upstreams: &'a [SocketAddr],
    document: &'a Document,
}

fn floor(setting: &Setting<'_>) -> Result<Command, String> {
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let backend = setting.upstreams.first().ok_or("the floor needs a responder")?;
    let mut command = Command::new(itself);
    command.arg("--floor").arg(setting.port.to_string()).arg(backend.to_string());
    Ok(command)
}

/// A started contestant.
pub(crate) struct Server<'a> {
    contestant: Contestant,
    process: Process,
    port: Port,
    reaper: &'a Reaper,
    _scratch: Scratch,
}

impl Server<'_> {
    pub(crate) fn name(&self) -> &'static str {
        self.contestant.name()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// How it is told to read its configuration again.
    pub(crate) fn reload(&self) {
        let order = match self.contestant {
            Contestant::Haproxy => Signal::USR2,
            _ => Signal::HUP,
        };
        self.process.signal(order);
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let workers = worker_pids(self.pid());
        self.process.end(Signal::TERM);
        workers.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        self.reaper.forget(self.pid());
    }
}
