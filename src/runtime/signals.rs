//! Signals, with nginx's meanings: TERM and INT stop, QUIT finishes what is in flight.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// What the operator wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT: end now.
    StopNow,
    /// SIGQUIT: answer what is in flight first.
    Finish,
}

/// The signals that cornac hears.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on none of them ends the process by itself.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal that ends the server.
    pub(super) async fn wish_to_end(&mut self) -> Wish {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Wish::StopNow,
                _ = self.interrupt.recv() => return Wish::StopNow,
                _ = self.quit.recv() => return Wish::Finish,
                _ = self.hangup.recv() => warn!("reload (SIGHUP) is not supported yet; the configuration stays as it is"),
            }
        }
    }
}
