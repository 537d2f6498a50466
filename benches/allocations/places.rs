//! Where allocations are made, out of dhat's report: the frame of ours, or of the crate that allocates for us.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Where frames lie that say nothing: dhat's own, and those of the standard library, whose containers allocate for others.
const SKIPPED: [&str; 12] = [
    "src/backtrace",
    "dhat-",
    "benches/allocations",
    "???",
    "alloc/src",
    "src/alloc",
    "src/raw_vec",
    "src/vec",
    "src/ops",
    "src/slice",
    "src/string",
    "src/boxed",
];
/// Of each place so many frames are told.
const FRAMES: usize = 5;

/// The most frequent first.
pub(crate) fn print(report: &Path, requests: u32, places: usize) -> Result<(), String> {
    let text = std::fs::read_to_string(report).map_err(|error| error.to_string())?;
    let report: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let frames = report["ftbl"].as_array().ok_or("dhat's report has no frames")?;
    let mut counted: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for point in report["pps"].as_array().ok_or("dhat's report has no points")? {
        let stack = point["fs"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let names = stack.filter_map(|frame| frames.get(frame as usize)?.as_str()).map(short);
        let told: Vec<String> = names.filter(|name| says_something(name)).take(FRAMES).map(cut).collect();
        let place = counted.entry(told.join("\n           < ")).or_default();
        place.0 += point["tbk"].as_u64().unwrap_or(0);
        place.1 += point["tb"].as_u64().unwrap_or(0);
    }
    let mut sorted: Vec<_> = counted.into_iter().collect();
    sorted.sort_by_key(|(_, (blocks, _))| std::cmp::Reverse(*blocks));
    for (place, (blocks, bytes)) in sorted.into_iter().take(places) {
        let each = |count| count as f64 / f64::from(requests);
        println!("  {:>6.2} × {:>6.0} B  {place}", each(blocks), bytes as f64 / blocks as f64);
    }
    Ok(())
}

/// "0x…: name (file:line:column)" without the address.
fn short(frame: &str) -> &str {
    frame.split_once(": ").map_or(frame, |(_, rest)| rest)
}

fn says_something(frame: &str) -> bool {
    let place = frame.rsplit_once(" (").map_or(frame, |(_, place)| place);
    !SKIPPED.iter().any(|start| place.starts_with(start))
}

/// Types of futures are longer than any line.
fn cut(frame: &str) -> String {
    const LONGEST: usize = 70;
    match frame.rsplit_once(" (") {
        Some((name, place)) => format!("{} ({place}", name.chars().take(LONGEST).collect::<String>()),
        None => frame.to_owned(),
    }
}
