//! Whatever head a script prints: what leaves for the client is a status that HTTP knows and headers that cannot break out of their
//! lines.

use bytes::Bytes;
use cornac::fcgi::{BodyRule, Event, Exchange, ReplyHead, RequestId};

const STDOUT: u8 = 6;
/// END_REQUEST, exit status 0.
const END: [u8; 16] = [1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// RFC 9110 §7.6.1
const HOP_BY_HOP: [&str; 7] =
    ["connection", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-connection"];

/// The bytes are what the script printed.
pub fn reply_head(data: &[u8]) {
    let mut stream = Vec::new();
    for part in data.chunks(60_000) {
        let [high, low] = (part.len() as u16).to_be_bytes();
        stream.extend([1, STDOUT, 0, 1, high, low, 0, 0]);
        stream.extend(part);
    }
    stream.extend(END);
    let mut exchange = Exchange::new(RequestId::new(1).expect("1 is an id"), BodyRule::Deliver);
    exchange.receive(Bytes::from(stream));
    let (mut head, mut body) = (None, 0);
    while let Ok(Some(event)) = exchange.next_event() {
        match event {
            Event::Head(found) => head = Some(found),
            Event::Body(bytes) => body += bytes.len() as u64,
            Event::Stderr(_) | Event::End(_) => {}
        }
    }
    if let Some(head) = head {
        is_sound(&head);
        assert!(body <= data.len() as u64);
        assert!(head.content_length.is_none_or(|length| body <= length), "more body than was announced");
    }
}

fn is_sound(head: &ReplyHead) {
    assert!((200..=599).contains(&head.status.as_u16()), "{head:?}");
    for (name, value) in &head.headers {
        let name = name.as_str();
        assert!(!HOP_BY_HOP.contains(&name), "{name} leaves");
        assert!(name != "status" && !name.starts_with("x-accel-"), "{name} leaves");
        let breaks_out = |byte: &u8| *byte < b' ' && *byte != b'\t' || *byte == 0x7f;
        assert!(!value.as_bytes().iter().any(breaks_out), "{name}: {value:?}");
    }
    let lengths: Vec<_> = head.headers.get_all("content-length").iter().collect();
    assert!(lengths.len() <= 1, "{head:?}");
    assert_eq!(
        lengths.first().and_then(|value| value.to_str().ok()?.parse().ok()),
        head.content_length,
        "{head:?}"
    );
}
