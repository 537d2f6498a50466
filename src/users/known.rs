//! Credentials that were right a moment ago: a password is made to be costly to try, and a browser sends it with each request.
//!
//! What is kept is a hash under a key that lives in this process only, for five minutes, of name, password and the file's hash: a
//! password that was changed is another one. Whoever can read this process's memory could try passwords on it quickly; he could
//! as well read them as they arrive. Wrong passwords are never kept.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::guard::{Credentials, Hash};

/// As Apache's `mod_authn_socache`.
const MEMORY: Duration = Duration::from_secs(300);
/// More are not kept at once: some 64 KB.
const MOST: usize = 1024;

/// What was right, and until when it is believed.
pub(super) struct Known {
    key: [u8; 32],
    until: Mutex<HashMap<Token, Instant>>,
}

/// Stands for credentials.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token([u8; 32]);

impl Known {
    pub(super) fn new() -> Self {
        Self { key: rand::random(), until: Mutex::default() }
    }

    pub(super) fn token(&self, said: &Credentials, hash: &Hash) -> Token {
        let mut token = Sha256::new().chain_update(self.key);
        for part in [said.user.as_bytes(), &said.password, hash.written().as_bytes()] {
            // With their lengths, so that no two divisions of the same bytes are one.
            token.update((part.len() as u64).to_be_bytes());
            token.update(part);
        }
        Token(token.finalize().into())
    }

    pub(super) fn has(&self, token: &Token, now: Instant) -> bool {
        self.until.lock().get(token).is_some_and(|until| now < *until)
    }

    pub(super) fn keep(&self, token: Token, now: Instant) {
        let mut until = self.until.lock();
        if until.len() >= MOST {
            until.retain(|_, until| now < *until);
        }
        if until.len() >= MOST {
            until.clear();
        }
        until.insert(token, now + MEMORY);
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({})", self.until.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(user: &str, password: &str) -> Credentials {
        Credentials { user: user.to_owned(), password: password.into() }
    }

    fn hash(of: &str) -> Hash {
        Hash::parse(&format!("{{PLAIN}}{of}")).unwrap()
    }

    #[test]
    fn only_the_same_name_password_and_hash_are_known_and_not_for_long() {
        let (known, now) = (Known::new(), Instant::now());
        let right = known.token(&said("ab", "c"), &hash("c"));
        assert!(!known.has(&right, now));
        known.keep(right, now);
        assert!(known.has(&right, now + MEMORY / 2) && !known.has(&right, now + MEMORY));
        for (user, password, file) in [("a", "bc", "c"), ("ab", "", "c"), ("ab", "c", "d"), ("abc", "", "c")]
        {
            assert!(!known.has(&known.token(&said(user, password), &hash(file)), now), "{user}:{password}");
        }
        assert!(!known.has(&Known::new().token(&said("ab", "c"), &hash("c")), now), "another process");
    }

    #[test]
    fn it_keeps_a_bounded_number_and_forgets_the_old_ones_first() {
        let (known, now) = (Known::new(), Instant::now());
        let token = |number: usize| known.token(&said(&number.to_string(), ""), &hash(""));
        (0..MOST - 1).for_each(|number| known.keep(token(number), now));
        known.keep(token(MOST), now + MEMORY / 2);
        known.keep(token(MOST + 1), now + MEMORY);
        assert!(known.has(&token(MOST), now + MEMORY));
        assert_eq!(known.until.lock().len(), 2);
    }
}
