//! Costly hashes are computed on threads of their own, few at once: whoever tries passwords gets half of the processors at most, and
//! no client waits behind a hash on the thread that serves it.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::guard::Hash;

/// So many wait for each one that is computed; more are turned away.
const WAITING: usize = 32;

/// The right to compute hashes.
#[derive(Debug)]
pub struct Hashing {
    at_work: Arc<Semaphore>,
    in_line: Arc<Semaphore>,
}

/// Too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

impl Hashing {
    /// For a machine with so many threads at work.
    pub fn new(threads: usize) -> Self {
        let at_once = (threads / 2).max(1);
        Self {
            at_work: Arc::new(Semaphore::new(at_once)),
            in_line: Arc::new(Semaphore::new(at_once * WAITING)),
        }
    }

    /// Whether this is the password.
    pub(super) async fn verify(&self, hash: &Hash, password: &[u8]) -> Result<bool, Busy> {
        if hash.is_cheap() {
            return Ok(hash.verify(password));
        }
        let in_line = Arc::clone(&self.in_line).try_acquire_owned().map_err(|_| Busy)?;
        let at_work = Arc::clone(&self.at_work).acquire_owned().await.map_err(|_| Busy)?;
        let (hash, password) = (hash.clone(), password.to_vec());
        // The rights go with it: it is computed to its end, also if the client leaves.
        let verified = spawn_blocking(move || {
            let fits = hash.verify(&password);
            drop((at_work, in_line));
            fits
        });
        verified.await.map_err(|_| Busy)
    }

    /// Nobody else is at work as long as this is held.
    #[cfg(test)]
    pub(super) fn occupy(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.at_work.available_permits()).unwrap();
        Arc::clone(&self.at_work).try_acquire_many_owned(all).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes about a millisecond.
    fn costly() -> Hash {
        Hash::parse("$2y$04$3ssEak5VvyFCZ.snMcvsTeJLjOrpo5L3I93nweGKvZ7mXVa5Uk1v.").unwrap()
    }

    #[tokio::test]
    async fn a_costly_hash_stops_nobody_and_a_crowd_is_turned_away() {
        let (hashing, hash) = (Arc::new(Hashing::new(2)), costly());
        // Or the first may be done before the last has come.
        let nobody = hashing.occupy();
        let try_one = |_| {
            let (hashing, hash) = (Arc::clone(&hashing), hash.clone());
            tokio::spawn(async move { hashing.verify(&hash, b"open sesame").await })
        };
        let tries: Vec<_> = (0..WAITING + 5).map(try_one).collect();
        while tries.iter().filter(|one| one.is_finished()).count() < 5 {
            tokio::task::yield_now().await;
        }
        drop(nobody);
        let mut seen = Vec::new();
        for one in tries {
            seen.push(one.await.unwrap());
        }
        assert_eq!(seen.iter().filter(|seen| **seen == Err(Busy)).count(), 5);
        assert_eq!(seen.iter().filter(|seen| **seen == Ok(true)).count(), WAITING);
        assert_eq!(hashing.verify(&hash, b"wrong").await, Ok(false), "they are free again");
    }

    #[tokio::test]
    async fn a_client_that_leaves_gives_its_place_back() {
        let (hashing, hash) = (Hashing::new(1), costly());
        for _ in 0..WAITING * 2 {
            let mut left = Box::pin(hashing.verify(&hash, b"x"));
            assert!(begins(&mut left).await);
        }
        while hashing.in_line.available_permits() < WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(hashing.verify(&hash, b"open sesame").await, Ok(true));
    }

    /// Polls once; whether it could begin or wait.
    async fn begins(future: &mut (impl Future<Output = Result<bool, Busy>> + Unpin)) -> bool {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(
                std::pin::Pin::new(&mut *future).poll(cx) != std::task::Poll::Ready(Err(Busy)),
            )
        })
        .await
    }
}
