//! Host names of `servers`, looked up by the system's own resolver: whatever `/etc/nsswitch.conf` says counts (files, DNS, mDNS,
//! a directory), as it does for every other program of the machine. It tells no TTL, so it is asked every few seconds.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::found::{Found, Named, Origin, Outlet, Report};
use super::trouble::Trouble;
use crate::config::model::EndpointSpec;
use crate::upstream::Endpoint;

/// The longest that one look-up may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks a name up. An argument, so that tests change a name's addresses without a name server.
pub(crate) type Lookup = Arc<dyn Fn(Name) -> Looking + Send + Sync>;
type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// A host name and its port.
pub(crate) type Name = (String, u16);

/// The system's own resolver.
pub(crate) fn system() -> Lookup {
    Arc::new(|(host, port)| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })
    })
}

/// Tells of a name's addresses, again and again.
pub(super) async fn follow(name: Name, lookup: Lookup, every: Duration, outlet: Outlet) {
    loop {
        let found = addresses_of(name.clone(), &lookup).await;
        outlet.tell(found.map(members)).await;
        sleep(every).await;
    }
}

/// Where a server is now: one endpoint for each of its name's addresses, as the members of a pool.
///
/// # Errors
/// When the name cannot be looked up, or has no address.
pub async fn endpoints_of(spec: &EndpointSpec) -> io::Result<Vec<Endpoint>> {
    match Origin::from(spec) {
        Origin::Written(endpoint) => Ok(vec![endpoint]),
        Origin::Name(host, port) => match addresses_of((host, port), &system()).await {
            Ok(addresses) => Ok(addresses.into_iter().map(Endpoint::Tcp).collect()),
            Err(Trouble::Lookup(_, error)) => Err(error),
            Err(trouble) => Err(io::Error::other(trouble.to_string())),
        },
        Origin::Told(_) => unreachable!("nobody tells of what is written"),
    }
}

async fn addresses_of(name: Name, lookup: &Lookup) -> Result<Vec<SocketAddr>, Trouble> {
    let host = name.0.clone();
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    let found = timeout(PATIENCE, lookup(name)).await.unwrap_or_else(late);
    match found.map(usable_addresses) {
        Err(error) => Err(Trouble::Lookup(host, error)),
        Ok(addresses) if addresses.is_empty() => Err(Trouble::NoAddress(host)),
        Ok(addresses) => Ok(addresses),
    }
}

/// Those whom a source names by an address or by a host name that is to be looked up; the first that cannot be is the source's trouble.
pub(super) async fn located(named: Vec<Named>, lookup: &Lookup) -> Report {
    let mut found = Vec::with_capacity(named.len());
    for Named { at, weight, backup } in named {
        let member = |endpoint| Found { endpoint, weight, backup };
        match Origin::from(&at) {
            Origin::Name(host, port) => {
                let addresses = addresses_of((host, port), lookup).await?;
                found.extend(addresses.into_iter().map(Endpoint::Tcp).map(member));
            }
            Origin::Written(endpoint) => found.push(member(endpoint)),
            Origin::Told(_) => {}
        }
    }
    Ok(found)
}

fn members(addresses: Vec<SocketAddr>) -> Vec<Found> {
    addresses.into_iter().map(|address| Endpoint::Tcp(address).into()).collect()
}

/// In a fixed order, and of one family: a host's two families are one php-fpm, which must not count twice, and
/// php-fpm's `listen = 127.0.0.1:9000` is not there at `localhost`'s `::1`.
pub(super) fn usable_addresses(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_host_with_both_families_counts_once() {
        let both = addresses(&["[::1]:9000", "127.0.0.1:9000", "127.0.0.1:9000"]);
        assert_eq!(usable_addresses(both), addresses(&["127.0.0.1:9000"]));
        let six = addresses(&["[::1]:9000"]);
        assert_eq!(usable_addresses(six.clone()), six);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_trouble_and_not_nobody() {
        let nowhere: Lookup = Arc::new(|_| Box::pin(async { Ok(Vec::new()) }));
        let trouble = addresses_of(("fpm".into(), 9000), &nowhere).await.unwrap_err();
        assert_eq!(trouble.to_string(), "fpm has no address");
    }
}
