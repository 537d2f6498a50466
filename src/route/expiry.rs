//! `expires`: how long a reply may be kept, for all or by their Content-Type. What a client is told of it is `front/headers`'.

use std::fmt;

use http::HeaderValue;

use super::compression::{essence, fits};

/// nginx's `expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expires {
    /// `Cache-Control: no-cache` and a date in the past.
    Epoch,
    /// Far in the future.
    Max,
    /// This many seconds from now; negative: already stale, `no-cache`.
    Seconds(i64),
    /// This many seconds from Last-Modified on; from now, where a reply has none.
    Modified(i64),
    /// At this second of the day, by the machine's time zone, wherever it comes next.
    Daily(u32),
}

/// `expires` of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Media types, each with at most one `*`; those without one come first. `None`: not told.
    by_type: Vec<(String, Option<Expires>)>,
    /// Of all others.
    rest: Option<Expires>,
}

impl Expiry {
    /// The first pattern that fits decides, after a type that is named in full, as in nginx's `map`.
    #[must_use]
    pub fn new(mut by_type: Vec<(String, Option<Expires>)>, rest: Option<Expires>) -> Self {
        by_type.sort_by_key(|(media, _)| media.contains('*'));
        Self { by_type, rest }
    }

    /// Of a reply with this Content-Type, whatever its parameters.
    #[must_use]
    pub fn of(&self, content_type: Option<&HeaderValue>) -> Option<Expires> {
        if self.by_type.is_empty() {
            return self.rest;
        }
        let media = content_type.map_or(&b""[..], essence);
        let found = self.by_type.iter().find(|(pattern, _)| fits(media, pattern.as_bytes()));
        found.map_or(self.rest, |(_, expires)| *expires)
    }
}

/// As `explain` says it: `max`, or `text/css max, image/* 30d, else off`.
impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (media, expires) in &self.by_type {
            write!(f, "{media} {}, ", Told(*expires))?;
        }
        let rest = if self.by_type.is_empty() { "" } else { "else " };
        write!(f, "{rest}{}", Told(self.rest))
    }
}

struct Told(Option<Expires>);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(Expires::Epoch) => f.write_str("epoch"),
            Some(Expires::Max) => f.write_str("max"),
            Some(Expires::Seconds(seconds)) => write_span(f, seconds),
            Some(Expires::Modified(seconds)) => {
                f.write_str("modified ")?;
                write_span(f, seconds)
            }
            Some(Expires::Daily(second)) => {
                write!(f, "@{}h{}m{}s", second / 3600, second / 60 % 60, second % 60)
            }
        }
    }
}

fn write_span(f: &mut fmt::Formatter<'_>, seconds: i64) -> fmt::Result {
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    let whole = units.into_iter().find(|(unit, _)| seconds != 0 && seconds % unit == 0);
    let (unit, name) = whole.unwrap_or((1, "s"));
    write!(f, "{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_type() -> Expiry {
        let day = Some(Expires::Seconds(86_400));
        let by_type = [
            ("text/*", day),
            ("*", Some(Expires::Epoch)),
            ("text/css", Some(Expires::Max)),
            ("text/html", None),
        ];
        Expiry::new(by_type.map(|(media, expires)| (media.to_owned(), expires)).to_vec(), None)
    }

    #[test]
    fn a_type_in_full_comes_before_patterns_and_those_in_their_order() {
        for (content_type, expires) in [
            (Some("text/css"), Some(Expires::Max)),
            (Some("Text/CSS; charset=utf-8"), Some(Expires::Max)),
            (Some("text/html"), None),
            (Some("text/plain"), Some(Expires::Seconds(86_400))),
            (Some("image/png"), Some(Expires::Epoch)),
        ] {
            let header = content_type.map(HeaderValue::from_static);
            assert_eq!(by_type().of(header.as_ref()), expires, "{content_type:?}");
        }
    }

    #[test]
    fn a_reply_without_a_type_is_one_of_the_others() {
        let pictures = Expiry::new(vec![("image/*".to_owned(), Some(Expires::Max))], Some(Expires::Epoch));
        assert_eq!(pictures.of(None), Some(Expires::Epoch));
        assert_eq!(Expiry::new(Vec::new(), Some(Expires::Max)).of(None), Some(Expires::Max));
    }

    #[test]
    fn it_is_said_in_the_words_that_it_is_written_in() {
        assert_eq!(by_type().to_string(), "text/css max, text/html off, text/* 1d, * epoch, else off");
        for (expires, text) in [
            (Expires::Seconds(5_400), "90m"),
            (Expires::Seconds(-1), "-1s"),
            (Expires::Seconds(0), "0s"),
            (Expires::Modified(7_200), "modified 2h"),
            (Expires::Daily(55_800), "@15h30m0s"),
        ] {
            assert_eq!(Expiry::new(Vec::new(), Some(expires)).to_string(), text);
        }
    }
}
