//! Calls to the HTTP interfaces of sources: one connection for each call, over a unix socket or TCP.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::trouble::Trouble;
use crate::config::model::{ApiAddress, EndpointSpec};

/// Until a connection stands; every such interface is near.
const CONNECT: Duration = Duration::from_secs(3);
/// Until an answer that is not to be waited for.
pub(super) const PROMPT: Duration = Duration::from_secs(10);
/// No list of members is as long.
const MOST: usize = 16 << 20;

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) at: &'a ApiAddress,
    pub(super) method: Method,
    pub(super) target: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// Until the head of the answer.
    pub(super) patience: Duration,
}

/// An answer with status 200, whose body may still be coming.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    at: String,
    body: Incoming,
    /// The connection, which works as long as this value lives.
    _connection: JoinSet<()>,
}

impl<'a> Call<'a> {
    pub(super) fn get(at: &'a ApiAddress, target: &'a str) -> Self {
        let (headers, body) = (HeaderMap::new(), String::new());
        Self { at, method: Method::GET, target, headers, body, patience: PROMPT }
    }

    pub(super) fn post(at: &'a ApiAddress, target: &'a str, body: String) -> Self {
        Self { method: Method::POST, body, ..Self::get(at, target) }
    }

    /// Asks, and waits for the head of the answer.
    pub(super) async fn ask(self) -> Result<Answer, Trouble> {
        let unreachable = |error| Trouble::Unreachable { at: self.at.to_string(), error };
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        match &self.at.0 {
            EndpointSpec::Unix(path) => {
                let stream =
                    timeout(CONNECT, UnixStream::connect(path)).await.unwrap_or_else(|_| Err(late()));
                self.ask_over(stream.map_err(unreachable)?).await
            }
            EndpointSpec::Tcp { host, port } => {
                let connecting = TcpStream::connect((host.as_str(), *port));
                let stream = timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(late()));
                self.ask_over(stream.map_err(unreachable)?).await
            }
        }
    }

    async fn ask_over(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Answer, Trouble> {
        let (at, patience) = (self.at.to_string(), self.patience);
        let broken = |error: hyper::Error| Trouble::Broken { at: at.clone(), error: error.to_string() };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut working = JoinSet::new();
        working.spawn(async move { drop(connection.await) });
        let request = self.request();
        let answer = timeout(patience, sender.send_request(request)).await;
        let answer = answer.map_err(|_| Trouble::Silent { at: at.clone(), patience })?.map_err(broken)?;
        let (head, body) = answer.into_parts();
        let answer = Answer { headers: head.headers, at: at.clone(), body, _connection: working };
        match head.status {
            StatusCode::OK => Ok(answer),
            status => Err(Trouble::Status { at, status, said: answer.complaint().await }),
        }
    }

    fn request(self) -> Request<Full<Bytes>> {
        let host = match &self.at.0 {
            EndpointSpec::Unix(_) => "localhost".to_owned(),
            tcp @ EndpointSpec::Tcp { .. } => tcp.to_string(),
        };
        let mut request = Request::new(Full::new(Bytes::from(self.body)));
        *request.method_mut() = self.method;
        *request.uri_mut() =
            self.target.parse().expect("targets are written by us, and what goes into them is encoded");
        *request.headers_mut() = self.headers;
        if let Ok(host) = host.parse() {
            request.headers_mut().insert(http::header::HOST, host);
        }
        request
    }
}

impl Answer {
    /// The whole body.
    pub(super) async fn whole(mut self) -> Result<Bytes, Trouble> {
        let mut whole = BytesMut::new();
        let patience = PROMPT;
        let late = Trouble::Silent { at: self.at.clone(), patience };
        let reading = async {
            while let Some(part) = self.part().await? {
                whole.extend_from_slice(&part);
                if whole.len() > MOST {
                    return Err(self.not_understood("it is longer than 16 MiB"));
                }
            }
            Ok(())
        };
        timeout(patience, reading).await.map_err(|_| late)??;
        Ok(whole.freeze())
    }

    /// What the whole body tells in JSON.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, Trouble> {
        let at = self.at.clone();
        let body = self.whole().await?;
        serde_json::from_slice(&body).map_err(|error| Trouble::NotUnderstood { at, why: error.to_string() })
    }

    /// The next part of the body, as it comes; `None`: that was all.
    pub(super) async fn part(&mut self) -> Result<Option<Bytes>, Trouble> {
        while let Some(frame) = self.body.frame().await {
            let frame =
                frame.map_err(|error| Trouble::Broken { at: self.at.clone(), error: error.to_string() })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    pub(super) fn not_understood(&self, why: impl ToString) -> Trouble {
        Trouble::NotUnderstood { at: self.at.clone(), why: why.to_string() }
    }

    /// The first words of an answer that is an error.
    async fn complaint(self) -> String {
        let body = self.whole().await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.chars().take(200).collect()
    }
}
