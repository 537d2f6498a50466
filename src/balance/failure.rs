//! Why a request failed, as far as its member may be to blame: in the operator's words.

use std::fmt;

/// Why a request failed, as far as the member is to blame. An error page from php is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The address cannot be reached (no route, no such socket file).
    Unreachable,
    /// The socket's file is there, and does not let us in.
    Forbidden,
    /// It closed the connection instead of answering.
    ClosedEarly,
    /// It closed a connection on which no script was asked for, as php-fpm does with whom it does not know.
    TurnedAway,
    /// It did not answer in time.
    Silent,
    /// It stopped in the middle of a reply.
    Truncated,
    /// It answered something that is not FastCGI, or not to this request.
    Garbage,
    /// It lives, but the line before its door is full (fpm-facts 14): busy, not down.
    BacklogFull,
    /// It was not even asked: we have no file descriptor, port or memory left for a connection.
    Exhausted,
}

impl Failure {
    /// Whether it speaks against the member.
    pub fn blames_the_member(self) -> bool {
        !matches!(self, Self::BacklogFull | Self::Exhausted)
    }

    /// Whether it may as well be the script's doing: one that kills its worker, or never ends.
    pub fn may_be_the_scripts(self) -> bool {
        matches!(self, Self::ClosedEarly | Self::Silent)
    }

    /// Whether no connection came about, so that one which does is news.
    pub fn is_at_the_door(self) -> bool {
        matches!(self, Self::Refused | Self::ConnectTimeout | Self::Unreachable | Self::Forbidden)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::ConnectTimeout => "connect timed out",
            Self::Unreachable => "unreachable",
            Self::Forbidden => {
                "permission denied: listen.owner, listen.group or listen.mode of php-fpm must let cornac's user in"
            }
            Self::ClosedEarly => "closed without an answer",
            Self::TurnedAway => "closed at once, as listen.allowed_clients does",
            Self::Silent => "no answer in time",
            Self::Truncated => "reply cut short",
            Self::Garbage => "wrong FastCGI",
            Self::BacklogFull => "its backlog is full",
            Self::Exhausted => "cornac has no file descriptor or port left",
        })
    }
}
