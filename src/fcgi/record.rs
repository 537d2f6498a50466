//! The record: its 8-byte header, its types, and the fixed bodies of BEGIN_REQUEST and END_REQUEST (FastCGI 1.0 §3.3, §5).
//!
//! What the records of one request mean together is `exchange`'s; name-value pairs are `params`'.

use std::fmt;
use std::num::NonZeroU16;

use super::violation::Violation;

/// Bytes of a record header, and of an END_REQUEST body.
pub(super) const HEADER: usize = 8;
const VERSION: u8 = 1;

/// The id of one request on its connection. 0 belongs to management records, which php-fpm does not use.
///
/// Each exchange on a kept connection takes a new one: a late reply is then recognised by its old id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(NonZeroU16);

impl RequestId {
    /// `None` for 0.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number on the wire, 1–65,535.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

/// Who closes the connection after END_REQUEST: the FCGI_KEEP_CONN flag (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// We do; until then it holds a php-fpm worker, also while idle.
    Connection,
    /// php-fpm does, at once.
    Close,
}

/// What we send and what we accept (§8). The management types and ABORT_REQUEST are left out: php-fpm
/// implements neither multiplexing nor aborting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordType {
    BeginRequest = 1,
    EndRequest = 3,
    Params = 4,
    Stdin = 5,
    Stdout = 6,
    Stderr = 7,
}

/// The header of a record that php-fpm sent, once version and id are found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyHeader {
    pub(super) record: RecordType,
    pub(super) content: u16,
    pub(super) padding: u8,
}

/// A header of ours: never padded.
pub(super) const fn encode(record: RecordType, id: RequestId, content: u16) -> [u8; HEADER] {
    let [id_high, id_low] = id.get().to_be_bytes();
    let [length_high, length_low] = content.to_be_bytes();
    [VERSION, record as u8, id_high, id_low, length_high, length_low, 0, 0]
}

impl ReplyHeader {
    /// A header of php-fpm's, which must belong to `expected` and be of a type that an application sends.
    pub(super) fn decode(raw: [u8; HEADER], expected: RequestId) -> Result<Self, Violation> {
        let [version, kind, id_high, id_low, length_high, length_low, padding, _reserved] = raw;
        if version != VERSION {
            return Err(Violation::Version(version));
        }
        let got = u16::from_be_bytes([id_high, id_low]);
        if got != expected.get() {
            return Err(Violation::Id { expected: expected.get(), got });
        }
        let record = match kind {
            3 => RecordType::EndRequest,
            6 => RecordType::Stdout,
            7 => RecordType::Stderr,
            other => return Err(Violation::Type(other)),
        };
        let content = u16::from_be_bytes([length_high, length_low]);
        if record == RecordType::EndRequest && usize::from(content) != HEADER {
            return Err(Violation::EndRequestLength(content));
        }
        Ok(Self { record, content, padding })
    }
}

/// BEGIN_REQUEST for a responder: header and body (§5.1).
pub(super) fn begin_request(id: RequestId, keep: Keep) -> [u8; 2 * HEADER] {
    const ROLE_RESPONDER: u8 = 1;
    const KEEP_CONN: u8 = 1;
    let mut record = [0; 2 * HEADER];
    record[..HEADER].copy_from_slice(&encode(RecordType::BeginRequest, id, HEADER as u16));
    record[HEADER + 1] = ROLE_RESPONDER;
    record[HEADER + 2] = if keep == Keep::Connection { KEEP_CONN } else { 0 };
    record
}

/// The header of one STDIN record of `len` body bytes, which follow it without padding. 0 ends the stream.
pub const fn stdin_header(id: RequestId, len: u16) -> [u8; 8] {
    encode(RecordType::Stdin, id, len)
}

/// How php-fpm ended the request (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndRequest {
    /// php's exit status: 255 after a fatal error.
    pub app_status: u32,
    /// [`ProtocolStatus::RequestComplete`] in every event: anything else is a violation.
    pub protocol_status: ProtocolStatus,
}

impl EndRequest {
    /// The reserved bytes may hold anything.
    pub(super) fn decode(body: [u8; HEADER]) -> Self {
        let [a, b, c, d, protocol_status, ..] = body;
        Self { app_status: u32::from_be_bytes([a, b, c, d]), protocol_status: protocol_status.into() }
    }
}

/// Whether the application served the request, or why it did not (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolStatus {
    /// FCGI_REQUEST_COMPLETE
    RequestComplete,
    /// FCGI_CANT_MPX_CONN: it takes a second request for multiplexing.
    CantMultiplex,
    /// FCGI_OVERLOADED
    Overloaded,
    /// FCGI_UNKNOWN_ROLE: not a responder.
    UnknownRole,
    /// A number that FastCGI 1.0 does not know.
    Unknown(u8),
}

impl From<u8> for ProtocolStatus {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::RequestComplete,
            1 => Self::CantMultiplex,
            2 => Self::Overloaded,
            3 => Self::UnknownRole,
            other => Self::Unknown(other),
        }
    }
}

impl fmt::Display for ProtocolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestComplete => f.write_str("request complete"),
            Self::CantMultiplex => f.write_str("cannot multiplex the connection"),
            Self::Overloaded => f.write_str("overloaded"),
            Self::UnknownRole => f.write_str("unknown role"),
            Self::Unknown(number) => write!(f, "protocol status {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId::new(0x0102).unwrap();

    #[test]
    fn request_id_0_cannot_be_made() {
        assert_eq!(RequestId::new(0), None);
        assert_eq!(RequestId::new(65_535).map(RequestId::get), Some(65_535));
    }

    #[test]
    fn a_stdin_header_has_no_padding() {
        assert_eq!(stdin_header(ID, 0xfffe), [1, 5, 1, 2, 0xff, 0xfe, 0, 0]);
        assert_eq!(stdin_header(ID, 0), [1, 5, 1, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn begin_request_asks_for_a_responder_and_says_who_closes() {
        let keep = begin_request(ID, Keep::Connection);
        assert_eq!(keep, [1, 1, 1, 2, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
        let close = begin_request(ID, Keep::Close);
        assert_eq!(close, [1, 1, 1, 2, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_three_types_of_a_reply_are_read_with_their_lengths() {
        for (kind, record) in [(6, RecordType::Stdout), (7, RecordType::Stderr)] {
            let header = ReplyHeader::decode([1, kind, 1, 2, 0xff, 0xff, 255, 0], ID).unwrap();
            assert_eq!(header, ReplyHeader { record, content: 65_535, padding: 255 });
        }
        let end = ReplyHeader::decode([1, 3, 1, 2, 0, 8, 0, 0], ID).unwrap();
        assert_eq!(end, ReplyHeader { record: RecordType::EndRequest, content: 8, padding: 0 });
    }

    #[test]
    fn the_reserved_byte_of_a_header_may_hold_anything() {
        assert!(ReplyHeader::decode([1, 6, 1, 2, 0, 1, 0, 0xff], ID).is_ok());
    }

    #[test]
    fn every_other_type_version_or_id_is_refused() {
        for kind in (0..=255).filter(|kind| ![3, 6, 7].contains(kind)) {
            let got = ReplyHeader::decode([1, kind, 1, 2, 0, 8, 0, 0], ID);
            assert_eq!(got, Err(Violation::Type(kind)));
        }
        for version in (0..=255).filter(|version| *version != 1) {
            let got = ReplyHeader::decode([version, 6, 1, 2, 0, 8, 0, 0], ID);
            assert_eq!(got, Err(Violation::Version(version)));
        }
        for got in [0, 1, 0x0101, 0x0103, 0x0201, 0xffff_u16] {
            let [high, low] = got.to_be_bytes();
            let refused = ReplyHeader::decode([1, 6, high, low, 0, 8, 0, 0], ID);
            assert_eq!(refused, Err(Violation::Id { expected: 0x0102, got }));
        }
    }

    #[test]
    fn an_end_request_is_8_bytes_long() {
        for length in [0, 1, 2, 7, 9, 256, 65_535_u16] {
            let [high, low] = length.to_be_bytes();
            let refused = ReplyHeader::decode([1, 3, 1, 2, high, low, 0, 0], ID);
            assert_eq!(refused, Err(Violation::EndRequestLength(length)));
        }
    }

    #[test]
    fn an_end_request_gives_php_s_exit_status_whatever_its_reserved_bytes_hold() {
        let end = EndRequest::decode([0, 0, 0, 255, 0, 9, 9, 9]);
        assert_eq!(end, EndRequest { app_status: 255, protocol_status: ProtocolStatus::RequestComplete });
        assert_eq!(EndRequest::decode([1, 0, 0, 0, 2, 0, 0, 0]).protocol_status, ProtocolStatus::Overloaded);
    }
}
