//! Floor 6: HTTP in, HTTP out.
//!
//! | file | owns |
//! |---|---|
//! | `connection`, `patience`, `linger`, `drain`, `notes` | one client's connection, its limits and its end |
//! | `pipeline` | the order of a request's steps |
//! | `admission` | the checks that stand before a plan: counts, passwords, a script's word |
//! | `facts` | what a request says, checked once |
//! | `incoming` | the request's body on its way in |
//! | `script` | a script's plan as a FastCGI request, php's reply as a response |
//! | `respond` | the one table from error to status, page, headers and log level |
//! | `headers` | what cornac adds to replies |
//! | `body`, `visit`, `access_log` | the reply's bytes, the request's end, its line in the log |

mod access_log;
mod admission;
mod body;
mod connection;
mod drain;
mod facts;
mod headers;
mod incoming;
mod linger;
mod notes;
mod patience;
mod pipeline;
mod respond;
mod script;
mod slow_log;
mod visit;

pub use access_log::AccessLog;
pub use connection::{Front, Means};
pub use drain::{Drain, Watcher};
pub use facts::Client;
pub use linger::Stream;
pub use notes::Notes;
