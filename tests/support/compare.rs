//! Two servers side by side: the same bytes to both, what each made of them, and the differences that are meant.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Broken, Connection, Response};

/// The host that requests name; nginx puts it into its redirects.
pub const HOST: &str = "shop.example";

/// A request as bytes, and what the report calls it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Asked {
    /// `GET target`, and nothing a client need not send.
    pub fn get(target: &str) -> Self {
        Self::with("GET", target, &[])
    }

    /// With these header lines besides Host and Connection. The name is the target, and what else is unusual.
    pub fn with(method: &str, target: &str, lines: &[&str]) -> Self {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
        lines.iter().for_each(|line| head += &format!("{line}\r\n"));
        let method = if method == "GET" { String::new() } else { format!("{method} ") };
        let lines = if lines.is_empty() { String::new() } else { format!(" [{}]", lines.join(" | ")) };
        Self { name: format!("{method}{target}{lines}"), bytes: (head + "\r\n").into_bytes() }
    }

    /// As far as it matters to whoever reads the answer.
    pub fn method(&self) -> &'static str {
        if self.bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" }
    }

    pub fn raw(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self { name: name.to_owned(), bytes: bytes.as_ref().to_vec() }
    }
}

/// A difference that is meant. In values, `…` stands for any text, `*` for the same text on both sides; a param that was
/// not sent is `-`.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The request's name, the beginning of several (`/a…`), or `*` for all.
    pub on: &'static str,
    /// `answer`, a param's or a header's name, or `*` for whatever differs.
    pub what: &'static str,
    pub nginx: &'static str,
    pub cornac: &'static str,
    /// Which promise asks for it.
    pub why: &'static str,
}

/// Who answered, with which params: of all of `asked`, sent to both.
pub fn compare(nginx: SocketAddr, cornac: SocketAddr, asked: &[Asked], meant: &[Difference]) {
    compare_by(Seen::of, nginx, cornac, asked, meant);
}

/// Sends all of `asked` to both, and compares what `see` sees. Panics with the whole list when there is a difference that is not
/// meant, or one is meant that was not seen.
pub fn compare_by(
    see: impl Fn(SocketAddr, &Asked) -> Seen,
    nginx: SocketAddr,
    cornac: SocketAddr,
    asked: &[Asked],
    meant: &[Difference],
) {
    let mut unseen: Vec<bool> = vec![true; meant.len()];
    let mut report = String::new();
    for request in asked {
        let (theirs, ours) = (see(nginx, request), see(cornac, request));
        for (what, nginx, cornac) in theirs.differences(&ours) {
            match meant.iter().position(|row| row.allows(&request.name, what, nginx, cornac)) {
                Some(row) => unseen[row] = false,
                None => drop(writeln!(
                    report,
                    "{}\n  {what}\n    nginx  {nginx}\n    cornac {cornac}",
                    request.name
                )),
            }
        }
    }
    for row in meant.iter().zip(unseen).filter_map(|(row, unseen)| unseen.then_some(row)) {
        let _ = writeln!(report, "listed, but not seen: {} of {} ({})", row.what, row.on, row.why);
    }
    assert!(report.is_empty(), "\n{report}");
}

/// What a server made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Status, and who answered: which script, which file's text, or where to.
    pub answer: String,
    /// What php received, when a script answered; and the reply's headers that a configuration may set, as `reply: name`.
    pub params: BTreeMap<String, String>,
}

impl Seen {
    pub fn of(server: SocketAddr, request: &Asked) -> Self {
        let mut connection = Connection::open(server);
        let client = connection.stream().local_addr().expect("a connected socket").port().to_string();
        connection.send(&request.bytes);
        let mut seen = match connection.try_response(request.method()) {
            Ok(response) => Self::read(&response),
            Err(Broken::Closed) => Self { answer: "closed".to_owned(), params: BTreeMap::new() },
            Err(broken) => panic!("{}: {broken:?}", request.name),
        };
        // Ports are each server's and each connection's own.
        let port = server.port().to_string();
        seen.answer = seen.answer.replace(&format!(":{port}/"), ":<port>/");
        seen.rename("SERVER_PORT", &port, "<port>");
        seen.rename("REMOTE_PORT", &client, "<client>");
        seen
    }

    fn read(response: &Response) -> Self {
        let status = response.status;
        if let Ok(mirror) = serde_json::from_slice::<Value>(&response.body)
            && let Some(params) = mirror["params"].as_object()
        {
            let params = params.iter().map(|(name, value)| (name.clone(), text_of(value)));
            let params = params.chain(set_headers(response)).collect();
            return Self { answer: format!("{status} by {}", text_of(&mirror["entry"])), params };
        }
        let answer = match response.header("location") {
            Some(location) => format!("{status} to {location}"),
            None if status == 200 => format!("200 {}", response.body.escape_ascii()),
            None => status.to_string(),
        };
        Self { answer, params: set_headers(response).collect() }
    }

    fn rename(&mut self, param: &str, from: &str, to: &str) {
        if let Some(value) = self.params.get_mut(param).filter(|value| *value == from) {
            *value = to.to_owned();
        }
    }

    fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, &'a str, &'a str)> {
        if self.answer != other.answer {
            return vec![("answer", &self.answer, &other.answer)];
        }
        let mut names: Vec<&str> =
            self.params.keys().chain(other.params.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let value = |seen: &'a Self, name| seen.params.get(name).map_or("-", String::as_str);
        let pairs = names.into_iter().map(|name| (name, value(self, name), value(other, name)));
        pairs.filter(|(_, ours, theirs)| ours != theirs).collect()
    }
}

/// Error pages are each server's own, and so are their headers.
fn set_headers(response: &Response) -> impl Iterator<Item = (String, String)> {
    let names = ["cache-control", "expires", "x-own", "x-more", "x-fixture-member"];
    let own = names.into_iter().filter(|_| response.status < 400);
    own.map(|name| (format!("reply: {name}"), response.header_all(name).join(" | ")))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Difference {
    pub fn allows(&self, on: &str, what: &str, nginx: &str, cornac: &str) -> bool {
        let is_on = match self.on.strip_suffix('…') {
            Some(beginning) => on.starts_with(beginning),
            None => self.on == "*" || self.on == on,
        };
        if !(self.what == "*" || self.what == what) || !is_on {
            return false;
        }
        match (fits(self.nginx, nginx), fits(self.cornac, cornac)) {
            (Some(theirs), Some(ours)) => theirs == ours || theirs.is_none() || ours.is_none(),
            _ => false,
        }
    }
}

/// None: it does not fit. Some(Some(text)): it fits, and this is what stands for the `*`.
fn fits<'a>(pattern: &str, value: &'a str) -> Option<Option<&'a str>> {
    if let Some((before, after)) = pattern.split_once('*') {
        return value.strip_prefix(before)?.strip_suffix(after).map(Some);
    }
    let Some((before, after)) = pattern.split_once('…') else {
        return (pattern == value).then_some(None);
    };
    value.strip_prefix(before)?.ends_with(after).then_some(None)
}
