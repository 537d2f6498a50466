//! The access log: one line a request, when its last byte is out; and those that took long once more, in the slow log.
//! Where lines go is `logs`'; events are tracing's.

use std::io;
use std::time::Duration;

use serde::Serialize;

use super::log_clock;
use super::log_line::{Line, Millis};
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

/// What a line tells.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// When the request came, as [`AccessLog`]'s format writes it.
    pub time: String,
    /// `$request_id`.
    pub request_id: String,
    /// The client's, as the site sees it.
    pub remote_addr: String,
    /// Whose password was right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_user: Option<String>,
    /// As sent.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// `HTTP/1.1`.
    pub protocol: &'static str,
    /// The host that was asked for.
    pub host: String,
    /// Of the reply; 499 where the client left before there was one.
    pub status: u16,
    /// Of the reply's body that were handed to the connection.
    pub bytes: u64,
    /// As sent; empty where nothing was.
    pub referer: String,
    /// As sent; empty where nothing was.
    pub user_agent: String,
    /// The site's first name.
    pub site: String,
    /// The route's spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// From the head of the request to the last byte of the reply.
    pub total_ms: Millis,
    /// Where a pool was asked.
    #[serde(flatten)]
    pub upstream: Option<UpstreamEntry>,
    /// How it ended: `complete`, or what came between.
    pub end: &'static str,
}

/// What the pool did for the request.
#[derive(Debug, Serialize)]
pub struct UpstreamEntry {
    pool: String,
    member: Option<String>,
    tries: u32,
    reused: bool,
    queue_ms: Millis,
    connect_ms: Millis,
    first_byte_ms: Option<Millis>,
    /// From the first byte on; for the slow log.
    #[serde(skip)]
    pub(super) body_ms: Option<Millis>,
    /// Why there was no whole reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Entry {
    /// The line with its end.
    #[must_use]
    pub fn line(&self, format: LogFormat) -> Vec<u8> {
        render(format, self).end()
    }
}

impl UpstreamEntry {
    /// Of the pool with this name.
    #[must_use]
    pub fn new(pool: &str, outcome: &Outcome) -> Self {
        Self {
            pool: pool.to_owned(),
            member: outcome.member.as_deref().map(str::to_owned),
            tries: outcome.tries,
            reused: outcome.reused,
            queue_ms: outcome.queued.into(),
            connect_ms: outcome.connecting.into(),
            first_byte_ms: outcome.first_byte.map(Millis::from),
            error: match outcome.ending {
                Ending::Failed(fault) => Some(format!("{}: {fault}", fault.phase())),
                Ending::Complete | Ending::ClientLeft => None,
            },
            body_ms: outcome.first_byte.map(|first| outcome.total.saturating_sub(first).into()),
        }
    }

    /// Up to the first byte, as fields of a line.
    pub(super) fn tell(&self, line: &mut Line) {
        line.add(" pool=").add(&self.pool).add(" member=").add(self.member.as_deref().unwrap_or("-"));
        line.add(" tries=").number(self.tries.into());
        line.add(" reused=").add(if self.reused { "true" } else { "false" });
        line.add(" queue_ms=").millis(self.queue_ms).add(" connect_ms=").millis(self.connect_ms);
        line.add(" first_byte_ms=").millis_if_any(self.first_byte_ms);
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
        log_clock::now(self.format)
    }

    /// Takes in a request that has ended.
    pub(super) fn write(&self, entry: &Entry) {
        if let Some(writer) = &self.writer {
            writer.write(entry.line(self.format));
        }
        if let Some(slow) = &self.slow {
            slow.look(entry);
        }
    }
}

fn render(format: LogFormat, entry: &Entry) -> Line {
    match format {
        LogFormat::Combined => combined(entry),
        LogFormat::Short => short(entry).into(),
        LogFormat::Logfmt => logfmt(entry),
        LogFormat::Json => serde_json::to_string(entry).unwrap_or_else(|error| error.to_string()).into(),
    }
}

/// nginx's `combined`, so that its readers go on working, then cornac's own fields.
fn combined(entry: &Entry) -> Line {
    let mut line = Line::new();
    line.add(&entry.remote_addr).add(" - ").user(entry.remote_user.as_deref());
    line.add(" [").add(&entry.time).add("] \"").escaped(&entry.method).add(" ").escaped(&entry.target);
    line.add(" ").add(entry.protocol).add("\" ").number(entry.status.into()).add(" ").number(entry.bytes);
    line.add(" ").quoted(or_dash(&entry.referer)).add(" ").quoted(or_dash(&entry.user_agent)).add(" ");
    own_fields(&mut line, entry);
    line
}

fn logfmt(entry: &Entry) -> Line {
    let mut line = Line::new();
    line.add("time=").add(&entry.time).add(" remote_addr=").add(&entry.remote_addr);
    line.add(" user=\"").user(entry.remote_user.as_deref()).add("\" method=").add(&entry.method);
    line.add(" target=").quoted(&entry.target).add(" protocol=").add(entry.protocol);
    line.add(" host=").quoted(&entry.host).add(" status=").number(entry.status.into());
    line.add(" bytes=").number(entry.bytes).add(" referer=").quoted(&entry.referer);
    line.add(" user_agent=").quoted(&entry.user_agent).add(" ");
    own_fields(&mut line, entry);
    line
}

fn own_fields(line: &mut Line, entry: &Entry) {
    line.add("request_id=").add(&entry.request_id).add(" site=").quoted(&entry.site);
    line.add(" route=").quoted(entry.route.as_deref().unwrap_or("-"));
    line.add(" total_ms=").millis(entry.total_ms).add(" end=").quoted(entry.end);
    let Some(upstream) = &entry.upstream else { return };
    upstream.tell(line);
    if let Some(error) = &upstream.error {
        line.add(" error=").quoted(error);
    }
}

/// For people: `14:03:21  200  GET /index.php/home  3.2 ms  1.4 kB`.
fn short(entry: &Entry) -> String {
    let size = match entry.bytes {
        bytes @ 0..1_000 => format!("{bytes} B"),
        bytes @ 1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        bytes => format!("{:.1} MB", bytes as f64 / 1e6),
    };
    let remark = if entry.end == "complete" { String::new() } else { format!("  ({})", entry.end) };
    let mut asked = Line::new();
    asked.escaped(&entry.method).add(" ").escaped(&entry.target);
    let (asked, took) = (asked.as_str(), entry.total_ms.as_f64());
    format!("{}  {}  {asked}  {took:.1} ms  {size}{remark}", entry.time, entry.status)
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
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
            total_ms: Duration::from_micros(3_250).into(),
            upstream: None,
            end: "complete",
        }
    }

    fn rendered(format: LogFormat, entry: &Entry) -> String {
        String::from_utf8(entry.line(format)).expect("text")
    }

    #[test]
    fn combined_begins_as_nginx_writes_it_and_a_client_cannot_forge_a_line() {
        let line = rendered(LogFormat::Combined, &entry());
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
        let line = rendered(LogFormat::Json, &entry());
        let read: serde_json::Value = serde_json::from_str(&line).expect("an object");
        assert_eq!((read["target"].as_str(), read["status"].as_u64()), (Some("/a\"b\n?x=1"), Some(200)));
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn the_short_form_is_for_people() {
        let text =
            rendered(LogFormat::Short, &Entry { time: "08:00:00".into(), target: "/".into(), ..entry() });
        assert_eq!(text, "08:00:00  200  GET /  3.2 ms  1.5 kB\n");
    }
}
