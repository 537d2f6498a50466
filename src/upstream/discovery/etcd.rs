//! etcd as a source: a member for each key below a prefix, by the JSON gateway of its API v3.
//!
//! The keys are read, and watched from the next revision on; whatever the watch tells, they are read again. So a revision that is compacted
//! already, or a watch that is cancelled, costs one more reading. Of several endpoints the next is taken when one fails.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::complaints::Complaints;
use super::found::{Named, Outlet};
use super::http::Call;
use super::listing;
use super::names::{Lookup, located};
use super::pauses::Pauses;
use super::trouble::Trouble;
use crate::config::model::{ApiAddress, Etcd};

/// A watch that says nothing for so long may have lost its other end.
const RESYNC: Duration = Duration::from_secs(30);
/// A deployment writes several keys.
const BURST: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Range {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Debug, Deserialize)]
struct Header {
    /// protobuf's JSON writes 64 bits as a string.
    revision: String,
}

#[derive(Debug, Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
}

/// Tells of the members below the prefix.
pub(super) async fn follow(etcd: Etcd, pool: String, lookup: Lookup, outlet: Outlet) {
    let mut pauses = Pauses::up_to(LONGEST_PAUSE);
    let mut complaints = Complaints::default();
    let mut failed = 0;
    for at in etcd.endpoints.iter().cycle() {
        let complaints = &mut complaints;
        let source =
            Watched { at, prefix: &etcd.prefix, pool: &pool, lookup: &lookup, outlet: &outlet, complaints };
        let (answered, trouble) = source.watch().await;
        if answered {
            pauses.end();
            failed = 0;
        }
        failed += 1;
        // One of several that fails is no trouble yet.
        if failed >= etcd.endpoints.len() {
            outlet.tell(Err(trouble)).await;
            sleep(pauses.next(rand::random())).await;
        }
    }
}

/// One endpoint, as long as it answers.
struct Watched<'a> {
    at: &'a ApiAddress,
    prefix: &'a str,
    pool: &'a str,
    lookup: &'a Lookup,
    outlet: &'a Outlet,
    complaints: &'a mut Complaints,
}

impl Watched<'_> {
    /// Until it fails; whether it has answered before.
    async fn watch(mut self) -> (bool, Trouble) {
        let mut answered = false;
        loop {
            match self.round().await {
                Ok(()) => answered = true,
                Err(trouble) => return (answered, trouble),
            }
        }
    }

    /// Reads the keys, and watches until they are to be read again.
    async fn round(&mut self) -> Result<(), Trouble> {
        let range: Range = self.ask_range().await?;
        let members = self.members(&range);
        self.outlet.tell(located(members, self.lookup).await).await;
        let revision = range.header.revision.parse::<u64>();
        let revision = revision.map_err(|error| self.not_understood(&error.to_string()))?;
        let from = json!({ "create_request": {
            "key": STANDARD.encode(self.prefix),
            "range_end": STANDARD.encode(end_of(self.prefix)),
            "start_revision": (revision + 1).to_string(),
        }});
        let mut watch = Call::post(self.at, "/v3/watch", from.to_string()).ask().await?;
        let mut line = Vec::new();
        loop {
            let Ok(part) = timeout(RESYNC, watch.part()).await else { return Ok(()) };
            let Some(part) = part? else { return Err(self.not_understood("it has ended the watch")) };
            line.extend_from_slice(&part);
            if is_news(&line) {
                sleep(BURST).await;
                return Ok(());
            }
            if line.ends_with(b"\n") {
                line.clear();
            }
        }
    }

    async fn ask_range(&self) -> Result<Range, Trouble> {
        let range =
            json!({ "key": STANDARD.encode(self.prefix), "range_end": STANDARD.encode(end_of(self.prefix)) });
        Call::post(self.at, "/v3/kv/range", range.to_string()).ask().await?.json().await
    }

    /// A value that is wrong costs its own member only: keys are written by many hands.
    fn members(&mut self, range: &Range) -> Vec<Named> {
        let (mut named, mut wrong) = (Vec::new(), Vec::new());
        for KeyValue { key, value } in &range.kvs {
            match text_of(value).and_then(|value| listing::read_one(&value)) {
                Ok(member) => named.push(member),
                Err(why) => {
                    let key = text_of(key).unwrap_or_default();
                    wrong.push(format!("the value of {key} is left out: {why}"));
                }
            }
        }
        self.complaints.tell(wrong, "etcd", self.pool);
        named
    }

    fn not_understood(&self, why: &str) -> Trouble {
        Trouble::NotUnderstood { at: self.at.to_string(), why: why.to_owned() }
    }
}

fn text_of(encoded: &str) -> Result<String, String> {
    let bytes = STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// The first answer only says that the watch stands.
fn is_news(lines: &[u8]) -> bool {
    let text = String::from_utf8_lossy(lines);
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n') && !line.trim().is_empty());
    lines.map(serde_json::from_str::<serde_json::Value>).any(|line| {
        let Ok(line) = line else { return true };
        let result = &line["result"];
        result["created"] != true || result["canceled"] == true || result["events"].is_array()
    })
}

/// The first key behind all that begin with the prefix (etcd: `range_end`).
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // Every key.
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(end_of("/cornac/php/"), b"/cornac/php0");
        assert_eq!(end_of("a\u{7f}"), b"a\x80");
        assert_eq!(end_of(""), [0]);
    }

    #[test]
    fn that_a_watch_stands_is_no_news_and_all_else_is() {
        assert!(!is_news(b"{\"result\":{\"header\":{\"revision\":\"2\"},\"created\":true}}\n"));
        assert!(!is_news(b"{\"result\":{\"events\":[{\"kv\""), "half a line");
        assert!(is_news(b"{\"result\":{\"events\":[{\"kv\":{\"key\":\"YQ==\"}}]}}\n"));
        assert!(is_news(b"{\"result\":{\"canceled\":true,\"compact_revision\":\"9\"}}\n"));
        assert!(is_news(b"{\"error\":{\"message\":\"etcdserver: no leader\"}}\n"));
    }
}
