//! What the tests of this room share: short ways to a model, and a status page of a php-fpm that is well.

use std::path::Path;

use crate::balance::{ProcessManager, Report};
use crate::config::{self, model::Model};

/// A pool with these lines, which may name its servers, and a site.
pub(super) fn model(pool: &str) -> Model {
    let servers = if pool.contains("servers") { "" } else { "servers = [\"127.0.0.1:9000\"]" };
    parse(
        Path::new("/"),
        &format!("[pools.php]\n{servers}\n{pool}\n[[sites]]\nlisten = [\":80\"]\nroot = \"/\"\n"),
    )
}

/// A pool, and a site with this root and these lines.
pub(super) fn model_in(root: &Path, site: &str) -> Model {
    let pool = "[pools.php]\nservers = [\"127.0.0.1:9000\"]\n";
    parse(root, &format!("{pool}[[sites]]\nlisten = [\":80\"]\nroot = \".\"\n{site}\n"))
}

fn parse(base: &Path, text: &str) -> Model {
    config::parse(text, "c.toml", base).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes}"))
}

pub(super) fn report() -> Report {
    Report {
        pm: ProcessManager::Static,
        start_time: 1_795_271_442,
        accepted: 7,
        listen_queue: 0,
        max_listen_queue: 0,
        listen_queue_len: 511,
        idle: 3,
        active: 1,
        total: 4,
        max_active: 2,
        max_children_reached: 0,
        slow_requests: 0,
    }
}
