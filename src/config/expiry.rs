//! `expires`: nginx's spelling of how long a reply may be kept, for all or by media types.

use std::sync::Arc;

use crate::route::{Expires, Expiry};

use super::compression;
use super::reader::Node;
use super::text::Text;

const HINT: &str = "\"30d\", \"-1\", \"modified +1h\", \"@15h30m\", \"epoch\", \"max\" or \"off\"";

const TYPES_HINT: &str = "expires = { \"text/css\" = \"max\", \"image/*\" = \"30d\", default = \"off\" }";

const DAY: u32 = 24 * 60 * 60;

/// One word for all replies, or a table of media types with a `default` for those that it does not name; `None`: nothing is told.
pub(super) fn read(node: Node<'_>) -> Option<Arc<Expiry>> {
    if !node.is_table() {
        let all = read_one(node)?;
        return Some(Arc::new(Expiry::new(Vec::new(), Some(all))));
    }
    let (mut by_type, mut rest) = (Vec::new(), None);
    for entry in node.table()?.entries() {
        let expires = read_one(entry);
        if entry.key() == "default" {
            rest = expires;
        } else if compression::is_media_pattern(entry.key()) {
            by_type.push((entry.key().to_owned(), expires));
        } else {
            entry.mistake_at_key(format_args!("'{}' is not a media type", entry.key()), TYPES_HINT);
        }
    }
    Some(Arc::new(Expiry::new(by_type, rest)))
}

/// nginx: `off`, `epoch`, `max`, or a time that may be negative, from now or from Last-Modified on, or a time of the day behind `@`.
fn read_one(expires: Node<'_>) -> Option<Expires> {
    if let Some(seconds) = expires.as_integer() {
        let seconds = i64::try_from(seconds).ok().filter(|seconds| seconds.abs() <= i64::from(i32::MAX));
        if seconds.is_none() {
            expires.mistake("too large", None);
        }
        return seconds.map(Expires::Seconds);
    }
    let text = expires.text_or(" such as \"30d\"")?;
    match text.value {
        "off" => None,
        "epoch" => Some(Expires::Epoch),
        "max" => Some(Expires::Max),
        daily if daily.starts_with('@') => {
            let second = read_span(&text, &daily[1..])?;
            let second = u32::try_from(second).ok().filter(|second| *second < DAY);
            if second.is_none() {
                text.mistake(format_args!("'{daily}' is no time of a day"), HINT);
            }
            second.map(Expires::Daily)
        }
        other => match other.strip_prefix("modified") {
            Some(span) if span.starts_with(' ') => read_span(&text, span.trim_start()).map(Expires::Modified),
            _ => read_span(&text, other).map(Expires::Seconds),
        },
    }
}

fn read_span(text: &Text<'_>, written: &str) -> Option<i64> {
    let (negative, time) = match written.strip_prefix('-') {
        Some(time) => (true, time),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    match super::units::duration(time) {
        Ok(time) => {
            let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            Some(if negative { -seconds } else { seconds })
        }
        Err(wrong) => {
            text.mistake(wrong.message, HINT);
            None
        }
    }
}
