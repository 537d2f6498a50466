//! What php-fpm's status page says of one pool of workers, as a plain value (`pm.status_path`, asked with `?json`).
//!
//! It has no `pm.max_children` (fpm-facts 19): that must be told, or learnt from these numbers. Asking for the page is
//! `upstream`'s.

use serde::Deserialize;
use std::fmt;

/// One look at the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// How it starts and ends workers (`pm`).
    #[serde(rename = "process manager")]
    pub pm: ProcessManager,
    /// When it was started or reloaded, in seconds since 1970. Another value is a restart.
    #[serde(rename = "start time")]
    pub start_time: u64,
    /// Connections accepted since then.
    #[serde(rename = "accepted conn")]
    pub accepted: u64,
    /// Connections in the backlog: they wait for a worker. Always 0 on a unix socket, where php-fpm cannot see it.
    #[serde(rename = "listen queue")]
    pub listen_queue: u32,
    /// The most that ever waited.
    #[serde(rename = "max listen queue")]
    pub max_listen_queue: u32,
    /// The backlog's size (`listen.backlog`, cut to the system's `somaxconn`). 0 on a unix socket.
    #[serde(rename = "listen queue len")]
    pub listen_queue_len: u32,
    /// Workers without a connection.
    #[serde(rename = "idle processes")]
    pub idle: u32,
    /// Workers with one, the one that answers this question included unless `pm.status_listen` does.
    #[serde(rename = "active processes")]
    pub active: u32,
    /// Both.
    #[serde(rename = "total processes")]
    pub total: u32,
    /// The most that were ever active.
    #[serde(rename = "max active processes")]
    pub max_active: u32,
    /// How often it wanted more workers than `pm.max_children`; stays 0 with `pm = static`.
    #[serde(rename = "max children reached")]
    pub max_children_reached: u32,
    /// Requests slower than `request_slowlog_timeout`, if that is set.
    #[serde(rename = "slow requests")]
    pub slow_requests: u64,
}

/// php-fpm's `pm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessManager {
    /// A fixed number of workers.
    Static,
    /// Between `min_spare_servers` and `max_spare_servers` idle ones.
    Dynamic,
    /// None until a request comes; idle ones end after `process_idle_timeout`.
    Ondemand,
}

/// The reply is not php-fpm's status page in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not php-fpm's status page")]
pub struct NotAReport;

impl Report {
    /// Reads the body that `?json` or `?json&full` brings.
    ///
    /// # Errors
    /// When it is something else: `pm.status_path` is not set there, or is another one.
    pub fn parse(body: &[u8]) -> Result<Self, NotAReport> {
        serde_json::from_slice(body).map_err(|_| NotAReport)
    }
}

impl fmt::Display for ProcessManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::Ondemand => "ondemand",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As php-fpm 8.2 wrote it.
    const PAGE: &str = r#"{"pool":"www","process manager":"ondemand","start time":1795271442,"start since":1,"accepted conn":7,"listen queue":2,"max listen queue":3,"listen queue len":511,"idle processes":4,"active processes":1,"total processes":5,"max active processes":6,"max children reached":8,"slow requests":9"#;

    #[test]
    fn every_number_of_the_status_page_is_read() {
        let expected = Report {
            pm: ProcessManager::Ondemand,
            start_time: 1_795_271_442,
            accepted: 7,
            listen_queue: 2,
            max_listen_queue: 3,
            listen_queue_len: 511,
            idle: 4,
            active: 1,
            total: 5,
            max_active: 6,
            max_children_reached: 8,
            slow_requests: 9,
        };
        assert_eq!(Report::parse(format!("{PAGE}}}").as_bytes()), Ok(expected));
        let full = format!(r#"{PAGE}, "processes":[{{"pid":20693,"state":"Running"}}]}}"#);
        assert_eq!(Report::parse(full.as_bytes()), Ok(expected), "with ?full");
    }

    #[test]
    fn an_applications_page_is_no_report() {
        for page in ["", "pong", "<html>", "{}", "[]", PAGE, r#"{"process manager":"static"}"#] {
            assert_eq!(Report::parse(page.as_bytes()), Err(NotAReport), "{page}");
        }
    }
}
