//! The one table from what is wrong to what the operator's program gets: a status, and words that say what to do.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::wishes::NotReloaded;

/// An answer: all of them are small.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// A web page may have been led here under a name of its own (DNS rebinding).
    #[error("the Host '{0}' is not this server's: ask by its address or as localhost, or send the token")]
    ForeignHost(String),
    /// None where one is required.
    #[error(
        "a token is required: send the header 'Authorization: Bearer TOKEN' (cornac ctl: CORNAC_ADMIN_TOKEN)"
    )]
    NoToken,
    /// Another one.
    #[error("wrong token: it must be the one that `token` in [admin] names")]
    WrongToken,
    /// A form of a web page can send anything but this.
    #[error("send the header 'Content-Type: application/json'")]
    NotJson,
    /// Not a path of the API.
    #[error("nothing is at {0}; GET / lists what is here")]
    NoSuchPath(String),
    /// The path takes others.
    #[error("{path} takes {allow}")]
    Method {
        /// The path.
        path: String,
        /// The methods that it takes.
        allow: &'static str,
    },
    /// The hint names the nearest.
    #[error("there is no pool '{name}'; {hint}")]
    NoSuchPool {
        /// What was asked for.
        name: String,
        /// What there is.
        hint: String,
    },
    /// The hint names the nearest.
    #[error("pool {pool} has no server '{address}'; {hint}")]
    NoSuchServer {
        /// The pool.
        pool: String,
        /// What was asked for.
        address: String,
        /// What there is.
        hint: String,
    },
    /// The body is no order.
    #[error(
        "{0}; send {{\"state\": \"ready\" | \"drain\" | \"down\"}}, {{\"weight\": 1 to 65535, or null for the configured one}}, or both"
    )]
    BadOrder(String),
    /// Larger than any order.
    #[error("the body is larger than {} bytes", super::connection::MAX_BODY)]
    TooLarge,
    /// It did not come, or not to its end.
    #[error("the body did not come whole")]
    Broken,
    /// The runtime is on its way out.
    #[error("cornac is stopping")]
    Stopping,
    /// Everything stays as it is.
    #[error("{}", said(.0))]
    NotReloaded(NotReloaded),
}

fn said(not: &NotReloaded) -> String {
    match not {
        NotReloaded::NoFile => not.to_string(),
        NotReloaded::Wrong(_) => "the configuration has mistakes; everything stays as it is".to_owned(),
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::ForeignHost(_) => StatusCode::FORBIDDEN,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoSuchPath(_) | Self::NoSuchPool { .. } | Self::NoSuchServer { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadOrder(_) | Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotReloaded(NotReloaded::NoFile) => StatusCode::NOT_IMPLEMENTED,
            Self::NotReloaded(NotReloaded::Wrong(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// What goes out.
    pub(super) fn answer(&self) -> Answer {
        let mut body = json!({ "error": self.to_string() });
        if let Self::NotReloaded(NotReloaded::Wrong(diagnostics)) = self {
            body["diagnostics"] = json!(diagnostics);
        }
        let mut answer = json(self.status(), &body);
        let headers = answer.headers_mut();
        match self {
            Self::NoToken | Self::WrongToken => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"cornac\""));
            }
            Self::Method { allow, .. } => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            _ => {}
        }
        answer
    }
}

/// A value, for programs, and for people who read it in a terminal.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let mut body = serde_json::to_vec_pretty(value).expect("plain values with names as keys");
    body.push(b'\n');
    plain(status, "application/json", body)
}

/// A page of this type; what it tells is of this moment.
pub(super) fn plain(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
