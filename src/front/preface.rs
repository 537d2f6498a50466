//! HTTP/1.1 or HTTP/2 in clear text: a client that knows that it may begins with the preface of HTTP/2 (RFC 9113 §3.3, §3.4), which is
//! no request of HTTP/1.1. The upgrade of RFC 7540 is no more.

use std::sync::Arc;

use tokio::time::{sleep, timeout};

use super::connection::Front;
use super::drain::Watcher;
use super::facts::Client;
use super::linger::Stream;
use super::patience::LAST_WORD;
use super::prefixed::Prefixed;
use super::timeouts::Timeouts;
use super::{http1, http2};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client that says nothing is let go like any other that does not finish its head, and sooner when there are too many.
pub(super) async fn serve<S: Stream>(
    front: Arc<Front>,
    stream: S,
    client: Client,
    drain: Watcher,
    timeouts: Timeouts,
) {
    let reading = Prefixed::read(stream, |read| read.len() >= PREFACE.len() || !PREFACE.starts_with(read));
    let first = tokio::select! {
        first = front.lobby().hears_out(timeout(timeouts.header, reading)) => first,
        () = leave(&drain) => return,
    };
    let Some(Ok(Ok(stream))) = first else { return };
    match stream.prefix().starts_with(PREFACE) {
        true => Box::pin(http2::serve(front, stream, client, drain, timeouts)).await,
        false => http1::serve(&front, stream, &client, &drain, timeouts).await,
    }
}

/// When the server stops, for a client that has said nothing yet.
async fn leave(drain: &Watcher) {
    drain.asked().await;
    sleep(LAST_WORD).await;
}
