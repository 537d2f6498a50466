//! The access log: one line a request, when its last byte is out; and those that took long once more, in the slow log.
//! Where lines go is `logs`'; events are tracing's.

use std::io;
use std::time::Duration;

use serde::Serialize;

use super::slow_log::SlowLog;
use crate::config::model::{LogFormat, Server};
use crate::logs::Writer;
use crate::upstream::{Ending, Outcome};

/// Lines of this time are written at once: a write for each costs whole microseconds.
pub(super) const REST: Duration = Duration::from_millis(5);

/// An open access log, or slow log, or both.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    writer: Option<Writer>,
    slow: Option<SlowLog>,
}

/// What a line tells. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) time: String,
    pub(super) request_id: String,
    pub(super) remote_addr: String,
    /// Whose password was right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remote_user: Option<String>,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) protocol: &'static str,
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) referer: String,
    pub(super) user_agent: String,
    pub(super) site: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<String>,
    pub(super) total_ms: f64,
    #[serde(flatten)]
    pub(super) upstream: Option<UpstreamEntry>,
    pub(super) end: &'static str,
}

/// What the pool did for the request.
#[derive(Debug, Serialize)]
pub(super) struct UpstreamEntry {
    pub(super) pool: String,
    pub(super) member: Option<String>,
    pub(super) tries: u32,
    reused: bool,
    pub(super) queue_ms: f64,
    pub(super) connect_ms: f64,
    pub(super) first_byte_ms: Option<f64>,
    /// From the first byte on; for the slow log.
    #[serde(skip)]
    pub(super) body_ms: Option<f64>,
    /// Why there was no whole reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl UpstreamEntry {
    pub(super) fn new(pool: &str, outcome: &Outcome) -> Self {
        Self {
            pool: pool.to_owned(),
            member: outcome.member.as_deref().map(str::to_owned),
            tries: outcome.tries,
            reused: outcome.reused,
            queue_ms: millis(outcome.queued),
            connect_ms: millis(outcome.connecting),
            first_byte_ms: outcome.first_byte.map(millis),
            error: match outcome.ending {
                Ending::Failed(fault) => Some(format!("{}: {fault}", fault.phase())),
                Ending::Complete | Ending::ClientLeft => None,
            },
            body_ms: outcome.first_byte.map(|first| millis(outcome.total.saturating_sub(first))),
        }
    }
}

/// How a request ended, as the log says it.
pub(super) fn end_word(outcome: &Outcome) -> &'static str {
    match outcome.ending {
        Ending::Complete => "complete",
        Ending::ClientLeft => "client left",
        Ending::Failed(_) => "failed",
    }
}

/// To the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}

impl AccessLog {
    /// Opens what `[server]` asks for; `None` when that is nothing.
    ///
    /// # Errors
    /// A file cannot be opened for appending.
    pub fn open(settings: &Server) -> io::Result<Option<Self>> {
        let writer = Writer::open("access_log", &settings.access_log.to, REST)?;
        let slow = settings.slow_log.as_ref().map(SlowLog::open).transpose()?;
        let is_any = writer.is_some() || slow.is_some();
        Ok(is_any.then_some(Self { format: settings.access_log.format, writer, slow }))
    }

    /// Opens the files again under their names.
    pub(super) fn reopen(&self) -> io::Result<()> {
        self.writers().map(Writer::reopen).fold(Ok(()), io::Result::and)
    }

    /// Returns when all lines are written so far.
    pub(super) fn flush(&self) {
        self.writers().for_each(Writer::flush);
    }

    fn writers(&self) -> impl Iterator<Item = &Writer> {
        self.writer.iter().chain(self.slow.iter().filter_map(SlowLog::writer))
    }

    /// A time as this log's format writes it, in the machine's time zone.
    pub(super) fn now(&self) -> String {
        let pattern = match self.format {
            LogFormat::Combined => "%d/%b/%Y:%H:%M:%S %z",
            LogFormat::Json | LogFormat::Logfmt => "%Y-%m-%dT%H:%M:%S%.3f%:z",
            LogFormat::Short => "%H:%M:%S",
        };
        jiff::Zoned::now().strftime(pattern).to_string()
    }

    /// Takes in a request that has ended.
    pub(super) fn write(&self, entry: &Entry) {
        if let Some(writer) = &self.writer {
            writer.write(render(self.format, entry).into_bytes());
        }
        if let Some(slow) = &self.slow {
            slow.look(entry);
        }
    }
}

fn render(format: LogFormat, entry: &Entry) -> String {
    let mut line = match format {
        LogFormat::Combined => combined(entry),
        LogFormat::Short => short(entry),
        LogFormat::Logfmt => logfmt(entry),
        LogFormat::Json => serde_json::to_string(entry).unwrap_or_else(|error| error.to_string()),
    };
    line.push('\n');
    line
}

/// nginx's `combined`, so that its readers go on working, then cornac's own fields.
fn combined(entry: &Entry) -> String {
    let mut line = format!(
        "{} - {} [{}] \"{} {} {}\" {} {} \"{}\" \"{}\"",
        entry.remote_addr,
        user(entry),
        entry.time,
        escaped(&entry.method),
        escaped(&entry.target),
        entry.protocol,
        entry.status,
        entry.bytes,
        escaped(or_dash(&entry.referer)),
        escaped(or_dash(&entry.user_agent)),
    );
    line.push(' ');
    line.push_str(&own_fields(entry));
    line
}

fn logfmt(entry: &Entry) -> String {
    format!(
        "time={} remote_addr={} user=\"{}\" method={} target=\"{}\" protocol={} host=\"{}\" status={} bytes={} \
         referer=\"{}\" user_agent=\"{}\" {}",
        entry.time,
        entry.remote_addr,
        user(entry),
        escaped(&entry.method),
        escaped(&entry.target),
        entry.protocol,
        escaped(&entry.host),
        entry.status,
        entry.bytes,
        escaped(&entry.referer),
        escaped(&entry.user_agent),
        own_fields(entry)
    )
}

fn own_fields(entry: &Entry) -> String {
    let mut fields = format!(
        "request_id={} site=\"{}\" route=\"{}\" total_ms={:.3} end=\"{}\"",
        entry.request_id,
        escaped(&entry.site),
        escaped(entry.route.as_deref().unwrap_or("-")),
        entry.total_ms,
        entry.end
    );
    if let Some(upstream) = &entry.upstream {
        let first_byte = upstream.first_byte_ms.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"));
        fields.push_str(&format!(
            " pool={} member={} tries={} reused={} queue_ms={:.3} connect_ms={:.3} first_byte_ms={first_byte}",
            upstream.pool,
            upstream.member.as_deref().unwrap_or("-"),
            upstream.tries,
            upstream.reused,
            upstream.queue_ms,
            upstream.connect_ms,
        ));
        if let Some(error) = &upstream.error {
            fields.push_str(&format!(" error=\"{}\"", escaped(error)));
        }
    }
    fields
}

/// For people: `14:03:21  200  GET /index.php/home  3.2 ms  1.4 kB`.
fn short(entry: &Entry) -> String {
    let size = match entry.bytes {
        bytes @ 0..1_000 => format!("{bytes} B"),
        bytes @ 1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        bytes => format!("{:.1} MB", bytes as f64 / 1e6),
    };
    let remark = if entry.end == "complete" { String::new() } else { format!("  ({})", entry.end) };
    format!(
        "{}  {}  {} {}  {:.1} ms  {size}{remark}",
        entry.time,
        entry.status,
        escaped(&entry.method),
        escaped(&entry.target),
        entry.total_ms
    )
}

fn user(entry: &Entry) -> String {
    // Whoever reads `combined` takes a space for the end of the name.
    entry.remote_user.as_deref().map_or_else(|| "-".to_owned(), |user| escaped(user).replace(' ', "\\x20"))
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// What a client sent, with everything escaped that could break out of the quotes or of the line.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => safe.push_str(&format!("\\x{:02X}", u32::from(c))),
            c if c.is_control() => safe.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            time: "21/Nov/2026:08:00:00 +0000".into(),
            request_id: "cafe".into(),
            remote_addr: "192.0.2.7".into(),
            remote_user: None,
            method: "GET".into(),
            target: "/a\"b\n?x=1".into(),
            protocol: "HTTP/1.1",
            host: "example.com".into(),
            status: 200,
            bytes: 1_500,
            referer: String::new(),
            user_agent: "curl/8".into(),
            site: "example.com".into(),
            route: Some("~ \\.php$".into()),
            total_ms: 3.25,
            upstream: None,
            end: "complete",
        }
    }

    #[test]
    fn combined_begins_as_nginx_writes_it_and_a_client_cannot_forge_a_line() {
        let line = render(LogFormat::Combined, &entry());
        assert!(
            line.starts_with(
                "192.0.2.7 - - [21/Nov/2026:08:00:00 +0000] \"GET /a\\x22b\\x0A?x=1 HTTP/1.1\" 200 1500 \"-\" \"curl/8\" "
            ),
            "{line}"
        );
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn json_is_one_object_a_line_with_the_same_values() {
        let line = render(LogFormat::Json, &entry());
        let read: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!((read["target"].as_str(), read["status"].as_u64()), (Some("/a\"b\n?x=1"), Some(200)));
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn the_short_form_is_for_people() {
        let text =
            render(LogFormat::Short, &Entry { time: "08:00:00".into(), target: "/".into(), ..entry() });
        assert_eq!(text, "08:00:00  200  GET /  3.2 ms  1.5 kB\n");
    }
}
