//! How an exchange left its connection: what an EOF cut off, and whether the next request may follow. Each prints as
//! the log's words.

use std::fmt;

use super::violation::Violation;

/// What an end of the stream cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Nothing: END_REQUEST had come.
    Clean,
    /// Everything: a worker that died, a stale connection, or `listen.allowed_clients`.
    BeforeFirstByte,
    /// The reply, in its head: the client got nothing yet.
    BeforeHead,
    /// The reply, in its body: the client's stream must be aborted, never ended as if it were complete.
    Truncated,
}

/// May the next request use this connection?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands at the border between two replies.
    Reuse,
    /// It must be closed.
    Discard(Reason),
}

/// Why a connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The peer broke the protocol.
    Violation(Violation),
    /// The peer closed it.
    Closed,
    /// END_REQUEST has not come: php-fpm is cancelled by closing (it does not implement ABORT_REQUEST).
    Unfinished,
    /// The rest of the request would be taken for the next one.
    RequestUnsent,
    /// Bytes after END_REQUEST, or a part of its padding is missing.
    Leftover,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "closed after the reply",
            Self::BeforeFirstByte => "closed without an answer",
            Self::BeforeHead => "closed in the reply's head",
            Self::Truncated => "closed in the reply's body",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reuse => f.write_str("reuse"),
            Self::Discard(reason) => write!(f, "discard ({reason})"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::Closed => f.write_str("closed by the peer"),
            Self::Unfinished => f.write_str("reply not finished"),
            Self::RequestUnsent => f.write_str("request not sent to its end"),
            Self::Leftover => f.write_str("bytes left over after the reply"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_reads_as_a_sentence_of_the_log() {
        let verdict = Verdict::Discard(Reason::Violation(Violation::Id { expected: 2, got: 1 }));
        assert_eq!(verdict.to_string(), "discard (a record for request 1 while request 2 was in flight)");
    }
}
