//! One password file: what its lines say now, and who may in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::hashing::{Busy, Hashing};
use super::known::Known;
use super::stamp::{self, Stamp};
use crate::balance::Rarely;
use crate::guard::{Credentials, Htpasswd};

/// A file that stays unreadable, or wrong, is not a line a request.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// A password file, and who was right of late.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    hashing: Arc<Hashing>,
    known: Known,
    read: Mutex<Option<(Arc<Htpasswd>, Stamp)>>,
    said: Mutex<Said>,
}

#[derive(Debug)]
struct Said {
    unreadable: Rarely,
    /// Of which state of the file the wrong lines were told.
    wrong: Option<String>,
}

/// What the file says of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Name and password are right.
    Granted,
    /// They are not.
    Denied,
    /// There is no such file: nobody may in.
    Missing,
    /// It cannot be read: nobody may in, and that is not the client's mistake.
    Unreadable,
    /// Too many passwords are being tried.
    Busy,
}

impl Users {
    /// Reads nothing yet.
    pub fn new(path: PathBuf, hashing: Arc<Hashing>) -> Self {
        let said = Said { unreadable: Rarely::every(SAID_EVERY), wrong: None };
        Self { path, hashing, known: Known::new(), read: Mutex::default(), said: Mutex::new(said) }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether somebody may in, by what the file says at this moment.
    pub async fn admit(&self, said: Option<&Credentials>) -> Entry {
        let file = match self.current() {
            Ok(file) => file,
            Err(error) => return self.unreadable(&error),
        };
        let Some(said) = said else { return Entry::Denied };
        let Some((hash, own)) = file.find(&said.user) else { return Entry::Denied };
        let token = (own && !hash.is_cheap()).then(|| self.known.token(said, hash));
        if token.is_some_and(|token| self.known.has(&token, Instant::now())) {
            return Entry::Granted;
        }
        match self.hashing.verify(hash, &said.password).await {
            Ok(true) if own => {
                token.into_iter().for_each(|token| self.known.keep(token, Instant::now()));
                Entry::Granted
            }
            Ok(_) => Entry::Denied,
            Err(Busy) => Entry::Busy,
        }
    }

    /// What the file says now; it is read again if it is another one than before.
    fn current(&self) -> io::Result<Arc<Htpasswd>> {
        let mut read = self.read.lock();
        if let Some((file, stamp)) = &*read
            && stamp.holds(&self.path)
        {
            return Ok(Arc::clone(file));
        }
        *read = None;
        let (text, stamp) = stamp::read(&self.path)?;
        let (file, wrong) = Htpasswd::parse(&text, &self.path.display().to_string());
        self.tell(
            &wrong.iter().map(|wrong| format!("{wrong} ({})", wrong.remedy)).collect::<Vec<_>>().join("; "),
        );
        let file = Arc::new(file);
        *read = Some((Arc::clone(&file), stamp));
        Ok(file)
    }

    fn tell(&self, wrong: &str) {
        let mut said = self.said.lock();
        if !wrong.is_empty() && said.wrong.as_deref() != Some(wrong) {
            tracing::error!("password file {}: {wrong}: such a line lets nobody in", self.path.display());
        }
        said.wrong = Some(wrong.to_owned());
    }

    fn unreadable(&self, error: &io::Error) -> Entry {
        if self.said.lock().unreadable.happened(Instant::now()).is_some() {
            tracing::error!(
                "password file {} cannot be read, so nobody is let in: {error}",
                self.path.display()
            );
        }
        if error.kind() == io::ErrorKind::NotFound { Entry::Missing } else { Entry::Unreadable }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    const COSTLY: &str = "bob:$2y$04$3ssEak5VvyFCZ.snMcvsTeJLjOrpo5L3I93nweGKvZ7mXVa5Uk1v.\n";

    fn said(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials { user: user.to_owned(), password: password.into() })
    }

    fn users(folder: &tempfile::TempDir, text: &str) -> Users {
        let path = folder.path().join("users");
        std::fs::write(&path, text).unwrap();
        Users::new(path, Arc::new(Hashing::new(1)))
    }

    #[tokio::test]
    async fn who_is_in_the_file_with_that_password_may_in() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(&folder, &format!("al:{{PLAIN}}a\n{COSTLY}"));
        for (who, expected) in [
            (said("al", "a"), Entry::Granted),
            (said("bob", "open sesame"), Entry::Granted),
            (said("bob", "open sesame"), Entry::Granted),
            (said("bob", "a"), Entry::Denied),
            (said("al", "open sesame"), Entry::Denied),
            (said("mallory", "open sesame"), Entry::Denied),
            (None, Entry::Denied),
        ] {
            assert_eq!(users.admit(who.as_ref()).await, expected, "{who:?}");
        }
    }

    #[tokio::test]
    async fn a_change_of_the_file_holds_for_the_next_request() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(&folder, COSTLY);
        let bob = said("bob", "open sesame");
        assert_eq!(users.admit(bob.as_ref()).await, Entry::Granted);
        std::fs::write(users.path(), "bob:{PLAIN}another\n").unwrap();
        assert_eq!(users.admit(bob.as_ref()).await, Entry::Denied, "also where he was known");
        assert_eq!(users.admit(said("bob", "another").as_ref()).await, Entry::Granted);
        std::fs::remove_file(users.path()).unwrap();
        assert_eq!(users.admit(said("bob", "another").as_ref()).await, Entry::Missing);
        std::fs::create_dir(users.path()).unwrap();
        assert_eq!(users.admit(None).await, Entry::Unreadable);
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_costs_as_much_as_one_that_somebody_has() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(&folder, &format!("al:{{PLAIN}}a\n{COSTLY}"));
        let _all_at_work = users.hashing.occupy();
        for (who, waits) in [(said("mallory", "x"), true), (said("bob", "x"), true), (said("al", "x"), false)]
        {
            let mut asked = Box::pin(users.admit(who.as_ref()));
            let pending = std::future::poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_pending())).await;
            assert_eq!(pending, waits, "{who:?}");
        }
    }
}
