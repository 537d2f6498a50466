//! Signals, with nginx's meanings (<http://nginx.org/en/docs/control.html>).

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operator wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT: end now.
    StopNow,
    /// SIGQUIT: answer what is in flight first.
    Finish,
    /// SIGHUP.
    Reload,
    /// SIGUSR1: the log files were moved away.
    ReopenLogs,
    /// SIGUSR2: hand the sockets to a new binary.
    Upgrade,
}

/// The signals that cornac hears.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// From here on none of them ends the process by itself.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::StopNow,
            _ = self.interrupt.recv() => Wish::StopNow,
            _ = self.quit.recv() => Wish::Finish,
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.user1.recv() => Wish::ReopenLogs,
            _ = self.user2.recv() => Wish::Upgrade,
        }
    }
}
