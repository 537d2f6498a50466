//! A word that only those may know who are told: it prints as nothing, and is compared in the same time whatever is wrong.

use std::fmt;

use subtle::ConstantTimeEq;

/// A secret word.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a word to itself.
    pub fn new(word: String) -> Self {
        Self(word)
    }

    /// The word, for whoever is to be shown it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether somebody knows it. How long the comparison takes tells the length at most.
    pub fn is(&self, said: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(said).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_knows_itself_and_is_never_printed() {
        let secret = Secret::new("open sesame".to_owned());
        assert!(secret.is(b"open sesame"));
        for wrong in [&b"open sesam"[..], b"open sesamE", b"open sesame ", b""] {
            assert!(!secret.is(wrong));
        }
        assert_eq!(format!("{secret:?}"), "(secret)");
    }
}
