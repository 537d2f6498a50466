//! wrk, and what it tells.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::rows::{Ask, With};
use crate::sample::Seen;
use crate::support::find_program;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/side_by_side/wrk.lua");

/// Two threads, as there are two workers to load.
pub(crate) fn run(to: SocketAddr, scheme: &str, ask: Ask, seconds: u64) -> Result<Seen, String> {
    let program = find_program(&["wrk"]).ok_or("wrk is gone")?;
    let threads = ask.connections.min(2);
    let mut command = Command::new(program);
    command.args(["-s", SCRIPT, &format!("-t{threads}"), &format!("-c{}", ask.connections)]);
    command.arg(format!("-d{seconds}s"));
    let mut target = ask.target.to_owned();
    let mut body = 0;
    match ask.with {
        With::Nothing | With::Refusal => {}
        With::Header(header) => drop(command.args(["-H", header])),
        With::Body(bytes) => body = bytes,
        With::Browser => drop(command.args(BROWSER.iter().flat_map(|line| ["-H", line]))),
        With::Cookies => {
            command.args(["-H", &cookies()]);
            target += &query();
        }
    }
    command.arg(format!("{scheme}://{to}{target}")).args(["--", &body.to_string()]);
    let output = command.output().map_err(|error| format!("cannot run wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text, ask).ok_or_else(|| format!("wrk said:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// What Chrome says beside Host when a link of the same site is followed.
const BROWSER: [&str; 15] = [
    "Connection: keep-alive",
    "sec-ch-ua: \"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", \"Not_A Brand\";v=\"99\"",
    "sec-ch-ua-mobile: ?0",
    "sec-ch-ua-platform: \"Windows\"",
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Referer: https://www.example.com/admin/users/list?page=3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9,de;q=0.8",
    "Cookie: PHPSESSID=0a1b2c3d4e5f60718293a4b5c6; _ga=GA1.1.1234567890.1234567890; XSRF-TOKEN=eyJpdiI6IkpqN0ZzUmJ3dGRQNzVvVjJ6c1E9PSIsInZhbHVlIjoi",
];

/// 8 KB in one line, as browsers send them.
pub(crate) fn cookies() -> String {
    let pairs: Vec<_> = (0..100).map(|number| format!("cookie{number:02}={}", "c".repeat(70))).collect();
    format!("Cookie: {}", pairs.join("; "))
}

/// 2 KB.
fn query() -> String {
    let pairs: Vec<_> = (0..50).map(|number| format!("parameter{number:02}={}", "q".repeat(27))).collect();
    format!("?{}", pairs.join("&"))
}

fn read(text: &str, ask: Ask) -> Option<Seen> {
    let told = text.lines().find_map(|line| line.strip_prefix("TOLD "))?;
    let figures: Vec<f64> = told.split(' ').map(|figure| figure.parse().ok()).collect::<Option<_>>()?;
    let &[requests, elapsed, refused, broken, mean, p50, p99, p999] = &figures[..] else { return None };
    let answered = match ask.with {
        With::Refusal => refused,
        _ => requests - refused,
    };
    let time = |us: f64| (answered > 0.0).then(|| Duration::from_secs_f64(us / 1e6));
    Some(Seen {
        requests: answered as u64,
        elapsed: Duration::from_secs_f64(elapsed / 1e6),
        p50: time(p50),
        p99: time(p99),
        p999: time(p999),
        errors: (broken + requests - answered) as u64,
        // Little's law: so many clients were being served at a time on average. The others got no answer at all, and are in no latency.
        served: Some(requests * mean / elapsed),
        goodput: None,
    })
}
