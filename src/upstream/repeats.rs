//! Which failures of a pool the log has just heard of, so that an outage is not a line a request.
//!
//! The first few of a kind, of a member and a fault, are for whoever answers the request to say; the others are counted, and summed
//! up in one line every ten seconds for as long as they go on. The access log has every request, with its own error.

use super::outcome::{Fault, SendError};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// So many of a kind each have a line of their own.
const FEW: u32 = 5;
/// How often the log says how many more there were.
const EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<Vec<Heard>>>);

/// A kind of failure that the log has heard of.
#[derive(Debug)]
struct Heard {
    member: Option<Arc<str>>,
    fault: Fault,
    said: u32,
    /// Since it was said last how many there were.
    more: u64,
}

impl Heard {
    fn is_like(&self, error: &SendError) -> bool {
        let alike = match (self.fault, error.fault) {
            // A member may send any number of different ones.
            (Fault::Garbage(_), Fault::Garbage(_)) => true,
            (known, fault) => known == fault,
        };
        alike && self.member == error.member
    }
}

impl Repeats {
    /// Whether the log has heard of one like it and will hear their number: then nobody needs to say it.
    ///
    /// Must be called within a tokio runtime.
    pub(crate) fn takes(&self, error: &SendError, pool: &Arc<str>) -> bool {
        let mut heard = self.0.lock();
        if let Some(known) = heard.iter_mut().find(|known| known.is_like(error)) {
            let enough = known.said >= FEW;
            known.said += u32::from(!enough);
            known.more += u64::from(enough);
            return enough;
        }
        heard.push(Heard { member: error.member.clone(), fault: error.fault, said: 1, more: 0 });
        drop(heard);
        tokio::spawn(self.clone().sum_up(error.clone(), Arc::clone(pool)));
        false
    }

    async fn sum_up(self, error: SendError, pool: Arc<str>) {
        loop {
            sleep(EVERY).await;
            let requests = self.more_like(&error);
            if requests == 0 {
                return;
            }
            tracing::error!(pool = &*pool, requests, "more in the last {} s: {error}", EVERY.as_secs());
        }
    }

    /// How many there were since it was said last. If there was none, the next is news.
    fn more_like(&self, error: &SendError) -> u64 {
        let mut heard = self.0.lock();
        let Some(place) = heard.iter().position(|known| known.is_like(error)) else { return 0 };
        let more = std::mem::take(&mut heard[place].more);
        if more == 0 {
            heard.swap_remove(place);
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Failure;
    use crate::fcgi::Violation;

    fn error(member: &str, fault: Fault) -> SendError {
        SendError { fault, member: Some(member.into()), retry_after: None, queued: None, repeated: false }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_are_news_and_the_others_are_counted() {
        let repeats = Repeats::default();
        let pool: Arc<str> = "php".into();
        let refused = error("a", Fault::Connect(Failure::Refused));
        for number in 0..1_000 {
            assert_eq!(repeats.takes(&refused, &pool), number >= FEW);
        }
        for another in [
            error("b", Fault::Connect(Failure::Refused)),
            error("a", Fault::Connect(Failure::ConnectTimeout)),
            error("a", Fault::ClosedEarly),
        ] {
            assert!(!repeats.takes(&another, &pool), "{another}");
        }
        let more = |error: &SendError| {
            let heard = repeats.0.lock();
            heard.iter().find(|known| known.is_like(error)).map(|known| known.more)
        };
        assert_eq!(more(&refused), Some(995));
        sleep(EVERY + Duration::from_secs(1)).await;
        assert_eq!((more(&refused), more(&error("a", Fault::ClosedEarly))), (Some(0), None));
        assert!(repeats.takes(&refused, &pool), "the outage goes on");
        sleep(2 * EVERY).await;
        assert!(!repeats.takes(&refused, &pool), "another one begins");
    }

    #[tokio::test(start_paused = true)]
    async fn garbage_of_any_number_of_kinds_is_one_kind() {
        let repeats = Repeats::default();
        for version in 2..200 {
            repeats.takes(&error("a", Fault::Garbage(Violation::Version(version))), &"php".into());
        }
        assert_eq!(repeats.0.lock().len(), 1);
    }
}
