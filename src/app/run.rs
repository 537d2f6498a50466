//! `cornac run`: a configuration, served in the foreground.

use std::io::IsTerminal;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::model::Model;
use crate::runtime::{Server, written};

pub(super) fn run(config: &Path) -> Result<(), Failure> {
    let model = super::load(config)?;
    start_log(&model.server.log)?;
    runtime()?.block_on(async {
        let server = Server::start(model.clone(), Some(config))?;
        announce(&server, &model);
        server.run().await;
        Ok(())
    })
}

/// Events go to stderr; standard output is the access log's, where it is asked to go there.
pub(super) fn start_log(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::Request(format!("`log = \"{filter}\"` is no filter: {error}")))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first log.
    drop(subscriber.try_init());
    Ok(())
}

/// For what is not a request: signals, accepting, names, housekeeping. Clients are served by threads of their own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn announce(server: &Server, model: &Model) {
    for address in server.addresses() {
        tracing::info!("listening on {}", written(&address));
    }
    if let Some(address) = server.admin_address() {
        tracing::info!("the admin API is at {}", written(address));
    }
    for pool in &model.pools {
        let (servers, sources) = (pool.servers.len(), pool.discover.len());
        match sources {
            0 => tracing::info!(pool = pool.name, servers, "pool"),
            _ => tracing::info!(pool = pool.name, servers, sources, "pool"),
        }
    }
}
