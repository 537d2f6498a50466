//! One request from its first line to its last byte, for the access log and the metrics: written when the visit is dropped, so that a
//! client who leaves (499) and a reply that breaks off are logged too.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;

use super::access_log::{AccessLog, Entry, UpstreamEntry, end_word};
use super::body::BodyError;
use super::facts::Client;
use super::log_line::Millis;
use super::respond::HANGUP;
use crate::limits::Held;
use crate::metrics::{Class, FrontMeters, Kept, SiteMeter};
use crate::route::{Address, Label, Origin, Plan, protocol};
use crate::site::Site;
use crate::upstream::{Observer, Outcome};

/// nginx's status for a client that closed the connection before it got an answer.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The visit: a name, and next to nothing else where nothing is logged or counted. It is moved with its reply, so it stays small.
pub(super) struct Visit {
    label: Label,
    open: Option<Box<Open>>,
    count: Option<Box<Count>>,
    /// Its part of the limits it is counted by, as long as it is at work; `None`: not counted yet.
    held: Option<Box<[Held]>>,
}

/// What metrics want to know of it.
struct Count {
    began: Instant,
    /// Its site's, as soon as that is known.
    meter: SiteMeter,
    class: Class,
    /// 0: no answer.
    status: u16,
    sent: u64,
}

struct Open {
    log: Arc<AccessLog>,
    began: Instant,
    entry: Entry,
    pool: Option<Arc<str>>,
    outcome: Arc<Mutex<Option<Outcome>>>,
    ended: bool,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Visit").field(&self.label).field(&self.open.as_ref().map(|open| &open.entry)).finish()
    }
}

impl Visit {
    /// Begins with the request's line, before anything is decided about it.
    pub(super) fn begin(
        log: Option<&Arc<AccessLog>>,
        meters: Option<&FrontMeters>,
        parts: &Parts,
        client: &Client,
    ) -> Self {
        let label = Label::Made(rand::random());
        let count = meters.map(|meters| {
            Box::new(Count {
                began: Instant::now(),
                meter: meters.nowhere().here(),
                class: Class::Refused,
                status: 0,
                sent: 0,
            })
        });
        let open = log.map(|log| {
            Box::new(Open {
                began: count.as_ref().map_or_else(Instant::now, |count| count.began),
                entry: entry(log, parts, client, label),
                log: Arc::clone(log),
                pool: None,
                outcome: Arc::default(),
                ended: false,
            })
        });
        Self { label, open, count, held: None }
    }

    /// The request's name.
    pub(super) fn label(&self) -> Label {
        self.label
    }

    /// The site that the host names.
    pub(super) fn finds_site(&mut self, host: &str, site: &Site) {
        if let (Some(count), Some(meters)) = (&mut self.count, site.meters()) {
            count.meter = meters.here();
        }
        if let Some(open) = &mut self.open {
            open.entry.host = host.to_owned();
            open.entry.site = site.server_name().to_owned();
        }
    }

    /// Its password was right.
    pub(super) fn knows(&mut self, user: &str) {
        if let Some(open) = &mut self.open {
            open.entry.remote_user = Some(user.to_owned());
        }
    }

    /// Whether a route's limits have counted it already.
    pub(super) fn is_counted(&self) -> bool {
        self.held.is_some()
    }

    /// It is counted, and holds these until it ends.
    pub(super) fn holds(&mut self, held: Vec<Held>) {
        self.held = Some(held.into());
    }

    /// A check is not passed.
    pub(super) fn was_refused(&mut self, by: Kept) {
        if let Some(count) = &self.count {
            count.meter.kept(by);
        }
    }

    /// What proxies that the site trusts say of it.
    pub(super) fn comes_from(&mut self, origin: Option<&Origin>) {
        let Some(Origin { client, label, .. }) = origin else { return };
        self.label = label.unwrap_or(self.label);
        let Some(open) = &mut self.open else { return };
        if let Some(label) = label {
            open.entry.request_id = label.to_string();
        }
        if let Some(client) = client {
            open.entry.remote_addr = Address::ip_text(Some(client)).to_owned();
        }
    }

    /// How the route answers, and its spelling.
    pub(super) fn takes_route(&mut self, plan: &Plan<'_>) {
        if let Some(count) = &mut self.count {
            count.class = class(plan);
        }
        let route = plan.route();
        if let Some(open) = &mut self.open {
            open.entry.route = Some(route.to_owned());
        }
    }

    /// A pool will answer; what it did arrives through the observer.
    pub(super) fn goes_to(&mut self, pool: &Arc<str>) -> Option<Observer> {
        let open = self.open.as_mut()?;
        open.pool = Some(Arc::clone(pool));
        let slot = Arc::clone(&open.outcome);
        Some(Box::new(move |outcome| *slot.lock() = Some(outcome)))
    }

    /// So many bytes of its body go to a script.
    pub(super) fn brought(&mut self, bytes: u64) {
        if let Some(count) = &self.count {
            count.meter.received(bytes);
        }
    }

    /// The head of the answer is decided.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(count) = &mut self.count {
            count.status = status.as_u16();
        }
        if let Some(open) = &mut self.open {
            open.entry.status = status.as_u16();
            open.entry.end = "client left";
        }
    }

    /// There is no answer, as the route says.
    pub(super) fn hung_up(&mut self) {
        if let Some(open) = &mut self.open {
            open.entry.status = HANGUP;
            open.entry.end = "closed without an answer";
        }
    }

    /// Bytes of the body handed to the connection.
    pub(super) fn sent(&mut self, bytes: usize) {
        if let Some(count) = &mut self.count {
            count.sent += bytes as u64;
        }
        if let Some(open) = &mut self.open {
            open.entry.bytes += bytes as u64;
        }
    }

    /// The body was handed over to its end.
    pub(super) fn complete(&mut self) {
        if let Some(open) = &mut self.open {
            open.ended = true;
            open.entry.end = "complete";
        }
    }

    /// The body broke off: worth a line in the event log too, because the client has half an answer.
    pub(super) fn broke_off(&mut self, error: &BodyError) {
        let request_id = self.label;
        tracing::error!(%request_id, "a reply was cut off, and the client's connection with it: {error}");
        if let Some(open) = &mut self.open {
            open.ended = true;
            open.entry.end = "failed";
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(count) = self.count.take() {
            let Count { began, meter, class, status, sent } = *count;
            meter.ended(class, status, began.elapsed());
            meter.sent(sent);
        }
        let Some(mut open) = self.open.take() else { return };
        open.entry.total_ms = open.began.elapsed().into();
        let outcome = open.outcome.lock().take();
        if let Some(outcome) = &outcome {
            open.entry.upstream = Some(UpstreamEntry::new(open.pool.as_deref().unwrap_or_default(), outcome));
            if !open.ended {
                open.entry.end = end_word(outcome);
            }
        }
        open.log.write(&open.entry);
    }
}

fn class(plan: &Plan<'_>) -> Class {
    match plan {
        Plan::File(_) | Plan::Listing(_) => Class::Static,
        Plan::Script(_) => Class::Script,
        Plan::Redirect(_) => Class::Redirect,
        Plan::Fixed(_) => Class::Fixed,
        Plan::Guarded(guarded) => class(&guarded.plan),
    }
}

fn entry(log: &AccessLog, parts: &Parts, client: &Client, request_id: Label) -> Entry {
    Entry {
        time: log.now(),
        request_id: request_id.to_string(),
        remote_user: None,
        remote_addr: Address::ip_text(client.peer.as_ref()).to_owned(),
        method: parts.method.as_str().to_owned(),
        target: parts
            .uri
            .path_and_query()
            .map_or_else(|| parts.uri.to_string(), |raw| raw.as_str().to_owned()),
        protocol: protocol(parts.version),
        host: String::new(),
        status: CLIENT_CLOSED_REQUEST,
        bytes: 0,
        referer: header(&parts.headers, http::header::REFERER),
        user_agent: header(&parts.headers, http::header::USER_AGENT),
        site: String::new(),
        route: None,
        total_ms: Millis::ZERO,
        upstream: None,
        end: "client left",
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> String {
    let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    // Looked through as a whole first, which goes faster than from one character to the next.
    str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value).into_owned(), str::to_owned)
}
