//! Certificates and keys as they lie in files (PEM): read, checked against each other, and put into the form that rustls serves.
//!
//! What is wrong names the file it is wrong in, so that `cornac check` and a certificate that is renewed while clients are served say
//! the same.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::model::Clients;
use super::values::reason;

/// Where a certificate lies, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, then those of the authorities between it and a root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// A stapled answer of its authority (OCSP, RFC 6066 §8) in DER, which somebody else keeps fresh.
    pub ocsp: Option<PathBuf>,
}

/// A certificate with its key, ready to be served.
#[derive(Clone)]
pub struct Identity {
    /// As rustls serves it.
    pub certified: Arc<CertifiedKey>,
    /// The DNS names it is for: lower case, `*.example.com` too.
    pub names: Vec<String>,
    /// From when on.
    pub not_before: SystemTime,
    /// Until when.
    pub not_after: SystemTime,
    /// How the files were when they were read.
    pub stamps: Stamps,
}

/// How some files looked: whoever writes or replaces one changes its time, its length or its inode.
pub type Stamps = Vec<Option<(SystemTime, u64, u64)>>;

/// Which of the files it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `cert`.
    Cert,
    /// `key`.
    Key,
    /// `ocsp`.
    Ocsp,
    /// `ca`.
    Ca,
}

/// A certificate that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {message}", file.display())]
pub struct BadCertificate {
    /// Which file it is wrong in.
    pub part: Part,
    /// Where that lies.
    pub file: PathBuf,
    /// What is wrong, as the end of a sentence about the file.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

const HINT_CERT: &str = "PEM: the server's certificate first, then its chain (certbot's fullchain.pem)";
const HINT_KEY: &str = "PEM: the private key of the certificate (certbot's privkey.pem)";
const HINT_OCSP: &str = "DER: openssl ocsp -respout FILE …";
const HINT_CA: &str = "PEM: the certificates of the authorities that sign the clients' certificates";

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("names", &self.names).field("not_after", &self.not_after).finish()
    }
}

impl CertificateFiles {
    /// Reads them all.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn load(&self) -> Result<Identity, BadCertificate> {
        // Before they are read: what changes in between is seen as a change.
        let stamps = self.stamps();
        let chain = chain(&self.cert)?;
        let key = key(&self.key)?;
        let bad_key = |message: &str, hint| bad(Part::Key, &self.key, message.to_owned(), hint);
        let signer = any_supported_type(&key).map_err(|_| {
            bad_key(
                "holds a key of a kind that TLS does not use here",
                "RSA from 2048 bits on, ECDSA P-256 or P-384, or Ed25519",
            )
        })?;
        let x509 = X509::from_der(&chain[0]).map_err(|error| {
            bad(Part::Cert, &self.cert, format!("holds no X.509 certificate ({error})"), HINT_CERT)
        })?;
        let mut certified = CertifiedKey::new(chain, signer);
        if certified.keys_match().is_err() {
            let message = format!("is not the key of the certificate in {}", self.cert.display());
            return Err(bad_key(
                &message,
                "the two belong to different certificates; if both were renewed, both have to be named",
            ));
        }
        certified.ocsp = self.ocsp.as_deref().map(staple).transpose()?;
        let validity = &x509.tbs_certificate.validity;
        Ok(Identity {
            certified: Arc::new(certified),
            names: names(&x509),
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
            stamps,
        })
    }

    /// How they look now.
    pub fn stamps(&self) -> Stamps {
        use std::os::unix::fs::MetadataExt;
        let stamp = |path: &Path| {
            let found = path.metadata().ok()?;
            Some((found.modified().ok()?, found.len(), found.ino()))
        };
        self.paths().map(stamp).collect()
    }

    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.cert, &self.key].into_iter().chain(&self.ocsp).map(PathBuf::as_path)
    }
}

/// The authorities of a file, and whoever checks clients' certificates against them.
///
/// # Errors
/// There is none in it.
pub(super) fn authorities(file: &Path, required: bool) -> Result<Clients, BadCertificate> {
    let authorities = certificates(Part::Ca, file, HINT_CA)?;
    let unfit =
        |error: &dyn fmt::Display| bad(Part::Ca, file, format!("holds no authority ({error})"), HINT_CA);
    let mut roots = RootCertStore::empty();
    for authority in &authorities {
        roots.add(authority.clone()).map_err(|error| unfit(&error))?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::new(ring::default_provider()))
            // Who has none is told so in words, by HTTP.
            .allow_unauthenticated()
            .build()
            .map_err(|error| unfit(&error))?;
    Ok(Clients { required, ca: file.to_owned(), authorities: authorities.into(), verifier })
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    certificates(Part::Cert, file, HINT_CERT)
}

fn certificates(
    part: Part,
    file: &Path,
    hint: &'static str,
) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    let bytes = read(part, file, hint)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| bad(part, file, format!("is damaged ({error})"), hint))?;
    match found.is_empty() {
        false => Ok(found),
        true if has_key(&bytes) => Err(bad(
            part,
            file,
            "holds a private key and no certificate".to_owned(),
            "are cert and key swapped?",
        )),
        true => Err(bad(part, file, "holds no certificate".to_owned(), hint)),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, BadCertificate> {
    let bytes = read(Part::Key, file, HINT_KEY)?;
    if contains(&bytes, b"ENCRYPTED") && has_key(&bytes) {
        let hint = "write it without its password, readable by cornac's user only: openssl pkey -in FILE -out FILE.plain";
        return Err(bad(Part::Key, file, "is encrypted with a password".to_owned(), hint));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound if contains(&bytes, b"BEGIN CERTIFICATE") => bad(
            Part::Key,
            file,
            "holds a certificate and no private key".to_owned(),
            "are cert and key swapped?",
        ),
        rustls::pki_types::pem::Error::NoItemsFound => {
            bad(Part::Key, file, "holds no private key".to_owned(), HINT_KEY)
        }
        error => bad(Part::Key, file, format!("is damaged ({error})"), HINT_KEY),
    })
}

fn staple(file: &Path) -> Result<Vec<u8>, BadCertificate> {
    let bytes = read(Part::Ocsp, file, HINT_OCSP)?;
    // An OCSPResponse is a SEQUENCE (RFC 6960 §4.2.1); what it says is the client's to check.
    match bytes.first() {
        Some(0x30) => Ok(bytes),
        _ => Err(bad(Part::Ocsp, file, "holds no OCSP response".to_owned(), HINT_OCSP)),
    }
}

fn read(part: Part, file: &Path, hint: &'static str) -> Result<Vec<u8>, BadCertificate> {
    std::fs::read(file).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "let cornac's user read it: chgrp and chmod g+r, never o+r",
            _ => hint,
        };
        bad(part, file, reason(&error), hint)
    })
}

fn bad(part: Part, file: &Path, message: String, hint: &'static str) -> BadCertificate {
    BadCertificate { part, file: file.to_owned(), message, hint }
}

fn has_key(pem: &[u8]) -> bool {
    contains(pem, b"PRIVATE KEY-----")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

fn names(certificate: &X509) -> Vec<String> {
    let Ok(Some((_, SubjectAltName(names)))) = certificate.tbs_certificate.get::<SubjectAltName>() else {
        return Vec::new();
    };
    let name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    };
    names.iter().filter_map(name).collect()
}

/// Whether a certificate for `pattern` is one for `name` (RFC 6125 §6.4.3): a `*` is one whole label at the front.
pub fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => {
            name.split_once('.').is_some_and(|(label, _)| !label.is_empty() && name[label.len()..] == *suffix)
        }
        None => pattern == name,
    }
}
