//! Floor 5: one immutable generation of everything that serves, built from the model and swapped as one.

mod names;

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::model::{self, Listen, Model};
use crate::files::Recent;
use crate::route::{NoTrace, Plan, PoolId, RequestFacts, Router};
use crate::upstream::Cluster;
use names::Names;

/// A listener by its place in [`Sites::listeners`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerId(pub usize);

/// Everything that serves, as it was at one moment of the configuration.
#[derive(Debug)]
pub struct Generation {
    sites: Sites,
    clusters: Vec<Cluster>,
}

/// The sites, and who of them answers where. Touches no socket, so that `explain` can build it too.
#[derive(Debug)]
pub struct Sites {
    listeners: Vec<Listen>,
    names: Vec<Names>,
    sites: Vec<Site>,
}

/// One site at work.
#[derive(Debug)]
pub struct Site {
    router: Router,
    disk: Recent,
    server_name: String,
}

impl Generation {
    /// Builds what the model says. Pools that `old` has already lend their members: connections, health and counters live on.
    ///
    /// Must be called within a tokio runtime, because pools look after themselves in background tasks.
    pub fn build(model: &Model, old: Option<&Self>) -> Self {
        let before = |name: &str| old?.clusters.iter().find(|cluster| &**cluster.name() == name);
        let cluster = |pool: &model::Pool| Cluster::new(pool, &model.server.temp_dir, before(&pool.name));
        Self { sites: Sites::build(model), clusters: model.pools.iter().map(cluster).collect() }
    }

    /// The sites.
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// The pool that a plan names.
    pub fn cluster(&self, pool: PoolId) -> &Cluster {
        &self.clusters[pool.0]
    }

    /// All pools, in the order of the configuration.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }
}

impl Sites {
    /// Builds what the model says.
    pub fn build(model: &Model) -> Self {
        let mut places: HashMap<&Listen, usize> = HashMap::new();
        let (mut listeners, mut names): (Vec<Listen>, Vec<Names>) = (Vec::new(), Vec::new());
        for (index, site) in model.sites.iter().enumerate() {
            for listen in &site.listen {
                let place = *places.entry(listen).or_insert_with(|| {
                    listeners.push(listen.clone());
                    names.push(Names::default());
                    listeners.len() - 1
                });
                names[place].add(&site.names, index);
            }
        }
        Self { listeners, names, sites: model.sites.iter().map(Site::build).collect() }
    }

    /// Where clients are awaited, each address once; [`ListenerId`] is the place here.
    pub fn listeners(&self) -> &[Listen] {
        &self.listeners
    }

    /// The site that a listener has for a host.
    pub fn find(&self, listener: ListenerId, host: &str) -> &Site {
        &self.sites[self.place(listener, host)]
    }

    /// The same as a place in the model's list of sites.
    pub fn place(&self, listener: ListenerId, host: &str) -> usize {
        self.names.get(listener.0).and_then(|names| names.find(host)).unwrap_or(0)
    }
}

impl Site {
    fn build(model: &model::Site) -> Self {
        let router = Router::new(model.rules.clone(), model.locations.clone(), Arc::clone(&model.settings));
        Self { router, disk: Recent::default(), server_name: model.server_name.clone() }
    }

    /// How a request will be served.
    pub fn plan<'a>(&'a self, facts: &RequestFacts<'a>) -> Plan<'a> {
        self.router.plan(facts, &self.disk, &mut NoTrace)
    }

    /// What decides: for `explain`, which looks on.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// nginx's `$server_name`: the first of its names, or empty.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }
}
