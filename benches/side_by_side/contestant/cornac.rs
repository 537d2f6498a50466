//! cornac's configuration.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::{Setting, Told};
use crate::backend::WORKERS_PER_POOL;
use crate::contestant::KEPT;
use crate::feature::{Feature, LEVEL};
use crate::rows::BackendKind;
use crate::support::Scratch;

pub(super) fn command(binary: &PathBuf, scratch: &Scratch, setting: &Setting<'_>, told: Told) -> Command {
    let file = scratch.write("cornac.toml", toml(setting, told));
    let mut command = Command::new(binary);
    // As docs/operations.md has a service started.
    command.arg("run").arg("-c").arg(file).env("MIMALLOC_PURGE_EXTEND_DELAY", "0");
    command
}

fn toml(setting: &Setting<'_>, told: Told) -> String {
    let folder = setting.scratch.display();
    let access_log = match setting.feature {
        Feature::AccessLog => format!("{folder}/access.log"),
        _ => "off".to_owned(),
    };
    let mut toml = format!(
        "[server]\nthreads = 2\naccess_log = \"{access_log}\"\nlog = \"warn\"\ntemp_dir = \"{folder}\"\n\n"
    );
    if !setting.upstreams.is_empty() {
        toml += &pool(setting, told);
    }
    let feature = if told == Told::OneSite { Feature::None } else { setting.feature };
    match feature.sites() {
        (1, _) => toml += &site(setting, "", 0),
        (sites, routes) => {
            (0..sites).for_each(|number| toml += &site(setting, &format!("site{number}.bench"), routes));
        }
    }
    toml
}

/// Without a name it is for every host.
fn site(setting: &Setting<'_>, name: &str, routes: u32) -> String {
    let (port, root) = (setting.port, setting.document.root().display());
    let mut toml = format!("[[sites]]\nlisten = [\"{port}\"]\nroot = \"{root}\"\nmax_body = \"200m\"\n");
    if !name.is_empty() {
        let _ = writeln!(toml, "names = [\"{name}\"]");
    }
    toml += &match setting.feature {
        Feature::Tls => {
            let (cert, key) = setting.document.certificate();
            format!("tls = {{ cert = \"{}\", key = \"{}\" }}\n", cert.display(), key.display())
        }
        Feature::Gzip => format!("compression = {{ algorithms = [\"gzip\"], level = {LEVEL} }}\n"),
        Feature::Brotli => format!("compression = {{ algorithms = [\"br\"], level = {LEVEL} }}\n"),
        Feature::Precompressed => "compression = { types = [] }\n".to_owned(),
        _ => "compression = false\n".to_owned(),
    };
    if setting.row.backend != BackendKind::None {
        toml += "preset = \"plain\"\n";
    }
    if setting.row.backend == BackendKind::None {
        toml += "\n[[sites.routes]]\nmatch = \"/\"\ntry_files = [\"$uri\", \"=404\"]\n";
    }
    for number in 0..routes {
        let _ =
            write!(toml, "\n[[sites.routes]]\nmatch = \"/r{number}/\"\ntry_files = [\"$uri\", \"=404\"]\n");
    }
    toml
}

fn pool(setting: &Setting<'_>, told: Told) -> String {
    let keepalive = match setting.row.backend {
        BackendKind::Fpm => String::new(),
        _ => format!("keepalive = {{ mode = \"on\", idle = {KEPT} }}\n"),
    };
    let extra = match told {
        Told::Health => "health = {}\n",
        Told::MayRepeat => "retry = { non_idempotent = true }\n",
        _ => "",
    };
    let server = |upstream| match told {
        Told::MaxConns => format!("{{ address = \"{upstream}\", max_conns = {WORKERS_PER_POOL} }}"),
        _ => format!("\"{upstream}\""),
    };
    let members = if told == Told::ThreeMembers { 3 } else { usize::MAX };
    let servers: Vec<_> = setting.upstreams.iter().take(members).map(server).collect();
    format!("[pools.php]\nservers = [{}]\n{keepalive}{extra}\n", servers.join(", "))
}
