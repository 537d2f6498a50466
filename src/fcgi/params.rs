//! The opening of one request, BEGIN_REQUEST and PARAMS, encoded into one buffer: one write (FastCGI 1.0 §3.4, §5.1, §5.2).
//!
//! Which parameters there are is `route::env`'s; the body that follows is framed with [`stdin_header`].

use bytes::Bytes;

use super::record::{HEADER, Keep, RecordType, RequestId, begin_request, encode, stdin_header};

/// Most content bytes of a record; we send no padding, which counts too for php-fpm.
const RECORD_CONTENT: usize = 65_535;
/// Holds the parameters of nearly all requests without growing.
const USUAL_REQUEST: usize = 2048;

/// Writes BEGIN_REQUEST, then pairs into PARAMS records that are cut between pairs: php-fpm resets a connection on which a
/// pair straddles two records.
///
/// ```
/// use cornac::fcgi::{Keep, RequestEncoder, RequestId};
///
/// let id = RequestId::new(1).expect("1 is not 0");
/// let mut request = RequestEncoder::new(id, Keep::Connection);
/// request.param(b"SCRIPT_FILENAME", b"/srv/app/public/index.php")?;
/// request.param_parts(b"SERVER_SOFTWARE", &[b"cornac/", b"0.1.0"])?;
/// let bytes = request.finish_without_body();
/// assert_eq!(bytes[..8], [1, 1, 0, 1, 0, 8, 0, 0], "BEGIN_REQUEST of request 1, 8 bytes");
/// assert_eq!(bytes[bytes.len() - 8..], [1, 5, 0, 1, 0, 0, 0, 0], "the empty STDIN");
/// # Ok::<(), cornac::fcgi::PairTooLarge>(())
/// ```
#[derive(Debug)]
pub struct RequestEncoder {
    buffer: Vec<u8>,
    id: RequestId,
    /// Where the open PARAMS record's header stands; its length is filled in when it is closed.
    record: usize,
}

/// One name-value pair is more than a record carries: 65,535 bytes with its lengths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {} does not fit one FastCGI record of 65,535 bytes", .name.escape_ascii())]
pub struct PairTooLarge {
    /// The parameter's name, as given.
    pub name: Box<[u8]>,
}

impl RequestEncoder {
    /// A request for a responder, with no parameters yet.
    pub fn new(id: RequestId, keep: Keep) -> Self {
        let mut buffer = Vec::with_capacity(USUAL_REQUEST);
        buffer.extend_from_slice(&begin_request(id, keep));
        let mut encoder = Self { buffer, id, record: 0 };
        encoder.open_record();
        encoder
    }

    /// Appends a pair.
    ///
    /// # Errors
    /// When it does not fit one record; nothing was written then.
    // Inlined for names that are constants.
    #[inline(always)]
    pub fn param(&mut self, name: &[u8], value: &[u8]) -> Result<(), PairTooLarge> {
        if name.len() < 0x80 && value.len() < 0x80 && self.open_content() < RECORD_CONTENT - 0x100 {
            self.buffer.reserve(0x100);
            self.buffer.extend_from_slice(&[name.len() as u8, value.len() as u8]);
            self.buffer.extend_from_slice(name);
            self.buffer.extend_from_slice(value);
            return Ok(());
        }
        self.param_parts(name, &[value])
    }

    /// As [`param`](Self::param), with the value's parts put one behind the other.
    ///
    /// # Errors
    /// When the pair does not fit one record; nothing was written then.
    pub fn param_parts(&mut self, name: &[u8], parts: &[&[u8]]) -> Result<(), PairTooLarge> {
        let value: usize = parts.iter().map(|part| part.len()).sum();
        let pair = length_size(name.len()) + length_size(value) + name.len() + value;
        if pair > RECORD_CONTENT {
            return Err(PairTooLarge { name: name.into() });
        }
        if self.open_content() + pair > RECORD_CONTENT {
            self.close_record();
            self.open_record();
        }
        self.buffer.reserve(pair);
        put_length(&mut self.buffer, name.len());
        put_length(&mut self.buffer, value);
        self.buffer.extend_from_slice(name);
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        Ok(())
    }

    /// The request up to its body, which follows as STDIN records.
    pub fn finish(mut self) -> Bytes {
        self.end_params();
        self.buffer.into()
    }

    /// The whole of a request that has no body.
    pub fn finish_without_body(mut self) -> Bytes {
        self.end_params();
        self.buffer.extend_from_slice(&stdin_header(self.id, 0));
        self.buffer.into()
    }

    fn open_content(&self) -> usize {
        self.buffer.len() - self.record - HEADER
    }

    fn open_record(&mut self) {
        self.record = self.buffer.len();
        self.buffer.extend_from_slice(&encode(RecordType::Params, self.id, 0));
    }

    fn close_record(&mut self) {
        let content = u16::try_from(self.open_content()).expect("param_parts opens a new record before that");
        let header = encode(RecordType::Params, self.id, content);
        self.buffer[self.record..self.record + HEADER].copy_from_slice(&header);
    }

    /// An empty PARAMS record ends the stream; with no pair at all the open one is that already.
    fn end_params(&mut self) {
        if self.open_content() > 0 {
            self.close_record();
            self.open_record();
        }
    }
}

const fn length_size(length: usize) -> usize {
    if length < 0x80 { 1 } else { 4 }
}

fn put_length(buffer: &mut Vec<u8>, length: usize) {
    if length < 0x80 {
        buffer.push(length as u8);
    } else {
        buffer.extend_from_slice(&(length as u32 | 0x8000_0000).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: RequestId = RequestId::new(7).unwrap();

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    /// A decoder written from the specification, not from the encoder: every record's content must be whole pairs.
    fn decode(mut bytes: &[u8]) -> Pairs {
        assert_eq!(&bytes[..16], [1, 1, 0, 7, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
        bytes = &bytes[16..];
        let mut pairs = Vec::new();
        loop {
            assert_eq!(bytes[..4], [1, 4, 0, 7]);
            assert_eq!(bytes[6..8], [0, 0], "no padding");
            let content = usize::from(bytes[4]) * 256 + usize::from(bytes[5]);
            let (record, rest) = bytes[8..].split_at(content);
            if content == 0 {
                assert!(rest.is_empty());
                return pairs;
            }
            pairs.extend(decode_pairs(record));
            bytes = rest;
        }
    }

    fn decode_pairs(mut record: &[u8]) -> Pairs {
        fn length(record: &mut &[u8]) -> usize {
            let first = record[0];
            let size = if first & 0x80 == 0 { 1 } else { 4 };
            let value = record[..size].iter().fold(0usize, |sum, byte| sum * 256 + usize::from(*byte));
            *record = &record[size..];
            if size == 1 { value } else { value - 0x8000_0000 }
        }
        let mut pairs = Vec::new();
        while !record.is_empty() {
            let (name, value) = (length(&mut record), length(&mut record));
            assert!(name + value <= record.len(), "a pair straddles two records");
            pairs.push((record[..name].to_vec(), record[name..name + value].to_vec()));
            record = &record[name + value..];
        }
        pairs
    }

    fn encode_all(pairs: &Pairs) -> Bytes {
        let mut encoder = RequestEncoder::new(ID, Keep::Connection);
        for (name, value) in pairs {
            encoder.param(name, value).unwrap();
        }
        encoder.finish()
    }

    #[test]
    fn a_request_without_a_body_is_complete_in_one_buffer() {
        let mut encoder = RequestEncoder::new(ID, Keep::Close);
        encoder.param(b"A", b"bc").unwrap();
        let expected: &[u8] = &[
            1, 1, 0, 7, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, // BEGIN_REQUEST
            1, 4, 0, 7, 0, 5, 0, 0, 1, 2, b'A', b'b', b'c', // PARAMS
            1, 4, 0, 7, 0, 0, 0, 0, // their end
            1, 5, 0, 7, 0, 0, 0, 0, // STDIN's end
        ];
        assert_eq!(encoder.finish_without_body(), expected);
    }

    #[test]
    fn no_parameters_at_all_are_one_empty_record() {
        assert_eq!(decode(&encode_all(&Vec::new())), []);
    }

    #[test]
    fn lengths_up_to_127_take_one_byte_and_longer_ones_four() {
        for length in [0, 1, 126, 127, 128, 129, 255, 256, 65_000] {
            let pairs = vec![(b"N".to_vec(), vec![b'v'; length]), (vec![b'N'; length], b"v".to_vec())];
            assert_eq!(decode(&encode_all(&pairs)), pairs, "{length}");
        }
    }

    #[test]
    fn parts_are_joined_into_one_value() {
        let mut encoder = RequestEncoder::new(ID, Keep::Connection);
        encoder.param_parts(b"SCRIPT_FILENAME", &[b"/srv", b"", b"/index.php"]).unwrap();
        encoder.param_parts(b"EMPTY", &[]).unwrap();
        let pairs = decode(&encoder.finish());
        assert_eq!(pairs[0], (b"SCRIPT_FILENAME".to_vec(), b"/srv/index.php".to_vec()));
        assert_eq!(pairs[1], (b"EMPTY".to_vec(), Vec::new()));
    }

    #[test]
    fn the_largest_pair_fills_a_record_and_one_byte_more_is_refused() {
        let largest = RECORD_CONTENT - 1 - 4 - 1;
        let mut encoder = RequestEncoder::new(ID, Keep::Connection);
        encoder.param(b"BEFORE", b"1").unwrap();
        encoder.param(b"N", &vec![b'v'; largest]).unwrap();
        let refused = encoder.param(b"N\n", &vec![b'v'; largest]).unwrap_err();
        assert_eq!(refused.to_string(), "the parameter N\\n does not fit one FastCGI record of 65,535 bytes");
        encoder.param(b"AFTER", b"2").unwrap();
        let pairs = decode(&encoder.finish());
        let sizes: Vec<_> = pairs.iter().map(|(name, value)| (name.len(), value.len())).collect();
        assert_eq!(sizes, [(6, 1), (1, largest), (5, 1)]);
    }

    #[test]
    fn a_record_is_filled_to_the_last_byte_before_it_is_cut() {
        let pairs: Pairs = (0..3).map(|_| (vec![b'n'; 100], vec![b'v'; 32_762 - 100])).collect();
        let encoded = encode_all(&pairs);
        // 5 bytes of lengths a pair: two pairs are 65,534 bytes, three are not one record.
        assert_eq!(encoded[16 + 4..16 + 6], [0xff, 0xfe]);
        assert_eq!(decode(&encoded), pairs);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_php_decodes_is_what_was_given(
            sizes in prop::collection::vec((0usize..400, prop_oneof![0usize..300, 1usize..65_000]), 0..40)
        ) {
            let pairs: Pairs = sizes
                .iter()
                .enumerate()
                .map(|(i, (name, value))| (vec![i as u8; *name], vec![!(i as u8); *value]))
                .collect();
            prop_assert_eq!(decode(&encode_all(&pairs)), pairs);
        }
    }
}
