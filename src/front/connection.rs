//! The front end of the whole process: what it answers with, and how each client's connection is spoken to. The ways to speak are
//! `http1`, `http2` (which `preface` tells apart in clear text), and either of them behind a TLS `handshake`.

use std::future::Future;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use http::{Request, Response};
use hyper::body::Incoming;

use super::access_log::AccessLog;
use super::announcement::{self, Complaints};
use super::body::Visited;
use super::compress;
use super::drain::Watcher;
use super::facts::Client;
use super::linger::Stream;
use super::lobby::Lobby;
use super::pipeline::{Hangup, Pipeline};
use super::timeouts::Timeouts;
use super::visit::Visit;
use super::{handshake, http1, preface};
use crate::config::model::Listener;
use crate::metrics::FrontMeters;
use crate::site::Generation;

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
    /// How long clients may take.
    pub timeouts: Timeouts,
}

/// How a listener is spoken to.
#[derive(Debug, Clone, Copy, Default)]
struct Spoken {
    tls: bool,
    http2: bool,
    announced: bool,
}

impl Spoken {
    fn at(listener: &Listener) -> Self {
        Self { tls: listener.tls, http2: listener.http2, announced: listener.proxy_protocol }
    }
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
        let meters = self.meters.clone();
        let _counted = meters.as_ref().map(|meters| meters.comes());
        let timeouts = self.means.load().timeouts;
        let spoken = self.generation_for(&drain).sites().listener(client.listener).map(Spoken::at);
        let Spoken { tls, http2, announced } = spoken.unwrap_or_default();
        if announced {
            let reading = self.lobby.hears_out(announcement::read(&mut stream, timeouts.header));
            match Box::pin(reading).await {
                Some(Ok(told)) => client.announced = Some(Box::new(told)),
                Some(Err(error)) => return self.unannounced.complain(&client, &error),
                None => return,
            }
        }
        // Boxed, all but the first: the task of a client in clear text need not be as large as theirs.
        match (tls, http2) {
            (false, false) => http1::serve(&self, stream, &client, &drain, timeouts).await,
            (false, true) => Box::pin(preface::serve(self, stream, client, drain, timeouts)).await,
            (true, http2) => Box::pin(handshake::serve(self, stream, client, drain, timeouts, http2)).await,
        }
    }

    /// The current one, or the last that knew a listener which is gone.
    pub(super) fn generation_for(&self, watcher: &Watcher) -> Guard<Arc<Generation>> {
        let last = watcher.last().map(|last| Guard::from_inner(Arc::clone(last)));
        last.unwrap_or_else(|| self.generation.load())
    }

    /// Answers one request of a client.
    pub(super) fn answer<'a>(
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
        let generation = self.generation_for(watcher);
        Pipeline { generation, means, compressed: &self.compressed, client, watcher }
            .answer(parts, body, visit)
    }
}

/// Clients that leave, are slow or send nonsense are daily business; they are looked at when somebody asks.
pub(super) fn log_end(error: &hyper::Error) {
    let hangup = std::error::Error::source(error).is_some_and(|source| source.is::<Hangup>());
    if !hangup {
        tracing::debug!("client connection: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::super::testing;

    /// What a server's client has for everything, unless told.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A client of a site with this root; its pool is never reached.
    fn client_of(root: &Path) -> DuplexStream {
        client_of_pool(root, "127.0.0.1:1", "")
    }

    fn client_of_pool(root: &Path, server: &str, of_site: &str) -> DuplexStream {
        testing::client_of(root, "\"127.0.0.1:1\"", server, of_site)
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
