//! Our side of FastCGI against somebody else's: `tokio-fastcgi` as the responder, over a real socket.

#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::io::Read;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use cornac::fcgi::{
    BodyRule, Closed, EndRequest, Event, Exchange, Keep, ProtocolStatus, Reason, ReplyHead, RequestEncoder,
    RequestId, Verdict, Violation, stdin_header,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio_fastcgi::{Request, RequestResult, Requests};

/// Serves every connection until the test ends.
async fn responder() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut requests = Requests::from_split_socket(socket.into_split(), 1, 1);
                while let Ok(Some(request)) = requests.next().await {
                    request.process(|request| async move { echo(&request).await }).await.unwrap();
                }
            });
        }
    });
    address
}

/// Answers with all params and the body: `name-length value-length name value` each, a blank line, the body.
async fn echo(request: &Request<OwnedWriteHalf>) -> RequestResult {
    match request.get_param("TEST").map(Vec::as_slice) {
        Some(b"overloaded") => return RequestResult::Overloaded,
        Some(b"stderr") => {
            request.get_stderr().write(b"PHP Warning: so it goes").await.unwrap();
        }
        _ => {}
    }
    let mut reply =
        b"Status: 207 Odd\r\nX-Responder: tokio-fastcgi\r\nContent-Type: text/plain\r\n\r\n".to_vec();
    let mut params: Vec<_> = request.params_iter().unwrap().collect();
    params.sort();
    for (name, value) in params {
        reply.extend(format!("{} {} {name} ", name.len(), value.len()).as_bytes());
        reply.extend(value);
    }
    reply.extend(b"\n\n");
    request.get_stdin().read_to_end(&mut reply).unwrap();
    request.get_stdout().write(&reply).await.unwrap();
    RequestResult::Complete(3)
}

/// The same text made here. The responder writes names in lower case.
fn expected(params: &[(&str, Vec<u8>)], body: &[u8]) -> Vec<u8> {
    let mut params: Vec<_> = params.iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    params.sort();
    let mut text = Vec::new();
    for (name, value) in params {
        text.extend(format!("{} {} {name} ", name.len(), value.len()).as_bytes());
        text.extend(value);
    }
    text.extend(b"\n\n");
    text.extend(body);
    text
}

#[derive(Debug, Default)]
struct Reply {
    head: Option<ReplyHead>,
    body: Vec<u8>,
    stderr: Vec<u8>,
    end: Option<EndRequest>,
    violation: Option<Violation>,
    verdict: Option<Verdict>,
}

impl Reply {
    fn note(&mut self, event: Event) {
        match event {
            Event::Head(head) => self.head = Some(*head),
            Event::Body(bytes) => self.body.extend(&bytes),
            Event::Stderr(bytes) => self.stderr.extend(&bytes),
            Event::End(end) => self.end = Some(end),
        }
    }
}

fn encode(id: RequestId, keep: Keep, params: &[(&str, Vec<u8>)], body: &[u8]) -> Bytes {
    let mut encoder = RequestEncoder::new(id, keep);
    for (name, value) in params {
        encoder.param(name.as_bytes(), value).unwrap();
    }
    if body.is_empty() {
        return encoder.finish_without_body();
    }
    let mut request = BytesMut::from(encoder.finish());
    for chunk in body.chunks(65_535) {
        request.extend_from_slice(&stdin_header(id, chunk.len() as u16));
        request.extend_from_slice(chunk);
    }
    request.extend_from_slice(&stdin_header(id, 0));
    request.freeze()
}

async fn ask(socket: &mut TcpStream, id: u16, keep: Keep, params: &[(&str, Vec<u8>)], body: &[u8]) -> Reply {
    let id = RequestId::new(id).unwrap();
    socket.write_all(&encode(id, keep, params, body)).await.unwrap();
    let mut exchange = Exchange::new(id, BodyRule::Deliver);
    exchange.request_sent();
    let mut reply = Reply::default();
    while reply.end.is_none() && reply.violation.is_none() {
        let mut buffer = BytesMut::with_capacity(3000);
        let read = socket.read_buf(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the responder closed before the end");
        exchange.receive(buffer.freeze());
        loop {
            match exchange.next_event() {
                Ok(Some(event)) => reply.note(event),
                Ok(None) => break,
                Err(violation) => {
                    reply.violation = Some(violation);
                    break;
                }
            }
        }
    }
    reply.verdict = Some(exchange.verdict());
    reply
}

fn usual_params() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("SCRIPT_FILENAME", b"/srv/app/public/index.php".to_vec()),
        ("PATH_INFO", "/index/路径/a b".as_bytes().to_vec()),
        ("QUERY_STRING", Vec::new()),
        ("HTTP_RAW", vec![0xff, 0x80, b'\t']),
        ("HTTP_COOKIE", vec![b'c'; 127]),
        ("HTTP_COOKIE2", vec![b'c'; 128]),
    ]
}

#[tokio::test]
async fn a_foreign_responder_gets_the_params_and_we_get_its_reply() {
    let mut socket = TcpStream::connect(responder().await).await.unwrap();
    let params = usual_params();
    let reply = ask(&mut socket, 1, Keep::Connection, &params, b"").await;
    let head = reply.head.unwrap();
    assert_eq!(head.status, 207);
    assert_eq!(head.headers["x-responder"], "tokio-fastcgi");
    assert_eq!(reply.body, expected(&params, b""));
    assert_eq!(
        reply.end,
        Some(EndRequest { app_status: 3, protocol_status: ProtocolStatus::RequestComplete })
    );
    assert_eq!(reply.verdict, Some(Verdict::Reuse));
}

#[tokio::test]
async fn params_of_many_records_arrive_whole() {
    let mut socket = TcpStream::connect(responder().await).await.unwrap();
    let mut params = usual_params();
    for (name, size) in [("A", 65_000), ("B", 40_000), ("C", 40_000), ("D", 65_525), ("E", 1), ("F", 300)] {
        params.push((name, vec![name.as_bytes()[0]; size]));
    }
    let reply = ask(&mut socket, 1, Keep::Connection, &params, b"").await;
    assert_eq!(reply.violation, None);
    assert!(reply.body == expected(&params, b""), "{} bytes came", reply.body.len());
}

#[tokio::test]
async fn a_body_of_many_records_arrives_whole_and_comes_back() {
    let mut socket = TcpStream::connect(responder().await).await.unwrap();
    for size in [1, 65_535, 65_536, 1_000_000] {
        let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let params = vec![("CONTENT_LENGTH", size.to_string().into_bytes())];
        let reply = ask(&mut socket, 9, Keep::Connection, &params, &body).await;
        assert!(reply.body == expected(&params, &body), "{size}: {} bytes came", reply.body.len());
    }
}

#[tokio::test]
async fn a_kept_connection_serves_request_after_request_under_new_ids() {
    let mut socket = TcpStream::connect(responder().await).await.unwrap();
    for id in [1, 2, 255, 256, 65_535] {
        let params = vec![("NUMBER", id.to_string().into_bytes())];
        let reply = ask(&mut socket, id, Keep::Connection, &params, b"").await;
        assert_eq!(reply.body, expected(&params, b""));
        assert_eq!(reply.verdict, Some(Verdict::Reuse), "{id}");
    }
}

#[tokio::test]
async fn without_keep_the_responder_closes_after_the_reply() {
    let mut socket = TcpStream::connect(responder().await).await.unwrap();
    let reply = ask(&mut socket, 1, Keep::Close, &usual_params(), b"").await;
    assert!(reply.end.is_some());
    assert_eq!(socket.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn stderr_arrives_beside_the_reply() {
    let mut socket = TcpStream::connect(responder().await).await.unwrap();
    let params = vec![("TEST", b"stderr".to_vec())];
    let reply = ask(&mut socket, 1, Keep::Connection, &params, b"").await;
    assert_eq!(reply.stderr, b"PHP Warning: so it goes");
    assert_eq!(reply.body, expected(&params, b""));
}

#[tokio::test]
async fn an_overloaded_responder_is_a_violation_and_is_not_reused() {
    let mut socket = TcpStream::connect(responder().await).await.unwrap();
    let reply = ask(&mut socket, 1, Keep::Connection, &[("TEST", b"overloaded".to_vec())], b"").await;
    let refused = Violation::Refused(ProtocolStatus::Overloaded);
    assert_eq!(reply.violation, Some(refused));
    assert_eq!(reply.verdict, Some(Verdict::Discard(Reason::Violation(refused))));
}

#[tokio::test]
async fn a_responder_that_dies_within_its_reply_is_seen_as_truncated() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"\x01\x06\x00\x01\x00\x10\x00\x00\r\nhalf").await.unwrap();
    drop(server);

    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    let mut exchange = Exchange::new(RequestId::new(1).unwrap(), BodyRule::Deliver);
    exchange.receive(bytes.into());
    assert!(matches!(exchange.next_event(), Ok(Some(Event::Head(_)))));
    assert!(matches!(exchange.next_event(), Ok(Some(Event::Body(body))) if body == "half"));
    assert!(matches!(exchange.next_event(), Ok(None)));
    assert_eq!(exchange.closed(), Closed::Truncated);
}
