//! Clients of our own before one front end, or straight at php-fpm, for a while, and what they saw.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Member};
use crate::straight::Straight;

/// A client without an answer for so long hangs: nothing that is asked here takes more than some milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many clients, each asking again as long after an answer as `pause` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) to: SocketAddr,
    pub(crate) target: &'static str,
    pub(crate) clients: u32,
    pub(crate) pause: Duration,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) took: Duration,
    pub(crate) answered: Instant,
    /// The member that answered, where it says so, or what went wrong.
    pub(crate) member: Result<Option<String>, String>,
}

/// Each crowd's requests, while `meanwhile` ran.
pub(crate) fn ask<T>(crowds: &[Crowd], meanwhile: impl FnOnce() -> T) -> (Vec<Vec<Asked>>, T) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let start = |crowd: &Crowd| -> Vec<_> {
            let Crowd { to, target, clients, pause } = *crowd;
            let client = |_| {
                let mut client = Client::new(to, PATIENCE);
                scope.spawn(move || keep_asking(|| client.get(target), pause, over))
            };
            (0..clients).map(client).collect()
        };
        let crowds: Vec<Vec<_>> = crowds.iter().map(start).collect();
        let came_out = meanwhile();
        over.store(true, Ordering::Relaxed);
        (crowds.into_iter().map(diary).collect(), came_out)
    })
}

/// The same crowd without a front end: each client has a connection of its own to one of the `pools`, whose scripts lie in `root`.
pub(crate) fn ask_straight(
    crowd: Crowd,
    (pools, root): (&[SocketAddr], &Path),
    meanwhile: impl FnOnce(),
) -> Vec<Asked> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let client = |pool: &SocketAddr| {
            let mut client = Straight::new(*pool, root.to_owned(), PATIENCE);
            let get = move || client.get(crowd.target).map(|()| None);
            scope.spawn(move || keep_asking(get, crowd.pause, over))
        };
        let clients: Vec<_> = pools.iter().cycle().take(crowd.clients as usize).map(client).collect();
        meanwhile();
        over.store(true, Ordering::Relaxed);
        diary(clients)
    })
}

fn diary(clients: Vec<std::thread::ScopedJoinHandle<'_, Vec<Asked>>>) -> Vec<Asked> {
    clients.into_iter().flat_map(|client| client.join().expect("no client panics")).collect()
}

fn keep_asking(
    mut get: impl FnMut() -> io::Result<Member>,
    pause: Duration,
    over: &AtomicBool,
) -> Vec<Asked> {
    let mut diary = vec![];
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let member = get().map_err(|error| error.to_string());
        diary.push(Asked { took: asked.elapsed(), answered: Instant::now(), member });
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    diary
}

impl Asked {
    pub(crate) fn hung(&self) -> bool {
        self.took >= PATIENCE
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.member.is_ok()
    }
}
