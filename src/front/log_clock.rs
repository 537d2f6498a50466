//! The time as a log's lines write it. A thread asks the calendar once a second.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, tz::TimeZone};

use crate::config::model::LogFormat;

/// What is the same for all lines of a second: what stands before the milliseconds, and what behind.
#[derive(Debug)]
struct Second {
    since_epoch: u64,
    format: LogFormat,
    before: String,
    behind: Option<String>,
}

/// Now, in the machine's time zone.
pub(super) fn now(format: LogFormat) -> String {
    thread_local! {
        static LATEST: RefCell<Option<Second>> = const { RefCell::new(None) };
    }
    // A clock before 1970 is not set.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LATEST.with_borrow_mut(|latest| {
        let is_it = |second: &Second| second.since_epoch == now.as_secs() && second.format == format;
        if !latest.as_ref().is_some_and(is_it) {
            *latest = None;
        }
        latest.get_or_insert_with(|| Second::new(now.as_secs(), format)).at(now.subsec_millis())
    })
}

impl Second {
    fn new(since_epoch: u64, format: LogFormat) -> Self {
        let (before, behind) = match format {
            LogFormat::Combined => ("%d/%b/%Y:%H:%M:%S %z", None),
            LogFormat::Json | LogFormat::Logfmt => ("%Y-%m-%dT%H:%M:%S", Some("%:z")),
            LogFormat::Short => ("%H:%M:%S", None),
        };
        let second = Timestamp::from_second(since_epoch.cast_signed()).unwrap_or_default();
        let zoned = second.to_zoned(TimeZone::system());
        let say = |pattern: &str| zoned.strftime(pattern).to_string();
        Self { since_epoch, format, before: say(before), behind: behind.map(say) }
    }

    fn at(&self, millis: u32) -> String {
        match &self.behind {
            Some(behind) => format!("{}.{millis:03}{behind}", self.before),
            None => self.before.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_calendar_says() {
        for (format, pattern) in [
            (LogFormat::Combined, "%d/%b/%Y:%H:%M:%S %z"),
            (LogFormat::Json, "%Y-%m-%dT%H:%M:%S.007%:z"),
            (LogFormat::Short, "%H:%M:%S"),
        ] {
            let zoned = Timestamp::from_second(1_763_800_000).unwrap().to_zoned(TimeZone::system());
            assert_eq!(Second::new(1_763_800_000, format).at(7), zoned.strftime(pattern).to_string());
        }
    }

    #[test]
    fn a_line_has_the_time_of_its_own_second_and_format() {
        let (combined, json) = (now(LogFormat::Combined), now(LogFormat::Json));
        assert!(combined.contains('/') && json.contains('T'), "{combined} {json}");
        let before = Timestamp::now();
        let said: Timestamp = now(LogFormat::Json).parse().unwrap();
        assert!(said.as_millisecond() >= before.as_millisecond());
    }
}
