//! The resolved model: what every front end of the configuration (TOML now, nginx.conf later) comes to. Every value
//! is checked and every default filled in, so that nothing above this floor checks again.

mod account;
mod addresses;
mod discover;
mod listener;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use regex::Regex;

use super::{Mistakes, Preset, Secret};
use crate::balance::{Keepalive, MaxConns, PolicyKind, Rules, Tier};
use crate::route::{Location, PoolId, RealIp, Rule, Settings, Template};

pub use account::Account;
pub use addresses::{ApiAddress, EndpointSpec, Listen};
pub use discover::{Consul, Discover, Docker, Etcd, Source, Terms};
pub use listener::Listener;
pub use tls::{Certificate, Clients, Https, Tls};

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Model {
    /// `[server]`.
    pub server: Server,
    /// `[admin]`; `None`: off.
    pub admin: Option<Admin>,
    /// `[pools.NAME]`, in the order of the file; [`PoolId`] is the place here.
    pub pools: Vec<Pool>,
    /// `[[sites]]`, in the order of the file.
    pub sites: Vec<Site>,
    /// Where the sites listen, each address once.
    pub listeners: Vec<Listener>,
    /// What is not wrong, but should not stay so: an expired certificate.
    pub warnings: Option<Mistakes>,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Worker threads; `None`: one a core.
    pub threads: Option<usize>,
    /// Who serves, where root starts it; `None`: whoever starts it.
    pub account: Option<Account>,
    /// How long clients are still accepted after a graceful stop was asked for and readiness denied.
    pub shutdown_delay: Duration,
    /// How long requests in flight may take to finish on a graceful stop.
    pub shutdown_timeout: Duration,
    /// Whether the configuration is read again when its file changes.
    pub reload_on_change: bool,
    /// Where requests are logged.
    pub access_log: AccessLog,
    /// Requests that take long.
    pub slow_log: Option<SlowLog>,
    /// What cornac itself has to say.
    pub log: EventLog,
    /// Where bodies go that are too large for memory.
    pub temp_dir: PathBuf,
    /// How much of them may wait.
    pub buffers: Buffers,
    /// For small files that are held in memory, in bytes; 0: none is.
    pub open_file_cache: u64,
    /// Written at start, removed at stop.
    pub pid_file: Option<PathBuf>,
    /// For a request's head, from its first byte; for a connection's first also from the connection's beginning.
    pub client_header_timeout: Duration,
    /// Between two pieces of a request's body.
    pub client_body_timeout: Duration,
    /// How long a client may take nothing of a reply.
    pub send_timeout: Duration,
    /// Between a reply and the next request.
    pub keepalive_timeout: Duration,
    /// Requests of one connection; 0: any number.
    pub keepalive_requests: u32,
    /// Clients at once; `None`: as many as the limit of open files allows.
    pub max_connections: Option<usize>,
    /// The name servers that discovery asks; empty: the system's.
    pub resolver: Vec<SocketAddr>,
}

/// `buffers`: what may wait for slow clients, all requests and replies together; in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// In memory; what is more goes to temp files.
    pub memory: u64,
    /// In temp files; what is more waits where it comes from.
    pub temp_files: u64,
    /// In the temp file of one reply (nginx: `fastcgi_max_temp_file_size`); 0: no reply has one.
    pub reply: u64,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { memory: 256 << 20, temp_files: 16 << 30, reply: 1 << 30 }
    }
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where the operator is listened to.
    pub listen: Listen,
    /// What he has to know; always there where others than this machine's users reach the listener.
    pub token: Option<Secret>,
}

/// `access_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where to.
    pub to: LogTarget,
    /// In which format.
    pub format: LogFormat,
}

/// `log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog {
    /// In tracing's syntax: `info`, `cornac=debug`.
    pub filter: String,
    /// Standard error or a file.
    pub to: LogTarget,
}

/// `slow_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowLog {
    /// From this time on a request is slow.
    pub threshold: Duration,
    /// `None`: the event log.
    pub to: Option<LogTarget>,
}

/// Where a log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file.
    File(PathBuf),
    /// A datagram for each line.
    Syslog(Syslog),
}

/// Where a syslog listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Syslog {
    /// The machine's own.
    Unix(PathBuf),
    /// Over UDP (RFC 5426).
    Udp(SocketAddr),
}

/// The format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// nginx's `combined`, then cornac's own fields.
    Combined,
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// Short and for people: what `cornac serve` shows.
    Short,
}

/// One pool of backends.
#[derive(Debug, Clone)]
pub struct Pool {
    /// `NAME` of `[pools.NAME]`.
    pub name: String,
    /// Empty only where `discover` is not.
    pub servers: Vec<ServerSpec>,
    /// Who else tells of members.
    pub discover: Vec<Discover>,
    /// Which member a request prefers.
    pub policy: PolicyKind,
    /// What `policy = "hash"` hashes.
    pub hash_key: Option<Template>,
    /// Requests that wait for a worker.
    pub queue: Queue,
    /// `max_share` of the routes that have one, in percent; [`MaxShare::place`](crate::route::MaxShare) is the place here.
    pub shares: Vec<u8>,
    /// Reuse of connections.
    pub keepalive: Keepalive,
    /// Whether members are asked without being asked by clients.
    pub health: Option<HealthChecks>,
    /// `retry`.
    pub retry: Retry,
    /// `timeouts`.
    pub timeouts: Timeouts,
    /// Extra parameters for every script of the pool: part of each location's `FastCgi::params` already.
    pub params: Vec<(String, Template)>,
    /// How often host names are looked up again, and the longest that DNS is believed.
    pub resolve: Duration,
}

/// One entry of `servers`: a host name may become several members.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSpec {
    /// Where it listens.
    pub endpoint: EndpointSpec,
    /// Its share relative to the others; at least 1.
    pub weight: u32,
    /// Connections at once, idle ones included.
    pub max_conns: MaxConns,
    /// When it is taken out, and for how long.
    pub rules: Rules,
    /// How long its share grows after it came back; zero: it has all of it at once.
    pub slow_start: Duration,
    /// Whether it comes later: `backup`, or another `zone` than the pool's `prefer_zone`.
    pub tier: Tier,
    /// Taken out by hand.
    pub down: bool,
}

/// `queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Most requests that wait; 0: none waits.
    pub size: usize,
    /// Longest wait.
    pub timeout: Duration,
    /// Whether replies say how long the request waited (`Server-Timing`).
    pub header: bool,
}

/// `health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthChecks {
    /// How often each member is asked.
    pub interval: Duration,
    /// Checks in a row without an answer that take it out.
    pub fails: u32,
    /// Checks in a row with one that bring it back.
    pub passes: u32,
    /// php-fpm's `ping.path`.
    pub ping_path: Option<String>,
    /// php-fpm's `pm.status_path`; asked rather than `ping_path`, since it says more.
    pub status_path: Option<String>,
    /// php-fpm's `pm.status_listen`, which answers also while every worker is busy.
    pub status_listen: Option<StatusListen>,
}

/// `status_listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusListen {
    /// This port on each member's own host.
    Port(u16),
    /// An address; the pool has one server.
    Tcp(SocketAddr),
    /// A unix socket; the pool has one server.
    Unix(PathBuf),
}

/// `retry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Most attempts, the first included; a refused connection is none.
    pub tries: u32,
    /// Retries of requests that php-fpm had, in percent of the requests.
    pub budget: u32,
    /// No new attempt later than this after the first.
    pub timeout: Option<Duration>,
    /// Whether POST and the like may be sent again after php-fpm may have seen them.
    pub non_idempotent: bool,
    /// The header that makes any request one that may be sent again
    /// (draft-ietf-httpapi-idempotency-key-header), where the operator relies on it.
    pub idempotency_key: Option<HeaderName>,
}

/// `timeouts` of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// From the sent request to the first byte.
    pub first_byte: Duration,
    /// Between two reads of a reply, and between two writes of a request.
    pub between_reads: Duration,
    /// For the whole exchange, if bounded.
    pub total: Option<Duration>,
}

/// One site.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where it listens; never empty.
    pub listen: Vec<Listen>,
    /// Host names; empty: any.
    pub names: Vec<SiteName>,
    /// nginx's `$server_name`: the first name, or empty.
    pub server_name: String,
    /// Whom it believes who a client is, and what; `None`: nobody.
    pub real_ip: Option<RealIp>,
    /// Whose routes follow its own in `locations`.
    pub preset: Option<Preset>,
    /// Server-level rules, before a location is searched.
    pub rules: Vec<Rule>,
    /// Its locations: the site's own first, then the preset's.
    pub locations: Vec<Location>,
    /// What holds outside of any location.
    pub settings: std::sync::Arc<Settings>,
    /// The pool of locations that name none; `None` where the site runs no script.
    pub pool: Option<PoolId>,
    /// Its certificates; there if one of its listeners speaks TLS.
    pub tls: Option<Tls>,
    /// The value of `Strict-Transport-Security`, for replies over TLS.
    pub hsts: Option<HeaderValue>,
}

impl Model {
    /// How many threads have a socket of their own at this address; `None`: there is one for all.
    pub fn threads_that_listen_on(&self, listen: &Listen) -> Option<usize> {
        let listener = self.listeners.iter().find(|listener| listener.listen == *listen)?;
        listener.reuse_port.then(|| self.server.worker_threads())
    }

    /// Says in the log what should not stay so, where it is put in force.
    pub fn warn(&self) {
        if let Some(warnings) = &self.warnings {
            tracing::warn!("{}", warnings.to_string().trim_end());
        }
    }
}

impl Site {
    /// What an operator reads instead of a number: its first name, or where it listens if it has none.
    pub fn label(&self) -> String {
        match (self.server_name.as_str(), self.listen.first()) {
            ("", Some(listen)) => listen.to_string(),
            (name, _) => name.to_owned(),
        }
    }
}

impl Server {
    /// Worker threads, where nobody said: one a core.
    pub fn worker_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, Into::into);
        self.threads.unwrap_or_else(cores)
    }
}

/// A host name of a site (`server_name`).
#[derive(Debug, Clone)]
pub enum SiteName {
    /// `example.com`, lower case.
    Exact(String),
    /// `*.example.com`, held as `.example.com`.
    Suffix(String),
    /// `www.*`, held as `www.`.
    Prefix(String),
    /// `~regex`.
    Regex(Regex),
}
