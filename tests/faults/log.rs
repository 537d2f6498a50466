//! The event log as the table has it: levels and messages, without times, fields and the rig's own addresses.

use super::rig::Rig;

/// What comes behind a message.
const FIELDS: [&str; 6] = [" pool=", " status=", " request_id=", " member=", " host=", " (tried to allocate"];

/// The lines at INFO and above, in their order and each once. Those of the requests that only hold a slot are left out.
pub fn read(rig: &Rig, log: &str) -> Vec<String> {
    let held: Vec<String> = rig
        .cornac
        .entries()
        .into_iter()
        .filter(|entry| entry["target"].as_str().is_some_and(|target| target.contains("/gate/held")))
        .filter_map(|entry| entry["request_id"].as_str().map(str::to_owned))
        .collect();
    let mut lines: Vec<String> = vec![];
    let is_asked_for =
        |line: &&str| !line.contains("logs reopened") && !held.iter().any(|id| line.contains(id));
    for line in log.lines().filter(is_asked_for) {
        let Some(line) = message(line) else { continue };
        let line = rig.names().iter().fold(line, |line, (address, name)| line.replace(address, name));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// `2026-01-01T00:00:00.000000Z  WARN cornac::upstream::member: member is …  pool="php"` → `WARN member is …`.
fn message(line: &str) -> Option<String> {
    let (_, behind) = line.split_once(' ')?;
    let (level, behind) = behind.trim_start().split_once(' ')?;
    if !matches!(level, "ERROR" | "WARN" | "INFO" | "DEBUG") {
        return None;
    }
    let (_, text) = behind.split_once(": ")?;
    if let Some(changes) = text.strip_prefix("pool php: ") {
        return Some(format!("{level} pool php: {}", signs(changes)));
    }
    let end = FIELDS.iter().filter_map(|field| text.find(field)).min().unwrap_or(text.len());
    Some(format!("{level} {}", &text[..end]))
}

/// `+ 127.0.0.3:9000 (…), + 127.0.0.4:9000 (…), − 127.0.0.2:9000 (…)` → `+ …, − … (draining)`: how many is by chance.
fn signs(changes: &str) -> String {
    let signs = [("+ ", "+ …"), ("− ", "− … (draining)")];
    let seen: Vec<_> =
        signs.iter().filter(|(sign, _)| changes.contains(sign)).map(|(_, shown)| *shown).collect();
    seen.join(", ")
}
