//! One connection to a cornac's admin API, and what may be wrong with it in words.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::admin::{Pool, Pools};
use crate::app::Failure;

/// How long cornac may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection, as long as the command.
pub(super) struct Client {
    at: String,
    host: HeaderValue,
    token: Option<HeaderValue>,
    connection: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects to `host:port` or `unix:/path`; `http://` in front of it is left out.
    pub(super) async fn connect(at: &str, token: Option<&str>) -> Result<Self, Failure> {
        let at = at.strip_prefix("http://").unwrap_or(at).trim_end_matches('/');
        let host = if at.starts_with("unix:") { "localhost" } else { at };
        let host = HeaderValue::try_from(host).map_err(|_| not_an_address(at))?;
        let token = token.map(|token| HeaderValue::try_from(format!("Bearer {token}"))).transpose();
        let token = token.map_err(|_| Failure::Request("the token is not one line of text".to_owned()))?;
        let connected = match at.strip_prefix("unix:") {
            Some(path) => begin(UnixStream::connect(path)).await,
            None if at.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) => {
                return Err(not_an_address(at));
            }
            None => begin(TcpStream::connect(at)).await,
        };
        let connection = connected.map_err(|error| unreachable(at, &error))?;
        Ok(Self { at: at.to_owned(), host, token, connection })
    }

    /// Every pool.
    pub(super) async fn pools(&mut self) -> Result<Vec<Pool>, Failure> {
        let pools = self.ask(Method::GET, "/api/v1/pools", None).await?;
        let Pools { pools } = serde_json::from_value(pools).map_err(|error| {
            Failure::Request(format!("{} answers, but not as this cornac does: {error}", self.at))
        })?;
        Ok(pools)
    }

    /// One request. What the API refuses is the failure, in its own words.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::new(Full::new(Bytes::from(body)));
        let is_change = method != Method::GET;
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| Failure::Request(format!("{path}: {error}")))?;
        request.headers_mut().insert(HOST, self.host.clone());
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        if is_change {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let broken = |error: hyper::Error| Failure::Unreachable(format!("{} broke off: {error}", self.at));
        let answer = self.connection.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
        let value: Value = serde_json::from_slice(&body).map_err(|_| no_api(&self.at, status))?;
        match status.is_success() {
            true => Ok(value),
            false => Err(refused(&value).unwrap_or_else(|| no_api(&self.at, status))),
        }
    }
}

async fn begin<S>(connecting: impl Future<Output = io::Result<S>>) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = timeout(CONNECT, connecting).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

fn refused(value: &Value) -> Option<Failure> {
    let mut text = value["error"].as_str()?.to_owned();
    if let Some(diagnostics) = value["diagnostics"].as_str() {
        text = format!("{text}\n{}", diagnostics.trim_end());
    }
    Some(Failure::Request(text))
}

fn no_api(at: &str, status: StatusCode) -> Failure {
    Failure::Request(format!(
        "{at} is no admin API of cornac (it answered {status}): name its [admin] listen with --admin"
    ))
}

fn not_an_address(at: &str) -> Failure {
    Failure::Request(format!("'{at}' is no address: write host:port or unix:/path"))
}

fn unreachable(at: &str, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            format!("nothing listens at {at}")
        }
        io::ErrorKind::PermissionDenied => format!("{at} may not be opened by this user"),
        io::ErrorKind::TimedOut => format!("{at} does not answer"),
        _ => format!("{at} cannot be reached: {error}"),
    };
    Failure::Unreachable(format!(
        "{why}; is cornac running, with [admin] listen = \"…\" in its configuration? --admin names another address"
    ))
}
