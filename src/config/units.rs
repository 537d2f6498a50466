//! Durations and sizes as people write them: `"500ms"`, `"1m30s"`, `"64k"`, `"8m"`.

use std::time::Duration;

/// Longer ones are typing errors, and adding one to a clock must never overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Larger ones do not fit a file's length.
const LARGEST: u64 = i64::MAX as u64;

/// Why a text is no duration or size: what is wrong, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAUnit {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
}

const DURATION_HINT: &str = r#"write a number and a unit: "500ms", "3s", "5m", "1h", "1d""#;
const SIZE_HINT: &str = r#"write a number and a unit: "64k", "8m", "1g""#;

/// `"500ms"`, `"3s"`, `"5m"`, `"1h"`, `"1d"`, or a sum of them; a bare number is seconds, as for nginx.
pub(super) fn duration(text: &str) -> Result<Duration, NotAUnit> {
    let wrong = |message| NotAUnit { message, hint: DURATION_HINT };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong("an empty text is no duration"));
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest).ok_or(wrong("not a duration"))?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let millis = match unit {
            "ms" => 1,
            "" if after.is_empty() => 1000,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(wrong("not a duration")),
            _ => return Err(wrong("not a unit of time")),
        };
        total = number.saturating_mul(millis).saturating_add(total);
        rest = after;
    }
    bounded(total)
}

/// A bare number in the file: seconds.
pub(super) fn seconds(number: u64) -> Result<Duration, NotAUnit> {
    bounded(number.saturating_mul(1000))
}

fn bounded(millis: u64) -> Result<Duration, NotAUnit> {
    let duration = Duration::from_millis(millis);
    match duration > LONGEST {
        true => Err(NotAUnit { message: "longer than a year", hint: DURATION_HINT }),
        false => Ok(duration),
    }
}

/// `"64k"`, `"8m"`, `"1g"`; a bare number is bytes. Powers of 1024, as for nginx and php.
pub(super) fn size(text: &str) -> Result<u64, NotAUnit> {
    let wrong = |message| NotAUnit { message, hint: SIZE_HINT };
    let (number, unit) = leading_number(text.trim()).ok_or(wrong("not a size"))?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err(wrong("not a unit of size")),
    };
    bytes(number.saturating_mul(1 << shift))
}

/// A bare number in the file: bytes.
pub(super) fn bytes(number: u64) -> Result<u64, NotAUnit> {
    match number > LARGEST {
        true => Err(NotAUnit { message: "too large", hint: SIZE_HINT }),
        false => Ok(number),
    }
}

/// A number too large for `u64` saturates: every bound above is far below.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    (!number.is_empty()).then(|| (number.parse().unwrap_or(u64::MAX), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("3s", 3_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("1m30s", 90_000),
            ("1m30", 90_000),
            ("45", 45_000),
            ("0s", 0),
            (" 1s ", 1_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in
            [("0", 0), ("10", 10), ("64k", 65_536), ("8M", 8 << 20), ("1g", 1 << 30), ("2kb", 2048)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_and_nothing_overflows() {
        for text in ["", "s", "1.5s", "-1s", "3 s", "3x", "367d", "99999999999999999999d", "٣s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "k", "1.5m", "-1", "1t", "9223372036854775808", "99999999999g"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
