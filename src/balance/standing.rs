//! A member's state as the operator reads it: the same text in the log, on a status page and in a test.

use super::health::{Event, Health};
use std::fmt;
use std::time::Duration;

/// A member's health together with its present work: what an operator reads, in the log as on the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub health: Health,
    /// Requests that it is answering.
    pub in_flight: u32,
    /// How long the oldest of its requests has waited for a worker, when it is reachable but all of them are busy.
    pub busy_for: Option<Duration>,
}

impl Standing {
    /// Every word that [`word`](Self::word) knows.
    pub const WORDS: [&str; 7] = ["ready", "busy", "suspect", "ejected", "probing", "draining", "down"];

    /// The state as one word, for programs (`state` in the API).
    pub fn word(&self) -> &'static str {
        match self.health {
            Health::Ready if self.busy_for.is_some() => "busy",
            Health::Ready => "ready",
            Health::Suspect { .. } => "suspect",
            Health::Ejected { .. } => "ejected",
            Health::Probing { .. } => "probing",
            Health::Draining => "draining",
            Health::Down => "down",
        }
    }
}

impl Standing {
    /// What stands in parentheses behind the word.
    pub fn reason(&self) -> Option<String> {
        match (self.health, self.busy_for) {
            (Health::Ready, Some(wait)) => Some(format!("no free worker for {}", Seconds(wait))),
            (Health::Ready, None) => None,
            (Health::Suspect { failures, of, answered, last, .. }, _) if failures >= of => {
                Some(format!("{failures} failures beside {answered} answers: {last}"))
            }
            (Health::Suspect { failures, of, last, .. }, _) => {
                Some(format!("{failures} of {of} failures: {last}"))
            }
            (Health::Ejected { reason, .. } | Health::Probing { reason, .. }, _) => Some(reason.to_string()),
            (Health::Draining, _) => Some(format!("{} in flight", self.in_flight)),
            (Health::Down, _) => Some("by hand".to_owned()),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        if let Health::Ejected { since, until, .. } = self.health {
            write!(f, " for {}", Seconds(until.saturating_duration_since(since)))?;
        }
        match (self.health, self.reason()) {
            // It was told when it was ejected.
            (Health::Probing { .. }, _) | (_, None) => Ok(()),
            (_, Some(reason)) => write!(f, " ({reason})"),
        }
    }
}

/// A duration in seconds with at most one decimal: `10 s`, `1.2 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.as_millis() + 50) / 100;
        match tenths % 10 {
            0 => write!(f, "{} s", tenths / 10),
            tenth => write!(f, "{}.{tenth} s", tenths / 10),
        }
    }
}

impl fmt::Display for Event {
    /// Why a state changed, beside what the state says itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded { .. } => "it answered a request",
            Self::Failed(_) | Self::FailedAmongOthers(_) => "it failed a request",
            Self::ProbeSent => "one request finds out whether it is back",
            Self::ProbeLost => "the request that was to find out ended before",
            Self::CheckPassed { .. } => "it passed its checks",
            Self::CheckFailed { .. } => "it failed its checks",
            Self::DoorOpened => "it accepts connections again",
            Self::Restarted => "php-fpm was restarted",
            Self::Drain | Self::TakenDown | Self::PutBack => "by hand",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(health: Health) -> Standing {
        Standing { health, in_flight: 3, busy_for: None }
    }

    #[test]
    fn each_state_has_one_word_and_its_reason() {
        assert_eq!(standing(Health::Ready).to_string(), "ready");
        assert_eq!(standing(Health::Draining).to_string(), "draining (3 in flight)");
        assert_eq!(standing(Health::Down).to_string(), "down (by hand)");
    }

    #[test]
    fn a_reachable_member_without_a_free_worker_is_busy_and_not_down() {
        let busy_for = Some(Duration::from_millis(1_234));
        let standing = Standing { health: Health::Ready, in_flight: 4, busy_for };
        assert_eq!(standing.to_string(), "busy (no free worker for 1.2 s)");
        assert_eq!(standing.word(), "busy");
    }

    #[test]
    fn seconds_have_a_decimal_only_where_they_need_it() {
        let text = |millis| Seconds(Duration::from_millis(millis)).to_string();
        assert_eq!([text(10_000), text(1_249), text(49), text(960)], ["10 s", "1.2 s", "0 s", "1 s"]);
    }
}
