//! What a front end is configured with beyond the plain, the same for all who can.

use crate::contestant::Contestant;

/// At most one a row: what a row costs is then known to come from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Feature {
    #[default]
    None,
    /// HTTP/1.1 and HTTP/2 by TLS 1.3, with one P-256 certificate.
    Tls,
    /// A line a request, in the format `combined`.
    AccessLog,
    /// Replies are compressed as they come, at [`LEVEL`].
    Gzip,
    Brotli,
    /// A file's compressed neighbour is sent in its stead.
    Precompressed,
    /// [`SITES`] sites with [`ROUTES`] routes each.
    ManySites,
    /// [`SITES`] sites that are as plain as one.
    PlainSites,
}

/// Of gzip and brotli alike.
pub(crate) const LEVEL: u32 = 5;
pub(crate) const SITES: u32 = 1_000;
pub(crate) const ROUTES: u32 = 200;

impl Feature {
    /// How many sites, and how many routes of their own each has.
    pub(crate) fn sites(self) -> (u32, u32) {
        match self {
            Self::ManySites => (SITES, ROUTES),
            Self::PlainSites => (SITES, 0),
            _ => (1, 0),
        }
    }

    /// Who has it at all.
    pub(crate) fn is_known_to(self, contestant: Contestant) -> bool {
        match self {
            Self::Brotli => contestant != Contestant::NGINX || crate::contestant::nginx_knows_brotli(),
            _ => true,
        }
    }
}
