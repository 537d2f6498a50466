//! Everything a backend's bytes can have wrong. A violation ends the exchange: 502 when nothing was passed on yet, an
//! aborted stream otherwise, and in either case the connection is closed.
//!
//! How it looks to the client is `front::respond`'s; whether it counts against the member is `balance::health`'s.

use super::record::ProtocolStatus;

/// What php-fpm, or whatever answered in its place, sent against FastCGI 1.0 or CGI (RFC 3875 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The first byte of a record: mostly an address at which something else than FastCGI listens.
    #[error("not FastCGI: a record of version {0}")]
    Version(u8),
    /// A late reply to an earlier request on this connection, or a confused backend.
    #[error("a record for request {got} while request {expected} was in flight")]
    Id {
        /// The exchange's own id.
        expected: u16,
        /// The record's.
        got: u16,
    },
    /// Neither STDOUT, STDERR nor END_REQUEST.
    #[error("a record of type {0}, which no reply has")]
    Type(u8),
    /// The body of END_REQUEST is 8 bytes.
    #[error("an END_REQUEST of {0} bytes instead of 8")]
    EndRequestLength(u16),
    /// The request was not served.
    #[error("the backend refused the request: {0}")]
    Refused(ProtocolStatus),
    /// The CGI head cannot be read.
    #[error("a bad reply head: {0}")]
    BadHead(#[from] HeadError),
    /// END_REQUEST came before the blank line that ends the head.
    #[error("the script ended with status {app_status} before its reply had a head")]
    EndWithoutHead {
        /// php's exit status.
        app_status: u32,
    },
}

/// What is wrong with a reply's CGI head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// More than the limit before the blank line.
    #[error("over 256 KB without a blank line")]
    TooLarge,
    /// More lines than are worth reading.
    #[error("over 256 header lines")]
    TooManyLines,
    /// A line without a colon, or with a name that is no token.
    #[error("a line without a valid header name")]
    Name,
    /// A control character, a carriage return alone among them.
    #[error("a control character in a header value")]
    Value,
    /// A line that begins with a carriage return and goes on.
    #[error("a stray carriage return")]
    LineEnd,
    /// `Status:` or the status line is not a number from 200 to 599.
    #[error("a status that is not 200 to 599")]
    Status,
}
