//! One client over HTTP/1.1: hyper's parser, with the limits that keep a slow client from costing much.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_io_timeout::TimeoutStream;

use super::connection::{Front, WRITE_PATIENCE, log_end};
use super::drain::Watcher;
use super::facts::Client;
use super::linger::{Lingering, Stream};
use super::patience::{self, End, Patience};

/// The largest head of a request, and what hyper holds of a body or a reply. nginx: `large_client_header_buffers`, 32 KB.
const BUFFER: usize = 64 * 1024;

pub(super) async fn serve<S: Stream>(front: &Front, stream: S, client: &Client, drain: &Watcher) {
    let notes = &client.notes;
    let mut stream = TimeoutStream::new(Lingering::new(stream, notes.clone()));
    stream.set_write_timeout(Some(WRITE_PATIENCE));
    let service = service_fn(move |request| front.answer(request, client, drain));
    let mut connection = pin!(builder().serve_connection(TokioIo::new(Box::pin(stream)), service));
    let (bell, tick) = (pin!(drain.bell()), pin!(patience::timer()));
    let mut patience = Patience::new(notes, drain, bell, tick);
    poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            ended.unwrap_or_else(|error| log_end(&error));
            return Poll::Ready(());
        }
        match patience.poll_end(cx) {
            Poll::Ready(End::Patience) => Poll::Ready(()),
            Poll::Ready(End::Drain) => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().poll(cx).map(|_| ())
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER);
    // Not hyper's header_read_timeout: it sets up a timer for each request. `patience` has one for each connection.
    // More than 100 header lines are 431, as with Apache httpd. Any max_headers, even this one, makes hyper fill two heap
    // buffers for each request.
    // Not pipeline_flush: with it hyper buffers replies without bound for a reader that has stopped.
    builder
}
