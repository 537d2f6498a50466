//! Test support: replies as php-fpm would write them, for request 1, and all that one comes to.

use bytes::Bytes;

use super::*;

/// END_REQUEST, exit status 0.
pub(super) const END: &[u8] = &[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn padded(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut record = vec![1, kind, 0, 1, high, low, padding, 0];
    record.extend_from_slice(content);
    record.resize(record.len() + usize::from(padding), 0);
    record
}

pub(super) fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    padded(kind, content, 0)
}

pub(super) fn stdout(content: &[u8]) -> Vec<u8> {
    record(6, content)
}

pub(super) fn end(app_status: u32, protocol_status: u8) -> Vec<u8> {
    let [a, b, c, d] = app_status.to_be_bytes();
    record(3, &[a, b, c, d, protocol_status, 0, 0, 0])
}

/// Feeds the pieces, each pulled empty before the next one.
pub(super) fn replay(
    exchange: &mut Exchange,
    pieces: impl IntoIterator<Item = Bytes>,
) -> (Vec<Event>, Option<Violation>) {
    let mut events = Vec::new();
    for piece in pieces {
        exchange.receive(piece);
        loop {
            match exchange.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
    }
    (events, None)
}

/// All that a reply came to, with its pieces joined.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) head: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) end: Option<EndRequest>,
    pub(super) violation: Option<Violation>,
    pub(super) verdict: Option<Verdict>,
    pub(super) closed: Option<Closed>,
}

/// Plays a reply to its EOF.
pub(super) fn see(rule: BodyRule, pieces: impl IntoIterator<Item = Bytes>) -> Seen {
    let mut exchange = Exchange::new(RequestId::new(1).unwrap(), rule);
    exchange.request_sent();
    let (events, violation) = replay(&mut exchange, pieces);
    let verdict = Some(exchange.verdict());
    let mut seen = Seen { violation, verdict, closed: Some(exchange.closed()), ..Seen::default() };
    for event in events {
        assert!(seen.end.is_none(), "nothing comes after the end");
        match event {
            Event::Head(head) => {
                assert!(seen.head.is_none() && seen.body.is_empty(), "one head, before the body");
                seen.head = Some(format!("{head:?}"));
            }
            Event::Body(bytes) => {
                assert!(!bytes.is_empty() && seen.head.is_some());
                seen.body.extend_from_slice(&bytes);
            }
            Event::Stderr(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= 65_535);
                seen.stderr.extend_from_slice(&bytes);
            }
            Event::End(end) => seen.end = Some(end),
        }
    }
    seen
}

/// `bytes` cut into pieces of the given sizes, which are used again and again.
pub(super) fn cut(mut bytes: Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        pieces.push(bytes.split_to((*size).clamp(1, bytes.len())));
    }
    pieces
}
