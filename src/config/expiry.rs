//! `expires`: nginx's spelling of how long a reply may be kept.

use crate::route::Expires;

use super::reader::Node;
use super::text::Text;

const HINT: &str = "\"30d\", \"-1\", \"modified +1h\", \"@15h30m\", \"epoch\", \"max\" or \"off\"";

const DAY: u32 = 24 * 60 * 60;

/// nginx: `off`, `epoch`, `max`, or a time that may be negative, from now or from Last-Modified on, or a time of the day behind `@`.
pub(super) fn read(expires: Node<'_>) -> Option<Expires> {
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
