//! Name servers as a source: A and AAAA records, and SRV records with their priorities and weights (RFC 2782).
//!
//! They are asked again when their answer's TTL is over, but at least after each `resolve`: Docker's own name server says 600 s for addresses
//! that change at any moment. The system's settings (`/etc/resolv.conf`, `/etc/hosts`) are read anew each time, so that a change counts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::{sleep, timeout};

use super::found::{Found, Outlet};
use super::names::usable_addresses;
use super::trouble::Trouble;
use crate::upstream::Endpoint;

/// How long one name server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// For one round with all that belongs to it: attempts, other servers, search domains, the targets of an SRV.
const ROUND: Duration = Duration::from_secs(8);
/// A TTL of 0 is no reason to ask without a pause.
const SHORTEST: Duration = Duration::from_secs(1);

/// Members, and how long that is true.
type Answer = (Vec<Found>, Instant);

/// Tells of the addresses of a name.
pub(super) async fn follow_addresses(
    host: String,
    port: u16,
    resolver: Vec<SocketAddr>,
    every: Duration,
    outlet: Outlet,
) {
    loop {
        let asking = async { addresses(&resolver_of(&resolver)?, &host, port).await };
        rest_after(in_time(asking, &host).await, every, &outlet).await;
    }
}

/// Tells of the targets of a service.
pub(super) async fn follow_services(
    name: String,
    resolver: Vec<SocketAddr>,
    every: Duration,
    outlet: Outlet,
) {
    loop {
        let asking = async { services(&resolver_of(&resolver)?, &name).await };
        rest_after(in_time(asking, &name).await, every, &outlet).await;
    }
}

async fn in_time(
    asking: impl Future<Output = Result<Answer, Trouble>>,
    name: &str,
) -> Result<Answer, Trouble> {
    let silent = |_| Err(Trouble::SilentNameServer(name.to_owned()));
    timeout(ROUND, asking).await.unwrap_or_else(silent)
}

async fn rest_after(answer: Result<Answer, Trouble>, every: Duration, outlet: &Outlet) {
    let (report, rest) = match answer {
        Ok((found, until)) => (Ok(found), rest(until.saturating_duration_since(Instant::now()), every)),
        Err(trouble) => (Err(trouble), every),
    };
    outlet.tell(report).await;
    sleep(rest).await;
}

/// As long as the answer is true, but neither without a pause nor longer than `every`.
fn rest(ttl: Duration, every: Duration) -> Duration {
    ttl.max(SHORTEST).min(every)
}

/// A resolver that remembers nothing: the pace is ours.
fn resolver_of(servers: &[SocketAddr]) -> Result<TokioResolver, Trouble> {
    let unusable = |error: NetError| Trouble::ResolverSettings(error.to_string());
    let (config, mut options) = match servers {
        [] => read_system_conf().map_err(unusable)?,
        _ => (
            ResolverConfig::from_name_servers(servers.iter().map(name_server).collect()),
            ResolverOpts::default(),
        ),
    };
    options.cache_size = 0;
    options.timeout = options.timeout.min(PATIENCE);
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.with_options(options).build().map_err(unusable)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

async fn addresses(resolver: &TokioResolver, host: &str, port: u16) -> Result<Answer, Trouble> {
    let answer = resolver.lookup_ip(host).await.map_err(|error| trouble(host, &error))?;
    let addresses = usable_addresses(answer.iter().map(|ip| SocketAddr::new(ip, port)).collect());
    if addresses.is_empty() {
        return Err(Trouble::NoAddress(host.to_owned()));
    }
    let members = addresses.into_iter().map(|address| Endpoint::Tcp(address).into()).collect();
    Ok((members, answer.valid_until()))
}

async fn services(resolver: &TokioResolver, name: &str) -> Result<Answer, Trouble> {
    let answer = resolver.srv_lookup(name).await.map_err(|error| trouble(name, &error))?;
    let services = answer.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(service) if service.target != Name::root() => Some(service),
        _ => None,
    });
    let services: Vec<&SRV> = services.collect();
    // RFC 2782: the lowest number is asked first.
    let Some(first) = services.iter().map(|service| service.priority).min() else {
        return Err(Trouble::NoAddress(name.to_owned()));
    };
    let (mut found, mut until) = (Vec::new(), answer.valid_until());
    for service in services {
        let target = service.target.to_string();
        let (members, target_until) = addresses(resolver, &target, service.port).await?;
        until = until.min(target_until);
        let weight = Some(u32::from(service.weight).max(1));
        let backup = Some(service.priority > first);
        found.extend(members.into_iter().map(|member| Found { weight, backup, ..member }));
    }
    Ok((found, until))
}

fn trouble(name: &str, error: &NetError) -> Trouble {
    let name = name.to_owned();
    match error {
        error if error.is_nx_domain() => Trouble::NoSuchName(name),
        error if error.is_no_records_found() => Trouble::NoAddress(name),
        NetError::Timeout => Trouble::SilentNameServer(name),
        error => Trouble::Dns(name, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_believed_for_its_ttl_but_never_for_long_and_never_for_nothing() {
        let seconds = Duration::from_secs;
        assert_eq!(rest(seconds(600), seconds(5)), seconds(5), "Docker's");
        assert_eq!(rest(seconds(2), seconds(5)), seconds(2));
        assert_eq!(rest(Duration::ZERO, seconds(5)), seconds(1));
        assert_eq!(rest(seconds(600), Duration::from_millis(20)), Duration::from_millis(20));
    }

    #[test]
    fn a_silent_name_server_and_a_name_that_is_not_there_are_told_apart() {
        let silent = trouble("fpm", &NetError::Timeout).to_string();
        assert_eq!(silent, "fpm cannot be looked up: no name server answered in time");
    }
}
