//! What handshakes need of one generation: each site's certificates, who is asked for one, and the keys of the tickets by which
//! clients resume. Those keys, and certificates that are made up, live on in the next generation.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConnection, WantsServerCert};
use rustls::version::{TLS12, TLS13};
use rustls::{ConfigBuilder, server::ResolvesServerCert};

use super::renewal::Renewal;
use super::served::{self, Choice, Served};
use super::session::Session;
use crate::config::CertificateFiles;
use crate::config::model::{Certificate, Clients, Model, Site, Tls};

/// All there is of TLS in one generation.
pub struct Vault {
    /// By the site's place in the model.
    sites: Vec<Option<Handshake>>,
    made_up: HashMap<Vec<String>, Arc<Served>>,
    ticketer: Option<Arc<dyn ProducesTickets>>,
    /// Ends with the generation.
    _renewal: Option<Renewal>,
}

/// How handshakes for one site are made.
#[derive(Debug, Clone)]
pub struct Handshake {
    with_http2: Arc<ServerConfig>,
    http1_only: Arc<ServerConfig>,
    clients: Option<Clients>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("sites", &self.sites.iter().flatten().count()).finish_non_exhaustive()
    }
}

impl Vault {
    /// Builds what the model says. Must be called within a tokio runtime where certificates lie in files.
    pub fn build(model: &Model, old: Option<&Self>) -> Self {
        let any = model.sites.iter().any(|site| site.tls.is_some());
        let ticketer = old.and_then(|old| old.ticketer.clone()).or_else(|| ticketer().filter(|_| any));
        let mut shelf = Shelf { old, from_files: HashMap::new(), made_up: HashMap::new() };
        let provider = Arc::new(ring::default_provider());
        let site = |site: &Site| {
            let tls = site.tls.as_ref()?;
            let certificates: Vec<_> =
                tls.certificates.iter().filter_map(|one| shelf.take(one, site)).collect();
            // Only those that are made up can be missing, and that is in the log.
            (!certificates.is_empty())
                .then(|| Handshake::new(&provider, tls, certificates, ticketer.as_ref()))
        };
        let sites = model.sites.iter().map(site).collect();
        let Shelf { from_files, made_up, .. } = shelf;
        Self { sites, made_up, ticketer, _renewal: Renewal::of(from_files.into_values().collect()) }
    }

    /// For the site at this place of the model.
    pub fn handshake(&self, place: usize) -> Option<&Handshake> {
        self.sites.get(place)?.as_ref()
    }
}

impl Handshake {
    fn new(
        provider: &Arc<CryptoProvider>,
        tls: &Tls,
        certificates: Vec<Arc<Served>>,
        ticketer: Option<&Arc<dyn ProducesTickets>>,
    ) -> Self {
        let choice: Arc<dyn ResolvesServerCert> = Arc::new(Choice(certificates));
        let mut settings = begin(provider, tls.clients.as_ref()).with_cert_resolver(choice);
        settings.session_storage = Arc::new(NoServerSessionStorage {});
        match (&tls.clients, ticketer) {
            (None, Some(ticketer)) => settings.ticketer = Arc::clone(ticketer),
            // A session that is resumed would not be checked again, neither against other authorities nor for its time.
            _ => settings.send_tls13_tickets = 0,
        }
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1_only = Arc::new(settings.clone());
        settings.alpn_protocols.insert(0, b"h2".to_vec());
        Self { with_http2: Arc::new(settings), http1_only, clients: tls.clients.clone() }
    }

    /// For a listener that speaks HTTP/2, or does not.
    pub fn settings(&self, http2: bool) -> Arc<ServerConfig> {
        Arc::clone(if http2 { &self.with_http2 } else { &self.http1_only })
    }

    /// What a handshake came to that was made with these settings.
    pub fn session(&self, connection: &ServerConnection) -> Session {
        Session::of(connection, self.clients.as_ref())
    }
}

fn begin(
    provider: &Arc<CryptoProvider>,
    clients: Option<&Clients>,
) -> ConfigBuilder<ServerConfig, WantsServerCert> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring has suites of both versions");
    match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.verifier)),
        None => builder.with_no_client_auth(),
    }
}

/// Keys that change every six hours; a ticket is good for as long again.
fn ticketer() -> Option<Arc<dyn ProducesTickets>> {
    let made = ring::Ticketer::new();
    made.inspect_err(|error| tracing::warn!(%error, "TLS sessions cannot be resumed: every client makes a whole handshake"))
        .ok()
}

/// Each certificate once, however many sites have it.
struct Shelf<'a> {
    old: Option<&'a Vault>,
    from_files: HashMap<CertificateFiles, Arc<Served>>,
    made_up: HashMap<Vec<String>, Arc<Served>>,
}

impl Shelf<'_> {
    fn take(&mut self, certificate: &Certificate, site: &Site) -> Option<Arc<Served>> {
        match certificate {
            Certificate::Files(files, identity) => {
                let fresh = || Arc::new(Served::new(Some(files.clone()), identity.clone()));
                Some(Arc::clone(self.from_files.entry(files.clone()).or_insert_with(fresh)))
            }
            Certificate::SelfSigned => self.make_up(served::own_names(&site.names)),
        }
    }

    fn make_up(&mut self, names: Vec<String>) -> Option<Arc<Served>> {
        let known = self.made_up.get(&names).or_else(|| self.old?.made_up.get(&names)).cloned();
        let made = known.or_else(|| match served::self_signed(names.clone()) {
            Ok(identity) => Some(Arc::new(Served::new(None, identity))),
            Err(error) => {
                tracing::error!(?names, %error, "no certificate can be made for these names: their site has no TLS");
                None
            }
        })?;
        self.made_up.insert(names, Arc::clone(&made));
        Some(made)
    }
}
