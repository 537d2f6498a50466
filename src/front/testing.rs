//! What the tests of this room share: a client of a front end in memory.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::io::{DuplexStream, duplex};

use super::connection::{Front, Means};
use super::drain::Drain;
use super::facts::Client;
use super::lobby::Lobby;
use super::notes::Notes;
use super::timeouts::Timeouts;
use crate::site::{Generation, ListenerId};

/// A client of a site with this root, at `listen` (TOML), whose scripts run at `server`.
pub(super) fn client_of(root: &Path, listen: &str, server: &str, of_site: &str) -> DuplexStream {
    let text = format!(
        "[pools.php]\nservers = [\"{server}\"]\n[[sites]]\nlisten = [{listen}]\nroot = '{}'\npreset = \"plain\"\n{of_site}",
        root.display()
    );
    let model = crate::config::parse(&text, "test", root).expect("valid");
    let generation = Arc::new(ArcSwap::from_pointee(Generation::build(&model, None)));
    let timeouts = Timeouts::of(&model.server);
    let means = Means { access_log: None, timeouts };
    let front = Arc::new(Front::new(generation, means, Lobby::new(usize::MAX)));
    let (listener, notes) = (ListenerId(0), Notes::default());
    let client = Client { listener, peer: None, announced: None, local: None, session: None, notes };
    let (near, far) = duplex(4096);
    tokio::spawn(async move {
        let drain = Drain::new();
        front.serve(far, client, drain.watcher()).await;
    });
    near
}
