//! The threads that serve clients. Each has a runtime of its own, so that nothing of a request moves between cores:
//! measured beside one runtime for all threads, a small FastCGI request costs a tenth less CPU and no core waits for
//! work that another has.
//!
//! A client stays with the thread that it was given to, the one with the fewest; nginx's workers take what they get.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::listen::Accepted;
use crate::front::{Client, Front, Presence, Watcher};

/// A client to be served.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) accepted: Accepted,
    pub(super) client: Client,
    pub(super) watcher: Watcher,
    pub(super) presence: Presence,
}

/// Dropping them ends the threads, and cuts what they still serve.
#[derive(Debug)]
pub(super) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    /// `None` once it is to end.
    desk: Option<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where a thread is given its clients. It ends when there is none any more.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    inbox: UnboundedSender<(Arrival, Guest)>,
    guests: Arc<AtomicUsize>,
    runtime: Handle,
}

/// Counts a client as long as it is served.
#[derive(Debug)]
struct Guest(Arc<AtomicUsize>);

impl Workers {
    /// Starts so many threads.
    pub(super) fn start(count: usize, front: &Arc<Front>) -> io::Result<Self> {
        (0..count).map(|number| Worker::start(number, Arc::clone(front))).collect::<io::Result<_>>().map(Self)
    }

    /// Gives a client to the thread with the fewest.
    pub(super) fn take(&self, arrival: Arrival) {
        if let Some(desk) = self.desks().min_by_key(|desk| desk.guests.load(Ordering::Relaxed)) {
            desk.take(arrival);
        }
    }

    /// One for each thread.
    pub(super) fn desks(&self) -> impl Iterator<Item = &Desk> + Clone {
        self.0.iter().filter_map(|worker| worker.desk.as_ref())
    }
}

impl Desk {
    /// Gives a client to this thread.
    pub(super) fn take(&self, arrival: Arrival) {
        // A thread lives as long as this.
        drop(self.inbox.send((arrival, Guest::of(&self.guests))));
    }

    /// Runs on this thread, beside its clients.
    pub(super) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(task)
    }
}

impl Worker {
    fn start(number: usize, front: Arc<Front>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (inbox, arrivals) = unbounded_channel();
        let desk = Desk { inbox, guests: Arc::default(), runtime: runtime.handle().clone() };
        let thread = thread::Builder::new().name(format!("cornac-{number}")).spawn(move || {
            runtime.block_on(welcome(front, arrivals));
            // A file being read on another thread is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { desk: Some(desk), thread: Some(thread) })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            worker.desk = None;
        }
        for thread in self.0.iter_mut().filter_map(|worker| worker.thread.take()) {
            // A panic in there was printed when it happened.
            drop(thread.join());
        }
    }
}

impl Guest {
    fn of(guests: &Arc<AtomicUsize>) -> Self {
        guests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(guests))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn welcome(front: Arc<Front>, mut arrivals: UnboundedReceiver<(Arrival, Guest)>) {
    while let Some((arrival, guest)) = arrivals.recv().await {
        let front = Arc::clone(&front);
        // Boxed: tokio moves a task half a dozen times until it is where it stays, and once more when it ends.
        tokio::spawn(Box::pin(async move {
            let _guest = guest;
            serve(front, arrival).await;
        }));
    }
}

async fn serve(front: Arc<Front>, Arrival { accepted, client, watcher, presence: _here }: Arrival) {
    let unserved = match accepted {
        Accepted::Tcp(stream) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => return front.serve(stream, client, watcher).await,
            Err(error) => error,
        },
        Accepted::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => return front.serve(stream, client, watcher).await,
            Err(error) => error,
        },
    };
    tracing::error!(error = %unserved, "a client was accepted but cannot be served");
}
