//! One client's connection: hyper's HTTP/1.1 over any stream, with the limits that keep a slow client from costing much.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use arc_swap::{ArcSwap, Guard};
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_io_timeout::TimeoutStream;

use super::access_log::AccessLog;
use super::announcement::{self, Complaints};
use super::body::Visited;
use super::compress;
use super::drain::Watcher;
use super::facts::Client;
use super::linger::{Lingering, Stream};
use super::lobby::Lobby;
use super::parking::{self, Line};
use super::patience::{self, End, Patience};
use super::pipeline::{Hangup, Pipeline};
use super::timeouts::Timeouts;
use super::visit::Visit;
use crate::metrics::FrontMeters;
use crate::site::Generation;

/// The largest head of a request, and what hyper holds of a body or a reply. nginx: `large_client_header_buffers`, 32 KB.
const BUFFER: usize = 64 * 1024;

/// What answers clients; one for the whole process.
#[derive(Debug)]
pub struct Front {
    generation: Arc<ArcSwap<Generation>>,
    means: ArcSwap<Means>,
    lobby: Arc<Lobby>,
    unannounced: Complaints,
    meters: Option<Arc<FrontMeters>>,
    compressed: Arc<compress::Kept>,
}

/// What answering needs besides the generation.
#[derive(Debug, Clone)]
pub struct Means {
    /// `None`: no log is kept.
    pub access_log: Option<Arc<AccessLog>>,
    /// Where bodies go that are too large for memory.
    pub temp_dir: PathBuf,
    /// How long clients may take.
    pub timeouts: Timeouts,
}

impl Front {
    /// A front end that serves whatever generation is the current one.
    pub fn new(generation: Arc<ArcSwap<Generation>>, means: Means, lobby: Lobby) -> Self {
        let meters = generation.load().metrics().map(|metrics| Arc::clone(metrics.front()));
        let (means, lobby) = (ArcSwap::from_pointee(means), Arc::new(lobby));
        Self {
            generation,
            means,
            lobby,
            unannounced: Complaints::default(),
            meters,
            compressed: Arc::default(),
        }
    }

    /// What it has now.
    pub fn means(&self) -> Arc<Means> {
        self.means.load_full()
    }

    /// For the requests that come from now on.
    pub fn set_means(&self, means: Means) {
        self.means.store(Arc::new(means));
    }

    /// Opens the access log's file again, after it was moved away.
    ///
    /// # Errors
    /// It cannot be opened; the old file is written on.
    pub fn reopen_log(&self) -> std::io::Result<()> {
        self.means.load().access_log.as_ref().map_or(Ok(()), |log| log.reopen())
    }

    /// Returns when the log's lines are written so far: at the end of the process.
    pub fn flush_log(&self) {
        self.means.load().access_log.iter().for_each(|log| log.flush());
    }

    /// Who is here.
    pub fn lobby(&self) -> &Arc<Lobby> {
        &self.lobby
    }

    /// Serves a client until it leaves, or until `drain` asks and what it has begun is answered.
    pub async fn serve<S: Stream>(self: Arc<Self>, mut stream: S, mut client: Client, drain: Watcher) {
        let _counted = self.meters.as_ref().map(|meters| meters.comes());
        let timeouts = self.means.load().timeouts;
        if self.generation.load().sites().is_announced_to(client.listener) {
            match Box::pin(announcement::read(&mut stream, timeouts.header)).await {
                Ok(told) => client.announced = Some(Box::new(told)),
                Err(error) => return self.unannounced.complain(&client, &error),
            }
        }
        self.serve_http1(stream, &client, &drain, timeouts).await;
    }

    async fn serve_http1<S: Stream>(&self, stream: S, client: &Client, drain: &Watcher, timeouts: Timeouts) {
        let notes = &client.notes;
        let mut line = Box::pin(TimeoutStream::new(Lingering::new(stream, notes.clone())));
        line.as_mut().set_write_timeout_pinned(Some(timeouts.send));
        let (bell, tick) = (pin!(drain.bell()), pin!(patience::timer()));
        let mut patience = Patience::new(notes, drain, bell, tick, timeouts);
        while parking::speaks(&line, notes, &self.lobby, &mut patience).await {
            // Boxed: what it takes to talk is given back when the client says nothing more.
            match Box::pin(self.talk(line, client, drain, &mut patience)).await {
                Some(quiet) => line = quiet,
                None => return,
            }
        }
    }

    /// Answers requests as long as they come one after the other. Returns the stream of a client that says nothing more for now.
    async fn talk<S: Stream>(
        &self,
        line: Line<S>,
        client: &Client,
        drain: &Watcher,
        patience: &mut Patience<'_>,
    ) -> Option<Line<S>> {
        let service = service_fn(move |request| self.answer(request, client, drain));
        let mut connection = builder().serve_connection(TokioIo::new(line), service);
        patience.talks();
        let quiet = poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                ended.unwrap_or_else(|error| log_end(&error));
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

    fn answer<'a>(
        &'a self,
        request: Request<Incoming>,
        client: &'a Client,
        watcher: &'a Watcher,
    ) -> impl Future<Output = Result<Response<Visited>, Hangup>> + 'a {
        client.notes.request_came();
        let (parts, body) = request.into_parts();
        // Before the future is polled: its client may be gone by then, and is in the log all the same.
        let means = self.means.load();
        let visit = Visit::begin(means.access_log.as_ref(), self.meters.as_deref(), &parts, client);
        async move {
            let last = watcher.last().map(|last| Guard::from_inner(Arc::clone(last)));
            let generation = last.unwrap_or_else(|| self.generation.load());
            let pipeline = Pipeline { generation: &generation, means: &means, compressed: &self.compressed };
            let mut answer = pipeline.answer(&parts, body, visit, client).await;
            if (watcher.is_asked() || means.timeouts.is_last(client.notes.requests()))
                && let Ok(response) = &mut answer
            {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        }
    }
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

/// Clients that leave, are slow or send nonsense are daily business; they are looked at when somebody asks.
fn log_end(error: &hyper::Error) {
    let hangup = std::error::Error::source(error).is_some_and(|source| source.is::<Hangup>());
    if !hangup {
        tracing::debug!("client connection: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::super::drain::Drain;
    use std::time::Duration;

    use super::super::notes::Notes;
    use super::*;
    use crate::site::ListenerId;

    /// What a server's client has for everything, unless told.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A client of a site with this root; its pool is never reached.
    fn client_of(root: &Path) -> DuplexStream {
        client_of_pool(root, "127.0.0.1:1", "")
    }

    fn client_of_pool(root: &Path, server: &str, of_site: &str) -> DuplexStream {
        let text = format!(
            "[pools.php]\nservers = [\"{server}\"]\n[[sites]]\nlisten = [\"127.0.0.1:1\"]\nroot = '{}'\npreset = \"plain\"\n{of_site}",
            root.display()
        );
        let model = crate::config::parse(&text, "test", root).expect("valid");
        let generation = Arc::new(ArcSwap::from_pointee(Generation::build(&model, None)));
        let timeouts = Timeouts::of(&model.server);
        let means = Means { access_log: None, temp_dir: std::env::temp_dir(), timeouts };
        let front = Arc::new(Front::new(generation, means, Lobby::new(usize::MAX)));
        let notes = Notes::default();
        let client = Client { listener: ListenerId(0), peer: None, announced: None, local: None, notes };
        let (near, far) = duplex(4096);
        tokio::spawn(async move {
            let drain = Drain::new();
            front.serve(far, client, drain.watcher()).await;
        });
        near
    }

    async fn answer(mut client: DuplexStream) -> String {
        let mut text = Vec::new();
        client.read_to_end(&mut text).await.expect("it ends");
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_head_is_let_go() {
        let root = tempfile::tempdir().expect("a temp dir");
        for sent in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
            let mut client = client_of(root.path());
            client.write_all(sent).await.expect("there is room");
            let began = tokio::time::Instant::now();
            answer(client).await;
            assert!(began.elapsed() >= PATIENCE, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_client_is_let_go_after_its_answer() {
        let root = tempfile::tempdir().expect("a temp dir");
        let mut client = client_of(root.path());
        client.write_all(b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("there is room");
        let began = tokio::time::Instant::now();
        assert!(answer(client).await.starts_with("HTTP/1.1 404 "));
        assert!(began.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_body_gets_408() {
        let root = tempfile::tempdir().expect("a temp dir");
        std::fs::write(root.path().join("a.php"), "").expect("writes");
        let mut client = client_of(root.path());
        let request = b"POST /a.php HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
        client.write_all(request).await.expect("there is room");
        assert!(answer(client).await.starts_with("HTTP/1.1 408 "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_its_body_holds_no_worker_where_nothing_is_buffered() {
        let root = tempfile::tempdir().expect("a temp dir");
        std::fs::write(root.path().join("a.php"), "").expect("writes");
        let member = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = member.local_addr().expect("bound").to_string();
        let mut client = client_of_pool(root.path(), &server, "buffering = false");
        let request = b"POST /a.php HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
        client.write_all(request).await.expect("there is room");
        let (mut worker, _) = member.accept().await.expect("the request has its worker");
        let mut got = Vec::new();
        let released = tokio::time::timeout(PATIENCE * 2, worker.read_to_end(&mut got)).await;
        released.expect("the worker is let go").expect("closed");
        assert!(got.ends_with(b"abc"), "it had what the client sent");
        assert!(answer(client).await.starts_with("HTTP/1.1 408 "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_let_go() {
        let root = tempfile::tempdir().expect("a temp dir");
        std::fs::write(root.path().join("large.bin"), vec![b'x'; 1 << 20]).expect("writes");
        let mut client = client_of(root.path());
        client.write_all(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("there is room");
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(answer(client).await.len() < 1 << 20, "the rest never came");
    }
}
