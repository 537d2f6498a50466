//! Free TCP ports that no other test takes.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::fs::{FlockOperation, flock};

/// Below Linux's range for outgoing connections (32768–60999), so that no client socket sits on a port we chose.
const RANGE: RangeInclusive<u16> = 20_000..=32_000;

/// A port on 127.0.0.1 that is ours as long as this value lives: a lock on a file keeps other tests away, also those of other processes.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    pub fn number(&self) -> u16 {
        self.number
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address().fmt(f)
    }
}

pub fn free_port() -> Port {
    static STEP: AtomicU16 = AtomicU16::new(0);
    let span = RANGE.end() - RANGE.start();
    let start = (std::process::id() as u16).wrapping_mul(37);
    for _ in 0..span {
        let offset = start.wrapping_add(STEP.fetch_add(1, Ordering::Relaxed)) % span;
        if let Some(port) = reserve(RANGE.start() + offset) {
            return port;
        }
    }
    panic!("no free port between {} and {}", RANGE.start(), RANGE.end());
}

fn reserve(number: u16) -> Option<Port> {
    // A folder for each user: nobody can lock another's files.
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("cornac-test-ports-{user}"));
    fs::create_dir_all(&folder).expect("the folder of the port locks");
    let lock = File::options().create(true).append(true).open(folder.join(number.to_string())).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    // Somebody outside the tests may listen there.
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).ok()?;
    Some(Port { number, _lock: lock })
}
