//! From the start of the process to its first answer, and what it holds then.

use std::time::Duration;

use crate::backend::Backend;
use crate::client::Client;
use crate::contestant::Contestant;
use crate::findings::Finding;
use crate::{Scene, process};

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_micros(200);

pub(crate) fn turn(
    scene: Scene<'_>,
    contestant: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let (server, started) = scene.spawn(contestant, backend)?;
    let mut client = Client::new(server.address(), PATIENCE);
    while let Err(problem) = client.get("/hello.php") {
        if started.elapsed() > PATIENCE {
            return Err(format!("{}: {problem}\n{}", server.name(), server.log()));
        }
        std::thread::sleep(PAUSE);
    }
    let first = started.elapsed();
    std::thread::sleep(Duration::from_millis(300));
    Ok(vec![
        Finding::new("ms to the first answer", first.as_secs_f64() * 1e3),
        Finding::new("CPU ms until then", process::cpu_time(server.pid()).as_secs_f64() * 1e3),
        Finding::new("MiB at rest", process::rss_kib(server.pid()) as f64 / 1024.0),
        Finding::new("of that its own (Pss)", process::pss_kib(server.pid()) as f64 / 1024.0),
    ])
}
