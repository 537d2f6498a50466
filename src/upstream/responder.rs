//! A scripted php-fpm for the tests of this room: a number of workers that accept one connection at a time, as php-fpm's do,
//! and answer each request with the steps that a test's script says.

use super::cluster::Cluster;
use super::outcome::Outcome;
use super::reply::ReplyBody;
use super::request::{RequestBody, UpstreamRequest};
use crate::balance::{Backoff, Keepalive, MaxConns, PolicyKind, Rules, Tier};
use crate::config::model::{EndpointSpec, Pool, Queue, Retry, ServerSpec, Timeouts};
use crate::fcgi::{BodyRule, RequestEncoder};
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A request as a worker got it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// How many came to this responder before.
    pub(crate) number: usize,
    /// How many came on this connection before.
    pub(crate) on_connection: usize,
    pub(crate) id: u16,
    /// The PARAMS as they stand on the wire: a test looks for the name it sent.
    pub(crate) params: String,
    pub(crate) stdin: usize,
}

/// What a worker does.
#[derive(Clone)]
pub(crate) enum Step {
    Stdout(Vec<u8>),
    Stderr(&'static str),
    End,
    /// Reads what is left of the request's body.
    ReadBody,
    /// Takes its time.
    Sleep(Duration),
    /// Waits until the test lets it go on.
    Wait(Arc<Semaphore>),
    /// Closes the connection.
    Close,
    /// Sends bytes that are no record.
    Raw(&'static [u8]),
}

type Script = Arc<dyn Fn(&Received) -> Vec<Step> + Send + Sync>;

pub(crate) struct Responder {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Received>>>,
    pub(crate) open: Arc<AtomicUsize>,
    workers: JoinSet<()>,
}

/// A reply of one STDOUT record and END_REQUEST, after the body was read.
pub(crate) fn hello(text: &str) -> Vec<Step> {
    vec![Step::ReadBody, Step::Stdout(format!("Content-Type: text/plain\r\n\r\n{text}").into()), Step::End]
}

impl Responder {
    pub(crate) async fn start(
        workers: usize,
        script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), workers, script).await
    }

    /// At an address that may have been another's before.
    pub(crate) async fn at(
        address: SocketAddr,
        workers: usize,
        script: impl Fn(&Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = Arc::new(TcpListener::bind(address).await.unwrap());
        let script: Script = Arc::new(script);
        let mut responder = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            open: Arc::default(),
            workers: JoinSet::new(),
        };
        for _ in 0..workers {
            let worker = Worker {
                listener: Arc::clone(&listener),
                script: Arc::clone(&script),
                seen: Arc::clone(&responder.seen),
                open: Arc::clone(&responder.open),
            };
            responder.workers.spawn(worker.work());
        }
        responder
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().len()
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn spec(&self) -> ServerSpec {
        spec(self.address)
    }
}

struct Worker {
    listener: Arc<TcpListener>,
    script: Script,
    seen: Arc<Mutex<Vec<Received>>>,
    open: Arc<AtomicUsize>,
}

impl Worker {
    async fn work(self) {
        while let Ok((mut stream, _)) = self.listener.accept().await {
            stream.set_nodelay(true).unwrap();
            self.open.fetch_add(1, Ordering::SeqCst);
            self.serve(&mut stream).await;
            drop(stream);
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn serve(&self, stream: &mut TcpStream) {
        let mut on_connection = 0;
        while let Some((received, mut body_left)) = self.receive(stream, on_connection).await {
            let place = received.number;
            on_connection += 1;
            for step in (self.script)(&received) {
                let went_on = match step {
                    Step::ReadBody => {
                        let read = if body_left { read_body(stream).await } else { Some(0) };
                        body_left = false;
                        self.seen.lock()[place].stdin += read.unwrap_or(0);
                        read.is_some()
                    }
                    Step::Stdout(bytes) => send(stream, 6, received.id, &bytes).await,
                    Step::Stderr(text) => send(stream, 7, received.id, text.as_bytes()).await,
                    Step::End => send(stream, 3, received.id, &[0; 8]).await,
                    Step::Raw(bytes) => stream.write_all(bytes).await.is_ok(),
                    Step::Sleep(time) => {
                        tokio::time::sleep(time).await;
                        true
                    }
                    Step::Wait(turn) => {
                        turn.acquire().await.unwrap().forget();
                        true
                    }
                    Step::Close => false,
                };
                if !went_on {
                    return;
                }
            }
        }
    }

    /// The next request's BEGIN_REQUEST and PARAMS, and whether a body may follow.
    async fn receive(&self, stream: &mut TcpStream, on_connection: usize) -> Option<(Received, bool)> {
        let mut params = Vec::new();
        loop {
            let (kind, id, content) = record(stream).await?;
            match (kind, content.is_empty()) {
                (4, false) => params.extend_from_slice(&content),
                (4, true) => {
                    let mut seen = self.seen.lock();
                    let params = String::from_utf8_lossy(&params).into_owned();
                    let received = Received { number: seen.len(), on_connection, id, params, stdin: 0 };
                    seen.push(received.clone());
                    return Some((received, true));
                }
                _ => {}
            }
        }
    }
}

async fn record(stream: &mut TcpStream) -> Option<(u8, u16, Vec<u8>)> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).await.ok()?;
    let mut content = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]]))];
    stream.read_exact(&mut content).await.ok()?;
    let mut padding = vec![0; usize::from(header[6])];
    stream.read_exact(&mut padding).await.ok()?;
    Some((header[1], u16::from_be_bytes([header[2], header[3]]), content))
}

async fn read_body(stream: &mut TcpStream) -> Option<usize> {
    let mut size = 0;
    loop {
        let (_, _, content) = record(stream).await?;
        if content.is_empty() {
            return Some(size);
        }
        size += content.len();
    }
}

async fn send(stream: &mut TcpStream, kind: u8, id: u16, content: &[u8]) -> bool {
    for piece in content.chunks(0xffff) {
        let mut record = vec![1, kind, 0, 0, 0, 0, 0, 0];
        record[2..4].copy_from_slice(&id.to_be_bytes());
        record[4..6].copy_from_slice(&(piece.len() as u16).to_be_bytes());
        record.extend_from_slice(piece);
        if stream.write_all(&record).await.is_err() {
            return false;
        }
    }
    true
}

pub(crate) fn spec(address: SocketAddr) -> ServerSpec {
    ServerSpec {
        endpoint: EndpointSpec::Tcp { host: address.ip().to_string(), port: address.port() },
        weight: 1,
        max_conns: MaxConns::Auto,
        rules: Rules { max_fails: 3, window: Duration::from_secs(10), backoff: Backoff::DEFAULT },
        slow_start: Duration::ZERO,
        tier: Tier::Near,
        down: false,
    }
}

/// A pool with the defaults and connections that are kept.
pub(crate) fn pool(servers: Vec<ServerSpec>) -> Pool {
    Pool {
        name: "php".into(),
        servers,
        discover: Vec::new(),
        policy: PolicyKind::RoundRobin,
        hash_key: None,
        queue: Queue { size: 1024, timeout: Duration::from_secs(30), header: false },
        shares: Vec::new(),
        keepalive: Keepalive::On {
            timeout: Duration::from_secs(3600),
            idle: 64,
            max_requests: None,
            max_age: None,
        },
        health: None,
        retry: Retry { tries: 3, budget: 20, timeout: None, non_idempotent: false, idempotency_key: None },
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(60),
            between_reads: Duration::from_secs(60),
            total: None,
        },
        params: Vec::new(),
        resolve: Duration::from_secs(5),
    }
}

pub(crate) fn cluster(pool: &Pool) -> Cluster {
    Cluster::new(pool, &super::Buffers::default(), None)
}

pub(crate) fn get(cluster: &Cluster, uri: &str) -> UpstreamRequest {
    request(cluster, uri, RequestBody::None, true)
}

pub(crate) fn post(cluster: &Cluster, uri: &str, body: RequestBody) -> UpstreamRequest {
    request(cluster, uri, body, false)
}

fn request(cluster: &Cluster, uri: &str, body: RequestBody, idempotent: bool) -> UpstreamRequest {
    let id = cluster.next_request_id();
    let mut encoder = RequestEncoder::new(id, cluster.keep());
    encoder.param(b"REQUEST_URI", uri.as_bytes()).unwrap();
    let head = match body {
        RequestBody::None => encoder.finish_without_body(),
        _ => encoder.finish(),
    };
    UpstreamRequest {
        id,
        head,
        body,
        body_rule: BodyRule::Deliver,
        idempotent,
        key: 0,
        share: None,
        buffering: true,
        timeouts: None,
        label: crate::route::Label::default(),
        script: "/srv/index.php".into(),
        observer: None,
    }
}

/// The outcome that this request is going to have.
pub(crate) fn observe(request: &mut UpstreamRequest) -> Arc<Mutex<Option<Outcome>>> {
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    request.observer = Some(Box::new(move |outcome| {
        assert!(tell.lock().replace(outcome).is_none(), "the outcome is told once");
    }));
    told
}

/// The body's text.
pub(crate) async fn text(body: ReplyBody) -> String {
    String::from_utf8(bytes(body).await.to_vec()).unwrap()
}

pub(crate) async fn bytes(body: ReplyBody) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

/// Sends a GET and reads all of its reply.
pub(crate) async fn ask(cluster: &Cluster, uri: &str) -> String {
    text(cluster.send(get(cluster, uri)).await.unwrap().1).await
}

/// Lets everything else run until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_000_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never came true: {what}");
}
