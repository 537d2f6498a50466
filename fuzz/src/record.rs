//! Whatever a backend sends, and however it is cut: the same events, no more bytes out than in, and no connection is kept on which a
//! byte is left.

use bytes::Bytes;
use cornac::fcgi::{BodyRule, Event, Exchange, RequestId, Verdict, Violation};

/// All that a stream came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    head: Option<String>,
    body: Vec<u8>,
    stderr: Vec<u8>,
    ended: bool,
    violation: Option<Violation>,
    verdict: Option<Verdict>,
}

/// The first byte says whether the client wants the body, the next two into which pieces the rest is cut.
pub fn record(data: &[u8]) {
    let [rule, first, second, stream @ ..] = data else { return };
    let rule = if rule & 1 == 0 { BodyRule::Deliver } else { BodyRule::Discard };
    let stream = Bytes::copy_from_slice(stream);
    let whole = see(rule, &stream, &[usize::MAX]);
    let pieces = see(rule, &stream, &[1 + usize::from(*first), 1 + usize::from(*second)]);
    assert_eq!(whole, pieces, "the same in every cut");
    assert_eq!(whole, see(rule, &stream, &[1]), "byte by byte");

    assert!(whole.body.len() + whole.stderr.len() <= stream.len(), "more bytes out than in");
    assert!(rule == BodyRule::Deliver || whole.body.is_empty(), "a body that nobody asked for");
    assert!(whole.body.is_empty() || whole.head.is_some(), "a body without a head");
    assert!(!whole.ended || whole.violation.is_none(), "over, and broken");
    if whole.verdict == Some(Verdict::Reuse) {
        assert!(whole.ended, "kept before its reply was complete");
        // The stream is the records of this one reply, to the last byte: so much less would not have ended it.
        let shorter = see(rule, &stream.slice(..stream.len() - 1), &[usize::MAX]);
        assert_ne!(shorter.verdict, Some(Verdict::Reuse), "a byte is left on a kept connection");
    }
}

fn see(rule: BodyRule, stream: &Bytes, sizes: &[usize]) -> Seen {
    let id = RequestId::new(1).expect("1 is an id");
    let mut exchange = Exchange::new(id, rule);
    exchange.request_sent();
    let (mut seen, mut rest) = (Seen::default(), stream.clone());
    for size in sizes.iter().cycle() {
        exchange.receive(rest.split_to(rest.len().min(*size)));
        seen.pull(&mut exchange);
        if rest.is_empty() || seen.violation.is_some() {
            break;
        }
    }
    seen.verdict = Some(exchange.verdict());
    seen
}

impl Seen {
    fn pull(&mut self, exchange: &mut Exchange) {
        loop {
            match exchange.next_event() {
                Ok(None) => return,
                Ok(Some(event)) => self.add(event),
                Err(violation) => {
                    self.violation = Some(violation);
                    return;
                }
            }
        }
    }

    fn add(&mut self, event: Event) {
        assert!(!self.ended, "something comes after the end");
        match event {
            Event::Head(head) => {
                assert!(self.head.is_none(), "two heads");
                self.head = Some(format!("{head:?}"));
            }
            Event::Body(bytes) => self.body.extend_from_slice(&bytes),
            Event::Stderr(bytes) => self.stderr.extend_from_slice(&bytes),
            Event::End(_) => self.ended = true,
        }
    }
}
