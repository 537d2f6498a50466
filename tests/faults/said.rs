//! What the event log says, as `log` cuts it to size.

/// Lines about the victim's health.
pub const CLOSED: &str = "INFO member is suspect (1 of 3 failures: closed without an answer)";
pub const CLOSED_AGAIN: &str = "INFO member is suspect (2 of 3 failures: closed without an answer)";
pub const REFUSED: &str = "INFO member is suspect (1 of 3 failures: connection refused)";
pub const REFUSED_AGAIN: &str = "INFO member is suspect (2 of 3 failures: connection refused)";
pub const UNREACHABLE: &str = "INFO member is suspect (1 of 3 failures: unreachable)";
/// For a line that need not be there.
pub const NOTHING: &str = "nothing";
/// A stop shows in three ways, by how far it has come, or not at all to who finds another member first.
pub const STOPPED: &str = "INFO member is suspect (1 of 3 failures: closed without an answer) | \
    INFO member is suspect (1 of 3 failures: connection refused) | \
    INFO member is suspect (1 of 3 failures: unreachable) | nothing";
pub const STOPPED_AGAIN: &str = "INFO member is suspect (2 of 3 failures: closed without an answer) | \
    INFO member is suspect (2 of 3 failures: connection refused) | \
    INFO member is suspect (2 of 3 failures: unreachable)";
pub const NO_CONNECT: &str = "INFO member is suspect (1 of 3 failures: connect timed out)";
pub const SILENT: &str = "INFO member is suspect (1 of 3 failures: no answer in time)";
pub const WRONG: &str = "INFO member is suspect (1 of 3 failures: wrong FastCGI)";
pub const WRONG_AGAIN: &str = "INFO member is suspect (2 of 3 failures: wrong FastCGI)";

/// Lines about a request that got no reply.
pub const NO_ANSWER: &str = "ERROR victim: first byte: closed without an answer \
    (the worker died, or listen.allowed_clients refuses us)";
pub const TOO_LATE: &str = "ERROR victim: first byte: no answer in time";
pub const TAKES_NO_MORE: &str = "ERROR victim: request: took no more of the request";
/// By how much the sockets on the way hold.
pub const TOO_LATE_OR_NO_MORE: &str = "ERROR victim: first byte: no answer in time | \
    ERROR victim: request: took no more of the request";
pub const SHORT: &str = "ERROR victim: reply: reply cut short";
pub const NOT_FASTCGI: &str = "ERROR victim: reply: not FastCGI: a record of version 72";
pub const OVERLOADED: &str = "ERROR victim: reply: the backend refused the request: overloaded";
pub const ANOTHERS: &str = "ERROR victim: reply: a record for request 2 while request 1 was in flight";
pub const ANOTHERS_LATER: &str = "ERROR victim: reply: a record for request 4 while request 3 was in flight";

/// Lines about half a reply.
pub const CUT_SHORT: &str =
    "ERROR a reply was cut off, and the client's connection with it: victim: reply: reply cut short";
pub const CUT_STOPPED: &str =
    "ERROR a reply was cut off, and the client's connection with it: victim: reply: stopped in the middle";
pub const CUT_NOT_FASTCGI: &str = "ERROR a reply was cut off, and the client's connection with it: victim: reply: not FastCGI: a record of version 72";
pub const CUT_OVERLOADED: &str = "ERROR a reply was cut off, and the client's connection with it: victim: reply: the backend refused the request: overloaded";
pub const CUT_ANOTHERS: &str = "ERROR a reply was cut off, and the client's connection with it: victim: reply: a record for request 2 while request 1 was in flight";

/// Lines about php and about names.
pub const MEMORY: &str =
    "WARN PHP message: PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted";
pub const FOUND: &str = "INFO pool php: + …";
pub const GONE: &str = "INFO pool php: − … (draining)";
pub const MOVED: &str = "INFO pool php: + …, − … (draining)";
pub const NO_LOOKUP: &str = "WARN a source of members fails; the last known good is kept";
