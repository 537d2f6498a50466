//! One client's connection: hyper's HTTP/1.1 over any stream, with the limits that keep a slow client from costing much.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio_io_timeout::TimeoutStream;

use super::access_log::AccessLog;
use super::facts::Client;
use super::linger::{Lingering, Stream};
use super::pipeline::{Hangup, Pipeline};
use crate::site::Generation;

/// How long a client may take for a request's head, and lie idle between two requests.
/// nginx: `client_header_timeout` and `keepalive_timeout`, 60 and 75 s.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// How long a client may take nothing of a reply. nginx: `send_timeout`.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// The largest head of a request, and what hyper holds of a body or a reply. nginx: `large_client_header_buffers`, 32 KB.
const BUFFER: usize = 64 * 1024;

/// What answers clients; one for the whole process.
#[derive(Debug)]
pub struct Front {
    generation: Arc<ArcSwap<Generation>>,
    access_log: Option<Arc<AccessLog>>,
    temp_dir: PathBuf,
}

impl Front {
    /// A front end that serves whatever generation is the current one.
    pub fn new(
        generation: Arc<ArcSwap<Generation>>,
        access_log: Option<AccessLog>,
        temp_dir: PathBuf,
    ) -> Self {
        Self { generation, access_log: access_log.map(Arc::new), temp_dir }
    }

    /// Serves a client until it leaves, or until `drain` asks and its request in flight is answered.
    pub async fn serve<S: Stream>(self: Arc<Self>, stream: S, client: Client, drain: Watcher) {
        let mut stream = TimeoutStream::new(Lingering::new(stream, client.broke_off.clone()));
        stream.set_write_timeout(Some(WRITE_PATIENCE));
        let service = service_fn(|request| {
            let (front, client) = (Arc::clone(&self), client.clone());
            async move {
                let generation = front.generation.load_full();
                let pipeline = Pipeline {
                    generation: &generation,
                    access_log: front.access_log.as_ref(),
                    temp_dir: &front.temp_dir,
                };
                pipeline.answer(request, &client).await
            }
        });
        let connection = builder().serve_connection(TokioIo::new(Box::pin(stream)), service);
        if let Err(error) = drain.watch(connection).await {
            log_end(&error);
        }
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(BUFFER);
    // More than 100 header lines are 431, as with Apache httpd. Any max_headers, even this one, makes hyper fill two heap
    // buffers for each request.
    // Not pipeline_flush: with it hyper buffers replies without bound for a reader that has stopped.
    builder
}

/// Clients that leave, are slow or send nonsense are daily business; they are looked at when somebody asks.
fn log_end(error: &hyper::Error) {
    let hangup = std::error::Error::source(error).is_some_and(|source| source.is::<Hangup>());
    if !hangup {
        tracing::debug!("client connection: {error}");
    }
}
