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

    fn named(token: &[u8]) -> Option<Self> {
        let token = if token.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { token };
        Self::ALL.into_iter().find(|coding| token.eq_ignore_ascii_case(coding.token().as_bytes()))
    }
}

/// Those of `offered` that the client takes at least as gladly as the plain content, best first: the client's weights decide, and
/// between equals the order in which they are offered.
#[must_use]
pub fn acceptable(headers: &HeaderMap, offered: &[Coding]) -> SmallVec<[Coding; 3]> {
    let mut liked: SmallVec<[(u16, Coding); 3]> = SmallVec::new();
    let Some(weights) = Weights::read(headers).filter(|_| !offered.is_empty()) else {
        return SmallVec::new();
    };
    let plain = weights.plain.unwrap_or(0);
    for &coding in offered {
        let quality = weights.of(coding);
        if quality > 0 && quality >= plain {
            liked.push((quality, coding));
        }
    }
    liked.sort_by_key(|&(quality, _)| std::cmp::Reverse(quality));
    liked.into_iter().map(|(_, coding)| coding).collect()
}

/// What the client says of each coding, in thousandths; of what it names twice, the first word.
#[derive(Debug, Default)]
struct Weights {
    named: [Option<u16>; Coding::ALL.len()],
    /// `*`: of what is not named.
    any: Option<u16>,
    /// `identity`.
    plain: Option<u16>,
}

impl Weights {
    /// `None`: it says nothing.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut weights = None;
        for line in headers.get_all(ACCEPT_ENCODING) {
            let weights = weights.get_or_insert_with(Self::default);
            for item in line.as_bytes().split(|&byte| byte == b',') {
                let end = item.iter().position(|&byte| byte == b';').unwrap_or(item.len());
                let (token, parameters) = item.split_at(end);
                weights.note(token.trim_ascii(), parameters);
            }
        }
        weights
    }

    fn note(&mut self, token: &[u8], parameters: &[u8]) {
        let slot = match Coding::named(token) {
            Some(coding) => &mut self.named[coding as usize],
            None if token == b"*" => &mut self.any,
            None if token.eq_ignore_ascii_case(b"identity") => &mut self.plain,
            None => return,
        };
        slot.get_or_insert_with(|| quality(parameters));
    }

    fn of(&self, coding: Coding) -> u16 {
        self.named[coding as usize].or(self.any).unwrap_or(0)
    }
}

/// `;q=0.5` → 500. A weight that cannot be read counts as a refusal: sending the plain file is never wrong.
fn quality(parameters: &[u8]) -> u16 {
    let Ok(parameters) = str::from_utf8(parameters.strip_prefix(b";").unwrap_or_default()) else { return 0 };
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
            ("gzip;q=0, gzip", &[]),
            ("gzip;, \t br ;", &[Brotli, Gzip]),
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
