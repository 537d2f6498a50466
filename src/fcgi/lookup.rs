//! A parameter found again in a request that was encoded here. For rare questions: it reads from the beginning.

use super::record::HEADER;

const PARAMS: u8 = 4;

/// The value of the first parameter of that name in what [`RequestEncoder`](super::RequestEncoder) has written.
pub fn param_of<'a>(request: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = request;
    while let Some((header, behind)) = rest.split_at_checked(HEADER) {
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let (content, behind) = behind.split_at_checked(length + usize::from(header[6]))?;
        if header[1] == PARAMS
            && let Some(value) = in_record(&content[..length], name)
        {
            return Some(value);
        }
        rest = behind;
    }
    None
}

/// No pair straddles two records (fpm-facts 1).
fn in_record<'a>(mut content: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    while !content.is_empty() {
        let (name_length, rest) = length(content)?;
        let (value_length, rest) = length(rest)?;
        let (name, rest) = rest.split_at_checked(name_length)?;
        let (value, rest) = rest.split_at_checked(value_length)?;
        if name == wanted {
            return Some(value);
        }
        content = rest;
    }
    None
}

/// One byte below 128, else four (FastCGI 1.0 §3.4).
fn length(content: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = content.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let (four, rest) = content.split_first_chunk::<4>()?;
    Some(((u32::from_be_bytes(*four) & 0x7fff_ffff) as usize, rest))
}

#[cfg(test)]
mod tests {
    use super::super::{Keep, RequestEncoder, RequestId};
    use super::*;

    #[test]
    fn every_parameter_is_found_again_behind_long_ones_and_in_later_records() {
        let mut encoder = RequestEncoder::new(RequestId::new(300).unwrap(), Keep::Connection);
        let long = vec![b'x'; 60_000];
        encoder.param(b"HTTP_COOKIE", &long).unwrap();
        encoder.param(b"EMPTY", b"").unwrap();
        encoder.param(b"HTTP_X_OTHER", &long).unwrap();
        encoder.param(b"REQUEST_URI", b"/a?b").unwrap();
        let request = encoder.finish_without_body();
        assert_eq!(param_of(&request, b"REQUEST_URI"), Some(&b"/a?b"[..]));
        assert_eq!(param_of(&request, b"HTTP_X_OTHER"), Some(&long[..]));
        assert_eq!(param_of(&request, b"EMPTY"), Some(&b""[..]));
        assert_eq!(param_of(&request, b"REQUEST"), None);
    }

    #[test]
    fn what_is_cut_off_has_no_parameters_and_no_panic() {
        let mut encoder = RequestEncoder::new(RequestId::new(1).unwrap(), Keep::Close);
        encoder.param(b"REQUEST_URI", b"/").unwrap();
        let request = encoder.finish();
        for end in 0..30 {
            assert_eq!(param_of(&request[..end], b"REQUEST_URI"), None, "{end}");
        }
    }
}
