//! Floor 4: where lines go. Whoever has a line to write hands it over and goes on: a disk that is full or a reader that has stopped
//! costs lines, never a request.
//!
//! | file | owns |
//! |---|---|
//! | `writer` | the thread that writes, and the line to it |
//! | `target` | files, standard output, syslog: opening and writing |
//! | `events` | the event log: tracing's lines, their filter and their writer |
//!
//! What a line of the access log says is `front`'s.

mod events;
mod target;
mod writer;

pub use events::{EventLog, EventLogError};
pub use writer::Writer;
