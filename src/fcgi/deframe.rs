//! Takes a connection's bytes apart into the contents of records, in whatever cut they come.
//!
//! Content is passed on piecewise, as slices of what came; only a header or an END_REQUEST that is cut in two is carried
//! over. What the contents mean is `exchange`'s.

use bytes::{Buf, Bytes, BytesMut};

use super::record::{HEADER, RecordType, ReplyHeader, RequestId};
use super::violation::Violation;

/// A part of one record's content, never empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The whole body of an END_REQUEST.
    End([u8; HEADER]),
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Content { record: RecordType, left: u16, padding: u8 },
    Padding(u8),
}

#[derive(Debug)]
pub(super) struct Deframer {
    id: RequestId,
    /// Came, and was not looked at yet.
    input: Bytes,
    carried: [u8; HEADER],
    carried_len: usize,
    place: Place,
}

impl Deframer {
    pub(super) fn new(id: RequestId) -> Self {
        Self { id, input: Bytes::new(), carried: [0; HEADER], carried_len: 0, place: Place::Header }
    }

    pub(super) fn receive(&mut self, bytes: Bytes) {
        if self.input.is_empty() {
            self.input = bytes;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.input.len() + bytes.len());
        joined.extend_from_slice(&self.input);
        joined.extend_from_slice(&bytes);
        self.input = joined.freeze();
    }

    /// The next piece, or `None` when it takes more bytes.
    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>, Violation> {
        loop {
            match self.place {
                Place::Header => {
                    let Some(raw) = self.take_eight() else { return Ok(None) };
                    let ReplyHeader { record, content, padding } = ReplyHeader::decode(raw, self.id)?;
                    self.place = Place::Content { record, left: content, padding };
                }
                Place::Content { left: 0, padding, .. } => self.place = Place::Padding(padding),
                Place::Content { record: RecordType::EndRequest, padding, .. } => {
                    let Some(body) = self.take_eight() else { return Ok(None) };
                    self.place = Place::Padding(padding);
                    return Ok(Some(Piece::End(body)));
                }
                Place::Content { record, left, padding } => {
                    return Ok(self.take_content(record, left, padding));
                }
                Place::Padding(_) => {
                    if !self.skip_padding() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// True at the border of two records with nothing left over: the only place where a connection may be reused.
    pub(super) fn at_rest(&self) -> bool {
        self.place == Place::Header && self.carried_len == 0 && self.input.is_empty()
    }

    fn take_content(&mut self, record: RecordType, left: u16, padding: u8) -> Option<Piece> {
        let take = self.input.len().min(usize::from(left));
        if take == 0 {
            return None;
        }
        let content = self.input.split_to(take);
        self.place = Place::Content { record, left: left - take as u16, padding };
        Some(match record {
            RecordType::Stderr => Piece::Stderr(content),
            _ => Piece::Stdout(content),
        })
    }

    /// Passes the padding that came, if that is where we are; true when it was the last of it.
    pub(super) fn skip_padding(&mut self) -> bool {
        let Place::Padding(left) = self.place else { return false };
        let skip = self.input.len().min(usize::from(left));
        self.input.advance(skip);
        let left = left - skip as u8;
        self.place = if left == 0 { Place::Header } else { Place::Padding(left) };
        left == 0
    }

    fn take_eight(&mut self) -> Option<[u8; HEADER]> {
        let missing = HEADER - self.carried_len;
        let take = self.input.len().min(missing);
        self.carried[self.carried_len..self.carried_len + take].copy_from_slice(&self.input[..take]);
        self.input.advance(take);
        self.carried_len += take;
        if self.carried_len < HEADER {
            return None;
        }
        self.carried_len = 0;
        Some(self.carried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deframer(bytes: &[u8]) -> Deframer {
        let mut deframer = Deframer::new(RequestId::new(1).unwrap());
        deframer.receive(Bytes::copy_from_slice(bytes));
        deframer
    }

    #[test]
    fn content_is_passed_on_before_its_record_is_complete() {
        let mut deframer = deframer(b"\x01\x06\x00\x01\x00\x05\x00\x00ab");
        assert_eq!(deframer.next_piece(), Ok(Some(Piece::Stdout(Bytes::from_static(b"ab")))));
        assert_eq!(deframer.next_piece(), Ok(None));
        deframer.receive(Bytes::from_static(b"cde"));
        assert_eq!(deframer.next_piece(), Ok(Some(Piece::Stdout(Bytes::from_static(b"cde")))));
        assert_eq!(deframer.next_piece(), Ok(None));
        assert!(deframer.at_rest());
    }

    #[test]
    fn a_piece_is_a_slice_of_what_came() {
        let bytes = Bytes::from_static(b"\x01\x06\x00\x01\x00\x02\x00\x00ab");
        let mut deframer = deframer(b"");
        deframer.receive(bytes.clone());
        let Ok(Some(Piece::Stdout(piece))) = deframer.next_piece() else { panic!("no piece") };
        assert_eq!(piece.as_ptr(), bytes[8..].as_ptr());
    }

    #[test]
    fn lengths_and_padding_at_their_largest_add_up() {
        let mut record = b"\x01\x07\x00\x01\xff\xff\xff\x00".to_vec();
        record.resize(8 + 65_535 + 255, b'x');
        let mut deframer = deframer(&record);
        let Ok(Some(Piece::Stderr(piece))) = deframer.next_piece() else { panic!("no piece") };
        assert_eq!(piece.len(), 65_535);
        assert_eq!(deframer.next_piece(), Ok(None));
        assert!(deframer.at_rest());
    }

    #[test]
    fn a_connection_is_not_at_rest_inside_a_record_its_padding_or_a_header() {
        let whole = b"\x01\x03\x00\x01\x00\x08\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00pp";
        for cut in 1..whole.len() {
            let mut cut_off = deframer(&whole[..cut]);
            while cut_off.next_piece().unwrap().is_some() {}
            assert!(!cut_off.at_rest(), "{cut}");
        }
        let mut complete = deframer(whole);
        assert_eq!(complete.next_piece(), Ok(Some(Piece::End([0; 8]))));
        assert!(complete.skip_padding());
        assert!(complete.at_rest());
    }

    #[test]
    fn bytes_that_come_before_the_last_ones_were_used_up_are_not_lost() {
        let mut deframer = deframer(b"\x01\x06\x00\x01");
        deframer.receive(Bytes::from_static(b"\x00\x01\x00\x00z"));
        assert_eq!(deframer.next_piece(), Ok(Some(Piece::Stdout(Bytes::from_static(b"z")))));
    }
}
