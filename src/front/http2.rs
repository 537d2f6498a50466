//! One client over HTTP/2: its streams are requests like any other, side by side on one connection, each a task of its own.
//!
//! What a client may cost is bounded here: streams at once, what waits to be read of each, and how long it may be waited for.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_io_timeout::TimeoutStream;

use super::body::Framed;
use super::connection::{Front, log_end};
use super::drain::Watcher;
use super::facts::Client;
use super::flood::Counted;
use super::linger::{Lingering, Stream};
use super::lobby::Seat;
use super::notes::Notes;
use super::pace::{PIECE, Paced, Streams};
use super::patience::{self, End, Patience};
use super::timeouts::Timeouts;

/// Requests at once. nginx: `http2_max_concurrent_streams`, 128.
const STREAMS: u32 = 128;
/// The head of a request, as the client counts it. As much as over HTTP/1.1.
const HEAD: u32 = 64 * 1024;
/// What a client may send of a body before somebody takes it, and of all bodies together.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What waits of a reply until it is its turn, or the client opens its window: two pieces, so that one is there when the other has
/// left, and both are still in the core's cache when they are encrypted.
const SEND_BUFFER: usize = 2 * PIECE;

pub(super) async fn serve<S: Stream>(
    front: Arc<Front>,
    stream: S,
    client: Client,
    drain: Watcher,
    timeouts: Timeouts,
) {
    let notes = client.notes.clone();
    // A reply that breaks off resets its own stream, not the connection: nobody notes it there.
    let mut stream = TimeoutStream::new(Lingering::new(stream, Notes::default()));
    stream.set_write_timeout(Some(timeouts.send));
    let streams = Streams::new(timeouts.send);
    let lobby = Arc::clone(front.lobby());
    let host = Arc::new((front, client, drain.clone()));
    let service = service_fn(|request| {
        let (host, pace) = (Arc::clone(&host), streams.begin());
        async move {
            let (front, client, drain) = &*host;
            let answer = front.answer(request, client, drain);
            let unanswered = client.notes.until_answered();
            let answer = answer.await?;
            unanswered.answered();
            Ok::<_, super::pipeline::Hangup>(
                answer.map(|body| Paced::new(Framed(body.in_pieces_of(PIECE)), pace)),
            )
        }
    });
    let stream = TokioIo::new(Counted::new(Box::pin(stream), notes.clone()));
    let connection = builder(streams.clone()).serve_connection(stream, service);
    let mut connection = pin!(connection);
    let (bell, tick) = (pin!(drain.bell()), pin!(patience::timer()));
    let mut patience = Patience::new(&notes, &drain, bell, tick, timeouts).of_many();
    let mut seat: Option<Seat<'_>> = None;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                ended.unwrap_or_else(|error| log_end(&error));
                return Poll::Ready(());
            }
            match patience.poll_end(cx) {
                Poll::Ready(End::Patience) => return Poll::Ready(()),
                Poll::Ready(End::Drain) => connection.as_mut().graceful_shutdown(),
                // As long as it says nothing, it is the first to leave when there are too many.
                Poll::Ready(End::Quiet) => drop(seat.get_or_insert_with(|| lobby.sits(cx.waker().clone()))),
                Poll::Pending => break,
            }
        }
        if notes.waits().is_none() {
            seat = None;
        }
        match seat.as_ref().is_some_and(Seat::is_gone) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

fn builder(streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use h2::client::{ResponseFuture, SendRequest};
    use h2::{Reason, RecvStream};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::super::testing::client_of;

    /// What a client has for everything, unless told.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A client of a site of files, whose streams have a window of so many bytes.
    async fn client(root: &tempfile::TempDir, window: u32) -> (SendRequest<Bytes>, JoinHandle<()>) {
        let listen = "{ address = \"127.0.0.1:1\", http2 = true }";
        let stream = client_of(root.path(), listen, "127.0.0.1:1", "");
        let mut builder = h2::client::Builder::new();
        let (client, connection) =
            builder.initial_window_size(window).handshake(stream).await.expect("it speaks HTTP/2");
        (client, tokio::spawn(async move { drop(connection.await) }))
    }

    fn get(client: &mut SendRequest<Bytes>, path: &str) -> ResponseFuture {
        let request = http::Request::get(format!("http://a{path}")).body(()).expect("a request");
        client.send_request(request, true).expect("the connection stands").0
    }

    async fn rest(mut body: RecvStream) -> Result<usize, h2::Error> {
        let mut length = 0;
        while let Some(piece) = body.data().await {
            length += piece?.len();
        }
        Ok(length)
    }

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temp dir");
        std::fs::write(root.path().join("large.bin"), vec![b'x'; 1 << 20]).expect("writes");
        std::fs::write(root.path().join("a.txt"), "a").expect("writes");
        root
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_client_takes_nothing_is_reset_and_the_connection_goes_on() {
        let root = root();
        let (mut client, _connection) = client(&root, 1000).await;
        let stuck = get(&mut client, "/large.bin").await.expect("a head").into_body();
        // Somebody is busy all the time, or the connection as a whole would be idle.
        for _ in 0..5 {
            tokio::time::sleep(PATIENCE / 4).await;
            let body = get(&mut client, "/a.txt").await.expect("a head").into_body();
            assert_eq!(rest(body).await.expect("whole"), 1);
        }
        let error = rest(stuck).await.expect_err("it was reset");
        assert_eq!(error.reason(), Some(Reason::CANCEL));
        assert!(get(&mut client, "/a.txt").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_client_is_let_go_and_one_that_still_reads_is_not() {
        let root = root();
        let (mut client, connection) = client(&root, 100_000).await;
        let mut slow = get(&mut client, "/large.bin").await.expect("a head").into_body();
        let mut length = 0;
        while let Some(piece) = slow.data().await {
            let piece = piece.expect("it is not reset").len();
            length += piece;
            // 5 KB a second: longer than any patience for the whole, and shorter for each piece.
            tokio::time::sleep(PATIENCE * piece as u32 / 300_000).await;
            slow.flow_control().release_capacity(piece).expect("it was used");
        }
        assert_eq!(length, 1 << 20);
        let began = Instant::now();
        connection.await.expect("no panic");
        assert!(began.elapsed() >= PATIENCE / 2, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_few_bytes_in_its_time_is_not_reset() {
        let root = root();
        let (mut client, _connection) = client(&root, 100).await;
        let mut slow = get(&mut client, "/large.bin").await.expect("a head").into_body();
        for _ in 0..20 {
            // Two or three bytes a second.
            let piece = slow.data().await.expect("there is more").expect("it is not reset").len();
            tokio::time::sleep(PATIENCE * 2 / 3).await;
            slow.flow_control().release_capacity(piece).expect("it was used");
        }
        assert_eq!(rest(slow).await.expect_err("it takes no more").reason(), Some(Reason::CANCEL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_begins_and_asks_for_nothing_is_let_go() {
        let root = root();
        let (_client, connection) = client(&root, 1000).await;
        let began = Instant::now();
        connection.await.expect("no panic");
        assert!(began.elapsed() >= PATIENCE);
    }
}
