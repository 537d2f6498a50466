//! An end of a client's connection, spelt once: every script gets two, and writing one costs more than copying it.

use std::net::{IpAddr, SocketAddr};

/// An address and its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    socket: SocketAddr,
    ip: Box<str>,
    port: Box<str>,
}

/// What a PROXY header tells of a client's connection to a proxy: both ends, or none where the proxy speaks for itself (LOCAL) or does
/// not know (UNKNOWN).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    /// The client.
    pub source: Option<Address>,
    /// Where it had connected to.
    pub destination: Option<Address>,
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Self {
        Self { socket, ip: socket.ip().to_string().into(), port: socket.port().to_string().into() }
    }
}

impl Address {
    /// Of somebody whose port nobody told.
    pub fn without_port(ip: IpAddr) -> Self {
        Self { port: "".into(), ..Self::from(SocketAddr::new(ip, 0)) }
    }

    /// As a number.
    pub fn ip(&self) -> IpAddr {
        self.socket.ip()
    }

    /// The texts of an end that is there.
    pub(super) fn ip_bytes(&self) -> &[u8] {
        self.ip.as_bytes()
    }

    pub(super) fn port_bytes(&self) -> &[u8] {
        self.port.as_bytes()
    }

    /// nginx's `$remote_addr` and `$server_addr`: a unix socket's end is `unix:`.
    pub fn ip_text(address: Option<&Self>) -> &str {
        address.map_or("unix:", |address| &address.ip)
    }

    /// nginx's `$remote_port` and `$server_port`: a unix socket's end has none.
    pub fn port_text(address: Option<&Self>) -> &str {
        address.map_or("", |address| &address.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_spelt_as_php_knows_them() {
        for (socket, ip, port) in [
            ("192.0.2.7:4711", "192.0.2.7", "4711"),
            ("[2001:db8::1]:80", "2001:db8::1", "80"),
            ("0.0.0.0:0", "0.0.0.0", "0"),
        ] {
            let address = Address::from(socket.parse::<SocketAddr>().unwrap());
            assert_eq!((Address::ip_text(Some(&address)), Address::port_text(Some(&address))), (ip, port));
        }
        assert_eq!((Address::ip_text(None), Address::port_text(None)), ("unix:", ""));
    }
}
