//! What a client costs that has had an answer and keeps its connection.

use std::io;
use std::time::Duration;

use crate::backend::Backend;
use crate::client::Client;
use crate::contestant::{Contestant, Server};
use crate::findings::Finding;
use crate::rows::Ask;
use crate::{Scene, process, wrk};

const PATIENCE: Duration = Duration::from_secs(5);
/// cornac gives back what an idle client does not need half a second after the reply.
const REST: Duration = Duration::from_millis(1_500);
const TARGET: &str = "/hello.php";

pub(crate) fn turn(
    scene: Scene<'_>,
    contestant: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let server = scene.start(contestant, backend)?;
    // What the work itself needs is there before the first is counted.
    wrk::run(server.address(), "http", Ask::get(TARGET, 64), 1)?;
    each(&server, scene.length.idle_clients(), || {
        let mut client = Client::new(server.address(), PATIENCE);
        client.get(TARGET)?;
        Ok(client)
    })
}

pub(crate) fn tls_turn(
    scene: Scene<'_>,
    contestant: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let server = scene.start(contestant, backend)?;
    wrk::run(server.address(), "https", Ask::get(TARGET, 64), 1)?;
    let trust = scene.document.trust();
    each(&server, scene.length.idle_clients(), || {
        let mut connection = trust.connect(server.address(), "bench")?;
        connection.try_get("bench", TARGET)?;
        Ok(connection)
    })
}

fn each<C>(
    server: &Server<'_>,
    clients: u32,
    connect: impl Fn() -> io::Result<C>,
) -> Result<Vec<Finding>, String> {
    std::thread::sleep(REST);
    let before = process::rss_kib(server.pid());
    let connected: io::Result<Vec<C>> = (0..clients).map(|_| connect()).collect();
    let connected = connected.map_err(|error| format!("{}: {error}\n{}", server.name(), server.log()))?;
    let busy = process::rss_kib(server.pid());
    std::thread::sleep(REST);
    let rested = process::rss_kib(server.pid());
    drop(connected);
    let each = |kib: u64| kib.saturating_sub(before) as f64 / f64::from(clients);
    Ok(vec![
        Finding::new("KiB an idle client", each(rested)),
        Finding::new("KiB each, just after their replies", each(busy)),
        Finding::new("MiB without any", before as f64 / 1024.0),
    ])
}
