//! `discover` of a pool: who tells which members there are, and what holds for all that he tells.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{ApiAddress, EndpointSpec, Pool, ServerSpec};
use crate::balance::{MaxConns, Rules, Tier};
use crate::config::Secret;

/// One entry of `discover`.
#[derive(Debug, Clone, PartialEq)]
pub struct Discover {
    /// Who tells.
    pub source: Source,
    /// What holds for its members where it tells nothing else.
    pub terms: Terms,
}

/// On which terms a member works: the keys of a server beside its address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Its share relative to the others; at least 1.
    pub weight: u32,
    /// Connections at once, idle ones included.
    pub max_conns: MaxConns,
    /// When it is taken out, and for how long.
    pub rules: Rules,
    /// How long its share grows after it came back or was found; zero: it has all of it at once.
    pub slow_start: Duration,
    /// Whether it comes later.
    pub tier: Tier,
    /// Taken out by hand.
    pub down: bool,
}

impl Terms {
    /// A server there, on these terms.
    pub fn at(self, endpoint: EndpointSpec) -> ServerSpec {
        let Self { weight, max_conns, rules, slow_start, tier, down } = self;
        ServerSpec { endpoint, weight, max_conns, rules, slow_start, tier, down }
    }
}

impl ServerSpec {
    /// All but its address.
    pub fn terms(&self) -> Terms {
        let Self { weight, max_conns, rules, slow_start, tier, down, .. } = *self;
        Terms { weight, max_conns, rules, slow_start, tier, down }
    }
}

impl Pool {
    /// Of every server that is written, and of every source.
    pub fn all_terms(&self) -> impl Iterator<Item = Terms> + '_ {
        let told = self.discover.iter().map(|discover| discover.terms);
        self.servers.iter().map(ServerSpec::terms).chain(told)
    }
}

/// Who tells which members there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A and AAAA records.
    Dns {
        /// The name, lower case.
        host: String,
        /// The members' port: such records tell none.
        port: u16,
        /// Who is asked instead of the system's name servers; empty: those.
        resolver: Vec<SocketAddr>,
    },
    /// SRV records (RFC 2782).
    Srv {
        /// Such as `_fpm._tcp.example.com`.
        name: String,
        /// Who is asked instead of the system's name servers; empty: those.
        resolver: Vec<SocketAddr>,
    },
    /// A file, as JSON or TOML by its extension.
    File(PathBuf),
    /// Docker's containers with a label.
    Docker(Docker),
    /// The instances of a service of Consul's.
    Consul(Consul),
    /// The keys of etcd's below a prefix.
    Etcd(Etcd),
}

/// As the log names it, briefly: an operator knows his configuration.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns { host, port, .. } => write!(f, "dns {host}:{port}"),
            Self::Srv { name, .. } => write!(f, "srv {name}"),
            Self::File(path) => write!(f, "file {}", path.file_name().unwrap_or_default().to_string_lossy()),
            Self::Docker(_) => write!(f, "docker"),
            Self::Consul(consul) => write!(f, "consul {}", consul.service),
            Self::Etcd(etcd) => write!(f, "etcd {}", etcd.prefix),
        }
    }
}

/// Docker's containers with a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    /// Where its API is.
    pub at: ApiAddress,
    /// `name=value`, or `name` with any value.
    pub label: String,
    /// The members' port; `None`: the only one that the container exposes.
    pub port: Option<u16>,
    /// The network in which they are reached; `None`: the first by name.
    pub network: Option<String>,
}

/// The instances of a service of Consul's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consul {
    /// Where its API is.
    pub at: ApiAddress,
    /// The service's name.
    pub service: String,
    /// Those that an instance must have, all of them.
    pub tags: Vec<String>,
    /// Another than that of the agent.
    pub datacenter: Option<String>,
    /// For its ACLs.
    pub token: Option<Secret>,
}

/// The keys of etcd's below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// Where its API is; never empty.
    pub endpoints: Vec<ApiAddress>,
    /// What the keys begin with.
    pub prefix: String,
}
