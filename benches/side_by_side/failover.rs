//! One of three pools crashes under a load and comes back: who notices, and when it is used again.
//!
//! All contestants stand before the same pools at the same time, so that all meet the same crash.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Scene;
use crate::backend::Backend;
use crate::contestant::Contestant;
use crate::crowd::{self, Asked, Crowd};
use crate::findings::Finding;

/// For each contestant: no more than workers in all, so that nobody waits without the crash.
const CLIENTS: u32 = 3;
/// Long enough that the crash meets some of them at work.
const TARGET: &str = "/member.php?us=5000";
const BEFORE: Duration = Duration::from_millis(500);
/// After this nobody is waited for: it counts as so long.
const WATCH: Duration = Duration::from_millis(12_500);

/// One crash. For each contestant, what its clients saw of it.
pub(crate) fn round(scene: Scene<'_>, backend: &mut Backend<'_>) -> Result<Vec<Vec<Finding>>, String> {
    let start = |contestant: &Contestant| scene.start(*contestant, backend);
    let servers = scene.row.contestants.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let crowds: Vec<_> = servers
        .iter()
        .map(|server| Crowd { to: server.address(), target: TARGET, clients: CLIENTS, pause: Duration::ZERO })
        .collect();
    let (diaries, crash) = crowd::ask(&crowds, || crash(backend, scene.length.outage()));
    let crash = crash.ok_or("there is no pool that could crash")?;
    Ok(diaries.iter().map(|diary| crash.seen_by(diary)).collect())
}

/// When it crashed, and when it was back.
#[derive(Debug)]
struct Crash {
    member: String,
    at: Instant,
    back: Instant,
    watched_until: Instant,
}

fn crash(backend: &mut Backend<'_>, outage: Duration) -> Option<Crash> {
    sleep(BEFORE);
    let at = Instant::now();
    let member = backend.crash_first_pool(|| sleep(outage))?;
    let back = Instant::now();
    sleep(WATCH);
    Some(Crash { member, at, back, watched_until: Instant::now() })
}

impl Crash {
    fn seen_by(&self, diary: &[Asked]) -> Vec<Finding> {
        let count = |is: &dyn Fn(&Asked) -> bool| diary.iter().filter(|asked| is(asked)).count() as f64;
        let from = |asked: &Asked| matches!(&asked.member, Ok(Some(member)) if *member == self.member);
        let used_again = diary.iter().filter(|asked| asked.answered > self.back && from(asked));
        let used_again = used_again.map(|asked| asked.answered).min().unwrap_or(self.watched_until);
        let slowest = diary.iter().map(|asked| asked.took).max().unwrap_or_default();
        if let Some(Err(problem)) = diary.iter().map(|asked| &asked.member).find(|member| member.is_err()) {
            eprint!(" [{problem}] ");
        }
        vec![
            Finding::new("requests", count(&|_| true)),
            Finding::new("failed", count(&|asked| !asked.succeeded())),
            Finding::new(
                "answered by the pool before its crash",
                count(&|asked| asked.answered < self.at && from(asked)),
            ),
            Finding::new("seconds until it is used again", (used_again - self.back).as_secs_f64()),
            Finding::new("slowest request, ms", slowest.as_secs_f64() * 1e3),
        ]
    }
}
