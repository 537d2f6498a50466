//! From the servers of a configuration to seated members: names are looked up, and again every few seconds.
//!
//! A name with several addresses becomes several members; an address that was there before is the same member as
//! before; a look-up that fails changes nothing (the last known good is kept). Each change is one log line.

use super::admission::Admission;
use super::endpoint::Endpoint;
use super::member::{Member, Seat};
use crate::config::model::{EndpointSpec, ServerSpec};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

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

/// Where a server is now: one endpoint for each of its name's addresses, as the members of a pool.
///
/// # Errors
/// When the name cannot be looked up, or has no address.
pub async fn endpoints_of(spec: &EndpointSpec) -> io::Result<Vec<Endpoint>> {
    match (spec, address_of(spec)) {
        (EndpointSpec::Unix(path), _) => Ok(vec![Endpoint::Unix(path.clone())]),
        (_, Some(address)) => Ok(vec![Endpoint::Tcp(address)]),
        (EndpointSpec::Tcp { host, port }, None) => {
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            let found = timeout(PATIENCE, system()((host.clone(), *port))).await.map_err(late)??;
            match usable_addresses(found) {
                addresses if addresses.is_empty() => Err(io::Error::other("no address")),
                addresses => Ok(addresses.into_iter().map(Endpoint::Tcp).collect()),
            }
        }
    }
}

/// The servers of a pool and what is known of their names.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    specs: Vec<ServerSpec>,
    known: HashMap<Name, Vec<SocketAddr>>,
    /// Names for which no look-up has ended yet.
    pending: HashSet<Name>,
}

impl Servers {
    /// What `before` knew of a name is taken over.
    pub(crate) fn new(specs: &[ServerSpec], before: Option<&Self>) -> Self {
        let mut servers = Self { specs: specs.to_vec(), known: HashMap::new(), pending: HashSet::new() };
        for name in specs.iter().filter_map(|spec| name_of(&spec.endpoint)) {
            match before.and_then(|before| before.known.get(&name)) {
                Some(addresses) => drop(servers.known.insert(name, addresses.clone())),
                None => drop(servers.pending.insert(name)),
            }
        }
        servers
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        let names: HashSet<_> = self.specs.iter().filter_map(|spec| name_of(&spec.endpoint)).collect();
        names.into_iter().collect()
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes in a look-up. Whether it changed anything.
    fn learn(&mut self, name: Name, result: io::Result<Vec<SocketAddr>>, pool: &str) -> bool {
        let was_pending = self.pending.remove(&name);
        let found = result.map(usable_addresses).and_then(|addresses| match addresses.is_empty() {
            true => Err(io::Error::other("no address")),
            false => Ok(addresses),
        });
        match found {
            Err(error) => {
                let host = name.0.as_str();
                match was_pending {
                    true => {
                        tracing::warn!(pool, host, %error, "cannot look up a server's name; trying again")
                    }
                    false => {
                        tracing::debug!(pool, host, %error, "look-up failed; the last known good is kept")
                    }
                }
                was_pending
            }
            Ok(addresses) if self.known.get(&name) == Some(&addresses) => was_pending,
            Ok(addresses) => {
                self.known.insert(name, addresses);
                true
            }
        }
    }

    /// The members as they are known now. Those of `present` that stay are the same.
    pub(crate) fn seats(&self, present: &[Arc<Member>]) -> Vec<Seat> {
        let mut seats: Vec<Seat> = Vec::new();
        for spec in &self.specs {
            for endpoint in self.endpoints(&spec.endpoint) {
                // Two names may lead to one address; it is one php-fpm all the same.
                if seats.iter().any(|seat| *seat.member.endpoint() == endpoint) {
                    continue;
                }
                let known = present.iter().find(|member| *member.endpoint() == endpoint);
                seats.push(Seat {
                    member: known.cloned().unwrap_or_else(|| Member::new(endpoint)),
                    weight: spec.weight,
                    max_conns: spec.max_conns,
                    rules: spec.rules,
                    slow_start: spec.slow_start,
                    tier: spec.tier,
                    down: spec.down,
                });
            }
        }
        seats
    }

    fn endpoints(&self, spec: &EndpointSpec) -> Vec<Endpoint> {
        match (spec, address_of(spec)) {
            (EndpointSpec::Unix(path), _) => vec![Endpoint::Unix(path.clone())],
            (_, Some(address)) => vec![Endpoint::Tcp(address)],
            (EndpointSpec::Tcp { host, port }, None) => {
                let addresses = self.known.get(&(host.clone(), *port));
                addresses.into_iter().flatten().copied().map(Endpoint::Tcp).collect()
            }
        }
    }
}

/// An address that is written as such.
fn address_of(spec: &EndpointSpec) -> Option<SocketAddr> {
    match spec {
        EndpointSpec::Tcp { host, port } => host.parse::<IpAddr>().ok().map(|ip| (ip, *port).into()),
        EndpointSpec::Unix(_) => None,
    }
}

fn name_of(spec: &EndpointSpec) -> Option<Name> {
    match spec {
        EndpointSpec::Tcp { host, port } if address_of(spec).is_none() => Some((host.clone(), *port)),
        EndpointSpec::Tcp { .. } | EndpointSpec::Unix(_) => None,
    }
}

/// In a fixed order, and of one family: a host's two families are one php-fpm, which must not count twice, and
/// php-fpm's `listen = 127.0.0.1:9000` is not there at `localhost`'s `::1`.
fn usable_addresses(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Looks all names up, seats what they lead to, and again after each `every`. Ends with the task that runs it.
pub(crate) async fn follow(
    admission: Arc<Admission>,
    servers: Arc<parking_lot::Mutex<Servers>>,
    lookup: Lookup,
    every: Duration,
) {
    loop {
        let mut lookups = JoinSet::new();
        for name in servers.lock().names() {
            let looking = lookup(name.clone());
            lookups.spawn(async move {
                let late = || io::Error::from(io::ErrorKind::TimedOut);
                (name, timeout(PATIENCE, looking).await.unwrap_or_else(|_| Err(late())))
            });
        }
        while let Some(looked_up) = lookups.join_next().await {
            let Ok((name, result)) = looked_up else { continue };
            let mut servers = servers.lock();
            let is_start = servers.pending.contains(&name);
            if servers.learn(name, result, admission.pool()) {
                reseat(&admission, &servers, is_start);
            }
        }
        sleep(every).await;
    }
}

/// Seats the members that the servers lead to, and says what changed. Who is found by the first look-up has been there from
/// the start as far as anybody knows; who is found later has just come up.
fn reseat(admission: &Arc<Admission>, servers: &Servers, is_start: bool) {
    let pool = &**admission.pool();
    let before: Vec<Arc<Member>> = admission.seats().into_iter().map(|seat| seat.member).collect();
    let seats = servers.seats(&admission.members());
    let is_seated = |member: &Arc<Member>| seats.iter().any(|seat| Arc::ptr_eq(&seat.member, member));
    for gone in before.iter().filter(|member| !is_seated(member)) {
        tracing::info!(
            pool,
            member = &**gone.name(),
            in_flight = gone.in_flight(),
            "member is gone from its name: draining"
        );
    }
    for new in seats.iter().filter(|seat| !before.iter().any(|member| Arc::ptr_eq(member, &seat.member))) {
        tracing::info!(pool, member = &**new.member.name(), weight = new.weight, "member found by its name");
        if !is_start {
            new.member.is_back(Instant::now());
        }
    }
    admission.seat(seats, servers.has_pending());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{Limit, MaxConns, Rules, Tier};

    fn spec(host: &str) -> ServerSpec {
        let endpoint = EndpointSpec::Tcp { host: host.into(), port: 9000 };
        ServerSpec {
            endpoint,
            weight: 2,
            max_conns: MaxConns::Most(4),
            rules: Rules::DEFAULT,
            slow_start: Duration::ZERO,
            tier: Tier::Near,
            down: false,
        }
    }

    fn addresses(texts: &[&str]) -> io::Result<Vec<SocketAddr>> {
        Ok(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn name() -> Name {
        ("fpm".into(), 9000)
    }

    fn members(seats: &[Seat]) -> Vec<Arc<Member>> {
        seats.iter().map(|seat| Arc::clone(&seat.member)).collect()
    }

    fn texts(seats: &[Seat]) -> Vec<String> {
        seats.iter().map(|seat| seat.member.name().to_string()).collect()
    }

    #[test]
    fn a_name_with_several_addresses_becomes_several_members_each_with_its_settings() {
        let mut servers = Servers::new(&[spec("fpm"), spec("10.0.0.9")], None);
        assert!(servers.has_pending());
        assert_eq!(texts(&servers.seats(&[])), ["10.0.0.9:9000"]);
        assert!(servers.learn(
            name(),
            addresses(&["10.0.0.2:9000", "10.0.0.1:9000", "10.0.0.2:9000"]),
            "php"
        ));
        let seats = servers.seats(&[]);
        assert_eq!(texts(&seats), ["10.0.0.1:9000", "10.0.0.2:9000", "10.0.0.9:9000"]);
        assert!(seats.iter().all(|seat| seat.weight == 2 && seat.limit() == Limit::Told(4)));
        assert!(!servers.has_pending());
    }

    #[test]
    fn who_stays_is_the_same_member() {
        let mut servers = Servers::new(&[spec("fpm")], None);
        servers.learn(name(), addresses(&["10.0.0.1:9000", "10.0.0.2:9000"]), "php");
        let before = members(&servers.seats(&[]));
        assert!(servers.learn(name(), addresses(&["10.0.0.2:9000", "10.0.0.3:9000"]), "php"));
        let after = servers.seats(&before);
        assert_eq!(texts(&after), ["10.0.0.2:9000", "10.0.0.3:9000"]);
        assert!(Arc::ptr_eq(&after[0].member, &before[1]));
    }

    #[test]
    fn a_failed_look_up_keeps_the_last_known_good() {
        let mut servers = Servers::new(&[spec("fpm")], None);
        servers.learn(name(), addresses(&["10.0.0.1:9000"]), "php");
        assert!(!servers.learn(name(), Err(io::Error::other("SERVFAIL")), "php"));
        assert!(!servers.learn(name(), addresses(&[]), "php"));
        assert_eq!(texts(&servers.seats(&[])), ["10.0.0.1:9000"]);
        let reloaded = Servers::new(&[spec("fpm")], Some(&servers));
        assert_eq!(texts(&reloaded.seats(&[])), ["10.0.0.1:9000"], "over a reload too");
        assert!(!reloaded.has_pending());
    }

    #[test]
    fn a_host_with_both_families_counts_once() {
        let both = addresses(&["[::1]:9000", "127.0.0.1:9000"]).unwrap();
        assert_eq!(usable_addresses(both), addresses(&["127.0.0.1:9000"]).unwrap());
        let six = addresses(&["[::1]:9000"]).unwrap();
        assert_eq!(usable_addresses(six.clone()), six);
    }

    #[test]
    fn one_address_under_two_names_is_one_member() {
        let servers = Servers::new(&[spec("10.0.0.1"), spec("10.0.0.1")], None);
        assert_eq!(servers.seats(&[]).len(), 1);
    }
}
