//! A site's certificates, and what it asks of its clients.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;

use crate::config::certificates::{CertificateFiles, Identity};

/// `tls` of a site.
#[derive(Debug, Clone)]
pub struct Tls {
    /// At least one; the first that suits a client is served.
    pub certificates: Vec<Certificate>,
    /// `verify`; `None`: clients are not asked for a certificate.
    pub clients: Option<Clients>,
}

/// One certificate of a site.
#[derive(Debug, Clone)]
pub enum Certificate {
    /// From files, as they were when the configuration was read.
    Files(CertificateFiles, Identity),
    /// Made at start, for development: for the site's names and this machine's own.
    SelfSigned,
}

/// What a site asks of its clients.
#[derive(Clone)]
pub struct Clients {
    /// Whether a client without a certificate is refused.
    pub required: bool,
    /// Where the authorities lie, for whoever reads it.
    pub ca: PathBuf,
    /// The authorities that sign the clients' certificates.
    pub authorities: Arc<[CertificateDer<'static>]>,
    /// Checks a client's certificate against them.
    pub verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients")
            .field("required", &self.required)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

/// `https` of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Https {
    /// Whether who comes in clear text is sent on to TLS. Part of the site's `rules` already.
    pub redirect: bool,
    /// The value of `Strict-Transport-Security`, for replies over TLS.
    pub hsts: Option<http::HeaderValue>,
}
