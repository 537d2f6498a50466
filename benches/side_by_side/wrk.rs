//! wrk, and what it prints.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::sample::Seen;
use crate::support::find_program;

/// Two threads, as there are two workers to load.
pub(crate) fn run(to: SocketAddr, target: &str, connections: u32, seconds: u64) -> Result<Seen, String> {
    let program = find_program(&["wrk"]).ok_or("wrk is gone")?;
    let output = Command::new(program)
        .args(["--latency", "-t2"])
        .arg(format!("-c{connections}"))
        .arg(format!("-d{seconds}s"))
        .arg(format!("http://{to}{target}"))
        .output()
        .map_err(|error| format!("cannot run wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text).ok_or_else(|| format!("wrk said:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn read(text: &str) -> Option<Seen> {
    let after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start));
    let (requests, rest) = text.lines().find_map(|line| line.trim().split_once(" requests in "))?;
    let elapsed = rest.split(',').next().and_then(duration)?;
    // "connect 0, read 0, write 0, timeout 12"
    let broken = after("Socket errors:").map_or(0, |line| line.split([' ', ',']).filter_map(number).sum());
    let refused = after("Non-2xx or 3xx responses:").and_then(number).unwrap_or(0);
    // Little's law: so many clients were being served at a time on average. The others got no answer at all, and are in no latency.
    let mean = after("Latency  ").and_then(|line| line.split_whitespace().next()).and_then(duration)?;
    let served = number(requests)? as f64 * mean.as_secs_f64() / elapsed.as_secs_f64();
    Some(Seen {
        served: Some(served),
        goodput: None,
        requests: number(requests)?.checked_sub(refused)?,
        elapsed,
        p50: after("50%").and_then(duration),
        p99: after("99%").and_then(duration),
        errors: broken + refused,
    })
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// wrk's own units.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(digits.parse::<f64>().ok()? * unit))
}
