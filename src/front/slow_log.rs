//! The slow log: one line for each request that took longer than a threshold, with where the time went.

use std::io;

use super::access_log::{Entry, REST, escaped, millis};
use crate::config::model::SlowLog as Settings;
use crate::logs::Writer;

/// An open slow log.
#[derive(Debug)]
pub(super) struct SlowLog {
    threshold_ms: f64,
    /// `None`: lines are events.
    writer: Option<Writer>,
}

impl SlowLog {
    pub(super) fn open(settings: &Settings) -> io::Result<Self> {
        let writer = settings.to.as_ref().map(|to| Writer::open("slow_log", to, REST)).transpose()?.flatten();
        Ok(Self { threshold_ms: millis(settings.threshold), writer })
    }

    pub(super) fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref()
    }

    /// Has its line, if it was slow.
    pub(super) fn look(&self, entry: &Entry) {
        if entry.total_ms < self.threshold_ms {
            return;
        }
        let told = told(entry);
        match &self.writer {
            Some(writer) => {
                let now = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z");
                writer.write(format!("time={now} {told}\n").into_bytes());
            }
            None => tracing::warn!("slow request: {told}"),
        }
    }
}

/// The phases follow each other; `first_byte_ms` counts from when the request went to the pool, so the queue and connecting are in it.
fn told(entry: &Entry) -> String {
    let mut line = format!(
        "request_id={} method={} target=\"{}\" host=\"{}\" site=\"{}\" route=\"{}\" status={} end=\"{}\" total_ms={:.3}",
        entry.request_id,
        escaped(&entry.method),
        escaped(&entry.target),
        escaped(&entry.host),
        escaped(&entry.site),
        escaped(entry.route.as_deref().unwrap_or("-")),
        entry.status,
        entry.end,
        entry.total_ms,
    );
    if let Some(upstream) = &entry.upstream {
        let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"));
        line += &format!(
            " pool={} member={} tries={} queue_ms={:.3} connect_ms={:.3} first_byte_ms={} body_ms={}",
            upstream.pool,
            upstream.member.as_deref().unwrap_or("-"),
            upstream.tries,
            upstream.queue_ms,
            upstream.connect_ms,
            time(upstream.first_byte_ms),
            time(upstream.body_ms),
        );
    }
    line
}
