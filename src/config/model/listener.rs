//! How clients are talked to at an address. The address itself is the key; every site that listens there shares what is said here.

use super::Listen;

/// One address, and how it is spoken to there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub listen: Listen,
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Whether they may speak HTTP/2: by ALPN over TLS, with prior knowledge (RFC 9113 §3.3) in clear text.
    pub http2: bool,
    /// Whether a PROXY header stands in front of all that a client sends.
    pub proxy_protocol: bool,
    /// Whether each thread listens on a socket of its own (SO_REUSEPORT). nginx: `reuseport`.
    pub reuse_port: bool,
    /// Of a unix socket's file; `None`: as the umask leaves it.
    pub mode: Option<u32>,
}
