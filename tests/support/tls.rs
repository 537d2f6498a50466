//! A blocking TLS client (rustls), which knows whom it talked to and how.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use super::pki::{Authority, Pair};

/// What a client trusts, shows, and remembers of earlier connections.
#[derive(Clone)]
pub struct Trust(ClientConfig);

impl Trust {
    pub fn of(authority: &Authority) -> Self {
        Self::build(authority, None)
    }

    /// With a certificate of its own.
    pub fn with(authority: &Authority, own: &Pair) -> Self {
        Self::build(authority, Some(own))
    }

    fn build(authority: &Authority, own: Option<&Pair>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots);
        let mut config = match own {
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
                builder.with_client_auth_cert(vec![pair.der.clone()], key).expect("a pair")
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(64);
        Self(config)
    }

    /// What it offers to speak.
    pub fn speaking(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// A connection that is ready to be talked over.
    pub fn connect(&self, to: SocketAddr, name: &str) -> io::Result<Tls> {
        self.over(TcpStream::connect_timeout(&to, Duration::from_secs(5))?, name)
    }

    /// The same on a connection that is there, on which something else may have been said before.
    pub fn over(&self, stream: TcpStream, name: &str) -> io::Result<Tls> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(Arc::new(self.0.clone()), name).expect("settings that fit");
        // As browsers do: the request follows the end of the handshake at once.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Tls(stream))
    }
}

/// One connection.
pub struct Tls(pub StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    /// The server's certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.0.conn.peer_certificates().expect("a server shows its certificate");
        chain[0].clone().into_owned()
    }

    pub fn is_resumed(&self) -> bool {
        self.0.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What was agreed on (ALPN).
    pub fn speaks(&self) -> Option<&str> {
        self.0.conn.alpn_protocol().map(|protocol| std::str::from_utf8(protocol).expect("ASCII"))
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the server takes it");
        self.0.flush().expect("the server takes it");
    }

    /// One GET over HTTP/1.1, on a connection that goes on. The whole reply as it came.
    pub fn get(&mut self, host: &str, target: &str) -> String {
        self.try_get(host, target).expect("a reply")
    }

    /// The same where the server may refuse us: it does after TLS 1.3 has let us believe that all is well.
    pub fn try_get(&mut self, host: &str, target: &str) -> io::Result<String> {
        // In one piece: several small ones would each wait for the other side's delayed acknowledgement.
        self.0.write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        self.0.flush()?;
        let mut reply = vec![];
        while !is_whole(&reply) {
            let mut piece = [0; 16_384];
            let count = self.0.read(&mut piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            reply.extend_from_slice(&piece[..count]);
        }
        Ok(String::from_utf8(reply).expect("a reply in UTF-8"))
    }
}

/// Enough of HTTP for small replies with a length, or in chunks.
fn is_whole(reply: &[u8]) -> bool {
    let text = String::from_utf8_lossy(reply).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    match head.split_once("content-length: ") {
        Some((_, length)) => {
            let length: usize = length.lines().next().expect("a line").parse().expect("a number");
            body.len() >= length
        }
        None => body.ends_with("0\r\n\r\n"),
    }
}
