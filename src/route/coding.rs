//! Accept-Encoding (RFC 9110 §12.5.3): which codings a client takes, best first. Whether a compressed neighbour of a file
//! exists is `files/`' to find out; compressing on the fly is `front/compress`'.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

/// How content is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 7932; a neighbour is `file.br`.
    Brotli,
    /// RFC 8878; `file.zst`.
    Zstd,
    /// RFC 1952; `file.gz`.
    Gzip,
}

impl Coding {
    /// Smallest result first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// What the neighbour's name adds to the file's.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    /// The name in Accept-Encoding and Content-Encoding.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The value of Content-Encoding.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }

    fn is_named(self, token: &str) -> bool {
        let alias = self == Self::Gzip && token.eq_ignore_ascii_case("x-gzip");
        alias || token.eq_ignore_ascii_case(self.token())
    }
}

/// Those of `offered` that the client takes at least as gladly as the plain content, best first: the client's weights decide, and
/// between equals the order in which they are offered.
#[must_use]
pub fn acceptable(headers: &HeaderMap, offered: &[Coding]) -> SmallVec<[Coding; 3]> {
    if offered.is_empty() || !headers.contains_key(ACCEPT_ENCODING) {
        return SmallVec::new();
    }
    let mut liked: SmallVec<[(u16, Coding); 3]> = SmallVec::new();
    let plain = weight(headers, |token| token.eq_ignore_ascii_case("identity")).unwrap_or(0);
    for &coding in offered {
        let named = weight(headers, |token| coding.is_named(token));
        let quality = named.or_else(|| weight(headers, |token| token == "*")).unwrap_or(0);
        if quality > 0 && quality >= plain {
            liked.push((quality, coding));
        }
    }
    liked.sort_by_key(|&(quality, _)| std::cmp::Reverse(quality));
    liked.into_iter().map(|(_, coding)| coding).collect()
}

/// The weight of the first listed coding that `is_it`, in thousandths.
fn weight(headers: &HeaderMap, is_it: impl Fn(&str) -> bool) -> Option<u16> {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).find_map(|item| {
        let (token, parameters) = item.split_once(';').unwrap_or((item, ""));
        is_it(token.trim()).then(|| quality(parameters))
    })
}

/// `q=0.5` → 500. A weight that cannot be read counts as a refusal: sending the plain file is never wrong.
fn quality(parameters: &str) -> u16 {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return 1000;
    }
    let Some(("q" | "Q", value)) =
        parameters.split_once('=').map(|(name, value)| (name.trim(), value.trim()))
    else {
        return 0;
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "1" => 1000,
        "0" => fraction.bytes().zip([100, 10, 1]).map(|(digit, place)| u16::from(digit - b'0') * place).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;

    #[test]
    fn the_client_chooses_and_the_smallest_breaks_a_tie() {
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip][..]),
            ("gzip", &[Gzip]),
            ("X-GZIP", &[Gzip]),
            ("BR", &[Brotli]),
            ("*", &[Brotli, Zstd, Gzip]),
            ("*;q=0", &[]),
            ("br;q=0, *", &[Zstd, Gzip]),
            ("gzip;q=1.0, br;q=0.8, zstd ; q=0.9", &[Gzip, Zstd, Brotli]),
            ("gzip;q=0.001", &[Gzip]),
            ("gzip;q=0", &[]),
            ("gzip;q=0.000, br", &[Brotli]),
            ("identity, gzip;q=0.5", &[]),
            ("identity;q=0.5, gzip;q=0.5", &[Gzip]),
            ("identity;q=0, gzip;q=0.1", &[Gzip]),
            ("deflate", &[]),
            ("gzipped, brr", &[]),
            ("gzip;q=2, br;q=x, zstd;level=3", &[]),
            ("gzip;q=0.1234", &[]),
            ("", &[]),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            assert_eq!(acceptable(&headers, &Coding::ALL).as_slice(), expected, "{accept}");
        }
    }

    #[test]
    fn several_lines_are_one_list_and_none_is_a_refusal() {
        assert!(acceptable(&HeaderMap::new(), &Coding::ALL).is_empty());
        let lines = ["gzip;q=0.5", "br"].map(|line| (ACCEPT_ENCODING, HeaderValue::from_static(line)));
        let mut headers = HeaderMap::new();
        lines.into_iter().for_each(|(name, value)| _ = headers.append(name, value));
        assert_eq!(acceptable(&headers, &Coding::ALL).as_slice(), [Brotli, Gzip]);
    }

    #[test]
    fn only_what_is_offered_is_chosen_and_its_order_breaks_a_tie() {
        let headers =
            HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd;q=0.9"))]);
        for (offered, expected) in [
            (&[Gzip, Brotli][..], &[Gzip, Brotli][..]),
            (&[Zstd, Gzip], &[Gzip, Zstd]),
            (&[Zstd], &[Zstd]),
            (&[], &[]),
        ] {
            assert_eq!(acceptable(&headers, offered).as_slice(), expected, "{offered:?}");
        }
    }
}
