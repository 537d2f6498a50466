//! Certificates of a test's own: an authority, and whom it signs.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;

use super::Scratch;

/// Signs certificates. Its own is what clients trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
    pub pem: String,
}

/// A certificate and its key, as files hold them.
#[derive(Clone, Debug)]
pub struct Pair {
    pub cert: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("an authority");
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    /// For these DNS names and addresses.
    pub fn signs(&self, names: &[&str]) -> Pair {
        self.signs_with(names, |_| {})
    }

    /// One that has expired long ago.
    pub fn signs_expired(&self, names: &[&str]) -> Pair {
        self.signs_with(names, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 2, 3);
        })
    }

    pub fn signs_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names that a certificate can have");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { cert: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key`.
    pub fn write(&self, folder: &Scratch, name: &str) -> (PathBuf, PathBuf) {
        (folder.write(&format!("{name}.crt"), &self.cert), folder.write(&format!("{name}.key"), &self.key))
    }

    /// Written, as a site's `tls = …`.
    pub fn toml(&self, folder: &Scratch, name: &str) -> String {
        let (cert, key) = self.write(folder, name);
        format!("{{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display())
    }
}
