//! The event log: tracing's events, by a filter and to a target that a reload may change.

use std::fmt;
use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::writer::Writer;
use crate::config::model::{EventLog as Settings, LogTarget};

/// In complaints.
pub(super) const NAME: &str = "events";

/// Why there is no event log.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// The target.
    #[error("cannot open the event log: {0}")]
    Open(#[from] io::Error),
    /// `log`.
    #[error("`log = \"{0}\"` is no filter: {1}")]
    Filter(String, String),
}

type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// The process's event log. What is on its way is written when this is dropped.
pub struct EventLog {
    writer: Writer,
    set_filter: SetFilter,
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventLog").field(&self.writer).finish()
    }
}

impl EventLog {
    /// Everything that is said in this process goes there from now on.
    ///
    /// # Errors
    /// The target cannot be opened, or the filter is none.
    pub fn start(settings: &Settings) -> Result<Self, EventLogError> {
        // An event log always goes somewhere: `off` is the filter's.
        let to = if settings.to == LogTarget::Off { &LogTarget::Stderr } else { &settings.to };
        let writer = Writer::open(NAME, to, Duration::ZERO)?.expect("a target that is not off is open");
        let for_subscriber = writer.clone();
        let builder = tracing_subscriber::fmt()
            .with_ansi(*to == LogTarget::Stderr && io::stderr().is_terminal())
            .with_writer(move || LineOf(for_subscriber.clone()))
            .with_env_filter(filter(&settings.filter)?)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        let set_filter: SetFilter =
            Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()));
        // A second start in one process (tests) keeps the first log.
        drop(builder.try_init());
        Ok(Self { writer, set_filter })
    }

    /// After a file was moved away.
    ///
    /// # Errors
    /// It cannot be opened; the old one is written on.
    pub fn reopen(&self) -> io::Result<()> {
        self.writer.reopen()
    }

    /// By a newer configuration; `before` is the one in force.
    ///
    /// # Errors
    /// As [`EventLog::start`]; then nothing has changed.
    pub fn follow(&self, before: &Settings, settings: &Settings) -> Result<(), EventLogError> {
        let filter = filter(&settings.filter)?;
        if before.to != settings.to {
            self.writer.redirect(&settings.to)?;
        }
        if before.filter != settings.filter {
            (self.set_filter)(filter)
                .map_err(|error| EventLogError::Filter(settings.filter.clone(), error))?;
        }
        Ok(())
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.writer.flush();
    }
}

fn filter(text: &str) -> Result<EnvFilter, EventLogError> {
    EnvFilter::try_new(text).map_err(|error| EventLogError::Filter(text.to_owned(), error.to_string()))
}

/// One event: tracing-subscriber writes each in one piece.
struct LineOf(Writer);

impl io::Write for LineOf {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
