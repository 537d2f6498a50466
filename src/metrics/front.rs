//! What is counted before a site is known: connections, and requests too wrong to belong anywhere.

use std::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;
use super::site::SiteMeters;

/// The site of requests that have none.
pub(super) const NO_SITE: &str = "-";

/// One for the whole process.
#[derive(Debug)]
pub struct FrontMeters {
    came: AtomicU64,
    left: AtomicU64,
    nowhere: SiteMeters,
}

/// A client's connection, as long as it stands.
#[derive(Debug)]
pub struct Guest<'a>(&'a FrontMeters);

impl FrontMeters {
    pub(super) fn new(threads: usize) -> Self {
        Self { came: AtomicU64::new(0), left: AtomicU64::new(0), nowhere: SiteMeters::new(threads) }
    }

    /// A client is here, until this is dropped.
    pub fn comes(&self) -> Guest<'_> {
        self.came.fetch_add(1, Ordering::Relaxed);
        Guest(self)
    }

    /// Where requests are counted that are refused before their site is known.
    pub fn nowhere(&self) -> &SiteMeters {
        &self.nowhere
    }

    pub(super) fn write(&self, page: &mut Page<'_>) -> std::fmt::Result {
        // In this order, so that never more have left than came.
        let left = self.left.load(Ordering::Relaxed);
        let came = self.came.load(Ordering::Relaxed);
        page.counter("cornac_connections_accepted", "Clients' connections", [(vec![], came as f64)])?;
        page.gauge(
            "cornac_connections_open",
            "Clients' connections now",
            [(vec![], came.saturating_sub(left) as f64)],
        )
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::Relaxed);
    }
}
