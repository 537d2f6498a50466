//! `allow` and `deny`: the first rule that fits decides
//! (<http://nginx.org/en/docs/http/ngx_http_access_module.html>).

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use super::{AccessRule, Who};

/// Not `all`, an address or a network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadWho {
    /// Neither `all` nor an address.
    #[error("expected \"all\", \"unix:\", an address or a network such as 10.0.0.0/8")]
    Address,
    /// More bits than the address has, or not a number.
    #[error("the network's size must be a number of bits up to {0}")]
    Bits(u8),
}

impl Who {
    /// Reads `all`, `unix:`, `10.1.2.3`, `10.0.0.0/8` or `2001:db8::/32`. Bits behind the network's size are dropped, as nginx
    /// does.
    pub fn parse(written: &str) -> Result<Self, BadWho> {
        match written {
            "all" => return Ok(Self::All),
            "unix:" => return Ok(Self::Unix),
            _ => {}
        }
        let (address, bits) = match written.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (written, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadWho::Address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or(BadWho::Bits(most))?,
            None => most,
        };
        Ok(Self::Network { base: network(address, bits), bits })
    }

    /// Whether it means this one; `None` is somebody on a unix socket.
    pub(super) fn fits(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::All, _) => true,
            (Self::Unix, peer) => peer.is_none(),
            (Self::Network { .. }, None) => false,
            (Self::Network { base, bits }, Some(peer)) => {
                // A v6 socket shows v4 clients as ::ffff:a.b.c.d; rules may be written either way.
                [peer, peer.to_canonical()].into_iter().any(|peer| {
                    peer.is_ipv4() == base.is_ipv4() && network(peer, *bits) == network(*base, *bits)
                })
            }
        }
    }
}

/// The rule that decides; none: everybody is let in. `None` is a client on a unix socket, whom `all` and `unix:` mean.
pub(super) fn deciding(rules: &[AccessRule], peer: Option<IpAddr>) -> Option<&AccessRule> {
    rules.iter().find(|rule| rule.who.fits(peer))
}

impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.allow { "allow" } else { "deny" };
        match &self.who {
            Who::All => write!(f, "{word} all"),
            Who::Unix => write!(f, "{word} unix:"),
            Who::Network { base, bits } => write!(f, "{word} {base}/{bits}"),
        }
    }
}

fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(written: &[(&str, bool)]) -> Vec<AccessRule> {
        written
            .iter()
            .map(|(who, allow)| AccessRule { allow: *allow, who: Who::parse(who).unwrap() })
            .collect()
    }

    fn allows(rules: &[AccessRule], peer: Option<IpAddr>) -> bool {
        deciding(rules, peer).is_none_or(|rule| rule.allow)
    }

    fn allowed(rules: &[AccessRule], peer: &str) -> bool {
        allows(rules, Some(peer.parse().unwrap()))
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules =
            rules(&[("10.1.0.0/16", false), ("10.0.0.0/8", true), ("2001:db8::/32", true), ("all", false)]);
        for (peer, expected) in [
            ("10.1.2.3", false),
            ("10.2.0.1", true),
            ("11.0.0.1", false),
            ("::ffff:10.2.0.1", true),
            ("::ffff:10.1.0.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(allowed(&rules, peer), expected, "{peer}");
        }
    }

    #[test]
    fn without_a_rule_that_fits_everybody_is_let_in() {
        assert!(allowed(&[], "192.0.2.1"));
        assert!(allowed(&rules(&[("10.0.0.0/8", false)]), "192.0.2.1"));
    }

    #[test]
    fn a_client_on_a_unix_socket_is_meant_by_all_and_by_unix() {
        assert!(!allows(&rules(&[("unix:", false)]), None));
        assert!(allowed(&rules(&[("unix:", false)]), "127.0.0.1"));
        assert!(allows(&rules(&[("127.0.0.1", false)]), None));
        assert!(!allows(&rules(&[("127.0.0.1", true), ("all", false)]), None));
    }

    #[test]
    fn whole_networks_and_single_addresses_are_read() {
        let network = |base: &str, bits| Ok(Who::Network { base: base.parse().unwrap(), bits });
        assert_eq!(Who::parse("all"), Ok(Who::All));
        assert_eq!(Who::parse("10.1.2.3"), network("10.1.2.3", 32));
        assert_eq!(Who::parse("10.1.2.3/8"), network("10.0.0.0", 8));
        assert_eq!(Who::parse("0.0.0.0/0"), network("0.0.0.0", 0));
        assert_eq!(Who::parse("::1"), network("::1", 128));
        assert_eq!(Who::parse("::/0"), network("::", 0));
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (written, why) in [
            ("", BadWho::Address),
            ("ALL", BadWho::Address),
            ("10.0.0", BadWho::Address),
            ("example.com", BadWho::Address),
            ("10.0.0.0/33", BadWho::Bits(32)),
            ("10.0.0.0/", BadWho::Bits(32)),
            ("::/129", BadWho::Bits(128)),
            ("::/-1", BadWho::Bits(128)),
        ] {
            assert_eq!(Who::parse(written), Err(why), "{written}");
        }
    }
}
