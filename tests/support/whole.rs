//! The whole of an answer, to be compared: its status, the headers that matter, its body, what php got and how often it ran, and
//! what became of the connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::compare::{Asked, Seen};
use super::fpm::Fpm;
use super::http::{Broken, Connection, Response};

/// Headers that mean something to clients. Date and Server are on every answer of both, and differ by what they are.
const HEADERS: &[&str] = &[
    "accept-ranges",
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "pragma",
    "refresh",
    "retry-after",
    "set-cookie",
    "status",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
    "x-accel-buffering",
    "x-accel-expires",
    "x-fixture-member",
    "x-own",
    "x-powered-by",
];

/// Of a page that a server wrote itself: which page it is, is its own.
const OF_THE_PAGE: &[&str] = &["content-type", "content-length", "transfer-encoding"];

/// The port is each server's own.
const PORTS: [&str; 2] = ["SERVER_PORT", "REMOTE_PORT"];

/// What `server` makes of a request whose scripts count their runs as `runs`.
pub fn whole(server: SocketAddr, asked: &Asked, fpm: &Fpm) -> Seen {
    let before = fpm.count("runs");
    let mut connection = Connection::open(server);
    // A server may answer and close before it has all.
    let _ = connection.try_send(&asked.bytes);
    let answered = connection.try_response(asked.method());
    let next = match connection.try_response("GET") {
        Ok(response) => format!("answers {} to the next request", response.status),
        Err(Broken::Closed | Broken::Io(_)) => "closes".to_owned(),
        Err(Broken::Malformed(_) | Broken::Truncated { .. }) => "goes on without a head".to_owned(),
        Err(Broken::Silent { .. }) => panic!("{}: silence behind its answer", asked.name),
    };
    let runs = fpm.count("runs") - before;
    let (answer, mut more) = match answered {
        Ok(response) => (response.status.to_string(), read(&response, runs > 0)),
        Err(Broken::Closed | Broken::Io(_)) => ("closed".to_owned(), BTreeMap::new()),
        Err(Broken::Truncated { so_far }) => (format!("{}, cut", so_far.status), BTreeMap::new()),
        Err(Broken::Malformed(_)) => ("not HTTP/1.1".to_owned(), BTreeMap::new()),
        Err(broken) => panic!("{}: {broken:?}", asked.name),
    };
    more.insert("the connection".to_owned(), next);
    more.insert("runs of php".to_owned(), runs.to_string());
    Seen { answer, params: more }
}

fn read(response: &Response, by_php: bool) -> BTreeMap<String, String> {
    let has_own_page = response.status >= 300 && response.status != 304 && !by_php;
    let mirror = serde_json::from_slice::<Value>(&response.body).ok();
    let params = mirror.as_ref().and_then(|mirror| mirror["params"].as_object());
    let mut seen = BTreeMap::new();
    for name in HEADERS {
        let skipped =
            has_own_page && OF_THE_PAGE.contains(name) || params.is_some() && *name == "content-length";
        let values = response.header_all(name);
        if !skipped && !values.is_empty() {
            seen.insert((*name).to_owned(), values.join(" | "));
        }
    }
    match (params, &mirror) {
        (Some(params), Some(mirror)) => {
            let params = params.iter().filter(|(name, _)| !PORTS.contains(&name.as_str()));
            seen.extend(params.map(|(name, value)| (format!("php: {name}"), value.to_string())));
            seen.insert("php: the body".to_owned(), mirror["body"].to_string());
        }
        _ if has_own_page => {}
        _ => drop(seen.insert("body".to_owned(), body(response))),
    }
    if let (Some(boundary), Some(media)) = (boundary(response), seen.get_mut("content-type")) {
        *media = media.replace(boundary, "<boundary>");
    }
    seen
}

/// Short ones are shown.
fn body(response: &Response) -> String {
    let bytes = without_boundary(response);
    if bytes.len() <= 400 {
        return bytes.escape_ascii().to_string();
    }
    // FNV-1a: nobody here wants to make two bodies alike.
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    format!("{} bytes, {:016x}", bytes.len(), bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// It is drawn anew for each answer, and is told in its Content-Type.
fn boundary(response: &Response) -> Option<&str> {
    Some(response.header("content-type")?.split_once("; boundary=")?.1)
}

fn without_boundary(response: &Response) -> Vec<u8> {
    let Some(boundary) = boundary(response) else { return response.body.clone() };
    let (mut bytes, mut rest) = (vec![], &response.body[..]);
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix(boundary.as_bytes()) {
            Some(behind) => (rest, _) = (behind, bytes.extend(b"<boundary>")),
            None => (rest, _) = (behind, bytes.push(*first)),
        }
    }
    bytes
}
