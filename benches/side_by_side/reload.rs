//! Reloads under load: how many requests are cut that clients send on connections they were told to keep.

use std::thread::sleep;
use std::time::Duration;

use crate::Scene;
use crate::backend::Backend;
use crate::contestant::Contestant;
use crate::crowd::{self, Asked, Crowd};
use crate::findings::Finding;

const CLIENTS: u32 = 32;
/// Between two requests of a client: a kept connection is idle for most of its time.
const PAUSE: Duration = Duration::from_millis(5);
const RELOADS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(150);

pub(crate) fn turn(
    scene: Scene<'_>,
    contestant: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let server = scene.start(contestant, backend)?;
    let crowd = Crowd { to: server.address(), target: "/hello.php", clients: CLIENTS, pause: PAUSE };
    let (diaries, ()) = crowd::ask(&[crowd], || {
        sleep(BETWEEN);
        for _ in 0..RELOADS {
            server.reload();
            sleep(BETWEEN);
        }
    });
    let diary = &diaries[0];
    let count = |is: &dyn Fn(&Asked) -> bool| diary.iter().filter(|asked| is(asked)).count() as f64;
    let slowest = diary.iter().map(|asked| asked.took).max().unwrap_or_default();
    Ok(vec![
        Finding::new("requests", count(&|_| true)),
        Finding::new("cut, or answered by an error", count(&|asked| !asked.succeeded())),
        Finding::new("slowest request, ms", slowest.as_secs_f64() * 1e3),
    ])
}
