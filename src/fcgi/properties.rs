//! What holds for every reply in every cut: the same events, and as many bytes out as in.

use bytes::Bytes;
use proptest::prelude::*;

use super::wire::{self, Seen, end, padded, see};
use super::{BodyRule, Verdict};

const HEAD: &[u8] =
    b"Status: 201 Created\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Raw: \xe8\xb7\xaf\r\n\r\n";

/// A good reply: the head and `body` cut into records of the given sizes and paddings, with STDERR in between.
fn reply(body: &[u8], records: &[(usize, u8)], stderr: &[u8]) -> Bytes {
    let mut rest = &[HEAD, body].concat()[..];
    let mut wire = Vec::new();
    for (size, padding) in records.iter().cycle() {
        let (content, behind) = rest.split_at((*size).clamp(1, rest.len()));
        wire.extend(padded(6, content, *padding));
        wire.extend(padded(7, stderr, *padding));
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    wire.extend(end(0, 0));
    wire.into()
}

fn records() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((prop_oneof![1usize..40, 1usize..65_535], any::<u8>()), 1..6)
}

#[test]
fn a_reply_cut_at_every_byte_gives_the_same() {
    let whole = reply(b"some body", &[(20, 3), (50, 0), (200, 8)], b"PHP Notice");
    let expected = see(BodyRule::Deliver, [whole.clone()]);
    assert_eq!(expected.body, b"some body");
    assert_eq!(expected.verdict, Some(Verdict::Reuse));
    assert!(expected.head.is_some() && expected.end.is_some());
    for first in 0..=whole.len() {
        for second in first..=whole.len() {
            let pieces = [whole.slice(..first), whole.slice(first..second), whole.slice(second..)];
            assert_eq!(see(BodyRule::Deliver, pieces), expected, "cut at {first} and {second}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_byte_of_a_body_arrives_whatever_the_records_and_cuts(
        body in prop::collection::vec(any::<u8>(), 0..5_000),
        records in records(),
        stderr in prop::collection::vec(any::<u8>(), 0..20),
        cuts in prop::collection::vec(1usize..3_000, 1..8),
    ) {
        let seen = see(BodyRule::Deliver, wire::cut(reply(&body, &records, &stderr), &cuts));
        prop_assert_eq!(seen.body, body);
        prop_assert_eq!(seen.stderr.len() % stderr.len().max(1), 0);
        prop_assert_eq!(seen.violation, None);
        prop_assert_eq!(seen.verdict, Some(Verdict::Reuse));
    }

    #[test]
    fn a_damaged_reply_means_the_same_in_every_cut(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        records in records(),
        cuts in prop::collection::vec(1usize..60, 1..8),
    ) {
        let mut bytes = reply(b"a body of some bytes", &records, b"x").to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = Bytes::from(bytes);
        let expected = see(BodyRule::Deliver, [whole.clone()]);
        prop_assert_eq!(see(BodyRule::Deliver, wire::cut(whole, &cuts)), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_give_out_more_than_came(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        framed in any::<bool>(),
        cuts in prop::collection::vec(1usize..300, 1..8),
    ) {
        let wire = if framed { [padded(6, &bytes, 1), end(0, 0)].concat() } else { bytes };
        let len = wire.len();
        let Seen { body, stderr, .. } = see(BodyRule::Deliver, wire::cut(wire.into(), &cuts));
        prop_assert!(body.len() + stderr.len() <= len);
    }
}
