//! Takes a reply from php-fpm as fast as it comes and keeps it for the reader, so that the worker is free as soon as the
//! script has ended.

use super::outcome::Fault;
use super::spool::Spool;
use super::talk::{Said, Talk};
use bytes::Bytes;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::time::Instant;

/// What the pumping task and the reader share.
#[derive(Debug)]
pub(crate) struct Pump(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    spool: Spool,
    ended: Option<Result<Instant, Fault>>,
    reader_left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pump {
    pub(crate) fn start(talk: Box<Talk>, temp_dir: PathBuf) -> Arc<Self> {
        let shared = Shared {
            spool: Spool::new(temp_dir),
            ended: None,
            reader_left: false,
            reader: None,
            writer: None,
        };
        let pump = Arc::new(Self(Mutex::new(shared)));
        tokio::spawn(run(Arc::clone(&pump), talk));
        pump
    }

    /// Reads a reply to its end for nobody, so that the script is not cancelled and the connection stays usable.
    pub(crate) fn drain(mut talk: Box<Talk>) {
        // Where the runtime is gone already, dropping the talk is all that is left to do.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            loop {
                match std::future::poll_fn(|cx| talk.poll_next(cx)).await {
                    Ok(Said::End) => return talk.finish(),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
    }

    /// What comes next for the reader; `None` after a clean end.
    pub(crate) fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Fault>> {
        let mut shared = self.0.lock();
        let chunk = shared.spool.pop().map_err(|_| Fault::TempFile)?;
        if chunk.is_some() {
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

    /// The client is gone: the script is cancelled.
    pub(crate) fn reader_left(&self) {
        let mut shared = self.0.lock();
        shared.reader_left = true;
        wake(&mut shared.writer);
    }

    /// Whether the spool takes more: pending while a reader is a gigabyte behind, `false` when there is none.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut shared = self.0.lock();
        // Also while php-fpm is waited for: the leaving of the reader must wake the pump.
        shared.writer = Some(cx.waker().clone());
        match (shared.reader_left, shared.spool.has_room()) {
            (true, _) => Poll::Ready(false),
            (false, true) => Poll::Ready(true),
            (false, false) => Poll::Pending,
        }
    }

    fn push(&self, bytes: Bytes) -> Result<(), Fault> {
        let mut shared = self.0.lock();
        shared.spool.push(bytes).map_err(|error| {
            tracing::error!(%error, "cannot buffer a reply in a temp file");
            Fault::TempFile
        })?;
        wake(&mut shared.reader);
        Ok(())
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
    let result = std::future::poll_fn(|cx| poll_run(&reader.0, &mut talk, cx)).await;
    match result {
        Ok(()) => talk.finish(),
        Err(fault) => drop(talk.fail(fault)),
    }
    reader.0.end(result.map(|()| Instant::now()));
}

/// Tells the reader when the task ends in another way than by running to its end.
struct Abandoned(Arc<Pump>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.end(Err(Fault::Truncated));
    }
}

fn poll_run(pump: &Pump, talk: &mut Talk, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
    loop {
        if !ready!(pump.poll_room(cx)) {
            return Poll::Ready(Err(Fault::Truncated));
        }
        match ready!(talk.poll_next(cx))? {
            Said::Body(bytes) => pump.push(bytes)?,
            Said::Head(_) | Said::End => return Poll::Ready(Ok(())),
        }
    }
}
