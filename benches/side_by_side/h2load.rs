//! h2load (of nghttp2), and what it tells.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::rows::Ask;
use crate::sample::Seen;
use crate::support::{Scratch, find_program};

/// Two threads, as there are two workers to load.
pub(crate) fn run(to: SocketAddr, ask: Ask, streams: u32, seconds: u64) -> Result<Seen, String> {
    let program = find_program(&["h2load"]).ok_or("h2load is gone")?;
    let folder = Scratch::new();
    let log = folder.join("requests.log");
    let output = Command::new(program)
        .args(["-t2", &format!("-c{}", ask.connections), &format!("-m{streams}")])
        .arg(format!("-D{seconds}"))
        .arg(format!("--log-file={}", log.display()))
        .arg(format!("https://{to}{}", ask.target))
        .output()
        .map_err(|error| format!("cannot run h2load: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = || format!("h2load said:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    let times = std::fs::read_to_string(&log).map_err(|error| format!("{error}; {}", said()))?;
    read(&text, &times, seconds).ok_or_else(said)
}

/// A line of the log has the start, the status and the time that it took, in µs.
fn read(text: &str, log: &str, seconds: u64) -> Option<Seen> {
    let line = text.lines().find(|line| line.starts_with("requests:"))?;
    let count = |what: &str| {
        let part = line.split([',', ':']).find(|part| part.ends_with(what))?;
        part.split_whitespace().next()?.parse::<u64>().ok()
    };
    let times: Vec<Duration> = log
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.parse().ok().map(Duration::from_micros))
        .collect();
    let errors = count("failed")? + count("errored")?;
    Some(Seen { requests: count("succeeded")?, ..Seen::of(times, Duration::from_secs(seconds), errors) })
}
