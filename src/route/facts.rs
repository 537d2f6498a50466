//! What is known of a request before anything is decided: `front` fills it in, everything in this room reads it.

use std::fmt;

use http::{HeaderMap, Method, Version};

use super::{Address, Target};

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

/// A request's name in logs, in error pages and as nginx's `$request_id`: prints as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Label(pub u128);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
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
    /// The client, after `real_ip_header` of a trusted proxy; `None`: a unix socket.
    pub peer: Option<&'a Address>,
    /// Our end of the connection; `None`: a unix socket.
    pub local: Option<&'a Address>,
    /// The first name of the site. nginx's `$server_name`.
    pub server_name: &'a str,
    /// Bytes of the body once they are known: told by the client, or counted when a chunked body was buffered.
    pub content_length: Option<u64>,
    /// Ours, for logs and `$request_id`.
    pub request_id: Label,
    /// Whose password was right: never a name that is only claimed. `$remote_user`, REMOTE_USER.
    pub user: Option<&'a str>,
}

impl RequestFacts<'_> {
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
        assert_eq!(Label(0xabc).to_string(), "00000000000000000000000000000abc");
        assert_eq!(Label(u128::MAX).to_string(), "f".repeat(32));
    }
}
