//! A short question of our own to one php-fpm, beside the clients' requests: on a fresh connection that is closed
//! afterwards, outside of every permit and queue, and with a patience of its own.
//!
//! It tells what was seen and draws no conclusion: whether a member stays in is `checks`' and `balance`'s, and what to
//! tell an operator who asked is `app::doctor`'s.

use super::connection::Connection;
use super::endpoint::Endpoint;
use super::talk::blames_the_member;
use crate::balance::Failure;
use crate::fcgi::{BodyRule, Event, Exchange, Keep, RequestEncoder, RequestId};
use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use std::future::poll_fn;
use std::io::IoSlice;
use std::time::Duration;
use tokio::time::timeout;

/// The only request of its connection.
const ID: RequestId = RequestId::new(1).expect("1 is not 0");
/// More of a body than any page that is asked for has; the rest is not waited for.
const MOST_BODY: usize = 64 * 1024;
/// A file that nobody has: php-fpm answers that it is not there, and runs nothing.
const NOWHERE: &str = "/cornac/asks/whether/anybody/is/there";

/// What is asked. Nothing of it can run a script, except where `file` names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// SCRIPT_NAME: `pm.status_path` and `ping.path` are compared with it.
    pub name: &'a str,
    /// SCRIPT_FILENAME.
    pub file: &'a str,
    /// QUERY_STRING.
    pub query: &'a str,
}

impl<'a> Question<'a> {
    /// Whether anybody is there: php-fpm answers 404 (403 with `cgi.fix_pathinfo=0`), and that is an answer.
    pub const ANYBODY: Self = Self { name: NOWHERE, file: NOWHERE, query: "" };

    /// The page at `ping.path`. Where there is none, the answer is that of [`Question::ANYBODY`].
    pub fn ping(path: &'a str) -> Self {
        Self { name: path, file: NOWHERE, query: "" }
    }

    /// The page at `pm.status_path`, for [`Report::parse`](crate::balance::Report::parse).
    pub fn status(path: &'a str) -> Self {
        Self { name: path, file: NOWHERE, query: "json" }
    }

    /// What php-fpm makes of this file. A script that is there runs.
    pub fn file(file: &'a str) -> Self {
        Self { name: NOWHERE, file, query: "" }
    }

    /// `None` where a name is longer than a record carries.
    fn encode(&self) -> Option<Bytes> {
        let mut request = RequestEncoder::new(ID, Keep::Close);
        for (name, value) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_SOFTWARE", "cornac"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REQUEST_METHOD", "GET"),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("REQUEST_URI", self.name),
            ("SCRIPT_NAME", self.name),
            ("SCRIPT_FILENAME", self.file),
            ("QUERY_STRING", self.query),
        ] {
            request.param(name.as_bytes(), value.as_bytes()).ok()?;
        }
        Some(request.finish_without_body())
    }
}

/// What came of a question.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// A worker answered, whatever it said: an error page is an answer.
    Answered(Answer),
    /// The connection stands, or waits in the backlog, and nothing came: every worker has something else to do
    /// (fpm-facts 14, 19). That is not down.
    Busy,
    /// It was not asked: we have nothing left to ask with. Says nothing about the member.
    NotAsked(Failure),
    /// Nobody who speaks FastCGI to us is there.
    Failed(Failure),
}

/// What a worker answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// 502 where what ran there ended without a CGI head that can be read.
    pub status: StatusCode,
    /// Of the reply.
    pub headers: HeaderMap,
    /// At most 64 KiB of it.
    pub body: Bytes,
    /// What came on STDERR: php-fpm's reason for an error page.
    pub stderr: Vec<u8>,
}

/// Asks, and waits for `patience` until the connection stands, and once more for the whole answer.
pub async fn ask(endpoint: &Endpoint, question: &Question<'_>, patience: Duration) -> Reaction {
    let Some(request) = question.encode() else { return Reaction::Failed(Failure::Unreachable) };
    let mut connection = match Connection::open(endpoint, patience).await {
        Ok(connection) => connection,
        Err(failure @ Failure::Exhausted) => return Reaction::NotAsked(failure),
        Err(failure) if failure.blames_the_member() => return Reaction::Failed(failure),
        Err(_) => return Reaction::Busy,
    };
    let mut exchange = Exchange::new(ID, BodyRule::Deliver);
    let answered = timeout(patience, converse(&mut connection, request, &mut exchange)).await;
    match answered {
        Ok(Ok(answer)) => Reaction::Answered(answer),
        // php-fpm closes at once on whom it does not know, and only on TCP (fpm-facts 20).
        Ok(Err(Failure::ClosedEarly)) if matches!(endpoint, Endpoint::Tcp(_)) => {
            Reaction::Failed(Failure::TurnedAway)
        }
        Ok(Err(failure)) => Reaction::Failed(failure),
        Err(_) if exchange.first_byte_seen() => Reaction::Failed(Failure::Truncated),
        Err(_) => Reaction::Busy,
    }
}

async fn converse(
    connection: &mut Connection,
    mut request: Bytes,
    exchange: &mut Exchange,
) -> Result<Answer, Failure> {
    while request.has_remaining() {
        match poll_fn(|cx| connection.poll_write(&[IoSlice::new(&request)], cx)).await {
            Ok(sent) => request.advance(sent),
            // It has closed; what it said before that can be read.
            Err(_) => break,
        }
    }
    let mut answer = Answer::default();
    let mut body = Vec::new();
    loop {
        match take(exchange, &mut answer, &mut body) {
            Ok(Progress::More) if body.len() < MOST_BODY => {}
            Ok(_) => {
                body.truncate(MOST_BODY);
                return Ok(Answer { body: body.into(), ..answer });
            }
            Err(failure) => return Err(failure),
        }
        match poll_fn(|cx| connection.poll_read(cx)).await {
            Ok(bytes) if !bytes.is_empty() => exchange.receive(bytes.freeze()),
            _ if exchange.first_byte_seen() => return Err(Failure::Truncated),
            _ => return Err(Failure::ClosedEarly),
        }
    }
}

enum Progress {
    More,
    Complete,
}

/// What has arrived so far.
fn take(exchange: &mut Exchange, answer: &mut Answer, body: &mut Vec<u8>) -> Result<Progress, Failure> {
    loop {
        match exchange.next_event() {
            Ok(None) => return Ok(Progress::More),
            Ok(Some(Event::Head(head))) => (answer.status, answer.headers) = (head.status, head.headers),
            Ok(Some(Event::Body(bytes))) => body.extend_from_slice(&bytes),
            Ok(Some(Event::Stderr(text))) if answer.stderr.len() < MOST_BODY => {
                answer.stderr.extend_from_slice(&text);
            }
            Ok(Some(Event::Stderr(_))) => {}
            Ok(Some(Event::End(_))) => return Ok(Progress::Complete),
            Err(violation) if blames_the_member(violation) => return Err(Failure::Garbage),
            Err(_) => {
                answer.status = StatusCode::BAD_GATEWAY;
                return Ok(Progress::Complete);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::responder::{Responder, Step};
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const PATIENCE: Duration = Duration::from_secs(5);

    async fn asked(responder: &Responder, question: Question<'_>) -> Reaction {
        ask(&Endpoint::Tcp(responder.address), &question, PATIENCE).await
    }

    fn failure(reaction: &Reaction) -> Option<Failure> {
        match reaction {
            Reaction::Failed(failure) => Some(*failure),
            _ => None,
        }
    }

    #[tokio::test]
    async fn an_answer_has_its_status_headers_body_and_what_php_said_on_stderr() {
        let responder = Responder::start(1, |_| {
            let head = "Status: 404 Not Found\r\nX-A: b\r\n\r\nFile not found.\n";
            vec![Step::ReadBody, Step::Stderr("Primary script unknown"), Step::Stdout(head.into()), Step::End]
        })
        .await;
        let Reaction::Answered(answer) = asked(&responder, Question::file("/srv/x")).await else {
            panic!("an answer")
        };
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.headers["x-a"], "b");
        assert_eq!(
            (&answer.body[..], &answer.stderr[..]),
            (&b"File not found.\n"[..], &b"Primary script unknown"[..])
        );
        let params = responder.seen.lock()[0].params.clone();
        assert!(params.contains("SCRIPT_FILENAME/srv/x"), "{params}");
    }

    #[tokio::test]
    async fn a_page_larger_than_anybody_asks_for_is_cut_and_not_waited_for() {
        let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let held = std::sync::Arc::clone(&gate);
        let responder = Responder::start(1, move |_| {
            let page = [b"\r\n".to_vec(), vec![b'x'; 100_000]].concat();
            vec![Step::Stdout(page), Step::Wait(std::sync::Arc::clone(&held))]
        })
        .await;
        let Reaction::Answered(answer) = asked(&responder, Question::ANYBODY).await else {
            panic!("an answer")
        };
        assert_eq!(answer.body.len(), MOST_BODY);
    }

    #[tokio::test(start_paused = true)]
    async fn connected_and_silent_is_busy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        let reaction = ask(&endpoint, &Question::ANYBODY, PATIENCE).await;
        assert!(matches!(reaction, Reaction::Busy), "{reaction:?}");
    }

    #[tokio::test]
    async fn a_script_that_died_is_an_answer_and_not_a_failure() {
        let responder = Responder::start(1, |_| vec![Step::ReadBody, Step::End]).await;
        let reaction = asked(&responder, Question::ANYBODY).await;
        assert!(matches!(reaction, Reaction::Answered(Answer { status: StatusCode::BAD_GATEWAY, .. })));
    }

    #[tokio::test]
    async fn what_is_not_an_answer_says_why() {
        let closes = Responder::start(1, |_| vec![Step::ReadBody, Step::Close]).await;
        assert_eq!(failure(&asked(&closes, Question::ANYBODY).await), Some(Failure::TurnedAway));
        let stops =
            Responder::start(1, |_| vec![Step::ReadBody, Step::Stdout(b"\r\nhal".to_vec()), Step::Close])
                .await;
        assert_eq!(failure(&asked(&stops, Question::ANYBODY).await), Some(Failure::Truncated));
        let http =
            Responder::start(1, |_| vec![Step::ReadBody, Step::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")])
                .await;
        assert_eq!(failure(&asked(&http, Question::ANYBODY).await), Some(Failure::Garbage));
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let refused = ask(&Endpoint::Tcp(nobody), &Question::ANYBODY, PATIENCE).await;
        assert_eq!(failure(&refused), Some(Failure::Refused));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_begins_to_answer_and_stops_is_not_busy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
        let begins = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&[1, 6, 0]).await.unwrap();
            std::future::pending::<()>().await
        };
        let reaction = tokio::select! {
            reaction = ask(&endpoint, &Question::ANYBODY, PATIENCE) => reaction,
            () = begins => unreachable!("it never ends"),
        };
        assert_eq!(failure(&reaction), Some(Failure::Truncated));
    }
}
