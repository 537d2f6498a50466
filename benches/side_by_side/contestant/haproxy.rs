//! haproxy's configuration. It sends no files, so it takes part only where php or its stand-in answers.

use std::process::Command;

use super::Setting;
use crate::backend::WORKERS_PER_POOL;
use crate::feature::Feature;
use crate::rows::BackendKind;
use crate::support::{Scratch, find_program};

pub(super) fn command(scratch: &Scratch, setting: &Setting<'_>) -> Result<Command, String> {
    let program = find_program(&["haproxy"]).ok_or("haproxy is gone")?;
    let config = scratch.write("haproxy.cfg", cfg(scratch, setting)?);
    let mut command = Command::new(program);
    // The master takes SIGUSR2 for a reload.
    command.args(["-W", "-f"]).arg(config);
    Ok(command)
}

/// Before php-fpm each server has as many requests at a time as workers, and the others wait in haproxy; connections are not kept, for
/// idle ones of one thread would hold the workers that the other one waits for.
fn cfg(scratch: &Scratch, setting: &Setting<'_>) -> Result<String, String> {
    let (limit, keep) = match setting.row.backend {
        BackendKind::Fpm => (format!("maxconn {WORKERS_PER_POOL}"), "no option keep-conn"),
        _ => (String::new(), "option keep-conn"),
    };
    let mut servers = String::new();
    for (number, address) in setting.upstreams.iter().enumerate() {
        servers += &format!("    server s{number} {address} proto fcgi {limit}\n");
    }
    let tls = match setting.feature {
        Feature::Tls => {
            let (cert, key) = setting.document.certificate();
            let read = |path| std::fs::read_to_string(path).map_err(|error| error.to_string());
            let both = scratch.write("both.pem", read(cert)? + &read(key)?);
            format!("ssl crt {} alpn h2,http/1.1", both.display())
        }
        _ => String::new(),
    };
    let (port, root) = (setting.port, setting.document.root().display());
    Ok(format!(
        "global
    nbthread 2
    maxconn 9000
    tune.bufsize 32768
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 1s
    timeout queue 1s
    option abortonclose
    backlog 4096
fcgi-app php
    docroot {root}
    path-info ^(/.+\\.php)(/.*)?$
    {keep}
frontend clients
    bind {port} {tls}
    default_backend php
backend php
    use-fcgi-app php
{servers}"
    ))
}
