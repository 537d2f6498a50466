//! What TLS says of a request's connection, and nginx's names for it
//! (<http://nginx.org/en/docs/http/ngx_http_ssl_module.html#variables>).

/// A connection over TLS, as far as the site may know of it.
#[derive(Debug, Clone, Copy)]
pub struct Secured<'a> {
    /// `TLSv1.3`.
    pub protocol: &'a str,
    /// OpenSSL's name of the cipher suite.
    pub cipher: &'a str,
    /// Who the client is.
    pub client: Proof<'a>,
}

/// What is known of the client by its certificate.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// The site asks nobody.
    NotAsked,
    /// It was asked, and has none.
    None,
    /// It has one, signed by an authority of the site.
    Verified(&'a ClientCertificate),
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whose it is: the distinguished name, as RFC 4514 writes it.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// In hexadecimal digits.
    pub serial: String,
    /// SHA-1 of the whole, in hexadecimal digits.
    pub fingerprint: String,
}

/// One thing to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslVariable {
    /// `$ssl_protocol`.
    Protocol,
    /// `$ssl_cipher`.
    Cipher,
    /// `$ssl_client_verify`: `SUCCESS` or `NONE`.
    ClientVerify,
    /// `$ssl_client_s_dn`.
    ClientSubject,
    /// `$ssl_client_i_dn`.
    ClientIssuer,
    /// `$ssl_client_serial`.
    ClientSerial,
    /// `$ssl_client_fingerprint`.
    ClientFingerprint,
}

impl SslVariable {
    /// Those about the client, with the names of their FastCGI parameters.
    pub(super) const OF_CLIENT: [(&'static [u8], Self); 5] = [
        (b"SSL_CLIENT_VERIFY", Self::ClientVerify),
        (b"SSL_CLIENT_S_DN", Self::ClientSubject),
        (b"SSL_CLIENT_I_DN", Self::ClientIssuer),
        (b"SSL_CLIENT_SERIAL", Self::ClientSerial),
        (b"SSL_CLIENT_FINGERPRINT", Self::ClientFingerprint),
    ];
}

impl<'a> Secured<'a> {
    /// What it is worth; `None` where there is nothing to tell.
    pub(super) fn value(&self, of: SslVariable) -> Option<&'a str> {
        let certificate = match self.client {
            Proof::Verified(certificate) => Some(certificate),
            _ => None,
        };
        match of {
            SslVariable::Protocol => Some(self.protocol),
            SslVariable::Cipher => Some(self.cipher),
            SslVariable::ClientVerify => match self.client {
                Proof::NotAsked => None,
                Proof::None => Some("NONE"),
                Proof::Verified(_) => Some("SUCCESS"),
            },
            SslVariable::ClientSubject => certificate.map(|certificate| &*certificate.subject),
            SslVariable::ClientIssuer => certificate.map(|certificate| &*certificate.issuer),
            SslVariable::ClientSerial => certificate.map(|certificate| &*certificate.serial),
            SslVariable::ClientFingerprint => certificate.map(|certificate| &*certificate.fingerprint),
        }
    }
}
