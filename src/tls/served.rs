//! A site's certificates, each of which may be renewed at any time, and which of them a client gets.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::model::SiteName;
use crate::config::{CertificateFiles, Identity, covers};

/// One certificate, as it is now.
#[derive(Debug)]
pub(super) struct Served {
    /// `None`: made up.
    pub(super) files: Option<CertificateFiles>,
    now: ArcSwap<Identity>,
}

impl Served {
    pub(super) fn new(files: Option<CertificateFiles>, identity: Identity) -> Self {
        Self { files, now: ArcSwap::from_pointee(identity) }
    }

    pub(super) fn now(&self) -> Arc<Identity> {
        self.now.load_full()
    }

    /// For the handshakes from now on.
    pub(super) fn renew(&self, identity: Identity) {
        self.now.store(Arc::new(identity));
    }
}

/// The certificates of a site. The first that is for the name and that the client can check is served; else the first that it can check.
#[derive(Debug)]
pub(super) struct Choice(pub(super) Vec<Arc<Served>>);

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let [only] = &*self.0 {
            return Some(Arc::clone(&only.now.load().certified));
        }
        let name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
        let identities: Vec<_> = self.0.iter().map(|served| served.now.load()).collect();
        let fits =
            |identity: &Identity| identity.certified.key.choose_scheme(hello.signature_schemes()).is_some();
        let named = |identity: &Identity| identity.names.iter().any(|pattern| covers(pattern, &name));
        let of_the_name = identities.iter().find(|identity| named(identity) && fits(identity));
        let chosen = of_the_name.or_else(|| identities.iter().find(|identity| fits(identity)))?;
        Some(Arc::clone(&chosen.certified))
    }
}

/// The names of a site that a made-up certificate is for, and this machine's own.
pub(super) fn own_names(names: &[SiteName]) -> Vec<String> {
    let spelled = names.iter().filter_map(|name| match name {
        SiteName::Exact(name) => Some(name.clone()),
        SiteName::Suffix(suffix) => Some(format!("*{suffix}")),
        SiteName::Prefix(_) | SiteName::Regex(_) => None,
    });
    spelled.chain(["localhost", "127.0.0.1", "::1"].map(str::to_owned)).collect()
}

/// A certificate that nobody has signed: for development.
///
/// # Errors
/// A name that no certificate can have, or no randomness.
pub(super) fn self_signed(names: Vec<String>) -> Result<Identity, rcgen::Error> {
    let made = rcgen::generate_simple_self_signed(names.clone())?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let signer = any_supported_type(&key).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let certified = CertifiedKey::new(vec![made.cert.der().clone()], signer);
    let now = std::time::SystemTime::now();
    Ok(Identity {
        certified: Arc::new(certified),
        names,
        not_before: now,
        not_after: now,
        stamps: Vec::new(),
    })
}
