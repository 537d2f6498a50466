//! What a handshake came to, in nginx's words (<http://nginx.org/en/docs/http/ngx_http_ssl_module.html#variables>), and which site may
//! rely on it.

use std::fmt::Write as _;
use std::sync::Arc;

use ring::digest;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::name::RdnSequence;

use crate::config::model::Clients;
use crate::route::{ClientCertificate, Proof, Secured};

/// PKCS #9's, which the others of RFC 4514 have no word for.
const EMAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// One connection's session.
#[derive(Debug)]
pub struct Session {
    protocol: &'static str,
    cipher: &'static str,
    /// The client's own certificate, checked.
    client: Option<ClientCertificate>,
    /// Against whose word it was checked, or would have been.
    authorities: Option<Arc<[CertificateDer<'static>]>>,
}

/// Why a site does not serve a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// It was not asked for the certificate that this site wants: its SNI named another site (RFC 9110 §15.5.20).
    Misdirected,
    /// It has no certificate.
    NoCertificate,
}

impl Session {
    /// Of a handshake that is complete, made with the settings of a site that asks this of its clients.
    pub(super) fn of(connection: &ServerConnection, clients: Option<&Clients>) -> Self {
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        Self {
            protocol: protocol(connection.protocol_version()),
            cipher: connection.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
            client: certificate.filter(|_| clients.is_some()).and_then(|der| read(der)),
            authorities: clients.map(|clients| Arc::clone(&clients.authorities)),
        }
    }

    /// What a site that asks this of its clients, or nothing, may know.
    ///
    /// # Errors
    /// It may not serve this connection at all.
    pub fn for_site(&self, asks: Option<&Clients>) -> Result<Secured<'_>, Stranger> {
        let secured = Secured { protocol: self.protocol, cipher: self.cipher, client: Proof::NotAsked };
        let Some(asks) = asks else { return Ok(secured) };
        if self.authorities.as_ref().is_none_or(|known| **known != *asks.authorities) {
            return Err(Stranger::Misdirected);
        }
        match &self.client {
            Some(client) => Ok(Secured { client: Proof::Verified(client), ..secured }),
            None if asks.required => Err(Stranger::NoCertificate),
            None => Ok(Secured { client: Proof::None, ..secured }),
        }
    }
}

fn protocol(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    }
}

/// OpenSSL's names, which is what nginx tells: those of TLS 1.3 are the standard's.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}

/// rustls has checked it, so it can be read.
fn read(der: &[u8]) -> Option<ClientCertificate> {
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    Some(ClientCertificate {
        subject: name(&certificate.subject),
        issuer: name(&certificate.issuer),
        serial: serial(certificate.serial_number.as_bytes()),
        fingerprint: hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
    })
}

/// As OpenSSL, and so nginx, write a distinguished name.
fn name(name: &RdnSequence) -> String {
    let element = |element: &AttributeTypeAndValue| {
        let text = element.to_string();
        match text.split_once('=') {
            Some((_, value)) if element.oid == EMAIL => format!("emailAddress={value}"),
            _ => text,
        }
    };
    // The last comes first (RFC 4514 §2.1).
    let parts = name.0.iter().rev().map(|part| part.0.iter().map(element).collect::<Vec<_>>().join("+"));
    ascii(&parts.collect::<Vec<_>>().join(","))
}

/// RFC 2253 §2.4, as OpenSSL writes it: every other byte is `\C3`.
fn ascii(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        match byte.is_ascii() {
            true => text.push(byte.into()),
            false => write!(text, "\\{byte:02X}").expect("a String takes everything"),
        }
        text
    })
}

/// Without the zeros in front that only say that it is not negative.
fn serial(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    hex(&bytes[zeros.min(bytes.len().saturating_sub(1))..]).to_ascii_uppercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}
