//! What goes wrong in a pool as a whole, counted and told now and then: retries, standstills and refusals.
//!
//! The counts are always right; the log has a line only from time to time, because trouble comes a thousand times a second.

use crate::balance::{Budget, Rarely};
use std::time::Duration;
use tokio::time::Instant;

/// How often the log says that the retry budget is spent.
const DENIED_EVERY: Duration = Duration::from_secs(10);
/// How often it says that nothing moves.
const STUCK_EVERY: Duration = Duration::from_secs(60);
/// How often it says that requests are refused at once.
const REFUSED_EVERY: Duration = Duration::from_secs(10);
/// A queue that is less patient than this would see standstills in every breath.
const LEAST_STANDSTILL: Duration = Duration::from_secs(1);

/// Requests that php-fpm had and that failed in a way that is safe to repeat, since the pool was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retries {
    /// They were sent again.
    pub made: u64,
    /// They were not, because the budget was spent.
    pub denied: u64,
}

#[derive(Debug)]
pub(crate) struct Troubles {
    budget: Budget,
    retries: Retries,
    denied: Rarely,
    standstills: u64,
    stuck: Rarely,
    refused: u64,
    unheard: Rarely,
}

/// What the log should say, once no lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// So many requests were not sent again since it was said last.
    Denied { requests: u64 },
    /// Somebody waited so long while these requests held every worker.
    Stuck { waited: Duration, in_flight: u32, waiting: usize },
    /// So many requests were refused since it was said last, with so many waiting.
    Refused { requests: u64, waiting: usize },
}

impl Troubles {
    /// `percent` of the requests may be sent again.
    pub(crate) fn new(percent: u32) -> Self {
        Self {
            budget: Budget::new(percent),
            retries: Retries::default(),
            denied: Rarely::every(DENIED_EVERY),
            standstills: 0,
            stuck: Rarely::every(STUCK_EVERY),
            refused: 0,
            unheard: Rarely::every(REFUSED_EVERY),
        }
    }

    /// Another share from now on; what was counted stays.
    pub(crate) fn set_budget(&mut self, percent: u32) {
        self.budget.set_percent(percent);
    }

    pub(crate) fn requested(&mut self, now: Instant) {
        self.budget.requested(now.into_std());
    }

    pub(crate) fn may_retry(&mut self, now: Instant) -> (bool, Option<News>) {
        if self.budget.may_retry(now.into_std()) {
            self.retries.made += 1;
            return (true, None);
        }
        self.retries.denied += 1;
        (false, self.denied.happened(now.into_std()).map(|requests| News::Denied { requests }))
    }

    /// Somebody waited since `asked` in vain, and nothing moved.
    pub(crate) fn stood_still(&mut self, asked: Instant, in_flight: u32, waiting: usize) -> Option<News> {
        let now = Instant::now();
        let waited = now - asked;
        if in_flight == 0 || waited < LEAST_STANDSTILL {
            return None;
        }
        self.standstills += 1;
        self.stuck.happened(now.into_std()).map(|_| News::Stuck { waited, in_flight, waiting })
    }

    /// A request was not let into the queue.
    pub(crate) fn refused_at_once(&mut self, waiting: usize, now: Instant) -> Option<News> {
        self.refused += 1;
        let requests = self.unheard.happened(now.into_std())?;
        Some(News::Refused { requests, waiting })
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn retries(&self) -> Retries {
        self.retries
    }

    pub(crate) fn standstills(&self) -> u64 {
        self.standstills
    }
}

impl News {
    pub(crate) fn tell(self, pool: &str) {
        match self {
            Self::Denied { requests } => tracing::warn!(
                pool,
                requests,
                "too many requests fail to send them all again: retry.budget is spent"
            ),
            Self::Refused { requests, waiting } => tracing::warn!(
                pool,
                requests,
                waiting,
                "more requests come than the pool can answer: those that the queue cannot serve in time are refused with 503"
            ),
            Self::Stuck { waited, in_flight, waiting } => tracing::warn!(
                pool,
                in_flight,
                waiting,
                "no worker got free in {} s: every worker has been busy with the same requests for that long; \
                 do scripts call their own site?",
                waited.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_standstill_is_said_once_a_minute_and_counted_each_time() {
        let mut troubles = Troubles::new(20);
        let mut said = 0;
        for _ in 0..100 {
            let asked = Instant::now();
            tokio::time::advance(Duration::from_secs(2)).await;
            said += troubles.stood_still(asked, 2, 5).iter().len();
        }
        assert_eq!((said, troubles.standstills()), (4, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn an_impatient_queue_and_an_empty_pool_do_not_stand_still() {
        let mut troubles = Troubles::new(20);
        let asked = Instant::now();
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(troubles.stood_still(asked, 2, 5), None);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(troubles.stood_still(asked, 0, 5), None);
        assert_eq!(troubles.standstills(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn denied_retries_are_said_at_most_every_ten_seconds_with_their_number() {
        let mut troubles = Troubles::new(0);
        let denied = |troubles: &mut Troubles| troubles.may_retry(Instant::now()).1;
        assert!((0..10).all(|_| troubles.may_retry(Instant::now()) == (true, None)));
        assert_eq!(denied(&mut troubles), Some(News::Denied { requests: 1 }));
        assert_eq!(denied(&mut troubles), None);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(denied(&mut troubles), None);
        assert_eq!(troubles.retries(), Retries { made: 10, denied: 3 });
    }
}
