//! Where allocations are made, out of dhat's report: the frame of ours, or of the crate that allocates for us.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Frames of the allocator and of containers say nothing.
const SKIPPED: [&str; 12] = [
    "alloc::", "<alloc::", "core::", "<core::", "std::", "<std::", "dhat::", "<dhat::", "__rust", "hashbrown::", "_R", "[root]",
];
/// Of each place so many frames are told.
const FRAMES: usize = 4;

/// The most frequent first.
pub(crate) fn print(report: &Path, requests: u32, places: usize) -> Result<(), String> {
    let text = std::fs::read_to_string(report).map_err(|error| error.to_string())?;
    let report: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let frames = report["ftbl"].as_array().ok_or("dhat's report has no frames")?;
    let mut counted: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for point in report["pps"].as_array().ok_or("dhat's report has no points")? {
        let stack = point["fs"].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let names = stack.filter_map(|frame| frames.get(frame as usize)?.as_str()).map(short);
        let told: Vec<String> = names.filter(|name| says_something(name)).take(FRAMES).collect();
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

/// "0x…: name (file:line:column)" without the address and the folders.
fn short(frame: &str) -> String {
    let frame = frame.split_once(": ").map_or(frame, |(_, rest)| rest);
    match frame.rsplit_once(" (") {
        Some((name, place)) => {
            let place = place.trim_end_matches(')').rsplit('/').next().unwrap_or_default();
            format!("{name} ({place})")
        }
        None => frame.to_owned(),
    }
}

fn says_something(name: &str) -> bool {
    !SKIPPED.iter().any(|start| name.starts_with(start))
}
