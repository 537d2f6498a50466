//! Floor 3: counters and histograms as handles: looked up once, when a site or a pool is built, and written by whoever holds them.
//!
//! | file | owns |
//! |---|---|
//! | `shards` | one set of numbers for each thread, so that no two write the same cache line |
//! | `histogram` | times in buckets |
//! | `front` | connections, and requests of no site |
//! | `site` | requests of a site by class and status |
//! | `pool` | waits, failures and retries of a pool |
//! | `process` | what the kernel knows of us |
//! | `page` | the text that Prometheus reads |
//!
//! What a pool knows of itself anyway (members, queue) is read there when somebody looks, and counted nowhere twice.

mod front;
mod histogram;
mod page;
mod pool;
mod process;
mod shards;
mod site;

use std::collections::HashMap;
use std::sync::Arc;

pub use front::FrontMeters;
pub use page::{Format, Labels, Page, render};
pub use pool::{PoolMeter, PoolMeters};
pub use site::{Class, Kept, SiteMeter, SiteMeters};

/// Every number of one generation; those of its sites and pools that the one before had too go on.
#[derive(Debug)]
pub struct Metrics {
    threads: usize,
    front: Arc<FrontMeters>,
    sites: HashMap<String, Arc<SiteMeters>>,
    pools: HashMap<String, Arc<PoolMeters>>,
}

impl Metrics {
    /// For sites and pools of these names, written by about so many threads. `reasons` are the words for what may go wrong in
    /// a pool.
    pub fn new<'a>(
        threads: usize,
        sites: impl IntoIterator<Item = &'a str>,
        pools: impl IntoIterator<Item = &'a str>,
        reasons: &'static [&'static str],
        before: Option<&Self>,
    ) -> Self {
        let threads = before.map_or(threads, |before| before.threads);
        let front =
            before.map_or_else(|| Arc::new(FrontMeters::new(threads)), |before| Arc::clone(&before.front));
        let site = |name: &str| {
            let known = before.and_then(|before| before.sites.get(name)).cloned();
            (name.to_owned(), known.unwrap_or_else(|| Arc::new(SiteMeters::new(threads))))
        };
        let pool = |name: &str| {
            let known = before.and_then(|before| before.pools.get(name)).cloned();
            (name.to_owned(), known.unwrap_or_else(|| Arc::new(PoolMeters::new(threads, reasons))))
        };
        Self {
            threads,
            front,
            sites: sites.into_iter().map(site).collect(),
            pools: pools.into_iter().map(pool).collect(),
        }
    }

    /// What is counted before a site is known.
    pub fn front(&self) -> &Arc<FrontMeters> {
        &self.front
    }

    /// A site's numbers.
    pub fn site(&self, name: &str) -> Option<&Arc<SiteMeters>> {
        self.sites.get(name)
    }

    /// A pool's numbers.
    pub fn pool(&self, name: &str) -> Option<&Arc<PoolMeters>> {
        self.pools.get(name)
    }

    /// Writes them all.
    ///
    /// # Errors
    /// Never, into a string.
    pub fn write(&self, page: &mut Page<'_>) -> std::fmt::Result {
        let info = [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)];
        page.gauge("cornac_build_info", "Which cornac this is", info)?;
        self.front.write(page)?;
        let nowhere = (front::NO_SITE, self.front.nowhere());
        let mut sites: Vec<_> = self.sites.iter().map(|(name, meters)| (&**name, &**meters)).collect();
        sites.sort_by_key(|(name, _)| *name);
        site::write(page, &std::iter::once(nowhere).chain(sites).collect::<Vec<_>>())?;
        let mut pools: Vec<_> = self.pools.iter().map(|(name, meters)| (&**name, &**meters)).collect();
        pools.sort_by_key(|(name, _)| *name);
        pool::write(page, &pools)?;
        process::write(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_there_after_a_reload_goes_on_counting_and_the_rest_is_gone() {
        let first = Metrics::new(2, ["a.example", "b.example"], ["php"], &["refused"], None);
        first.site("a.example").expect("it was named").here().sent(5);
        let second = Metrics::new(9, ["a.example", "c.example"], ["php"], &["refused"], Some(&first));
        assert!(Arc::ptr_eq(
            first.site("a.example").expect("named"),
            second.site("a.example").expect("named")
        ));
        assert!(Arc::ptr_eq(first.pool("php").expect("named"), second.pool("php").expect("named")));
        assert!(Arc::ptr_eq(first.front(), second.front()));
        assert!(second.site("b.example").is_none() && second.site("c.example").is_some());
    }
}
