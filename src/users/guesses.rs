//! Wrong passwords in the log: a line a second for each client, with how often it tried. Whoever guesses a thousand times a second
//! fills no disk, and whatever watches the log still sees who it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::balance::Rarely;

const EVERY: Duration = Duration::from_secs(1);
/// As many clients are told apart; when there are more, all are forgotten, at most once in that time.
const MOST: usize = 1024;

/// Who has been wrong of late.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clients: HashMap<Box<str>, Rarely>,
    forgotten: Option<Instant>,
}

impl Guesses {
    /// This client was wrong. If it is time to say so: how often it was since that was said last.
    pub fn wrong(&self, client: &str, now: Instant) -> Option<u64> {
        let mut inner = self.0.lock();
        if let Some(known) = inner.clients.get_mut(client) {
            return known.happened(now);
        }
        if inner.clients.len() >= MOST {
            if inner.forgotten.is_some_and(|then| now.saturating_duration_since(then) < EVERY) {
                return None;
            }
            (inner.clients, inner.forgotten) = (HashMap::new(), Some(now));
        }
        let mut client_of_now = Rarely::every(EVERY);
        let told = client_of_now.happened(now);
        inner.clients.insert(client.into(), client_of_now);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_told_once_a_second_with_how_often_it_was_wrong() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let told: Vec<_> = (0..10).filter_map(|_| guesses.wrong("192.0.2.1", now)).collect();
        assert_eq!(told, [1]);
        assert_eq!(guesses.wrong("192.0.2.2", now), Some(1), "another client");
        assert_eq!(guesses.wrong("192.0.2.1", now + EVERY), Some(10));
    }

    #[test]
    fn many_clients_cost_bounded_memory_and_lines() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let lines = (0..10 * MOST).filter(|client| guesses.wrong(&client.to_string(), now).is_some()).count();
        assert_eq!(lines, 2 * MOST);
        assert!(guesses.0.lock().clients.len() <= MOST);
        assert_eq!(guesses.wrong("another", now + EVERY), Some(1), "and later it is heard again");
    }
}
