//! `cornac run`: a configuration, served in the foreground.

use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::config::model::{EventLog as EventLogSettings, Model};
use crate::logs::EventLog;
use crate::runtime::{Server, StartError};

pub(super) fn run(config: &Path) -> Result<(), Failure> {
    let model = super::load(config)?;
    let events = start_log(&model.server.log)?;
    runtime()?.block_on(async {
        let server = Server::start(model.clone(), Some(config), &events)?;
        announce(&server, &model);
        server.run().await;
        Ok(())
    })
}

/// Everything that is said in this process goes there. Standard output is the access log's, where it is asked to go there.
pub(super) fn start_log(settings: &EventLogSettings) -> Result<Arc<EventLog>, Failure> {
    Ok(Arc::new(EventLog::start(settings).map_err(StartError::EventLog)?))
}

/// For what is not a request: signals, accepting, names, housekeeping. Clients are served by threads of their own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn announce(server: &Server, model: &Model) {
    model.warn();
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    if let Some(address) = server.admin_address() {
        tracing::info!("the admin API is at {address}");
    }
    for pool in &model.pools {
        let (servers, sources) = (pool.servers.len(), pool.discover.len());
        match sources {
            0 => tracing::info!(pool = pool.name, servers, "pool"),
            _ => tracing::info!(pool = pool.name, servers, sources, "pool"),
        }
    }
}
