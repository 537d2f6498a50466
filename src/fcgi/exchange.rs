//! One request's reply: from php-fpm's bytes to a head, a body, STDERR and an end, and whether the connection may serve
//! the next request. One exchange, one request id, one connection: a reply cannot reach another request.
//!
//! Records are taken apart by `deframe`; the request that this answers is `params`'; how long to wait, and what an
//! EOF means for a retry, is decided in `upstream` and `balance::retry`.

use bytes::Bytes;
use http::StatusCode;

use super::deframe::{Deframer, Piece};
use super::head::HeadCollector;
use super::record::{EndRequest, ProtocolStatus, RequestId};
use super::reply::ReplyHead;
use super::verdict::{Closed, Reason, Verdict};
use super::violation::Violation;

/// What becomes of a reply's body. That of a 204 or 304 is discarded in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// The client gets it.
    Deliver,
    /// The client must not get one: it asked with HEAD.
    Discard,
}

/// What php-fpm's bytes meant, in their order.
#[derive(Debug)]
pub enum Event {
    /// Comes once, before any body.
    /// In a box: it goes from hand to hand.
    Head(Box<ReplyHead>),
    /// A part of the body, never empty: a slice of the received bytes.
    Body(Bytes),
    /// A part of what the script wrote to STDERR, at most one record's 65,535 bytes. For the log, never for the client.
    Stderr(Bytes),
    /// The reply is complete.
    End(EndRequest),
}

/// The state machine of one request. Feed it with [`receive`](Self::receive), then pull events until there are none.
#[derive(Debug)]
pub struct Exchange {
    deframer: Deframer,
    stage: Stage,
    /// What came behind the head in the same piece.
    pending: Bytes,
    rule: BodyRule,
    first_byte_seen: bool,
    request_sent: bool,
    peer_closed: bool,
    violation: Option<Violation>,
}

#[derive(Debug)]
enum Stage {
    Head(HeadCollector),
    Body(Allowance),
    Ended(Allowance),
}

/// How much more of the body goes to the client.
#[derive(Clone, Copy, Debug)]
enum Allowance {
    Any,
    /// Content-Length's rest. What exceeds it would be taken for the next response.
    AtMost(u64),
    Nothing,
}

impl Exchange {
    /// Waits for the reply to request `id`.
    pub fn new(id: RequestId, body: BodyRule) -> Self {
        Self {
            deframer: Deframer::new(id),
            stage: Stage::Head(HeadCollector::new()),
            pending: Bytes::new(),
            rule: body,
            first_byte_seen: false,
            request_sent: false,
            peer_closed: false,
            violation: None,
        }
    }

    /// Takes bytes from php-fpm, in any cut. Copies only if events of earlier bytes were left unpulled.
    pub fn receive(&mut self, bytes: Bytes) {
        self.first_byte_seen |= !bytes.is_empty();
        self.deframer.receive(bytes);
    }

    /// What the received bytes mean next; `None` when it takes more of them, and after the end.
    ///
    /// # Errors
    /// When the peer broke the protocol; the exchange is over, and every further call says the same.
    pub fn next_event(&mut self) -> Result<Option<Event>, Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        let event = self.advance();
        self.violation = event.as_ref().err().copied();
        event
    }

    /// php-fpm closed the connection. Pull all events first.
    pub fn closed(&mut self) -> Closed {
        self.peer_closed = true;
        match self.stage {
            Stage::Ended(_) => Closed::Clean,
            Stage::Body(_) => Closed::Truncated,
            Stage::Head(_) if self.first_byte_seen => Closed::BeforeHead,
            Stage::Head(_) => Closed::BeforeFirstByte,
        }
    }

    /// The last byte of the request was written: without this the connection is not reused.
    pub fn request_sent(&mut self) {
        self.request_sent = true;
    }

    /// Whether php-fpm answered at all, be it on STDERR: from here on the request may never be sent again.
    pub fn first_byte_seen(&self) -> bool {
        self.first_byte_seen
    }

    /// How many bytes of the Content-Length never came, once the reply has ended. The client's stream must be
    /// aborted then: it waits for them.
    pub fn shortfall(&self) -> u64 {
        match self.stage {
            Stage::Ended(Allowance::AtMost(left)) => left,
            _ => 0,
        }
    }

    /// Whether the connection may be kept. Ask when the events are pulled.
    pub fn verdict(&self) -> Verdict {
        if let Some(violation) = self.violation {
            return Verdict::Discard(Reason::Violation(violation));
        }
        if self.peer_closed {
            return Verdict::Discard(Reason::Closed);
        }
        match self.stage {
            Stage::Head(_) | Stage::Body(_) => Verdict::Discard(Reason::Unfinished),
            Stage::Ended(_) if !self.request_sent => Verdict::Discard(Reason::RequestUnsent),
            Stage::Ended(_) if !self.deframer.at_rest() => Verdict::Discard(Reason::Leftover),
            Stage::Ended(_) => Verdict::Reuse,
        }
    }

    fn advance(&mut self) -> Result<Option<Event>, Violation> {
        loop {
            if let Some(body) = self.take_pending() {
                return Ok(Some(Event::Body(body)));
            }
            if matches!(self.stage, Stage::Ended(_)) {
                self.deframer.skip_padding();
                return Ok(None);
            }
            match self.deframer.next_piece()? {
                None => return Ok(None),
                Some(Piece::Stderr(bytes)) => return Ok(Some(Event::Stderr(bytes))),
                Some(Piece::End(body)) => return self.end(EndRequest::decode(body)).map(Some),
                Some(Piece::Stdout(piece)) => {
                    self.pending = piece;
                    if let Some(head) = self.collect_head()? {
                        return Ok(Some(Event::Head(head)));
                    }
                }
            }
        }
    }

    /// The head, if `pending` completes it; what is behind it stays pending.
    fn collect_head(&mut self) -> Result<Option<Box<ReplyHead>>, Violation> {
        let Stage::Head(collector) = &mut self.stage else { return Ok(None) };
        let Some(head) = collector.collect(&mut self.pending)? else { return Ok(None) };
        let head = Box::new(ReplyHead::parse(&head)?);
        self.stage = Stage::Body(Allowance::of(&head, self.rule));
        Ok(Some(head))
    }

    /// As much of `pending` as the client may have.
    fn take_pending(&mut self) -> Option<Bytes> {
        let Stage::Body(allowance) = &mut self.stage else { return None };
        let mut body = std::mem::take(&mut self.pending);
        allowance.cut(&mut body);
        (!body.is_empty()).then_some(body)
    }

    fn end(&mut self, end: EndRequest) -> Result<Event, Violation> {
        if end.protocol_status != ProtocolStatus::RequestComplete {
            return Err(Violation::Refused(end.protocol_status));
        }
        let Stage::Body(allowance) = self.stage else {
            return Err(Violation::EndWithoutHead { app_status: end.app_status });
        };
        self.stage = Stage::Ended(allowance);
        self.deframer.skip_padding();
        Ok(Event::End(end))
    }
}

impl Allowance {
    fn of(head: &ReplyHead, rule: BodyRule) -> Self {
        let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (rule, head.content_length) {
            (BodyRule::Discard, _) => Self::Nothing,
            _ if bodiless => Self::Nothing,
            (BodyRule::Deliver, Some(length)) => Self::AtMost(length),
            (BodyRule::Deliver, None) => Self::Any,
        }
    }

    fn cut(&mut self, body: &mut Bytes) {
        match self {
            Self::Any => {}
            Self::Nothing => body.clear(),
            Self::AtMost(left) => {
                body.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= body.len() as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fcgi::wire::{END, end, record, replay, stdout};

    fn exchange(body: BodyRule, bytes: &[u8]) -> (Exchange, Vec<Event>, Option<Violation>) {
        let mut exchange = Exchange::new(RequestId::new(1).unwrap(), body);
        exchange.request_sent();
        let (events, violation) = replay(&mut exchange, [Bytes::copy_from_slice(bytes)]);
        (exchange, events, violation)
    }

    fn body_of(events: &[Event]) -> Vec<u8> {
        let pieces = events.iter().filter_map(|event| match event {
            Event::Body(bytes) => Some(&bytes[..]),
            _ => None,
        });
        pieces.collect::<Vec<_>>().concat()
    }

    fn ended(events: &[Event]) -> bool {
        matches!(events.last(), Some(Event::End(_)))
    }

    #[test]
    fn a_hello_is_a_head_a_body_and_an_end_and_the_connection_is_reused() {
        let (exchange, events, violation) = exchange(
            BodyRule::Deliver,
            &[stdout(b"Content-Type: text/plain\r\n\r\nhello"), END.to_vec()].concat(),
        );
        assert_eq!(violation, None);
        assert!(matches!(&events[..], [Event::Head(_), Event::Body(body), Event::End(_)] if body == "hello"));
        assert_eq!(exchange.verdict(), Verdict::Reuse);
    }

    #[test]
    fn a_body_is_slices_of_the_received_bytes() {
        let bytes = Bytes::from([stdout(b"A: b\n\nhello"), stdout(b"world"), END.to_vec()].concat());
        let mut exchange = Exchange::new(RequestId::new(1).unwrap(), BodyRule::Deliver);
        let (events, _) = replay(&mut exchange, [bytes.clone()]);
        let within = bytes.as_ptr_range();
        let bodies: Vec<_> =
            events.iter().filter_map(|e| if let Event::Body(b) = e { Some(b) } else { None }).collect();
        assert_eq!(bodies, ["hello", "world"]);
        assert!(bodies.iter().all(|body| within.contains(&body.as_ptr())));
    }

    #[test]
    fn head_204_and_304_discard_a_body_but_read_on_to_the_end() {
        for (rule, head) in [
            (BodyRule::Discard, "Content-Length: 4\r\n\r\n"),
            (BodyRule::Deliver, "Status: 204\r\n\r\n"),
            (BodyRule::Deliver, "Status: 304\r\nContent-Length: 9\r\n\r\n"),
        ] {
            let reply = [stdout(head.as_bytes()), stdout(b"body"), END.to_vec()].concat();
            let (exchange, events, violation) = exchange(rule, &reply);
            assert_eq!((violation, body_of(&events).len(), exchange.shortfall()), (None, 0, 0), "{head}");
            assert!(ended(&events));
            assert_eq!(exchange.verdict(), Verdict::Reuse);
        }
    }

    #[test]
    fn a_body_longer_than_its_content_length_is_cut() {
        let reply =
            [stdout(b"Content-Length: 6\r\n\r\nfour"), stdout(b"more"), stdout(b"x"), END.to_vec()].concat();
        let (exchange, events, _) = exchange(BodyRule::Deliver, &reply);
        assert_eq!(body_of(&events), b"fourmo");
        assert_eq!((exchange.shortfall(), exchange.verdict()), (0, Verdict::Reuse));
    }

    #[test]
    fn a_body_shorter_than_its_content_length_is_told() {
        let (exchange, events, _) =
            exchange(BodyRule::Deliver, &[stdout(b"Content-Length: 6\r\n\r\nfour"), END.to_vec()].concat());
        assert!(ended(&events));
        assert_eq!(exchange.shortfall(), 2);
    }

    #[test]
    fn stderr_comes_before_the_violation_that_follows_it() {
        let (_, events, violation) =
            exchange(BodyRule::Deliver, &[record(7, b"PHP Fatal error"), end(255, 0)].concat());
        assert!(matches!(&events[..], [Event::Stderr(text)] if text == "PHP Fatal error"));
        assert_eq!(violation, Some(Violation::EndWithoutHead { app_status: 255 }));
    }

    #[test]
    fn a_violation_is_final() {
        let (mut exchange, _, violation) = exchange(BodyRule::Deliver, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        assert_eq!(violation, Some(Violation::Version(b'H')));
        exchange.receive(Bytes::from([stdout(b"\n"), END.to_vec()].concat()));
        assert_eq!(exchange.next_event().unwrap_err(), Violation::Version(b'H'));
        assert_eq!(exchange.verdict(), Verdict::Discard(Reason::Violation(Violation::Version(b'H'))));
    }

    #[test]
    fn bytes_after_the_end_discard_the_connection_and_reach_nobody() {
        let second = [stdout(b"\nfor somebody else"), END.to_vec()].concat();
        for cut in [1, 8, second.len()] {
            let reply = [&stdout(b"\nmine"), END, &second[..cut]].concat();
            let (mut exchange, events, violation) = exchange(BodyRule::Deliver, &reply);
            assert_eq!((body_of(&events), violation), (b"mine".to_vec(), None));
            assert_eq!(exchange.verdict(), Verdict::Discard(Reason::Leftover));
            exchange.receive(Bytes::from_static(b"more"));
            assert!(matches!(exchange.next_event(), Ok(None)));
        }
    }

    #[test]
    fn an_answer_before_the_request_was_sent_discards_the_connection() {
        let mut exchange = Exchange::new(RequestId::new(1).unwrap(), BodyRule::Deliver);
        let (events, _) = replay(&mut exchange, [Bytes::from([stdout(b"\nearly"), END.to_vec()].concat())]);
        assert!(ended(&events));
        assert_eq!(exchange.verdict(), Verdict::Discard(Reason::RequestUnsent));
    }

    #[test]
    fn padding_of_the_end_may_come_later() {
        let padded = [&stdout(b"\n")[..], &[1, 3, 0, 1, 0, 8, 3, 0], &[0; 8]].concat();
        let (mut exchange, events, _) = exchange(BodyRule::Deliver, &padded);
        assert!(ended(&events));
        assert_eq!(exchange.verdict(), Verdict::Discard(Reason::Leftover));
        exchange.receive(Bytes::from_static(&[0; 3]));
        assert!(matches!(exchange.next_event(), Ok(None)));
        assert_eq!(exchange.verdict(), Verdict::Reuse);
    }

    #[test]
    fn a_close_says_what_it_cut_off() {
        let whole = [record(7, b"w"), stdout(b"A: b\n\nbody"), END.to_vec()].concat();
        let after_head = record(7, b"w").len() + 8 + 6;
        for cut in 0..=whole.len() {
            let (mut exchange, _, _) = exchange(BodyRule::Deliver, &whole[..cut]);
            let expected = match cut {
                0 => Closed::BeforeFirstByte,
                cut if cut < after_head => Closed::BeforeHead,
                cut if cut < whole.len() => Closed::Truncated,
                _ => Closed::Clean,
            };
            assert_eq!(exchange.first_byte_seen(), cut > 0);
            assert_eq!(exchange.closed(), expected, "{cut}");
            assert_eq!(exchange.verdict(), Verdict::Discard(Reason::Closed));
        }
    }
}
