//! What a source tells: the whole list of its members, or why it cannot tell now.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use tokio::sync::mpsc;

use super::trouble::Trouble;
use crate::config::model::{EndpointSpec, Source};
use crate::upstream::Endpoint;

/// One member that a source tells of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(super) endpoint: Endpoint,
    /// Its share, where the source knows.
    pub(super) weight: Option<u32>,
    /// Whether it comes after the others, where the source knows.
    pub(super) backup: Option<bool>,
}

/// A member as a source names it: its host may have to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) at: EndpointSpec,
    pub(super) weight: Option<u32>,
    pub(super) backup: Option<bool>,
}

/// `"host:port"`, `"[::1]:9000"` or `"unix:/path"`, as in `servers`.
pub(super) fn spec_of(text: &str) -> Result<EndpointSpec, String> {
    let wrong = |why: &str| format!("'{text}' is not an address such as \"10.0.0.1:9000\": {why}");
    if let Some(path) = text.strip_prefix("unix:") {
        let is_path = path.starts_with('/') && !path.contains('\0');
        return is_path
            .then(|| EndpointSpec::Unix(path.into()))
            .ok_or_else(|| wrong("its path begins with a slash"));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
    let port = port
        .parse::<u16>()
        .ok()
        .filter(|&port| port > 0)
        .ok_or_else(|| wrong("a port is from 1 to 65535"))?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match bracketed {
        Some(ip) if ip.parse::<Ipv6Addr>().is_ok() => Ok(EndpointSpec::Tcp { host: ip.to_owned(), port }),
        None if !host.is_empty() && host.chars().all(is_host) => {
            Ok(EndpointSpec::Tcp { host: host.to_ascii_lowercase(), port })
        }
        _ => {
            Err(wrong("an IPv6 address stands in brackets, and a name is letters, digits, dots and hyphens"))
        }
    }
}

/// Everybody whom a source knows now.
pub(crate) type Report = Result<Vec<Found>, Trouble>;

impl From<Endpoint> for Found {
    fn from(endpoint: Endpoint) -> Self {
        Self { endpoint, weight: None, backup: None }
    }
}

/// Where members come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is written in `servers`.
    Written(Endpoint),
    /// A host name of `servers` and its port.
    Name(String, u16),
    /// An entry of `discover`.
    Told(Source),
}

impl From<&EndpointSpec> for Origin {
    fn from(spec: &EndpointSpec) -> Self {
        match spec {
            EndpointSpec::Unix(path) => Self::Written(Endpoint::Unix(path.clone())),
            EndpointSpec::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(ip) => Self::Written(Endpoint::Tcp((ip, *port).into())),
                Err(_) => Self::Name(host.clone(), *port),
            },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(_) => write!(f, "servers"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Told(source) => source.fmt(f),
        }
    }
}

/// Where a source tells. The other end belongs to the pool, and outlives the source.
#[derive(Debug)]
pub(super) struct Outlet {
    place: usize,
    news: mpsc::Sender<(usize, Report)>,
}

impl Outlet {
    pub(super) fn new(place: usize, news: mpsc::Sender<(usize, Report)>) -> Self {
        Self { place, news }
    }

    pub(super) async fn tell(&self, report: Report) {
        // Nobody hears it only when the pool has ended, and this task with it.
        drop(self.news.send((self.place, report)).await);
    }
}
