//! Where a member listens.

use crate::balance::hash;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address that can be connected to: no name is left to resolve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// A hash that depends on nothing but the address.
    pub fn key(&self) -> u64 {
        hash(self.to_string().as_bytes())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_prints_as_the_configuration_spells_it() {
        assert_eq!(Endpoint::Tcp(([10, 0, 0, 3], 9000).into()).to_string(), "10.0.0.3:9000");
        assert_eq!(Endpoint::Unix("/run/php.sock".into()).to_string(), "unix:/run/php.sock");
    }

    #[test]
    fn the_key_is_the_same_on_every_machine() {
        assert_eq!(Endpoint::Unix("/a".into()).key(), Endpoint::Unix("/a".into()).key());
        assert_eq!(Endpoint::Tcp(([127, 0, 0, 1], 9000).into()).key(), 0xd1ff_c6b7_45d3_06d5);
    }
}
