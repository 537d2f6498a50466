//! Takes a reply from php-fpm as fast as it comes and keeps it for the reader, so that the worker is free as soon as the
//! script has ended.

use super::buffers::Buffers;
use super::outcome::Fault;
use super::spool::Spool;
use super::talk::{Said, Talk};
use bytes::Bytes;
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

/// What the pumping task and the reader share.
#[derive(Debug)]
pub(crate) struct Pump(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    spool: Spool,
    ended: Option<Result<Instant, Fault>>,
    wants: Wants,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The reader had its turn since it took something.
    gave_way: bool,
}

/// What the reader wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    More,
    /// It has all that it was promised.
    NoMore,
    /// It left in the middle.
    Nothing,
}

/// How far the pump came.
enum Pumped {
    All,
    /// As far as anybody wanted.
    Enough,
}

impl Pump {
    pub(crate) fn start(talk: Box<Talk>, buffers: &Buffers) -> Arc<Self> {
        let pump = Arc::new(Self::new(buffers));
        tokio::spawn(run(Arc::clone(&pump), talk));
        pump
    }

    fn new(buffers: &Buffers) -> Self {
        Self(Mutex::new(Shared {
            spool: Spool::new(buffers),
            ended: None,
            wants: Wants::More,
            reader: None,
            writer: None,
            gave_way: false,
        }))
    }

    /// Reads a reply to its end for nobody, so that the script is not cancelled and the connection stays usable.
    pub(crate) fn drain(mut talk: Box<Talk>) {
        // Where the runtime is gone already, dropping the talk is all that is left to do.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // A script that says more and more would never be silent for too long.
            let enough = talk.longest_silence();
            if let Ok(Ok(())) = timeout(enough, poll_fn(|cx| poll_drain(&mut talk, cx))).await {
                talk.finish();
            }
        });
    }

    /// What comes next for the reader; `None` after a clean end.
    pub(crate) fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Fault>> {
        let shared = &mut *self.0.lock();
        let chunk = shared.spool.pop().map_err(|_| Fault::TempFile)?;
        if chunk.is_some() {
            shared.gave_way = false;
            wake(&mut shared.writer);
            return Poll::Ready(Ok(chunk));
        }
        match shared.ended {
            Some(Ok(_)) => Poll::Ready(Ok(None)),
            Some(Err(fault)) => Poll::Ready(Err(fault)),
            None => {
                shared.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// When the script had ended and its worker was free.
    pub(crate) fn ended_at(&self) -> Option<Instant> {
        self.0.lock().ended.and_then(Result::ok)
    }

    /// The client is gone: the script is cancelled, unless what the client has is `complete`.
    pub(crate) fn reader_left(&self, complete: bool) {
        let mut shared = self.0.lock();
        shared.wants = if complete { Wants::NoMore } else { Wants::Nothing };
        wake(&mut shared.writer);
    }

    /// What the reader wants, when there is room for it: pending while it is too far behind.
    fn poll_wants(&self, cx: &mut Context<'_>) -> Poll<Wants> {
        let shared = &mut *self.0.lock();
        // Also while php-fpm is waited for: the leaving of the reader must wake the pump.
        shared.writer = Some(cx.waker().clone());
        match shared.wants {
            Wants::More if !shared.spool.has_room() => Poll::Pending,
            // A fast reader on this very thread would be found slow by a writer who never lets it run.
            Wants::More if !shared.gave_way && shared.spool.is_behind() => {
                shared.gave_way = true;
                pin!(yield_now()).poll(cx).map(|()| Wants::More)
            }
            wants => Poll::Ready(wants),
        }
    }

    fn push(&self, bytes: Bytes) {
        let mut shared = self.0.lock();
        shared.spool.push(bytes);
        wake(&mut shared.reader);
    }

    fn end(&self, result: Result<Instant, Fault>) {
        let mut shared = self.0.lock();
        shared.ended.get_or_insert(result);
        wake(&mut shared.reader);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

async fn run(pump: Arc<Pump>, mut talk: Box<Talk>) {
    let reader = Abandoned(pump);
    let result = poll_fn(|cx| poll_run(&reader.0, &mut talk, cx)).await;
    reader.0.end(match result {
        Ok(Pumped::All) => {
            talk.finish();
            Ok(Instant::now())
        }
        Ok(Pumped::Enough) => {
            Pump::drain(talk);
            Ok(Instant::now())
        }
        Err(fault) => {
            drop(talk.fail(fault));
            Err(fault)
        }
    });
}

/// Tells the reader when the task ends in another way than by running to its end.
struct Abandoned(Arc<Pump>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.end(Err(Fault::Truncated));
    }
}

fn poll_drain(talk: &mut Talk, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
    loop {
        if let Said::End = ready!(talk.poll_next(cx))? {
            return Poll::Ready(Ok(()));
        }
    }
}

fn poll_run(pump: &Pump, talk: &mut Talk, cx: &mut Context<'_>) -> Poll<Result<Pumped, Fault>> {
    loop {
        match ready!(pump.poll_wants(cx)) {
            Wants::More => {}
            Wants::NoMore => return Poll::Ready(Ok(Pumped::Enough)),
            Wants::Nothing => return Poll::Ready(Err(Fault::Truncated)),
        }
        match ready!(talk.poll_next(cx))? {
            Said::Body(bytes) => pump.push(bytes),
            Said::Head(_) | Said::End => return Poll::Ready(Ok(Pumped::All)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_reader_who_is_behind_has_its_turn_before_more_is_fetched_and_one_who_takes_nothing_stops_nobody() {
        let (pump, woken) = (Pump::new(&Buffers::default()), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let cx = &mut Context::from_waker(&waker);
        let mut turns = || (pump.poll_wants(cx), woken.0.swap(0, Ordering::Relaxed));
        for _ in 0..4 {
            assert_eq!(turns(), (Poll::Ready(Wants::More), 0));
            pump.push(Bytes::from(vec![b'x'; 60_000]));
        }
        for _ in 0..3 {
            assert_eq!(turns(), (Poll::Pending, 1), "nobody else would wake it");
            assert_eq!(turns(), (Poll::Ready(Wants::More), 0));
            pump.push(Bytes::from(vec![b'x'; 60_000]));
            assert_eq!(turns(), (Poll::Ready(Wants::More), 0), "it had its turn, and took nothing");
            let reader = &mut Context::from_waker(Waker::noop());
            assert!(pump.poll_chunk(reader).is_ready());
            woken.0.store(0, Ordering::Relaxed);
        }
    }
}
