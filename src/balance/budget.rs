//! How many retries a pool may make: so that they never multiply an outage.
//!
//! A share of the requests of the last ten seconds, and a small reserve, so that a quiet site can retry at all. Counted are
//! the retries of requests that php-fpm had already, because only these make its work more (`Seen::is_work_again`).
//! A refused connection and the replacement of a stale one are free: nothing ran, and php-fpm closes kept connections
//! in its normal life (fpm-facts 17). Envoy's and Linkerd's retry budgets are of the same kind.

use std::time::Instant;

/// The window, in seconds.
const WINDOW: usize = 10;
/// Retries that need no requests to go by.
const RESERVE: u64 = 10;

/// What a pool has requested and retried lately.
#[derive(Debug)]
pub struct Budget {
    percent: u32,
    began: Option<Instant>,
    seconds: [Second; WINDOW],
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    number: u64,
    requests: u64,
    retries: u64,
}

impl Budget {
    /// Retries of at most `percent` of the requests, and the reserve.
    pub fn new(percent: u32) -> Self {
        Self { percent, began: None, seconds: [Second::default(); WINDOW] }
    }

    /// Another share from now on, of the same requests.
    pub fn set_percent(&mut self, percent: u32) {
        self.percent = percent;
    }

    /// A request has come.
    pub fn requested(&mut self, now: Instant) {
        self.second(now).requests += 1;
    }

    /// May it be sent again? A yes is spent.
    pub fn may_retry(&mut self, now: Instant) -> bool {
        let present = self.second(now).number;
        let recent = self.seconds.iter().filter(|second| second.number + WINDOW as u64 > present);
        let (requests, retries) = recent.fold((0, 0), |(requests, retries), second| {
            (requests + second.requests, retries + second.retries)
        });
        let allowed = retries < RESERVE + requests * u64::from(self.percent) / 100;
        if allowed {
            self.second(now).retries += 1;
        }
        allowed
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let began = *self.began.get_or_insert(now);
        // From 1: 0 is a second that has never been.
        let number = now.saturating_duration_since(began).as_secs() + 1;
        let second = &mut self.seconds[(number % WINDOW as u64) as usize];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn spend(budget: &mut Budget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.may_retry(now)).count()
    }

    #[test]
    fn a_quiet_pool_has_a_reserve() {
        let now = Instant::now();
        let mut budget = Budget::new(20);
        assert_eq!(spend(&mut budget, now), 10);
        assert_eq!(spend(&mut budget, now + 9 * SECOND), 0);
        assert_eq!(spend(&mut budget, now + 10 * SECOND), 10, "and it is there again");
    }

    #[test]
    fn retries_are_a_fifth_of_the_requests_of_the_last_ten_seconds() {
        let now = Instant::now();
        let mut budget = Budget::new(20);
        for tick in 0..1_000 {
            budget.requested(now + tick * SECOND / 100);
        }
        let end = now + 999 * SECOND / 100;
        assert_eq!(spend(&mut budget, end), 210);
        assert_eq!(spend(&mut budget, end + 5 * SECOND), 0);
        assert_eq!(spend(&mut budget, end + 60 * SECOND), 10, "long ago is forgotten");
    }

    #[test]
    fn in_an_outage_the_load_grows_by_no_more_than_that() {
        let now = Instant::now();
        let mut budget = Budget::new(20);
        let mut retries = 0_u32;
        for request in 0..60_000 {
            let at = now + request * SECOND / 1_000;
            budget.requested(at);
            retries += u32::from(budget.may_retry(at));
        }
        assert!((11_000..12_100).contains(&retries), "{retries} retries of 60,000 requests that all failed");
    }
}
