//! Floor 5: one immutable generation of everything that serves, built from the model and swapped as one.

mod guards;
mod names;

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::config::model::{self, Clients, Listen, Listener, Model};
use crate::files::{Held, Recent};
use crate::metrics::{Metrics, SiteMeters};
use crate::route::{
    Address, Announced, BadOrder, ErrorPage, NoTrace, Order, Origin, Plan, PoolId, RealIp, RequestFacts,
    Router, Settings,
};
use crate::tls::Vault;
use crate::upstream::{Buffers, Cluster, Fault};
pub use guards::Guards;
use names::Names;

/// A listener by its number, which it keeps from one generation to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub usize);

/// Where clients are awaited, and who answers them.
#[derive(Debug)]
struct Door {
    id: ListenerId,
    listener: Listener,
    names: Names,
}

/// Everything that serves, as it was at one moment of the configuration.
#[derive(Debug)]
pub struct Generation {
    sites: Sites,
    clusters: Vec<Cluster>,
    guards: Guards,
    tls: Vault,
    buffers: Buffers,
    held: Option<Held>,
    metrics: Option<Arc<Metrics>>,
}

/// The sites, and who of them answers where. Touches no socket, so that `explain` can build it too.
#[derive(Debug)]
pub struct Sites {
    doors: Vec<Door>,
    /// Places in `doors`.
    by_id: HashMap<ListenerId, usize>,
    sites: Vec<Site>,
}

/// One site at work.
#[derive(Debug)]
pub struct Site {
    router: Router,
    disk: Recent,
    server_name: String,
    real_ip: Option<RealIp>,
    meters: Option<Arc<SiteMeters>>,
    clients: Option<Clients>,
    hsts: Option<HeaderValue>,
}

impl Generation {
    /// Builds what the model says. Pools that `old` has already lend their members: connections, health and counters live on.
    ///
    /// Must be called within a tokio runtime, because pools look after themselves in background tasks.
    pub fn build(model: &Model, old: Option<&Self>) -> Self {
        let before = |name: &str| old?.clusters.iter().find(|cluster| &**cluster.name() == name);
        let metrics = metrics(model, old).map(Arc::new);
        let buffers = Buffers::new(&model.server, old.map(|old| &old.buffers));
        let cluster = |pool: &model::Pool| {
            let meters = metrics.as_ref().and_then(|metrics| metrics.pool(&pool.name)).cloned();
            Cluster::new(pool, &buffers, before(&pool.name)).counted_by(meters)
        };
        let clusters = model.pools.iter().map(cluster).collect();
        let mut sites = Sites::build(model, old.map(Self::sites));
        if let Some(metrics) = &metrics {
            for (site, name) in sites.sites.iter_mut().zip(model.sites.iter().map(model::Site::label)) {
                site.meters = metrics.site(&name).cloned();
            }
        }
        let guards = Guards::build(model, old.map(|old| &old.guards));
        let tls = Vault::build(model, old.map(|old| &old.tls));
        let held = Held::new(model.server.open_file_cache);
        Self { sites, clusters, guards, tls, buffers, held, metrics }
    }

    /// The sites.
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// Password files and limits at work.
    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    /// What handshakes need.
    pub fn tls(&self) -> &Vault {
        &self.tls
    }

    /// The pool that a plan names.
    pub fn cluster(&self, pool: PoolId) -> &Cluster {
        &self.clusters[pool.0]
    }

    /// Where bodies wait for those who are slow.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Small files; `None`: none is held.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// What is counted; nothing, where nobody could ask for it.
    pub fn metrics(&self) -> Option<&Arc<Metrics>> {
        self.metrics.as_ref()
    }

    /// All pools, in the order of the configuration.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }
}

/// Only where there is somebody who may ask: counting costs each request a little.
fn metrics(model: &Model, old: Option<&Generation>) -> Option<Metrics> {
    model.admin.as_ref()?;
    let before = old.and_then(|old| old.metrics.as_deref());
    let labels: Vec<_> = model.sites.iter().map(model::Site::label).collect();
    let sites = labels.iter().map(|label| &**label);
    let pools = model.pools.iter().map(|pool| &*pool.name);
    Some(Metrics::new(model.server.worker_threads(), sites, pools, &Fault::WORDS, before))
}

impl Sites {
    /// Builds what the model says. Listeners that `old` has already keep their numbers.
    pub fn build(model: &Model, old: Option<&Self>) -> Self {
        let before = |listen: &Listen| old?.listeners().find(|(_, known)| *known == listen).map(|(id, _)| id);
        let mut fresh = old.map_or(0, |old| old.doors.iter().map(|door| door.id.0 + 1).max().unwrap_or(0));
        let spoken: HashMap<_, _> = model.listeners.iter().map(|one| (&one.listen, one)).collect();
        let mut places: HashMap<&Listen, usize> = HashMap::new();
        let mut doors: Vec<Door> = Vec::new();
        for (index, site) in model.sites.iter().enumerate() {
            for listen in &site.listen {
                let place = *places.entry(listen).or_insert_with(|| {
                    let id = before(listen).unwrap_or_else(|| {
                        fresh += 1;
                        ListenerId(fresh - 1)
                    });
                    let listener = (*spoken[listen]).clone();
                    doors.push(Door { id, listener, names: Names::default() });
                    doors.len() - 1
                });
                doors[place].names.add(&site.names, index);
            }
        }
        let by_id = doors.iter().enumerate().map(|(place, door)| (door.id, place)).collect();
        Self { doors, by_id, sites: model.sites.iter().map(Site::build).collect() }
    }

    /// Where clients are awaited, each address once.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, &Listen)> {
        self.doors.iter().map(|door| (door.id, &door.listener.listen))
    }

    /// How clients are talked to at a listener; `None` where it is gone.
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.door(id).map(|door| &door.listener)
    }

    /// The site that a listener has for a host.
    pub fn find(&self, listener: ListenerId, host: &str) -> &Site {
        &self.sites[self.place(listener, host)]
    }

    /// The same as a place in the model's list of sites.
    pub fn place(&self, listener: ListenerId, host: &str) -> usize {
        self.door(listener).and_then(|door| door.names.find(host)).unwrap_or(0)
    }

    fn door(&self, listener: ListenerId) -> Option<&Door> {
        match &*self.doors {
            [only] if only.id == listener => Some(only),
            doors => Some(&doors[*self.by_id.get(&listener)?]),
        }
    }
}

impl Site {
    fn build(model: &model::Site) -> Self {
        let router = Router::new(model.rules.clone(), model.locations.clone(), Arc::clone(&model.settings));
        Self {
            router,
            disk: Recent::default(),
            server_name: model.server_name.clone(),
            real_ip: model.real_ip.clone(),
            meters: None,
            clients: model.tls.as_ref().and_then(|tls| tls.clients.clone()),
            hsts: model.hsts.clone(),
        }
    }

    /// How a request will be served.
    pub fn plan<'a>(&'a self, facts: &RequestFacts<'a>) -> Plan<'a> {
        self.router.plan(facts, self.disk.begin(), &mut NoTrace)
    }

    /// What the proxies say that it trusts; `None` where it trusts nobody.
    pub fn origin(
        &self,
        hop: Option<&Address>,
        announced: Option<&Announced>,
        headers: &HeaderMap,
    ) -> Option<Origin> {
        self.real_ip.as_ref().map(|rule| rule.origin(hop, announced, headers))
    }

    /// How what a script orders will be served.
    ///
    /// # Errors
    /// It is not to be followed.
    pub fn plan_order<'a>(&'a self, order: &Order, facts: &RequestFacts<'a>) -> Result<Plan<'a>, BadOrder> {
        self.router.plan_order(order, facts, self.disk.begin(), &mut NoTrace)
    }

    /// How an error's page will be served.
    pub fn plan_error_page<'a>(
        &'a self,
        page: &'a ErrorPage,
        settings: &'a Settings,
        facts: &RequestFacts<'a>,
    ) -> Plan<'a> {
        self.router.plan_error_page(page, settings, facts, self.disk.begin(), &mut NoTrace)
    }

    /// What decides: for `explain`, which looks on.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Where its requests are counted, if they are.
    pub fn meters(&self) -> Option<&SiteMeters> {
        self.meters.as_deref()
    }

    /// What it asks of its clients: a certificate, or nothing.
    pub fn clients(&self) -> Option<&Clients> {
        self.clients.as_ref()
    }

    /// `Strict-Transport-Security`, for replies over TLS.
    pub fn hsts(&self) -> Option<&HeaderValue> {
        self.hsts.as_ref()
    }

    /// nginx's `$server_name`: the first of its names, or empty.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sites(ports: &[u16], old: Option<&Sites>) -> Sites {
        let site = |port| {
            format!(
                "[[sites]]\nlisten = [\":{port}\"]\nnames = [\"of{port}\"]\nroutes = [{{ match = \"/\", return = {{ status = 204 }} }}]\n"
            )
        };
        let text: String = ports.iter().map(site).collect();
        Sites::build(&crate::config::parse(&text, "test", Path::new("/")).expect("valid"), old)
    }

    #[test]
    fn a_listener_keeps_its_number_and_leads_to_its_site_of_each_generation() {
        let first = sites(&[81, 82], None);
        let second = sites(&[83, 82], Some(&first));
        let ids = |sites: &Sites| sites.listeners().map(|(id, _)| id.0).collect::<Vec<_>>();
        assert_eq!((ids(&first), ids(&second)), (vec![0, 1], vec![2, 1]));
        assert_eq!(first.find(ListenerId(1), "any").server_name(), "of82");
        assert_eq!(second.find(ListenerId(1), "any").server_name(), "of82");
        assert_eq!(second.find(ListenerId(2), "any").server_name(), "of83");
    }
}
