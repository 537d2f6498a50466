//! One client over HTTP/1.1: hyper's parser, with the limits that keep a slow client from costing much.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_io_timeout::TimeoutStream;

use super::connection::{Front, log_end};
use super::drain::Watcher;
use super::facts::Client;
use super::linger::{Lingering, Stream};
use super::parking::{self, Line};
use super::patience::{self, End, Patience};
use super::timeouts::Timeouts;

/// The largest head of a request, and what hyper holds of a body or a reply. nginx: `large_client_header_buffers`, 32 KB.
const BUFFER: usize = 64 * 1024;

/// Serves a client until it leaves, or has to.
pub(super) async fn serve<S: Stream>(
    front: &Front,
    stream: S,
    client: &Client,
    drain: &Watcher,
    timeouts: Timeouts,
) {
    let notes = &client.notes;
    let mut line = Box::pin(TimeoutStream::new(Lingering::watching_heads(stream, notes.clone())));
    line.as_mut().set_write_timeout_pinned(Some(timeouts.send));
    let (bell, tick) = (pin!(drain.bell()), pin!(patience::timer()));
    let mut patience = Patience::new(notes, drain, bell, tick, timeouts);
    while parking::speaks(&line, notes, front.lobby(), &mut patience).await {
        // Boxed: what it takes to talk is given back when the client says nothing more.
        match Box::pin(talk(front, line, client, drain, &mut patience)).await {
            Some(quiet) => line = quiet,
            None => return,
        }
    }
}

/// Answers requests as long as they come one after the other. Returns the stream of a client that says nothing more for now.
async fn talk<S: Stream>(
    front: &Front,
    line: Line<S>,
    client: &Client,
    drain: &Watcher,
    patience: &mut Patience<'_>,
) -> Option<Line<S>> {
    let service = service_fn(move |request| front.answer(request, client, drain));
    let mut connection = builder().serve_connection(TokioIo::new(line), service);
    patience.talks();
    let quiet = poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            match ended {
                Ok(()) => client.notes.ends_well(),
                Err(error) => log_end(&error),
            }
            return Poll::Ready(false);
        }
        match patience.poll_end(cx) {
            Poll::Ready(End::Patience) => Poll::Ready(false),
            Poll::Ready(End::Quiet) => Poll::Ready(true),
            Poll::Ready(End::Drain) => {
                Pin::new(&mut connection).graceful_shutdown();
                Pin::new(&mut connection).poll(cx).map(|_| false)
            }
            Poll::Pending => Poll::Pending,
        }
    });
    if !quiet.await {
        return None;
    }
    let Parts { io, read_buf, .. } = connection.into_parts();
    let mut line = io.into_inner();
    line.as_mut().get_pin_mut().get_mut().unread(read_buf);
    Some(line)
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
