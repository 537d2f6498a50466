//! Whether a request costs the same however many clients there are.

use crate::backend::Backend;
use crate::contestant::Contestant;
use crate::findings::Finding;
use crate::rows::Ask;
use crate::{Scene, process, wrk};

const CLIENTS: [(u32, &str); 5] = [
    (1, "CPU µs, 1 client"),
    (10, "CPU µs, 10 clients"),
    (100, "CPU µs, 100 clients"),
    (1_000, "CPU µs, 1,000 clients"),
    (10_000, "CPU µs, 10,000 clients"),
];

/// One after another on one server, many for longer, so that coming is a small part of what they cost, so that what a crowd leaves behind is the next one's.
pub(crate) fn turn(
    scene: Scene<'_>,
    contestant: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let server = scene.start(contestant, backend)?;
    let (mut found, mut errors) = (vec![], 0);
    for (connections, what) in CLIENTS {
        let ask = Ask::get("/1k.bin", connections);
        let before = process::cpu_time(server.pid());
        let seen =
            wrk::run(server.address(), "http", ask, scene.length.seconds + u64::from(connections / 2_000))?;
        let cpu = process::cpu_time(server.pid()) - before;
        found.push(Finding::new(what, cpu.as_secs_f64() * 1e6 / (seen.requests as f64).max(1.0)));
        errors += seen.errors;
    }
    found.push(Finding::new("peak MiB", process::peak_kib(server.pid()) as f64 / 1024.0));
    found.push(Finding::new("errors", errors as f64));
    Ok(found)
}
