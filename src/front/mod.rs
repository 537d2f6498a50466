//! Floor 6: HTTP in, HTTP out.
//!
//! | file | owns |
//! |---|---|
//! | `connection` | the front end of the process, and how a connection is spoken to |
//! | `http1`, `http2`, `preface`, `handshake` | the ways to speak: one request after the other, or side by side; which of them; behind TLS |
//! | `parking`, `patience`, `timeouts`, `pace`, `flood`, `linger`, `drain`, `notes` | one client's connection, its limits and its end |
//! | `lobby` | all clients, and who leaves when there are too many |
//! | `announcement` | the PROXY header |
//! | `pipeline` | the order of a request's steps |
//! | `admission` | the checks that stand before a plan: counts, passwords, a script's word |
//! | `detour`, `kept` | from one plan to the next: a script's `X-Accel-Redirect`, the page of an error |
//! | `facts`, `heads` | what a request says, checked once; what its parser passes over |
//! | `incoming` | the request's body on its way in |
//! | `script` | a script's plan as a FastCGI request, php's reply as a response |
//! | `respond` | the one table from error to status, page, headers and log level |
//! | `headers` | what cornac adds to replies |
//! | `compress` | replies compressed on their way out |
//! | `body`, `sendfile`, `throttle`, `visit`, `access_log` | the reply's bytes, files unread, the request's end, its line in the log |

mod access_log;
mod admission;
mod announcement;
mod body;
mod compress;
mod connection;
mod detour;
mod drain;
mod facts;
mod flood;
mod handshake;
mod headers;
mod heads;
mod http1;
mod http2;
mod incoming;
mod kept;
mod linger;
mod lobby;
mod log_clock;
mod log_line;
mod notes;
mod pace;
mod parking;
mod patience;
mod pipeline;
mod preface;
mod prefixed;
mod respond;
mod script;
mod sendfile;
mod slow_log;
#[cfg(test)]
mod testing;
mod throttle;
mod timeouts;
mod visit;

pub use access_log::{AccessLog, Entry, UpstreamEntry};
pub use connection::{Front, Means};
pub use drain::{Drain, Watcher};
pub use facts::Client;
pub use linger::Stream;
pub use lobby::{Lobby, Presence};
pub use log_line::Millis;
pub use notes::Notes;
pub use timeouts::Timeouts;
