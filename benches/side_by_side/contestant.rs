//! Who takes part, and each one's configuration: two workers for two threads, no access log, connections kept on both
//! sides, nothing looked up or stored that the other does not.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::backend::{Backend, Document, WORKERS_PER_POOL};
use crate::reaper::Reaper;
use crate::rows::{BackendKind, Row};
use crate::support::{
    FASTCGI_PARAMS, Listen, Port, Process, Scratch, Signal, find_program, free_port, signal, worker_pids,
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_cornac");

/// Connections to a responder that are kept: as many as clients come.
const KEPT: u32 = 64;

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Cornac(Told),
    Nginx(Tuning),
    /// The reference a second time, in the subject's place: what the harness itself makes of equals.
    NginxAgain,
    Floor,
    /// Nobody: clients that talk FastCGI to the workers themselves.
    Straight,
}

/// What cornac is told of php-fpm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// How many workers there are, and how long their connections are kept, is for cornac to find out.
    Nothing,
    /// How many workers each pool has.
    MaxConns,
    /// To ask each pool how it is.
    Health,
}

/// What may differ between two nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// To the responder; to clients it is always on.
    pub(crate) keepalive: bool,
    pub(crate) open_file_cache: bool,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cornac(Told::Nothing) => "cornac",
            Self::Cornac(Told::MaxConns) => "cornac, max_conns",
            Self::Cornac(Told::Health) => "cornac, health",
            Self::Nginx(Tuning { keepalive: false, .. }) => "nginx, no keepalive",
            Self::Nginx(Tuning { open_file_cache: true, .. }) => "nginx, file cache",
            Self::Nginx(_) => "nginx",
            Self::NginxAgain => "nginx again",
            Self::Floor => "floor",
            Self::Straight => "straight to php-fpm",
        }
    }

    pub(crate) fn start<'a>(
        self,
        row: &Row,
        backend: &Backend<'_>,
        document: &Document,
        reaper: &'a Reaper,
    ) -> Result<Server<'a>, String> {
        let (port, scratch) = (free_port(), Scratch::new());
        reaper.watch_folder(scratch.path());
        let setting =
            Setting { port: &port, scratch: scratch.path(), row, upstreams: &backend.addresses(), document };
        let mut command = match self {
            Self::Cornac(told) => cornac(&scratch, &setting, told),
            Self::Nginx(tuning) => nginx(&scratch, &setting, tuning)?,
            Self::NginxAgain => {
                nginx(&scratch, &setting, Tuning { keepalive: true, open_file_cache: false })?
            }
            Self::Floor => floor(&setting)?,
            Self::Straight => return Err("there is nothing to start".to_owned()),
        };
        let mut process = Process::start(self.name(), &mut command, scratch.join("output.log"));
        reaper.watch(process.pid());
        process.wait_for_listener(&Listen::Tcp(port.address()), None);
        Ok(Server { contestant: self, process, port, reaper, _scratch: scratch })
    }
}

struct Setting<'a> {
    port: &'a Port,
    scratch: &'a Path,
    row: &'a Row,
    upstreams: &'a [SocketAddr],
    document: &'a Document,
}

fn cornac(scratch: &Scratch, setting: &Setting<'_>, told: Told) -> Command {
    let file = scratch.write("cornac.toml", cornac_toml(setting, told));
    let mut command = Command::new(BINARY);
    command.arg("run").arg("-c").arg(file);
    command
}

fn cornac_toml(setting: &Setting<'_>, told: Told) -> String {
    let temp_dir = setting.scratch.display();
    let mut toml =
        format!("[server]\nthreads = 2\naccess_log = \"off\"\nlog = \"warn\"\ntemp_dir = \"{temp_dir}\"\n\n");
    if !setting.upstreams.is_empty() {
        toml += &cornac_pool(setting, told);
    }
    let root = setting.document.root().display();
    let port = setting.port;
    let _ = write!(toml, "[[sites]]\nlisten = [\"{port}\"]\nroot = \"{root}\"\nmax_body = \"200m\"\n");
    toml += match setting.row.backend {
        BackendKind::None => "\n[[sites.routes]]\nmatch = \"/\"\ntry_files = [\"$uri\", \"=404\"]\n",
        BackendKind::Null(_) | BackendKind::Fpm => "preset = \"plain\"\n",
    };
    toml
}

fn cornac_pool(setting: &Setting<'_>, told: Told) -> String {
    let keepalive = match setting.row.backend {
        BackendKind::Fpm => String::new(),
        _ => format!("keepalive = {{ mode = \"on\", idle = {KEPT} }}\n"),
    };
    let health = if told == Told::Health { "health = {}\n" } else { "" };
    let server = |upstream| match told {
        Told::MaxConns => format!("{{ address = \"{upstream}\", max_conns = {WORKERS_PER_POOL} }}"),
        Told::Nothing | Told::Health => format!("\"{upstream}\""),
    };
    let servers: Vec<_> = setting.upstreams.iter().map(server).collect();
    format!("[pools.php]\nservers = [{}]\n{keepalive}{health}\n", servers.join(", "))
}

fn nginx(scratch: &Scratch, setting: &Setting<'_>, tuning: Tuning) -> Result<Command, String> {
    let program = find_program(&["nginx"]).ok_or("nginx is gone")?;
    let config = scratch.write("nginx.conf", nginx_conf(setting, tuning));
    let mut command = Command::new(program);
    command.arg("-p").arg(setting.scratch).arg("-c").arg(config).args(["-e", "stderr"]);
    Ok(command)
}

fn nginx_conf(setting: &Setting<'_>, tuning: Tuning) -> String {
    let prefix = setting.scratch.display();
    // As root, workers must be root too: nobody does not reach a developer's folders.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    let file_cache = if tuning.open_file_cache { "max=1000 inactive=60s" } else { "off" };
    let upstream = nginx_upstream(setting, tuning);
    let scripts = if setting.upstreams.is_empty() { String::new() } else { nginx_scripts(tuning) };
    let (port, root) = (setting.port, setting.document.root().display());
    format!(
        "{user}
daemon off;
worker_processes 2;
worker_rlimit_nofile 16384;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    open_file_cache {file_cache};
    client_max_body_size 200m;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    default_type application/octet-stream;
{upstream}
    server {{
        listen {port} backlog=4096;
        root {root};
        location / {{ }}
{scripts}
    }}
}}
"
    )
}

fn nginx_upstream(setting: &Setting<'_>, tuning: Tuning) -> String {
    if setting.upstreams.is_empty() {
        return String::new();
    }
    let servers: String =
        setting.upstreams.iter().map(|address| format!("        server {address};\n")).collect();
    let keepalive = match tuning.keepalive {
        true => format!("        keepalive {KEPT};\n        keepalive_requests 1000000000;\n"),
        false => String::new(),
    };
    format!("    upstream php {{\n{servers}{keepalive}    }}\n")
}

/// As one writes it for an application with PATH_INFO, with what distributions ship as fastcgi_params.
fn nginx_scripts(tuning: Tuning) -> String {
    let keep = if tuning.keepalive { "on" } else { "off" };
    format!(
        "        location ~ \\.php(/|$) {{
            fastcgi_split_path_info ^(.+?\\.php)(/.*)?$;
            fastcgi_pass php;
            fastcgi_keep_conn {keep};
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info;
            {FASTCGI_PARAMS}
        }}"
    )
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
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let workers = worker_pids(self.pid());
        self.process.end(Signal::TERM);
        workers.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        self.reaper.forget(self.pid());
    }
}
