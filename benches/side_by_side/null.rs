//! `examples/null-responder.rs` as cargo built it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::reaper::Reaper;
use crate::support::{Listen, Port, Process, Scratch, Signal, free_port};

pub(crate) struct NullResponder<'a> {
    process: Process,
    port: Port,
    members: u16,
    reaper: &'a Reaper,
    _scratch: Scratch,
}

/// What it answers to everything.
pub(crate) enum Says<'a> {
    Bytes(usize),
    File(&'a Path),
}

impl<'a> NullResponder<'a> {
    /// As many members as addresses: all of 127/8 is this machine.
    pub(crate) fn start(says: Says<'_>, members: u16, reaper: &'a Reaper) -> Self {
        let (port, scratch) = (free_port(), Scratch::new());
        reaper.watch_folder(scratch.path());
        let mut command = Command::new(null_responder());
        let listen = if members > 1 { format!("0.0.0.0:{}", port.number()) } else { port.to_string() };
        command.args(["--listen", &listen]);
        match says {
            Says::Bytes(bytes) => command.args(["--bytes", &bytes.to_string()]),
            Says::File(path) => command.arg("--body").arg(path),
        };
        let mut process = Process::start("null-responder", &mut command, scratch.join("output.log"));
        reaper.watch(process.pid());
        process.wait_for_listener(&Listen::Tcp(port.address()), None);
        Self { process, port, members, reaper, _scratch: scratch }
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let at = |member: u16| {
            let [third, fourth] = [member / 250, member % 250 + 1].map(|part| part as u8);
            (Ipv4Addr::new(127, 0, third, fourth), self.port.number()).into()
        };
        (0..self.members).map(at).collect()
    }
}

impl Drop for NullResponder<'_> {
    fn drop(&mut self) {
        self.process.end(Signal::TERM);
        self.reaper.forget(self.process.pid());
    }
}

/// Cargo puts examples beside the binary.
fn null_responder() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_cornac")).with_file_name("examples").join("null-responder")
}

pub(crate) fn look_for_null_responder() -> Result<(), String> {
    if null_responder().is_file() {
        return Ok(());
    }
    Err("the null responder is not built; do it by:\n    cargo build --release --example null-responder"
        .to_owned())
}
