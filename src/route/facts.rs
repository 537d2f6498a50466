//! What is known of a request before anything is decided: `front` fills it in, everything in this room reads it.

use std::fmt;

use http::{HeaderMap, Method, Version};

use super::{Address, Announced, Secured, Target};

/// How the client talks to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS, here or at a trusted proxy.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A request's name in logs, in error pages, for php as HTTP_X_REQUEST_ID and as nginx's `$request_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// By us: 32 hexadecimal digits.
    Made(u128),
    /// By a proxy that the site trusts.
    Given(GivenLabel),
}

/// A name that somebody else gave: 1 to 64 letters, digits and `-_.+=/@`, which mean nothing in a log, a page or a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenLabel {
    length: u8,
    bytes: [u8; GivenLabel::LONGEST],
}

impl Label {
    /// Of an `X-Request-Id`; `None` if it is not fit for logs and pages.
    pub fn given(text: &[u8]) -> Option<Self> {
        let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+=/@".contains(byte);
        if text.is_empty() || !text.iter().all(safe) {
            return None;
        }
        let mut bytes = [0; GivenLabel::LONGEST];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self::Given(GivenLabel { length: text.len() as u8, bytes }))
    }

    /// As it prints, without a formatter: every script gets it.
    pub fn with_text<R>(&self, then: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Made(number) => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                let mut text = [0; 32];
                for (two, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
                    two.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
                }
                then(&text)
            }
            Self::Given(given) => then(given.as_bytes()),
        }
    }
}

impl GivenLabel {
    const LONGEST: usize = 64;

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Default for Label {
    fn default() -> Self {
        Self::Made(0)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(str::from_utf8(text).unwrap_or_default()))
    }
}

/// A request without its body.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// GET, …
    pub method: &'a Method,
    /// As the client spoke it.
    pub version: Version,
    /// What it asked for.
    pub target: &'a Target<'a>,
    /// Of the target or of Host: lower case, without port. nginx's `$host`.
    pub host: &'a str,
    /// As sent.
    pub headers: &'a HeaderMap,
    /// http or https.
    pub scheme: Scheme,
    /// What TLS says of the connection; `None`: it came in clear text.
    pub tls: Option<&'a Secured<'a>>,
    /// The client, after `real_ip_header` of a trusted proxy; `None`: a unix socket.
    pub peer: Option<&'a Address>,
    /// Whose connection it is: the client's own or the last proxy's; `None`: a unix socket. nginx's `$realip_remote_addr`.
    pub hop: Option<&'a Address>,
    /// What the connection's PROXY header says, believed or not. nginx's `$proxy_protocol_addr`.
    pub announced: Option<&'a Announced>,
    /// Our end of the connection; `None`: a unix socket.
    pub local: Option<&'a Address>,
    /// The first name of the site. nginx's `$server_name`.
    pub server_name: &'a str,
    /// Bytes of the body once they are known: told by the client, or counted when a chunked body was buffered.
    pub content_length: Option<u64>,
    /// Ours or a trusted proxy's, for logs and `$request_id`.
    pub request_id: Label,
    /// Whose password was right: never a name that is only claimed. `$remote_user`, REMOTE_USER.
    pub user: Option<&'a str>,
}

impl<'a> RequestFacts<'a> {
    /// Of which no more is known: over HTTP/1.1, from nobody, to nobody's name.
    pub fn bare(method: &'a Method, target: &'a Target<'a>, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            version: Version::HTTP_11,
            target,
            host: "",
            headers,
            scheme: Scheme::Http,
            tls: None,
            peer: None,
            hop: None,
            announced: None,
            local: None,
            server_name: "",
            content_length: None,
            user: None,
            request_id: Label::default(),
        }
    }

    /// `HTTP/1.1`, as SERVER_PROTOCOL, `$request` and the log spell it.
    pub fn protocol(&self) -> &'static str {
        protocol(self.version)
    }
}

/// `HTTP/1.1`, for a request of which no more is known yet.
pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_32_digits() {
        assert_eq!(Label::Made(0xabc).to_string(), "00000000000000000000000000000abc");
        assert_eq!(Label::Made(u128::MAX).to_string(), "f".repeat(32));
    }

    #[test]
    fn a_given_label_is_short_and_harmless_or_none() {
        let longest = "x".repeat(64);
        for good in ["1", "7b0c5a0e-6f0c-4b7e-9d2f-1c1f3b9a7e55", "Root=1-67891233-abcdef", &longest] {
            assert_eq!(Label::given(good.as_bytes()).expect("fit").to_string(), good);
        }
        let too_long = "x".repeat(65);
        for bad in ["", "a b", "a\nb", "<b>", "a\"b", "$(id)", "a;b", "ä", "%0a", &too_long] {
            assert_eq!(Label::given(bad.as_bytes()), None, "{bad}");
        }
    }
}
