//! The PROXY header that a load balancer puts in front of a client's bytes, TLS or not
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, versions 1 and 2).
//!
//! It is read to its last byte and not one further, as what follows may be TLS's. Whether it is believed is each site's own
//! affair (`trusted_proxies`).

use std::io;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proxy_header::{ParseConfig, ProxyHeader};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::facts::Client;
use crate::balance::Rarely;
use crate::route::{Address, Announced};

/// `PROXY UNKNOWN\r\n`, the shortest header there is.
const SHORTEST: usize = 15;
const V1: &[u8] = b"PROXY ";
const V1_LONGEST: usize = 107;
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Up to the length of what follows.
const V2_FIXED: usize = 16;
/// As with nginx. A header with both addresses and the client's certificate has some hundred bytes.
const V2_LONGEST: usize = 4096;

type Bytes = SmallVec<[u8; V1_LONGEST + 1]>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unannounced {
    #[error("it began with something else")]
    Other,
    #[error("it is no valid one")]
    Malformed,
    #[error("it did not come within {} s", .0.as_secs())]
    Late(Duration),
    #[error("{0}")]
    Broken(#[from] io::Error),
}

/// Says now and then that somebody came without one: it is either a stranger, or a load balancer that was not told to send any.
#[derive(Debug)]
pub(super) struct Complaints(Mutex<Rarely>);

impl Default for Complaints {
    fn default() -> Self {
        Self(Mutex::new(Rarely::every(Duration::from_secs(10))))
    }
}

impl Complaints {
    pub(super) fn complain(&self, client: &Client, error: &Unannounced) {
        let (peer, local) =
            (Address::ip_text(client.peer.as_ref()), Address::port_text(client.local.as_deref()));
        if let Some(times) = self.0.lock().happened(Instant::now()) {
            tracing::warn!(
                peer,
                port = local,
                times,
                "a client's connection was closed: PROXY header: {error}"
            );
        }
    }
}

/// Reads it.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> Result<Announced, Unannounced> {
    let bytes = timeout(patience, whole(stream)).await.map_err(|_| Unannounced::Late(patience))??;
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, length) = ProxyHeader::parse(&bytes, config).map_err(|_| Unannounced::Malformed)?;
    if length != bytes.len() {
        return Err(Unannounced::Malformed);
    }
    let told = header.proxied_address();
    let (source, destination) = told.map(|told| (told.source, told.destination)).unzip();
    Ok(Announced { source: source.map(Address::from), destination: destination.map(Address::from) })
}

async fn whole(stream: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, Unannounced> {
    let mut bytes = Bytes::new();
    more(stream, &mut bytes, SHORTEST).await?;
    match () {
        () if bytes.starts_with(V1) => v1(stream, bytes).await,
        () if bytes.starts_with(V2) => v2(stream, bytes).await,
        () => Err(Unannounced::Other),
    }
}

/// Until the end of the line. As long as it is not there at least two bytes are to come, so two are read.
async fn v1(stream: &mut (impl AsyncRead + Unpin), mut bytes: Bytes) -> Result<Bytes, Unannounced> {
    while !bytes.ends_with(b"\r\n") {
        let next = if bytes.ends_with(b"\r") { 1 } else { 2 };
        if bytes.len() + next > V1_LONGEST {
            return Err(Unannounced::Malformed);
        }
        more(stream, &mut bytes, next).await?;
    }
    Ok(bytes)
}

async fn v2(stream: &mut (impl AsyncRead + Unpin), mut bytes: Bytes) -> Result<Bytes, Unannounced> {
    more(stream, &mut bytes, V2_FIXED - SHORTEST).await?;
    let rest = usize::from(u16::from_be_bytes([bytes[V2_FIXED - 2], bytes[V2_FIXED - 1]]));
    if V2_FIXED + rest > V2_LONGEST {
        return Err(Unannounced::Malformed);
    }
    more(stream, &mut bytes, rest).await?;
    Ok(bytes)
}

async fn more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Bytes, count: usize) -> io::Result<()> {
    let begin = bytes.len();
    bytes.resize(begin + count, 0);
    stream.read_exact(&mut bytes[begin..]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// What is told by these bytes, in pieces of a size, and what is left of them for others to read.
    async fn told(bytes: &[u8], piece: usize) -> (Result<Announced, Unannounced>, Vec<u8>) {
        let (mut client, mut server) = duplex(8192);
        let sent = async {
            for piece in bytes.chunks(piece) {
                client.write_all(piece).await.expect("there is room");
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let (_, told) = tokio::join!(sent, read(&mut server, PATIENCE));
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.expect("the rest");
        (told, rest)
    }

    fn spelt(announced: &Announced) -> String {
        let end = |end: &Option<Address>| {
            let text = end
                .as_ref()
                .map(|end| format!("{} {}", Address::ip_text(Some(end)), Address::port_text(Some(end))));
            text.unwrap_or_else(|| "-".to_owned())
        };
        format!("{} to {}", end(&announced.source), end(&announced.destination))
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short");
        [V2, &[command, family], &length.to_be_bytes(), rest].concat()
    }

    const V4: [u8; 12] = [203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x34, 0x01, 0xbb];

    #[tokio::test]
    async fn both_versions_tell_who_the_client_is_and_leave_what_follows() {
        let tlvs = [&V4[..], &[0x04, 0, 2, 0, 0], &[0xe0, 0, 1, 9]].concat();
        for (header, expected) in [
            (
                b"PROXY TCP4 203.0.113.7 198.51.100.1 4660 443\r\n".to_vec(),
                "203.0.113.7 4660 to 198.51.100.1 443",
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n".to_vec(),
                "2001:db8::7 1 to 2001:db8::1 65535",
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), "- to -"),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), "- to -"),
            (v2(0x21, 0x11, &V4), "203.0.113.7 4660 to 198.51.100.1 443"),
            (v2(0x21, 0x11, &tlvs), "203.0.113.7 4660 to 198.51.100.1 443"),
            (v2(0x20, 0x11, &V4), "- to -"),
            (v2(0x20, 0x00, b""), "- to -"),
            (v2(0x21, 0x00, b""), "- to -"),
            (v2(0x21, 0x31, &[b'/'; 216]), "- to -"),
            (
                v2(0x21, 0x11, &[&V4[..], &[0xee, 0x0f, 0xd9], &[0; 4057][..]].concat()),
                "203.0.113.7 4660 to 198.51.100.1 443",
            ),
        ] {
            for piece in [1, 7, usize::MAX] {
                let (told, rest) = told(&[&header[..], b"GET / "].concat(), piece).await;
                let told = told.unwrap_or_else(|error| panic!("{}: {error}", header.escape_ascii()));
                assert_eq!(spelt(&told), expected, "{}", header.escape_ascii());
                assert_eq!(rest, b"GET / ", "{}", header.escape_ascii());
            }
        }
    }

    #[tokio::test]
    async fn whatever_else_comes_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaa",
            b"PROXY TCP4 203.0.113.7 198.51.100.1 4660\r\n",
            b"PROXY TCP4 203.0.113.256 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
            b"PROXY TCP4 203.0.113.7 198.51.100.1 1 65536\r\n",
            b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2 3\r\n",
            b"PROXY TCP5 203.0.113.7 198.51.100.1 1 2\r\n",
            b"PROXYxTCP4 203.0.113.7 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2\n\n\n",
            b"PROXY TCP4 203.0.113.7",
            long.as_bytes(),
            &v2(0x11, 0x11, &V4),
            &v2(0x22, 0x11, &V4),
            &v2(0x21, 0x11, &V4[..11]),
            &v2(0x21, 0x51, &V4),
            &v2(0x21, 0x11, &V4)[..20],
            &[V2, &[0x21, 0x11, 0xff, 0xff]].concat(),
            b"",
        ] {
            let (told, _) = told(bytes, usize::MAX).await;
            assert!(told.is_err(), "{}: {told:?}", bytes.escape_ascii());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_finish_it_is_let_go() {
        let (mut client, mut server) = duplex(64);
        client.write_all(b"PROXY TCP4 203.").await.expect("there is room");
        assert!(matches!(read(&mut server, PATIENCE).await, Err(Unannounced::Late(PATIENCE))));
    }
}
