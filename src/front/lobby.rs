//! Who is here, and who of them is idle: so that a newcomer is served as long as somebody else has nothing to say.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Whoever has said nothing for as long may be asked to leave. A newcomer's first bytes are here by then.
const RIPE: Duration = Duration::from_secs(1);
/// Nobody says that he is ripe, so those who wait for room look again.
const LOOK: Duration = Duration::from_millis(50);

/// All clients of the process.
#[derive(Debug)]
pub struct Lobby {
    present: AtomicUsize,
    most: AtomicUsize,
    idle: Mutex<Idle>,
    /// Somebody has left.
    room: Notify,
}

/// The idle ones, in the order in which they became so.
#[derive(Debug, Default)]
struct Idle {
    next: u64,
    seats: BTreeMap<u64, (Instant, Waker)>,
    /// Whose seats were taken, and who are on their way out.
    leaving: usize,
}

/// A client, counted as long as it is here.
#[derive(Debug)]
pub struct Presence(Arc<Lobby>);

/// An idle client's place, which it may be asked to give up.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    lobby: &'a Lobby,
    number: u64,
}

impl Lobby {
    /// For so many clients.
    pub fn new(most: usize) -> Self {
        let (present, most) = (AtomicUsize::new(0), AtomicUsize::new(most));
        Self { present, most, idle: Mutex::default(), room: Notify::new() }
    }

    /// From now on for so many.
    pub fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// One more is here.
    pub fn enters(self: &Arc<Self>) -> Presence {
        self.present.fetch_add(1, Ordering::Relaxed);
        Presence(Arc::clone(self))
    }

    /// Returns when no more are here than there should be. Who has been idle for the longest time leaves; where nobody is idle,
    /// somebody has to finish first, and newcomers wait in the backlog.
    pub async fn has_room(&self) {
        while self.is_crowded() {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if self.is_crowded() {
                if !self.will_have_room() {
                    self.dismisses_the_oldest();
                }
                drop(timeout(LOOK, room).await);
            }
        }
    }

    fn is_crowded(&self) -> bool {
        self.present.load(Ordering::Relaxed) > self.most.load(Ordering::Relaxed)
    }

    /// When those have gone who are leaving, which takes them a moment on a busy machine.
    fn will_have_room(&self) -> bool {
        let leaving = self.idle.lock().leaving;
        self.present.load(Ordering::Relaxed).saturating_sub(leaving) <= self.most.load(Ordering::Relaxed)
    }

    /// Makes the client leave that has been idle for the longest time, if it has been for a while. Whether there was one.
    pub fn dismisses_the_oldest(&self) -> bool {
        let mut idle = self.idle.lock();
        let Some(oldest) = idle.seats.first_entry() else { return false };
        let is_ripe = oldest.get().0.elapsed() >= RIPE;
        if is_ripe {
            oldest.remove().1.wake();
            idle.leaving += 1;
        }
        is_ripe
    }

    /// What a client says before its first request, as long as nobody needs its place: `None`, it has to leave. It counts from the
    /// beginning, so a byte now and then buys no time.
    pub(super) async fn hears_out<T>(&self, greeting: impl Future<Output = T>) -> Option<T> {
        let mut greeting = pin!(greeting);
        let mut seat = None;
        poll_fn(|cx| {
            if let Poll::Ready(said) = greeting.as_mut().poll(cx) {
                return Poll::Ready(Some(said));
            }
            match seat.get_or_insert_with(|| self.sits(cx.waker().clone())).is_gone() {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// An idle client waits here; `waker` lets it look at its seat again.
    pub(super) fn sits(&self, waker: Waker) -> Seat<'_> {
        let since = Instant::now();
        let mut idle = self.idle.lock();
        let number = idle.next;
        idle.next += 1;
        idle.seats.insert(number, (since, waker));
        Seat { lobby: self, number }
    }
}

impl Seat<'_> {
    /// Whether it was taken away.
    pub(super) fn is_gone(&self) -> bool {
        !self.lobby.idle.lock().seats.contains_key(&self.number)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut idle = self.lobby.idle.lock();
        if idle.seats.remove(&self.number).is_none() {
            idle.leaving -= 1;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
        self.0.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_been_idle_for_the_longest_time_leaves_first() {
        let lobby = Lobby::new(2);
        let first = lobby.sits(Waker::noop().clone());
        tokio::time::advance(RIPE).await;
        let second = lobby.sits(Waker::noop().clone());
        assert!(lobby.dismisses_the_oldest());
        assert!(first.is_gone() && !second.is_gone());
        assert!(!lobby.dismisses_the_oldest(), "the second has just come");
        tokio::time::advance(RIPE).await;
        assert!(lobby.dismisses_the_oldest() && second.is_gone());
        assert!(!lobby.dismisses_the_oldest(), "nobody is left");
    }

    #[tokio::test(start_paused = true)]
    async fn who_speaks_again_keeps_its_place() {
        let lobby = Lobby::new(1);
        drop(lobby.sits(Waker::noop().clone()));
        tokio::time::advance(RIPE).await;
        assert!(!lobby.dismisses_the_oldest());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_leave_than_have_to_however_long_it_takes_them() {
        let lobby = Arc::new(Lobby::new(2));
        let clients: Vec<_> = (0..3).map(|_| (lobby.sits(Waker::noop().clone()), lobby.enters())).collect();
        tokio::time::advance(RIPE).await;
        assert!(timeout(10 * LOOK, lobby.has_room()).await.is_err(), "nobody has gone yet");
        assert_eq!(clients.iter().filter(|(seat, _)| seat.is_gone()).count(), 1);
        drop(clients);
        lobby.has_room().await;
        assert!(lobby.will_have_room() && lobby.idle.lock().leaving == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_still_greeting_leaves_like_the_idle_ones() {
        let lobby = Arc::new(Lobby::new(1));
        let greets = tokio::spawn({
            let lobby = Arc::clone(&lobby);
            let greeting = std::future::pending::<()>();
            async move { lobby.hears_out(greeting).await }
        });
        tokio::time::sleep(RIPE).await;
        assert!(!greets.is_finished() && lobby.dismisses_the_oldest());
        assert_eq!(greets.await.expect("no panic"), None);
        assert_eq!(lobby.hears_out(async { 7 }).await, Some(7));
        assert!(!lobby.dismisses_the_oldest(), "who was heard out gives the seat back");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_when_somebody_has_left_and_not_before() {
        let lobby = Arc::new(Lobby::new(1));
        let first = lobby.enters();
        lobby.has_room().await;
        let _second = lobby.enters();
        let waits = tokio::spawn({
            let lobby = Arc::clone(&lobby);
            async move { lobby.has_room().await }
        });
        tokio::time::sleep(10 * LOOK).await;
        assert!(!waits.is_finished());
        drop(first);
        waits.await.expect("there is room");
        let _third = lobby.enters();
        lobby.set_most(2);
        lobby.has_room().await;
    }
}
