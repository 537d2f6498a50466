//! The password files and limits of all sites, at work. What a reload leaves as it was keeps its counts and what it knows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::model::{Model, Site};
use crate::limits::Limiter;
use crate::route::{Limits, Location, Settings};
use crate::users::{Guesses, Hashing, Users};

/// Those of one generation.
#[derive(Debug)]
pub struct Guards {
    hashing: Arc<Hashing>,
    guesses: Arc<Guesses>,
    users: HashMap<PathBuf, Arc<Users>>,
    /// Few sites have more than a handful.
    limiters: Vec<Limited>,
}

/// The limits of one location, and of those that inherit them.
#[derive(Debug)]
struct Limited {
    site: Arc<str>,
    limits: Arc<Limits>,
    limiters: Arc<[Limiter]>,
}

impl Guards {
    pub(super) fn build(model: &Model, old: Option<&Self>) -> Self {
        let threads = model.server.worker_threads();
        let hashing = old.map_or_else(|| Arc::new(Hashing::new(threads)), |old| Arc::clone(&old.hashing));
        let guesses = old.map_or_else(Arc::default, |old| Arc::clone(&old.guesses));
        let mut guards = Self { hashing, guesses, users: HashMap::new(), limiters: Vec::new() };
        for site in &model.sites {
            let label: Arc<str> = site.label().into();
            for guard in all_settings(site).into_iter().filter_map(|settings| settings.guard.as_deref()) {
                guard.auth.iter().for_each(|auth| guards.add_users(&auth.file, old));
                guard.limits.iter().for_each(|limits| guards.add_limits(&label, limits, old));
            }
        }
        guards
    }

    fn add_users(&mut self, file: &Path, old: Option<&Self>) {
        if self.users.contains_key(file) {
            return;
        }
        let known = old.and_then(|old| old.users.get(file)).cloned();
        let users = known.unwrap_or_else(|| Arc::new(Users::new(file.to_owned(), Arc::clone(&self.hashing))));
        self.users.insert(file.to_owned(), users);
    }

    fn add_limits(&mut self, site: &Arc<str>, limits: &Arc<Limits>, old: Option<&Self>) {
        if self.limiters.iter().any(|known| Arc::ptr_eq(&known.limits, limits)) {
            return;
        }
        let same = |known: &&Limited| known.site == *site && known.limits == *limits;
        let limiters = match old.and_then(|old| old.limiters.iter().find(same)) {
            Some(known) => Arc::clone(&known.limiters),
            None => limits.all.iter().map(|limit| Limiter::new(site, &limits.at, limit)).collect(),
        };
        self.limiters.push(Limited { site: Arc::clone(site), limits: Arc::clone(limits), limiters });
    }

    /// A password file.
    pub fn users(&self, file: &Path) -> Option<&Users> {
        self.users.get(file).map(|users| &**users)
    }

    /// Who has been wrong of late.
    pub fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    /// One for each of a location's limits, in their order.
    pub fn limiters(&self, limits: &Limits) -> &[Limiter] {
        let found = self.limiters.iter().find(|known| std::ptr::eq(&*known.limits, limits));
        found.map_or(&[], |known| &known.limiters)
    }
}

fn all_settings(site: &Site) -> Vec<&Arc<Settings>> {
    let mut all = vec![&site.settings];
    let mut left: Vec<&Location> = site.locations.iter().collect();
    while let Some(location) = left.pop() {
        all.push(&location.settings);
        left.extend(&location.nested);
    }
    all
}
