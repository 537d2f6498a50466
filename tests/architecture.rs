//! The house keeps its floors: a room's `use` lines go down only, never up and never sideways
//! (`src/lib.rs` draws the house).

use std::fs;
use std::path::{Path, PathBuf};

/// A room and its floor, from the roof down.
const FLOORS: [(&str, u8); 16] = [
    ("app", 8),
    ("runtime", 7),
    ("front", 6),
    ("admin", 6),
    ("site", 5),
    ("upstream", 4),
    ("files", 4),
    ("users", 4),
    ("limits", 4),
    ("logs", 4),
    ("tls", 4),
    ("config", 3),
    ("metrics", 3),
    ("watch", 2),
    ("fcgi", 1),
    ("route", 1),
];
const GROUND: [&str; 4] = ["fcgi", "route", "guard", "balance"];

/// Crates that a pure floor must not know: clocks, sockets, files and chance of their own.
const IMPURE: [&str; 9] = [
    "tokio",
    "hyper",
    "socket2",
    "rustix",
    "tempfile",
    "std::fs",
    "std::net::TcpStream",
    "std::time::Instant::now",
    "rand::rng",
];

fn floor(room: &str) -> Option<u8> {
    if GROUND.contains(&room) {
        return Some(1);
    }
    FLOORS.iter().find(|(name, _)| *name == room).map(|&(_, floor)| floor)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false => found.extend(path.extension().is_some_and(|end| end == "rs").then_some(path)),
        }
    }
    found
}

/// The lines of a file that are not tests: a promise may be shown with whatever it takes.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("a source file");
    let lines = text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
    lines
        .enumerate()
        .map(|(index, line)| (index + 1, line.to_owned()))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

/// The rooms that a line names by `crate::`, braces included.
fn rooms_named(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let group = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(group, _)| group);
        for part in group.unwrap_or(rest).split(',') {
            let room: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            rooms.push(room);
        }
    }
    rooms
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("below src");
    let first = inside.components().next().expect("a file").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for path in sources(Path::new("src")) {
        let room = room_of(&path);
        let Some(own) = floor(&room) else { continue };
        for (number, line) in code(&path) {
            for other in rooms_named(&line) {
                let allowed = other == room || floor(&other).is_none_or(|other| other < own);
                if !allowed {
                    wrong.push(format!(
                        "{}:{number}: {room} (floor {own}) reaches for {other}: {line}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_ground_floor_is_pure() {
    let mut wrong = Vec::new();
    for path in sources(Path::new("src")).iter().filter(|path| GROUND.contains(&room_of(path).as_str())) {
        for (number, line) in code(path) {
            let taken = IMPURE.iter().filter(|taken| {
                line.match_indices(**taken).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                        && line[at + taken.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric())
                })
            });
            wrong.extend(taken.map(|taken| format!("{}:{number}: {taken}: {line}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_room_stands_in_the_plan_of_the_house() {
    for path in sources(Path::new("src")) {
        let room = room_of(&path);
        let known = floor(&room).is_some() || ["lib", "main"].contains(&room.as_str());
        assert!(
            known,
            "{} has no floor: give `{room}` one in tests/architecture.rs and src/lib.rs",
            path.display()
        );
    }
}

#[test]
fn a_line_that_goes_up_is_seen() {
    assert_eq!(rooms_named("use crate::{fcgi::Exchange, upstream};"), ["fcgi", "upstream"]);
    assert_eq!(rooms_named("let x = crate::front::body::Body::Empty;"), ["front"]);
    assert!(floor("upstream") > floor("balance") && floor("files") == floor("upstream"));
}
