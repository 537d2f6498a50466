//! A password file: a `user:hash` a line, as `htpasswd` and `openssl passwd` write it and nginx's `auth_basic_user_file` takes it.

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use super::Hash;

/// Who is known, and by which password.
#[derive(Clone, Default)]
pub struct Htpasswd {
    users: HashMap<String, Hash>,
    /// The most costly hash of all: it stands in for users who are not known.
    dearest: Option<Hash>,
}

/// A line that lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// What is wrong with it; no hash is in it.
    pub what: String,
    /// What makes it right.
    pub remedy: String,
}

impl Htpasswd {
    /// Reads a file's text, and all lines that are wrong: they let nobody in, and the others hold all the same.
    /// `name` is the file's, for the remedies.
    pub fn parse(text: &str, name: &str) -> (Self, Vec<BadLine>) {
        let (mut file, mut bad) = (Self::default(), Vec::new());
        for (index, line) in text.lines().enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err((what, remedy)) = file.take(line, name) {
                bad.push(BadLine { line: index + 1, what, remedy });
            }
        }
        file.dearest = file.users.values().max_by_key(|hash| hash.cost()).cloned();
        (file, bad)
    }

    fn take(&mut self, line: &str, name: &str) -> Result<(), (String, String)> {
        let Some((user, rest)) = line.split_once(':').filter(|(user, _)| !user.is_empty()) else {
            let remedy = format!("a line is user:hash; make one: htpasswd -B {name} USER");
            return Err(("no user and hash with a colon between them".to_owned(), remedy));
        };
        // nginx: a comment may follow.
        let hash = if rest.starts_with("{PLAIN}") { rest } else { rest.split(':').next().unwrap_or(rest) };
        let hash = Hash::parse(hash.trim_end()).map_err(|bad| {
            let what = format!("user '{}' has {bad}", user.escape_debug());
            (what, format!("make it anew: htpasswd -B {name} {}", user.escape_debug()))
        })?;
        // nginx: the first line of a user counts.
        self.users.entry(user.to_owned()).or_insert(hash);
        Ok(())
    }

    /// The hash to verify a password by, and whether that is the user's own. Another's stands in where the user is not known, so
    /// that the time does not tell who is; `None` where nobody is known at all.
    pub fn find(&self, user: &str) -> Option<(&Hash, bool)> {
        match self.users.get(user) {
            Some(hash) => Some((hash, true)),
            None => self.dearest.as_ref().map(|hash| (hash, false)),
        }
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htpasswd({} users)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "alice:{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=";
    const BOB: &str = "bob:$2y$04$3ssEak5VvyFCZ.snMcvsTeJLjOrpo5L3I93nweGKvZ7mXVa5Uk1v.";

    fn lets_in(file: &Htpasswd, user: &str) -> bool {
        file.find(user).is_some_and(|(hash, own)| hash.verify(b"open sesame") && own)
    }

    #[test]
    fn users_comments_empty_lines_and_both_ends_of_line_are_read() {
        let text = format!("# staff\n\n{ALICE}\r\n{BOB}:a comment\ncarl:{{PLAIN}}open sesame\n");
        let (file, bad) = Htpasswd::parse(&text, "f");
        assert!(bad.is_empty(), "{bad:?}");
        assert!(["alice", "bob", "carl"].iter().all(|user| lets_in(&file, user)));
        assert!(!lets_in(&file, "dave") && !lets_in(&file, ""));
    }

    #[test]
    fn a_wrong_line_is_told_with_its_remedy_and_lets_only_its_own_user_not_in() {
        let text = format!("{ALICE}\nbob:rqXexS6ZhobKA\njust words\n:x\nc\u{7}:secret\n");
        let (file, bad) = Htpasswd::parse(&text, "/etc/users");
        assert!(lets_in(&file, "alice") && !lets_in(&file, "bob"));
        let told: Vec<_> = bad.iter().map(|bad| format!("{bad} [{}]", bad.remedy)).collect();
        assert_eq!(
            told,
            [
                "line 2: user 'bob' has a DES hash, which is guessed in hours [make it anew: htpasswd -B /etc/users bob]",
                "line 3: no user and hash with a colon between them [a line is user:hash; make one: htpasswd -B /etc/users USER]",
                "line 4: no user and hash with a colon between them [a line is user:hash; make one: htpasswd -B /etc/users USER]",
                "line 5: user 'c\\u{7}' has no known kind of hash ($2y$, $apr1$, $5$, $6$, {SHA}, {SSHA}) [make it anew: htpasswd -B /etc/users c\\u{7}]",
            ]
        );
        assert!(!format!("{bad:?}").contains("secret"));
    }

    #[test]
    fn the_first_line_of_a_user_counts() {
        let (file, _) = Htpasswd::parse(&format!("{ALICE}\nalice:{{PLAIN}}other\n"), "f");
        assert!(lets_in(&file, "alice"));
    }

    #[test]
    fn the_dearest_hash_stands_in_for_users_who_are_not_known() {
        let (file, _) = Htpasswd::parse(&format!("{ALICE}\n{BOB}\n"), "f");
        let (hash, own) = file.find("mallory").unwrap();
        assert!(!own && !hash.is_cheap() && hash.verify(b"open sesame"));
        assert!(Htpasswd::default().find("mallory").is_none());
    }
}
