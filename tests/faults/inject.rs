//! How a fault strikes, and how its victim is put right again. Returns when it has happened, not when it was asked for.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::rig::{Member, Rig};
use super::support::{Fpm, Listen, Mode, Signal, freeze, signal, wait_until};
use super::table::{Row, Strike};

const SOON: Duration = Duration::from_secs(15);

/// What a name leads to before the strike.
pub fn first_addresses(strike: Strike) -> &'static [usize] {
    if strike == Strike::Scale { &[0, 1, 2] } else { &[0] }
}

impl Rig {
    pub fn strike(&mut self, row: &Row) {
        match row.strike {
            Strike::Nothing => {}
            Strike::KillWorker => kill_workers(self.fpm(), Signal::KILL),
            Strike::CrashWorker => kill_workers(self.fpm(), Signal::SEGV),
            Strike::KillMaster => self.fpm().kill_master(),
            Strike::KillAll => self.fpm().kill(),
            Strike::Quit => tell(self.fpm(), Signal::QUIT, "Finishing ..."),
            Strike::Reload => tell(self.fpm(), Signal::USR2, "Reloading in progress ..."),
            Strike::StopWorker => self.stop(false),
            Strike::StopAll => self.stop(true),
            Strike::StopAndContinue => {
                self.stop(true);
                self.go_on();
            }
            Strike::RemoveSocket => std::fs::remove_file(socket(self.fpm())).expect("the socket's file"),
            Strike::FillBacklog => self.fill_backlog(),
            Strike::Be(mode) => self.be(mode),
            Strike::Scale => self.scale(),
            Strike::Readdress => self.lead_to(&[1]),
            Strike::LoseName => {
                self.lead_to(&[]);
                self.cornac.wait_for_log("a source of members fails; the last known good is kept");
            }
        }
    }

    /// Everything that holds the victim back is taken away, and what was lost is started again.
    pub fn repair(&mut self, row: &Row) {
        match row.strike {
            Strike::KillMaster | Strike::KillAll | Strike::Quit | Strike::RemoveSocket => {
                self.fpm().restart();
            }
            Strike::Be(_) => self.be(Mode::Well),
            Strike::Scale | Strike::Readdress | Strike::LoseName => self.lead_to(first_addresses(row.strike)),
            _ => {}
        }
        self.go_on();
        self.fillers.clear();
        for gate in ["cell", "held"] {
            self.victim.open_gate(gate);
            self.open_others(gate);
        }
    }

    fn be(&mut self, mode: Mode) {
        match &mut self.victim {
            Member::Scripted(scripted) => scripted.be(mode),
            Member::Php(_) => panic!("php-fpm is what it is"),
        }
    }

    fn stop(&mut self, master_too: bool) {
        let fpm = self.fpm();
        let mut pids = fpm.worker_pids();
        if master_too {
            pids.insert(0, fpm.pid());
        }
        for &pid in &pids {
            freeze(pid);
        }
        self.stopped = pids;
    }

    fn go_on(&mut self) {
        std::mem::take(&mut self.stopped).into_iter().for_each(|pid| signal(pid, Signal::CONT));
    }

    /// Until the kernel says that it is full: a unix socket does so at once. The worker takes nobody out meanwhile.
    fn fill_backlog(&mut self) {
        self.stop(false);
        let path = socket(self.fpm());
        let address = socket2::SockAddr::unix(path).expect("a short path");
        loop {
            let filler = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
            let filler = filler.expect("a socket");
            filler.set_nonblocking(true).expect("a socket");
            match filler.connect(&address) {
                Ok(()) => self.fillers.push(UnixStream::from(filler)),
                Err(full) if full.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn scale(&mut self) {
        self.lead_to(&[0, 1, 2, 3, 4]);
        self.lead_to(&[3, 4]);
    }

    /// Returns when cornac has followed: each address that is new or gone is a line in the log.
    fn lead_to(&mut self, which: &[usize]) {
        let hosts = self.hosts.as_ref().expect("a row of names");
        hosts.lead_to(which);
        if which.is_empty() {
            return;
        }
        let settled = || {
            let log = self.cornac.log();
            (0..5).all(|index| {
                let address = hosts.address(index);
                let [came, went] = ["+", "−"].map(|sign| log.rfind(&format!("{sign} {address} (")));
                (came > went) == which.contains(&index)
            })
        };
        assert!(wait_until(SOON, settled), "cornac does not follow:\n{}", self.cornac.log());
    }
}

/// Returns when the master has buried them.
fn kill_workers(fpm: &Fpm, how: Signal) {
    let pids = fpm.worker_pids();
    pids.iter().for_each(|&pid| signal(pid, how));
    let gone = || fpm.worker_pids().iter().all(|pid| !pids.contains(pid));
    assert!(wait_until(SOON, gone), "a worker lives on:\n{}", fpm.log());
}

/// Returns when the master has said that it is about it.
fn tell(fpm: &Fpm, what: Signal, says: &str) {
    fpm.signal(what);
    assert!(wait_until(SOON, || fpm.log().contains(says)), "no {says:?} in its log:\n{}", fpm.log());
}

fn socket(fpm: &Fpm) -> &std::path::Path {
    match fpm.listen() {
        Listen::Unix(path) => path,
        Listen::Tcp(_) => panic!("a row of unix sockets"),
    }
}
