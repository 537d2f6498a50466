//! Addresses as a configuration has them. Each prints as it is written there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a server listens, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointSpec {
    /// `unix:/path`.
    Unix(PathBuf),
    /// An address, or a name that is looked up.
    Tcp {
        /// Without brackets.
        host: String,
        /// 1–65535.
        port: u16,
    },
}

/// Where a site listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// Where an HTTP interface is: in clear text, so near us. `unix:/path` or `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAddress(pub EndpointSpec);

impl fmt::Display for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            EndpointSpec::Unix(_) => self.0.fmt(f),
            EndpointSpec::Tcp { .. } => write!(f, "http://{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_is_written() {
        let tcp = |host: &str| EndpointSpec::Tcp { host: host.into(), port: 9000 };
        assert_eq!(tcp("fpm").to_string(), "fpm:9000");
        assert_eq!(ApiAddress(tcp("::1")).to_string(), "http://[::1]:9000");
        assert_eq!(ApiAddress(EndpointSpec::Unix("/d.sock".into())).to_string(), "unix:/d.sock");
        assert_eq!(Listen::Unix("/http.sock".into()).to_string(), "unix:/http.sock");
        assert_eq!(Listen::Tcp(([0, 0, 0, 0], 80).into()).to_string(), "0.0.0.0:80");
    }
}
