//! An end of a client's connection, spelt once: every script gets two, and writing one costs more than copying it.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// An address and its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    socket: SocketAddr,
    /// The IP address, and after it the port if there is one.
    text: String,
    port_at: u8,
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
        let mut address = Self::without_port(socket.ip());
        address.socket = socket;
        write!(address.text, "{}", socket.port()).expect("a String takes whatever it is given");
        address
    }
}

impl Address {
    /// Of somebody whose port nobody told.
    pub fn without_port(ip: IpAddr) -> Self {
        // Both texts at their longest, so that there is one allocation.
        let mut text = String::with_capacity(if ip.is_ipv4() { 20 } else { 44 });
        write!(text, "{ip}").expect("a String takes whatever it is given");
        let port_at = u8::try_from(text.len()).expect("an IP address has at most 39 characters");
        Self { socket: SocketAddr::new(ip, 0), text, port_at }
    }

    /// Without texts; port 0 where nobody told it.
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// As a number.
    pub fn ip(&self) -> IpAddr {
        self.socket.ip()
    }

    /// The texts of an end that is there.
    pub(super) fn ip_bytes(&self) -> &[u8] {
        self.texts().0.as_bytes()
    }

    pub(super) fn port_bytes(&self) -> &[u8] {
        self.texts().1.as_bytes()
    }

    /// nginx's `$remote_addr` and `$server_addr`: a unix socket's end is `unix:`.
    pub fn ip_text(address: Option<&Self>) -> &str {
        address.map_or("unix:", |address| address.texts().0)
    }

    /// nginx's `$remote_port` and `$server_port`: a unix socket's end has none.
    pub fn port_text(address: Option<&Self>) -> &str {
        address.map_or("", |address| address.texts().1)
    }

    /// The IP address and the port.
    fn texts(&self) -> (&str, &str) {
        self.text.split_at(usize::from(self.port_at))
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
            ("255.255.255.255:65535", "255.255.255.255", "65535"),
        ] {
            let address = Address::from(socket.parse::<SocketAddr>().unwrap());
            assert_eq!((Address::ip_text(Some(&address)), Address::port_text(Some(&address))), (ip, port));
        }
        let portless = Address::without_port(IpAddr::from([192, 0, 2, 7]));
        assert_eq!((portless.ip_bytes(), portless.port_bytes()), (&b"192.0.2.7"[..], &b""[..]));
        assert_eq!((Address::ip_text(None), Address::port_text(None)), ("unix:", ""));
    }
}
