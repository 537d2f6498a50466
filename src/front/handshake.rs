//! A client's TLS handshake, on the thread that serves the client: the settings of the site that its SNI names, and what it came to.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::Front;
use super::drain::Watcher;
use super::facts::Client;
use super::linger::{Lingering, Stream};
use super::prefixed::Prefixed;
use super::timeouts::Timeouts;
use super::{http1, http2};
use crate::tls::Session;

/// The first byte of a TLS record that holds a handshake.
const HANDSHAKE: u8 = 22;
/// What nginx says, as a browser shows it.
const PLAIN: &str = "<!doctype html>\n<html lang=\"en\"><title>400 Bad Request</title><h1>400 Bad Request</h1>\
    <p>The plain HTTP request was sent to HTTPS port: try https://</p></html>\n";

/// Boxed: what goes from one part of a connection to the next is two words instead of two kilobytes.
type Secured<S> = Box<TlsStream<Prefixed<S>>>;

impl<S: Stream> Stream for Box<TlsStream<S>> {
    fn close_by_reset(&self) {
        self.get_ref().0.close_by_reset();
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (stream, session) = self.get_ref();
        // What was decrypted already waits in the session; a record that has not come whole is not to be read yet.
        match session.wants_read() {
            true => stream.poll_readable(cx),
            false => Poll::Ready(()),
        }
    }
}

pub(super) async fn serve<S: Stream>(
    front: Arc<Front>,
    stream: S,
    mut client: Client,
    drain: Watcher,
    timeouts: Timeouts,
    http2: bool,
) {
    // Boxed, each of them: a client that says nothing keeps nothing of what its handshake took.
    let shaken = Box::pin(shake_in_time(&front, stream, &client, &drain, timeouts, http2)).await;
    let Some((stream, session)) = shaken else { return };
    client.session = Some(session);
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Box::pin(http2::serve(front, stream, client, drain, timeouts)).await,
        _ => Box::pin(http1::serve(&front, stream, &client, &drain, timeouts)).await,
    }
}

/// As nginx's, the whole handshake has the time of a request's head; less when there are too many clients.
async fn shake_in_time<S: Stream>(
    front: &Front,
    stream: S,
    client: &Client,
    drain: &Watcher,
    timeouts: Timeouts,
    http2: bool,
) -> Option<(Secured<S>, Arc<Session>)> {
    let shaking = timeout(timeouts.header, shake(front, stream, client, drain, http2));
    match front.lobby().hears_out(shaking).await? {
        Ok(Ok(shaken)) => return shaken,
        // Scanners, old clients and those that do not trust our certificate are daily business.
        Ok(Err(error)) => tracing::debug!("TLS handshake: {error}"),
        Err(_) => tracing::debug!("TLS handshake: not finished in time"),
    }
    None
}

/// `None`: it was no TLS, and the client was told so.
async fn shake<S: Stream>(
    front: &Front,
    stream: S,
    client: &Client,
    drain: &Watcher,
    http2: bool,
) -> io::Result<Option<(Secured<S>, Arc<Session>)>> {
    let stream = Prefixed::read(stream, |read| !read.is_empty()).await?;
    match stream.prefix().first() {
        Some(&HANDSHAKE) => {}
        Some(_) => return refuse(stream, client).await.map(|()| None),
        None => return Ok(None),
    }
    let started = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let handshake = {
        let generation = front.generation_for(drain);
        let name = started.client_hello().server_name().unwrap_or_default().to_ascii_lowercase();
        let place = generation.sites().place(client.listener, &name);
        generation.tls().handshake(place).cloned()
    };
    let handshake = handshake.ok_or_else(|| io::Error::other("the site has no certificate"))?;
    let stream = started.into_stream(handshake.settings(http2)).await?;
    let session = handshake.session(stream.get_ref().1);
    Ok(Some((Box::new(stream), Arc::new(session))))
}

/// nginx answers so too: the redirect that would help a browser might send a form's body in clear text once more.
async fn refuse<S: Stream>(stream: S, client: &Client) -> io::Result<()> {
    let length = PLAIN.len();
    let reply = format!(
        "HTTP/1.1 400 Bad Request\r\nServer: cornac\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{PLAIN}"
    );
    Lingering::new(stream, client.notes.clone()).write_all(reply.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::super::testing::client_of;
    use super::*;

    /// What a client has for everything, unless told.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_handshake_is_let_go() {
        let root = tempfile::tempdir().expect("a temp dir");
        for sent in [&b""[..], &[HANDSHAKE], &[HANDSHAKE, 3, 1, 2, 0, 1, 0, 1]] {
            let mut client =
                client_of(root.path(), "\"127.0.0.1:1\"", "127.0.0.1:1", "tls = \"self-signed\"");
            client.write_all(sent).await.expect("there is room");
            let began = Instant::now();
            let mut told = Vec::new();
            client.read_to_end(&mut told).await.expect("it ends");
            assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE * 2, "{sent:?}");
        }
    }
}
