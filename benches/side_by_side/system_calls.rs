//! What one hello asks of the kernel, counted by strace while wrk loads the server. strace slows it down, and changes no count
//! but those of waits: a slower server finds more to do at each.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Scene;
use crate::backend::Backend;
use crate::contestant::Contestant;
use crate::findings::Finding;
use crate::process::with_children;
use crate::rows::Ask;
use crate::support::{Scratch, Signal, find_program, signal, wait_until};
use crate::wrk;

const READS: [&str; 4] = ["read", "readv", "recvfrom", "recvmsg"];
const WRITES: [&str; 6] = ["write", "writev", "sendto", "sendmsg", "sendfile", "splice"];
const WAITS: [&str; 3] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];

/// Few enough that every one's connection to the responder is kept.
const CLIENTS: u32 = 8;

pub(crate) fn turn(
    scene: Scene<'_>,
    contestant: Contestant,
    backend: &Backend<'_>,
) -> Result<Vec<Finding>, String> {
    let server = scene.start(contestant, backend)?;
    let ask = Ask::get("/hello.php", CLIENTS);
    wrk::run(server.address(), "http", ask, 1)?;
    let folder = Scratch::new();
    let summary = folder.join("strace.txt");
    let mut strace = Command::new(find_program(&["strace"]).ok_or("strace is gone")?);
    strace.args(["-f", "-c", "-o"]).arg(&summary).stderr(Stdio::null()).stdout(Stdio::null());
    for pid in with_children(server.pid()) {
        strace.args(["-p", &pid.to_string()]);
    }
    let mut strace = strace.spawn().map_err(|error| format!("cannot run strace: {error}"))?;
    wait_until(Duration::from_secs(5), || is_traced(server.pid()));
    let seen = wrk::run(server.address(), "http", ask, scene.length.seconds);
    signal(strace.id(), Signal::INT);
    strace.wait().map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(&summary).map_err(|error| format!("strace's summary: {error}"))?;
    Ok(found(&text, seen?.requests as f64))
}

fn is_traced(pid: u32) -> bool {
    let traced = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    };
    with_children(pid).into_iter().all(traced)
}

fn found(summary: &str, requests: f64) -> Vec<Finding> {
    let calls: Vec<(&str, f64)> =
        summary.lines().filter_map(line).filter(|(name, _)| *name != "total").collect();
    let of = |names: &[&str]| {
        let counts = calls.iter().filter(|(name, _)| names.contains(name)).map(|(_, count)| count);
        counts.sum::<f64>() / requests
    };
    let all: f64 = calls.iter().map(|(_, count)| count).sum::<f64>() / requests;
    vec![
        Finding::new("all system calls a request", all),
        Finding::new("reads", of(&READS)),
        Finding::new("writes", of(&WRITES)),
        Finding::new("waits", of(&WAITS)),
        Finding::new("others", all - of(&READS) - of(&WRITES) - of(&WAITS)),
    ]
}

/// "% time, seconds, usecs/call, calls, errors where there are any, name".
fn line(line: &str) -> Option<(&str, f64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let count = words.get(3)?.parse().ok()?;
    Some((words.last()?, count))
}
