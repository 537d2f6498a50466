//! One operator's connection: hyper's HTTP/1.1 with limits of its own. It is for a few programs, not for the world.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::door::Door;
use super::readiness::Readiness;
use super::refusal::Refusal;
use super::wishes::Wish;
use crate::config::Secret;
use crate::site::Generation;

/// Larger bodies are no orders.
pub(super) const MAX_BODY: usize = 16 * 1024;
/// The longest silence: before a request, within one, and of a reader.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest head.
const BUFFER: usize = 16 * 1024;

/// What answers operators; one for the whole process.
#[derive(Debug)]
pub struct Admin {
    generation: Arc<ArcSwap<Generation>>,
    readiness: Arc<Readiness>,
    token: ArcSwapOption<Secret>,
    wishes: mpsc::Sender<Wish>,
}

impl Admin {
    /// Shows and changes whatever generation is the current one; hands on what only the runtime can do.
    pub fn new(
        generation: Arc<ArcSwap<Generation>>,
        readiness: Arc<Readiness>,
        token: Option<Secret>,
        wishes: mpsc::Sender<Wish>,
    ) -> Self {
        let token = ArcSwapOption::from_pointee(token);
        Self { generation, readiness, token, wishes }
    }

    /// What an operator has to know from his next connection on.
    pub fn set_token(&self, token: Option<Secret>) {
        self.token.store(token.map(Arc::new));
    }

    /// Serves an operator until he leaves or is silent. `own` is the address that he came to; none over a unix socket.
    pub async fn serve<S>(self: Arc<Self>, stream: S, own: Option<IpAddr>)
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(PATIENCE));
        let token = self.token.load_full();
        let door = Door { token: token.as_deref(), own };
        let admin = &*self;
        let service = service_fn(move |request: Request<Incoming>| async move {
            let (parts, body) = request.into_parts();
            Ok::<_, std::convert::Infallible>(admin.answer(&parts, body, door).await)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(BUFFER);
        if let Err(error) = builder.serve_connection(TokioIo::new(Box::pin(stream)), service).await {
            tracing::debug!("admin connection: {error}");
        }
    }

    pub(super) fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    pub(super) async fn wish(&self, wish: Wish) -> Result<(), Refusal> {
        self.wishes.send(wish).await.map_err(|_| Refusal::Stopping)
    }
}

/// The body of an order.
pub(super) async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    let whole =
        timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await.map_err(|_| Refusal::Broken)?;
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Err(_) => Err(Refusal::Broken),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;
    use crate::admin::wishes;
    use crate::config;

    /// The operator's end of a connection, and the task that serves the other.
    fn operator() -> (DuplexStream, JoinHandle<()>) {
        let text = "[pools.php]\nservers = [\"127.0.0.1:9\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"/\"\n";
        let model = config::parse(text, "c.toml", Path::new("/")).expect("a configuration");
        let generation = Arc::new(ArcSwap::from_pointee(Generation::build(&model, None)));
        let admin = Arc::new(Admin::new(generation, Arc::default(), None, wishes().0));
        let (ours, its) = tokio::io::duplex(1 << 20);
        (ours, tokio::spawn(admin.serve(its, None)))
    }

    async fn answer(operator: &mut DuplexStream) -> String {
        let mut answer = String::new();
        operator.read_to_string(&mut answer).await.expect("text until it closes");
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_half_a_head_is_let_go() {
        for said in ["", "GET / HTTP/1.1\r\nHost: x", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let (mut operator, served) = operator();
            let began = Instant::now();
            operator.write_all(said.as_bytes()).await.expect("it listens");
            served.await.expect("no panic");
            assert_eq!(began.elapsed().as_secs(), 10, "{said:?}");
            assert_eq!(answer(&mut operator).await.starts_with("HTTP/1.1 200"), said.contains("/healthz"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_that_does_not_come_to_its_end_is_refused() {
        let (mut operator, served) = operator();
        let began = Instant::now();
        let head = "PATCH /api/v1/pools/php/servers/127.0.0.1:9 HTTP/1.1\r\nHost: x\r\nContent-Length: 19\r\n\
                    Content-Type: application/json\r\n\r\n{\"state\":";
        operator.write_all(head.as_bytes()).await.expect("it listens");
        let answer = answer(&mut operator).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("did not come whole"), "{answer}");
        served.await.expect("no panic");
        assert!(began.elapsed().as_secs() < 21, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_http_and_heads_without_end_cost_nothing() {
        for said in [vec![0_u8; 100], [b"GET / HTTP/1.1\r\n".to_vec(), vec![b'a'; 200_000]].concat()] {
            let (mut operator, served) = operator();
            // It may close before it has read all.
            drop(operator.write_all(&said).await);
            served.await.expect("no panic");
            assert!(!answer(&mut operator).await.contains(" 200 "));
        }
    }
}
