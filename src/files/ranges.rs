//! Range (RFC 9110 §14.2): which bytes of a file of known length. Whether the header counts at all (If-Range, the
//! method) is `decide`'s.
//!
//! Lenient and strict where nginx is: what cannot be read is a 416, ranges that together are longer than the file are
//! answered with the file, in one piece. Unlike there, a number beyond 64 bits is just beyond the end.

use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;

/// Bytes of a file: from the first to the one behind the last.
pub type Span = Range<u64>;

/// Spans in the client's order; they may overlap.
pub type Spans = SmallVec<[Span; 2]>;

/// What a Range header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Everything: another unit, or more than is sensible to answer in parts.
    Whole,
    /// At least one, none empty, none beyond the end.
    These(Spans),
    /// 416
    Nothing,
}

pub(super) fn read(value: &[u8], len: u64, max: usize) -> Asked {
    let Some(list) = byte_ranges(value) else { return Asked::Whole };
    let mut spans = Spans::new();
    let mut total = 0_u64;
    for item in list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()) {
        let Some(span) = span(item, len) else { return Asked::Nothing };
        if span.is_empty() {
            // Of an empty file, "all from the start" is the file.
            if span.start == 0 {
                return Asked::Whole;
            }
            continue;
        }
        total = total.saturating_add(span.end - span.start);
        spans.push(span);
        // The header is read no further than this: a bomb of ranges costs nothing.
        if spans.len() > max || total > len {
            return Asked::Whole;
        }
    }
    if spans.is_empty() { Asked::Nothing } else { Asked::These(spans) }
}

/// What follows `bytes=`. nginx takes a header too short for any range as none.
fn byte_ranges(value: &[u8]) -> Option<&[u8]> {
    let (unit, list) = value.split_at_checked(6)?;
    (unit.eq_ignore_ascii_case(b"bytes=") && !list.is_empty()).then_some(list)
}

/// `2-5`, `2-` or `-5`, cut at the end of the file; empty if it lies beyond. `None`: not a range.
fn span(item: &[u8], len: u64) -> Option<Span> {
    let dash = memchr(b'-', item)?;
    let (first, last) = (item[..dash].trim_ascii(), item[dash + 1..].trim_ascii());
    if first.is_empty() {
        return Some(len.saturating_sub(number(last)?)..len);
    }
    let end = if last.is_empty() { len } else { number(last)?.saturating_add(1).min(len) };
    Some(number(first)?..end)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Asked::{Nothing, Whole};
    use super::*;

    fn these(spans: &[(u64, u64)]) -> Asked {
        Asked::These(spans.iter().map(|&(start, end)| start..end).collect())
    }

    #[test]
    fn every_form_of_range_of_a_hundred_bytes() {
        for (value, expected) in [
            ("bytes=0-0", these(&[(0, 1)])),
            ("bytes=0-4", these(&[(0, 5)])),
            ("bytes=95-", these(&[(95, 100)])),
            ("bytes=0-", these(&[(0, 100)])),
            ("bytes=-5", these(&[(95, 100)])),
            ("bytes=-100", these(&[(0, 100)])),
            ("bytes=-500", these(&[(0, 100)])),
            ("bytes=99-99", these(&[(99, 100)])),
            ("bytes=90-1000", these(&[(90, 100)])),
            ("bytes=0-99999999999999999999", these(&[(0, 100)])),
            ("bytes=-99999999999999999999", these(&[(0, 100)])),
            ("bytes=50-18446744073709551615", these(&[(50, 100)])),
            ("BYTES=0-4", these(&[(0, 5)])),
            ("bytes= 0 - 4 , 7-8", these(&[(0, 5), (7, 9)])),
            ("bytes=0-1,4-5", these(&[(0, 2), (4, 6)])),
            ("bytes=4-5,0-1", these(&[(4, 6), (0, 2)])),
            ("bytes=0-4,2-6", these(&[(0, 5), (2, 7)])),
            ("bytes=0-4,", these(&[(0, 5)])),
            ("bytes=0-1,,4-5", these(&[(0, 2), (4, 6)])),
            ("bytes=0-1,200-300", these(&[(0, 2)])),
            ("bytes=200-300,-1", these(&[(99, 100)])),
            // Longer than the file, all together.
            ("bytes=0-60,40-99", Whole),
            ("bytes=0-,0-", Whole),
            ("bytes=0-0,1-1,2-2,3-3", Whole),
            // Not ours to read.
            ("lines=0-4", Whole),
            ("bytes", Whole),
            ("bytes=", Whole),
            ("bytes 0-4", Whole),
            ("", Whole),
            // Beyond the end, or no range at all.
            ("bytes=100-", Nothing),
            ("bytes=100-200,300-", Nothing),
            ("bytes=99999999999999999999-", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=5-2", Nothing),
            ("bytes=abc", Nothing),
            ("bytes=-", Nothing),
            ("bytes=--5", Nothing),
            ("bytes=1-2-3", Nothing),
            ("bytes=0x1-2", Nothing),
            ("bytes=+1-2", Nothing),
            ("bytes=1 2-3", Nothing),
            ("bytes=0-1,x", Nothing),
            ("bytes=,", Nothing),
        ] {
            assert_eq!(read(value.as_bytes(), 100, 3), expected, "{value}");
        }
    }

    #[test]
    fn an_empty_file_is_sent_whole_from_its_start_as_nginx_does() {
        for (value, expected) in
            [("bytes=0-", Whole), ("bytes=0-9", Whole), ("bytes=-5", Whole), ("bytes=5-9", Nothing)]
        {
            assert_eq!(read(value.as_bytes(), 0, 3), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_lies_within_the_file(
            value in "(bytes=)?[0-9, -]{0,40}|.{0,30}", len in 0_u64..50, max in 1_usize..5,
        ) {
            if let Asked::These(spans) = read(value.as_bytes(), len, max) {
                prop_assert!(!spans.is_empty() && spans.len() <= max);
                prop_assert!(spans.iter().all(|span| span.start < span.end && span.end <= len));
                prop_assert!(spans.iter().map(|span| span.end - span.start).sum::<u64>() <= len);
            }
        }
    }
}
