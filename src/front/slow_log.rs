//! The slow log: one line for each request that took longer than a threshold, with where the time went.

use std::io;

use super::access_log::{Entry, REST};
use super::log_clock;
use super::log_line::{Line, Millis};
use crate::config::model::{LogFormat, SlowLog as Settings};
use crate::logs::Writer;

/// An open slow log.
#[derive(Debug)]
pub(super) struct SlowLog {
    threshold: Millis,
    /// `None`: lines are events.
    writer: Option<Writer>,
}

impl SlowLog {
    pub(super) fn open(settings: &Settings) -> io::Result<Self> {
        let writer = settings.to.as_ref().map(|to| Writer::open("slow_log", to, REST)).transpose()?.flatten();
        Ok(Self { threshold: settings.threshold.into(), writer })
    }

    pub(super) fn writer(&self) -> Option<&Writer> {
        self.writer.as_ref()
    }

    /// Has its line, if it was slow.
    pub(super) fn look(&self, entry: &Entry) {
        if entry.total_ms < self.threshold {
            return;
        }
        match &self.writer {
            Some(writer) => {
                let mut line = Line::new();
                line.add("time=").add(&log_clock::now(LogFormat::Logfmt)).add(" ");
                tell(&mut line, entry);
                writer.write(line.end());
            }
            None => {
                let mut told = Line::new();
                tell(&mut told, entry);
                tracing::warn!("slow request: {}", told.as_str());
            }
        }
    }
}

/// The phases follow each other; `first_byte_ms` counts from when the request went to the pool, so the queue and connecting are in it.
fn tell(line: &mut Line, entry: &Entry) {
    line.add("request_id=").add(&entry.request_id).add(" method=").add(&entry.method);
    line.add(" target=").quoted(&entry.target).add(" host=").quoted(&entry.host);
    line.add(" site=").quoted(&entry.site).add(" route=").quoted(entry.route.as_deref().unwrap_or("-"));
    line.add(" status=").number(entry.status.into()).add(" end=").quoted(entry.end);
    line.add(" total_ms=").millis(entry.total_ms);
    let Some(upstream) = &entry.upstream else { return };
    upstream.tell(line);
    line.add(" body_ms=").millis_if_any(upstream.body_ms);
}
