//! `multipart/byteranges` (RFC 9110 §14.6), spelt as nginx spells it: the text between the parts. The parts
//! themselves are spans of the file, which `body` reads.

use std::io::Write as _;

use bytes::Bytes;
use http::HeaderValue;

use super::body::{Part, Parts};
use super::ranges::Span;

/// What separates the parts. It is drawn anew for each reply: whoever wrote the file must not be able to know it, or a
/// file could pretend to end its part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Boundary(u64);

impl Boundary {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    /// The Content-Type of the reply.
    pub(super) fn media(self) -> HeaderValue {
        HeaderValue::try_from(format!("multipart/byteranges; boundary={:020}", self.0))
            .expect("letters and digits")
    }

    /// Each span behind its own header, and the line that closes the last.
    pub(super) fn parts(self, spans: &[Span], media: &HeaderValue, len: u64) -> Parts {
        let mut parts = Parts::with_capacity(spans.len() * 2 + 1);
        for span in spans {
            parts.push(Part::Text(self.head(span, media, len)));
            parts.push(Part::Span(span.clone()));
        }
        parts.push(Part::Text(Bytes::from(format!("\r\n--{:020}--\r\n", self.0))));
        parts
    }

    fn head(self, span: &Span, media: &HeaderValue, len: u64) -> Bytes {
        let (boundary, first, last) = (self.0, span.start, span.end - 1);
        let mut head = Vec::with_capacity(160);
        write!(head, "\r\n--{boundary:020}\r\nContent-Type: ")
            .and_then(|()| head.write_all(media.as_bytes()))
            .and_then(|()| write!(head, "\r\nContent-Range: bytes {first}-{last}/{len}\r\n\r\n"))
            .expect("a list takes every byte");
        Bytes::from(head)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
    use proptest::prelude::*;

    use super::super::testing::{Root, bytes_of};
    use super::*;

    #[test]
    fn the_text_between_parts_is_nginxs() {
        let parts = Boundary(7).parts(&[0..2, 4..6], &HeaderValue::from_static("text/plain"), 100);
        let text: String = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                Part::Span(span) => format!("<{span:?}>"),
            })
            .collect();
        assert_eq!(
            text,
            "\r\n--00000000000000000007\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/100\r\n\r\n<0..2>\
             \r\n--00000000000000000007\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-5/100\r\n\r\n<4..6>\
             \r\n--00000000000000000007--\r\n"
        );
    }

    #[test]
    fn no_two_replies_share_a_boundary() {
        assert_ne!(Boundary::random().media(), Boundary::random().media());
    }

    /// A reader of multipart/byteranges that knows nothing of the writer: (Content-Range, bytes) of each part.
    fn read_parts(media: &str, body: &[u8]) -> Vec<(String, Vec<u8>)> {
        let boundary = media.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let opening = format!("\r\n--{boundary}\r\n");
        let closing = format!("\r\n--{boundary}--\r\n");
        let mut rest = body;
        let mut parts = Vec::new();
        while rest != closing.as_bytes() {
            rest = rest.strip_prefix(opening.as_bytes()).expect("a part opens here");
            let end = memchr::memmem::find(rest, b"\r\n\r\n").unwrap();
            let head = std::str::from_utf8(&rest[..end]).unwrap();
            let range = head.lines().find_map(|line| line.strip_prefix("Content-Range: bytes ")).unwrap();
            let (span, _) = range.split_once('/').unwrap();
            let (first, last) = span.split_once('-').unwrap();
            let length = last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1;
            rest = &rest[end + 4..];
            parts.push((range.to_owned(), rest[..length].to_vec()));
            rest = &rest[length..];
        }
        parts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ranges_in_are_the_same_bytes_out(
            seed in any::<u8>(), len in 1_usize..300_000, cuts in prop::collection::vec((any::<u32>(), any::<u32>()), 1..6),
        ) {
            let content: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8 ^ seed)).collect();
            let spans: Vec<_> = cuts.iter().map(|&(from, to)| {
                let (from, to) = (from as usize % len, to as usize % len);
                from.min(to)..=from.max(to)
            }).collect();
            let header: Vec<_> = spans.iter().map(|span| format!("{}-{}", span.start(), span.end())).collect();
            let root = Root::with(&[("data", &content)]);
            let response = root.ask("data").header(RANGE, &format!("bytes={}", header.join(", "))).answer();
            let (head, body) = response.into_parts();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let body = runtime.block_on(bytes_of(body));

            let total: usize = spans.iter().map(|span| span.end() - span.start() + 1).sum();
            if total > len {
                prop_assert_eq!(head.status, StatusCode::OK);
                prop_assert!(body == content);
                return Ok(());
            }
            prop_assert_eq!(head.status, StatusCode::PARTIAL_CONTENT);
            let got = match head.headers.get(CONTENT_RANGE) {
                Some(range) => vec![(range.to_str().unwrap().strip_prefix("bytes ").unwrap().to_owned(), body)],
                None => read_parts(head.headers[CONTENT_TYPE].to_str().unwrap(), &body),
            };
            let expected: Vec<_> = spans.iter().zip(header)
                .map(|(span, text)| (format!("{text}/{len}"), content[span.clone()].to_vec())).collect();
            prop_assert!(got == expected);
        }
    }
}
