//! Clients of our own before one front end, for a while, and what they saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;

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
            let crowd = *crowd;
            (0..crowd.clients).map(|_| scope.spawn(move || keep_asking(crowd, over))).collect()
        };
        let crowds: Vec<_> = crowds.iter().map(start).collect();
        let came_out = meanwhile();
        over.store(true, Ordering::Relaxed);
        let diary = |clients: Vec<std::thread::ScopedJoinHandle<'_, Vec<Asked>>>| {
            clients.into_iter().flat_map(|client| client.join().expect("no client panics")).collect()
        };
        (crowds.into_iter().map(diary).collect(), came_out)
    })
}

fn keep_asking(crowd: Crowd, over: &AtomicBool) -> Vec<Asked> {
    let (mut diary, mut client) = (vec![], Client::new(crowd.to, PATIENCE));
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let member = client.get(crowd.target).map_err(|error| error.to_string());
        diary.push(Asked { took: asked.elapsed(), answered: Instant::now(), member });
        if !crowd.pause.is_zero() {
            std::thread::sleep(crowd.pause);
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
