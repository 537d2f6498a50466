//! What systemd hears from us (sd_notify(3)): that we serve and under which number, which an upgrade changes, and that we stop.

use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Clients are served, by this process.
pub(super) fn hears_that_we_serve() {
    tell(&format!("READY=1\nMAINPID={}", std::process::id()));
}

/// Nobody takes over.
pub(super) fn hears_that_we_stop() {
    tell("STOPPING=1");
}

/// Where there is a service manager.
fn tell(what: &str) {
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return };
    let told =
        address(&name).and_then(|address| UnixDatagram::unbound()?.send_to_addr(what.as_bytes(), &address));
    if let Err(error) = told {
        tracing::warn!(%error, "systemd cannot be told `{}`", what.lines().next().unwrap_or_default());
    }
}

#[cfg(target_os = "linux")]
fn address(name: &str) -> std::io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(not(target_os = "linux"))]
fn address(name: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_pathname(name)
}
