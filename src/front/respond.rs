//! The one table from an error to what the client gets: status, page, headers; and how loud the log is about it.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tracing::Level;

use super::body::Body;
use super::headers;
use crate::balance::Failure;
use crate::fcgi::PairTooLarge;
use crate::files;
use crate::route::{BadOrder, BadTarget, Label, Redirect};
use crate::tls::Stranger;
use crate::upstream::{Fault, SendError};

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request itself is wrong (RFC 9112 §3, §6).
    #[error("{0}")]
    BadRequest(&'static str),
    /// The site wants a certificate of its clients, and this one has not shown what it wants.
    #[error("{}", match .0 {
        Stranger::NoCertificate => "the client has no certificate, which the site requires",
        Stranger::Misdirected => "the site asks for client certificates, and the connection was made for another site",
    })]
    Stranger(Stranger),
    /// The target is no path.
    #[error(transparent)]
    BadTarget(#[from] BadTarget),
    /// The request line is longer than [`MAX_TARGET`](super::facts::MAX_TARGET).
    #[error("the target is too long")]
    TargetTooLong,
    /// One header does not fit into a FastCGI record, or all of them are too many.
    #[error("header too large: {0}")]
    HeadTooLarge(#[from] PairTooLarge),
    /// CONNECT and TRACE.
    #[error("method not allowed here")]
    Method,
    /// Larger than `max_body`.
    #[error("the body is larger than max_body")]
    BodyTooLarge,
    /// The client stopped in the middle of its body.
    #[error("the client stopped sending its body")]
    BodyTimeout,
    /// The client went away, or its chunks are no chunks.
    #[error("the body broke off: {0}")]
    BodyBroken(hyper::Error),
    /// A body could not be put aside.
    #[error("temp file: {0}")]
    TempFile(std::io::Error),
    /// The route says so (`return`, `deny`, no such file).
    #[error("refused by the route")]
    Planned(StatusCode),
    /// nginx's 444: the connection is closed without an answer.
    #[error("closed without an answer, as the route says")]
    Hangup,
    /// No name and password, or wrong ones; with the challenge.
    #[error("no name and password, or wrong ones")]
    Unknown(HeaderValue),
    /// More passwords are being tried than can be looked at.
    #[error("too many passwords are being tried at once")]
    Guessing,
    /// Over a limit of the route; there is room again in this time.
    #[error("over a limit of the route")]
    Limited(Duration),
    /// The script of `auth_request` says 401 or 403; with its challenge.
    #[error("auth_request says {0}")]
    Asked(StatusCode, Option<HeaderValue>),
    /// The script of `auth_request` says neither yes nor no.
    #[error("auth_request: the script answered {0}, which is neither 2xx nor 401 nor 403")]
    Oracle(StatusCode),
    /// A file cannot be sent.
    #[error("{}", .0.status)]
    File(files::Refusal),
    /// The pool gave no reply.
    #[error(transparent)]
    Upstream(#[from] SendError),
    /// A script's `X-Accel-Redirect` is not followed.
    #[error("X-Accel-Redirect to \"{to}\" is refused: {why}")]
    Order { to: String, why: BadOrder },
    /// A script's `X-Sendfile` is not followed.
    #[error("X-Sendfile to \"{0}\" is refused: it lies in no folder of the route's x_sendfile")]
    Sendfile(String),
    /// Scripts send each other's requests round in circles.
    #[error("X-Accel-Redirect: more than 10 in a row, which is a cycle")]
    Cycle,
}

/// A row of the table.
struct Row {
    status: StatusCode,
    level: Level,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Row {
    fn quiet(status: StatusCode) -> Self {
        Self { status, level: Level::DEBUG, header: None }
    }

    fn loud(status: StatusCode, level: Level) -> Self {
        Self { status, level, header: None }
    }
}

impl Refusal {
    /// The table. What a client did wrong is quiet; what an operator should look at is not.
    fn row(&self) -> Row {
        match self {
            Self::BadRequest(_) | Self::BadTarget(_) | Self::BodyBroken(_) => {
                Row::quiet(StatusCode::BAD_REQUEST)
            }
            Self::Stranger(Stranger::NoCertificate) => Row::quiet(StatusCode::BAD_REQUEST),
            Self::Stranger(Stranger::Misdirected) => Row::quiet(StatusCode::MISDIRECTED_REQUEST),
            Self::TargetTooLong => Row::quiet(StatusCode::URI_TOO_LONG),
            Self::HeadTooLarge(_) => Row::quiet(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::Method | Self::Planned(StatusCode::METHOD_NOT_ALLOWED) => Row {
                header: Some((ALLOW, HeaderValue::from_static("GET, HEAD"))),
                ..Row::quiet(StatusCode::METHOD_NOT_ALLOWED)
            },
            Self::BodyTooLarge => Row::loud(StatusCode::PAYLOAD_TOO_LARGE, Level::INFO),
            Self::BodyTimeout => Row::quiet(StatusCode::REQUEST_TIMEOUT),
            // The operator was told of it; in a moment somebody else may be done.
            Self::TempFile(error)
                if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                let header = Some((RETRY_AFTER, HeaderValue::from_static("5")));
                Row { header, ..Row::quiet(StatusCode::SERVICE_UNAVAILABLE) }
            }
            Self::TempFile(_) => Row::loud(StatusCode::INTERNAL_SERVER_ERROR, Level::ERROR),
            Self::Planned(status) => Row::quiet(*status),
            Self::Unknown(challenge) => Row {
                header: Some((WWW_AUTHENTICATE, challenge.clone())),
                ..Row::quiet(StatusCode::UNAUTHORIZED)
            },
            Self::Guessing => Row {
                header: Some((RETRY_AFTER, HeaderValue::from(1))),
                ..Row::loud(StatusCode::SERVICE_UNAVAILABLE, Level::WARN)
            },
            // The limit says now and then how many it refuses.
            Self::Limited(again) => Row {
                header: Some((RETRY_AFTER, HeaderValue::from(rounded_up(*again)))),
                ..Row::quiet(StatusCode::TOO_MANY_REQUESTS)
            },
            Self::Asked(status, challenge) => Row {
                header: challenge.clone().map(|challenge| (WWW_AUTHENTICATE, challenge)),
                ..Row::quiet(*status)
            },
            Self::Oracle(_) => Row::loud(StatusCode::INTERNAL_SERVER_ERROR, Level::ERROR),
            // Never sent: the connection is closed.
            Self::Hangup => Row::quiet(StatusCode::BAD_REQUEST),
            Self::File(refusal) => Row { header: refusal.header.clone(), ..Row::quiet(refusal.status) },
            Self::Upstream(error) => upstream_row(error),
            // nginx: 404 for what is no path, which may come of what a client sent.
            Self::Order { why: BadOrder::Unsafe, .. } => Row::loud(StatusCode::NOT_FOUND, Level::ERROR),
            Self::Order { .. } | Self::Sendfile(_) | Self::Cycle => {
                Row::loud(StatusCode::INTERNAL_SERVER_ERROR, Level::ERROR)
            }
        }
    }

    pub(super) fn sendfile(path: &HeaderValue) -> Self {
        Self::Sendfile(path.as_bytes().escape_ascii().to_string())
    }

    pub(super) fn status(&self) -> StatusCode {
        self.row().status
    }

    /// What the status must come with, whatever page goes with it.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        self.row().header
    }

    /// Whether what is left of a refused body would be read as the next request.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::BadTarget(_)
                | Self::BodyTooLarge
                | Self::BodyTimeout
                | Self::BodyBroken(_)
        )
    }

    /// What the client gets; `accept` decides between a page and JSON.
    pub(super) fn respond(&self, accept: &HeaderMap, request_id: Label) -> Response<Body> {
        let row = self.row();
        let mut response = page(row.status, accept, request_id);
        if let Some((name, value)) = row.header {
            response.headers_mut().insert(name, value);
        }
        if let Self::Upstream(SendError { queued: Some(queued), .. }) = self {
            headers::tell_queue_time(&mut response, *queued);
        }
        if self.ends_connection() {
            response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// One line for the operator, at the level of the table.
    pub(super) fn log(&self, request_id: Label) {
        let Row { status, level, .. } = self.row();
        // Its number will be said: an outage is not a line a request.
        let repeated = matches!(self, Self::Upstream(error) if error.repeated);
        let level = if repeated { Level::DEBUG } else { level };
        let status = status.as_u16();
        match level {
            Level::ERROR => tracing::error!(status, %request_id, "{self}"),
            Level::WARN => tracing::warn!(status, %request_id, "{self}"),
            Level::INFO => tracing::info!(status, %request_id, "{self}"),
            _ => tracing::debug!(status, %request_id, "{self}"),
        }
    }
}

/// In whole seconds, which is all that Retry-After can say: who comes then is not too early.
fn rounded_up(time: Duration) -> u64 {
    let seconds = if time.subsec_nanos() > 0 { time.as_secs() + 1 } else { time.as_secs() };
    seconds.max(1)
}

fn upstream_row(error: &SendError) -> Row {
    match error.fault {
        Fault::QueueFull
        | Fault::Overload
        | Fault::QueueTimeout
        | Fault::Connect(Failure::BacklogFull | Failure::Exhausted) => {
            let seconds = error.retry_after.unwrap_or(Duration::from_secs(1)).as_secs().max(1);
            // The pool says now and then how many it refuses: a line each would cost more than they do.
            let refused = matches!(error.fault, Fault::QueueFull | Fault::Overload);
            let level = if refused { Level::DEBUG } else { Level::WARN };
            Row {
                header: Some((RETRY_AFTER, HeaderValue::from(seconds))),
                ..Row::loud(StatusCode::SERVICE_UNAVAILABLE, level)
            }
        }
        Fault::RequestBody => Row::quiet(StatusCode::BAD_REQUEST),
        Fault::RequestBodyTimeout => Row::quiet(StatusCode::REQUEST_TIMEOUT),
        Fault::TempFile => Row::loud(StatusCode::INTERNAL_SERVER_ERROR, Level::ERROR),
        fault if fault.is_timeout() => Row::loud(StatusCode::GATEWAY_TIMEOUT, Level::ERROR),
        _ => Row::loud(StatusCode::BAD_GATEWAY, Level::ERROR),
    }
}

/// nginx's status for closing the connection without an answer.
pub(super) const HANGUP: u16 = 444;

/// What a `return` or a refusal of the router says.
pub(super) fn fixed(status: StatusCode, body: Option<Vec<u8>>) -> Result<Response<Body>, Refusal> {
    if status.as_u16() == HANGUP {
        return Err(Refusal::Hangup);
    }
    let text = match body {
        Some(text) => text,
        // As nginx: `return 200` is empty; only errors and redirects have a page.
        None if status.is_success() => Vec::new(),
        None => return Err(Refusal::Planned(status)),
    };
    let mut response = Response::new(Body::text(text.into()));
    *response.status_mut() = status;
    // There is no content whose type could be told.
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    Ok(response)
}

/// A redirect, with a page for whoever does not follow it.
pub(super) fn redirect(to: &mut Redirect<'_>, accept: &HeaderMap, request_id: Label) -> Response<Body> {
    let mut response = page(to.status, accept, request_id);
    match HeaderValue::from_maybe_shared(Bytes::from(std::mem::take(&mut to.location))) {
        Ok(location) => drop(response.headers_mut().insert(LOCATION, location)),
        // The router encodes what a header cannot carry; should it ever fail to, nothing is split.
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

/// The standard page of a status: HTML, or JSON for a client that prefers it.
pub(super) fn page(status: StatusCode, accept: &HeaderMap, request_id: Label) -> Response<Body> {
    let json = prefers_json(accept);
    let text = if json { json_page(status, request_id) } else { html_page(status, request_id) };
    let content_type = if json { "application/json" } else { "text/html; charset=utf-8" };
    let mut response = Response::new(Body::text(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if status.is_client_error() || status.is_server_error() {
        // An error of this moment is not the answer of the next hour.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether JSON is named in Accept, and HTML is not or later.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = accept.find("application/json").or_else(|| accept.find("+json"));
    match (json, accept.find("text/html")) {
        (Some(json), Some(html)) => json < html,
        (json, _) => json.is_some(),
    }
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

fn json_page(status: StatusCode, request_id: Label) -> String {
    format!(
        "{{\"status\":{},\"error\":\"{}\",\"request_id\":\"{request_id}\"}}\n",
        status.as_u16(),
        title(status)
    )
}

fn html_page(status: StatusCode, request_id: Label) -> String {
    let (code, title) = (status.as_u16(), title(status));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{code} {title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:32em;padding:0 1em;color:#333}}\
         h1{{font-size:1.6em;margin:0}}p{{color:#777}}code{{font-size:.85em}}\
         @media(prefers-color-scheme:dark){{body{{background:#1a1a1a;color:#ddd}}}}</style></head>\n\
         <body><h1>{code} {title}</h1><p>Request <code>{request_id}</code></p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fcgi::Violation;

    fn failed(fault: Fault) -> Refusal {
        let retry_after = Some(Duration::from_millis(3_400));
        Refusal::Upstream(SendError {
            fault,
            member: Some("10.0.0.3:9000".into()),
            retry_after,
            queued: None,
            repeated: false,
        })
    }

    #[test]
    fn every_error_has_its_status() {
        for (refusal, status) in [
            (Refusal::BadRequest("two Hosts"), 400),
            (Refusal::Method, 405),
            (Refusal::BodyTimeout, 408),
            (Refusal::TempFile(ErrorKind::StorageFull.into()), 503),
            (Refusal::TempFile(ErrorKind::PermissionDenied.into()), 500),
            (Refusal::BodyTooLarge, 413),
            (Refusal::TargetTooLong, 414),
            (Refusal::Planned(StatusCode::FORBIDDEN), 403),
            (failed(Fault::ClosedEarly), 502),
            (failed(Fault::Garbage(Violation::Version(2))), 502),
            (failed(Fault::Nobody), 502),
            (failed(Fault::QueueFull), 503),
            (failed(Fault::Overload), 503),
            (failed(Fault::QueueTimeout), 503),
            (failed(Fault::FirstByteTimeout), 504),
            (failed(Fault::RequestBodyTimeout), 408),
            (failed(Fault::Connect(Failure::ConnectTimeout)), 504),
            (failed(Fault::Connect(Failure::Refused)), 502),
            (failed(Fault::Connect(Failure::BacklogFull)), 503),
            (failed(Fault::Connect(Failure::Exhausted)), 503),
        ] {
            assert_eq!(refusal.row().status.as_u16(), status, "{refusal:?}");
        }
    }

    #[test]
    fn a_full_queue_says_when_to_come_again() {
        let response = failed(Fault::QueueFull).respond(&HeaderMap::new(), Label::Made(1));
        assert_eq!(response.headers()[RETRY_AFTER], "3");
    }

    #[test]
    fn a_refused_body_ends_the_connection() {
        let response = Refusal::BodyTooLarge.respond(&HeaderMap::new(), Label::Made(1));
        assert_eq!(response.headers()[http::header::CONNECTION], "close");
    }

    #[test]
    fn a_return_without_a_text_is_a_page_only_where_it_is_an_error() {
        let returns = |status| fixed(StatusCode::from_u16(status).expect("a status"), None);
        assert!(returns(200).expect("a reply").body().is_over());
        assert!(matches!(returns(404), Err(Refusal::Planned(StatusCode::NOT_FOUND))));
        assert!(matches!(returns(HANGUP), Err(Refusal::Hangup)));
    }

    #[test]
    fn a_program_gets_json_and_a_browser_a_page() {
        for (accept, json) in [
            ("application/json", true),
            ("application/problem+json, */*", true),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("text/html, application/json", false),
            ("application/json, text/html", true),
            ("*/*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            let content_type =
                page(StatusCode::NOT_FOUND, &headers, Label::Made(1)).headers()[CONTENT_TYPE].clone();
            assert_eq!(content_type == "application/json", json, "{accept}");
        }
    }
}
