//! What lies at which path.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::sync::oneshot;

use super::connection::{self, Admin};
use super::door::{self, Door};
use super::orders::{self, Orders};
use super::ready;
use super::refusal::{Answer, Refusal, json, plain};
use super::scrape;
use super::view::{Pool, Pools};
use super::wishes::Wish;

const TEXT: &str = "text/plain; charset=utf-8";

const INDEX: &str = "\
cornac

GET   /healthz                                 200 while the process lives
GET   /readyz                                  200 while requests should be sent here, 503 and why otherwise
GET   /metrics                                 numbers for Prometheus
GET   /api/v1/pools                            every pool and its members
GET   /api/v1/pools/NAME                       one of them
PATCH /api/v1/pools/NAME/servers/ADDRESS       {\"state\": \"ready\" | \"drain\" | \"down\", \"weight\": N}
POST  /api/v1/reload                           reads the configuration again

cornac ctl --help
";

/// Where a request wants to go.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Index,
    Healthz,
    Readyz,
    Metrics,
    Pools,
    Pool(String),
    Server { pool: String, address: String },
    Reload,
    Nowhere,
}

impl Place {
    fn of(path: &str) -> Self {
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        match path {
            "/" => return Self::Index,
            "/healthz" => return Self::Healthz,
            "/readyz" => return Self::Readyz,
            "/metrics" => return Self::Metrics,
            "/api/v1/pools" | "/api/v1/pools/" => return Self::Pools,
            "/api/v1/reload" => return Self::Reload,
            _ => {}
        }
        let Some(rest) = path.strip_prefix("/api/v1/pools/") else { return Self::Nowhere };
        match rest.split_once('/') {
            None => Self::Pool(decoded(rest)),
            // The path of a unix socket may be written with its slashes.
            Some((pool, rest)) => match rest.strip_prefix("servers/") {
                Some(address) if !address.is_empty() => {
                    Self::Server { pool: decoded(pool), address: decoded(address) }
                }
                _ => Self::Nowhere,
            },
        }
    }

    /// Whether everybody may know: a check in front of cornac has no token, and does not always know its name.
    fn is_public(&self) -> bool {
        matches!(self, Self::Healthz | Self::Readyz)
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Server { .. } => "PATCH",
            Self::Reload => "POST",
            _ => "GET, HEAD",
        }
    }
}

impl Admin {
    /// Answers one request.
    pub(super) async fn answer(&self, parts: &Parts, body: hyper::body::Incoming, door: Door<'_>) -> Answer {
        let place = Place::of(parts.uri.path());
        let answer = match self.let_in(&place, parts, door) {
            Ok(()) => self.answer_at(place, parts, body).await,
            Err(refusal) => Err(refusal),
        };
        answer.unwrap_or_else(|refusal| refusal.answer())
    }

    fn let_in(&self, place: &Place, parts: &Parts, door: Door<'_>) -> Result<(), Refusal> {
        match place {
            place if place.is_public() => {}
            // It tells nothing of this cornac.
            Place::Index => door.admits_host(parts)?,
            _ => door.admits(parts)?,
        }
        let path = || parts.uri.path().to_owned();
        if *place == Place::Nowhere {
            return Err(Refusal::NoSuchPath(path()));
        }
        let allow = place.method();
        match allow.split(", ").any(|method| method == parts.method.as_str()) {
            true => Ok(()),
            false => Err(Refusal::Method { path: path(), allow }),
        }
    }

    async fn answer_at(
        &self,
        place: Place,
        parts: &Parts,
        body: hyper::body::Incoming,
    ) -> Result<Answer, Refusal> {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            door::speaks_json(parts)?;
        }
        let generation = self.generation();
        match place {
            Place::Index => Ok(plain(StatusCode::OK, TEXT, INDEX)),
            Place::Healthz => Ok(plain(StatusCode::OK, TEXT, "alive\n")),
            Place::Readyz => Ok(match ready::why_not(self.readiness(), &generation) {
                None => plain(StatusCode::OK, TEXT, "ready\n"),
                Some(reason) => {
                    plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {reason}\n"))
                }
            }),
            Place::Metrics => Ok(scrape::page(&generation, parts)),
            Place::Pools => {
                let pools = generation.clusters().iter().map(Pool::of).collect();
                Ok(json(StatusCode::OK, &Pools { pools }))
            }
            Place::Pool(name) => Ok(json(StatusCode::OK, &Pool::of(orders::pool(&generation, &name)?))),
            Place::Server { pool, address } => {
                let cluster = orders::pool(&generation, &pool)?;
                let orders = Orders::parse(&connection::collect(body).await?)?;
                Ok(json(StatusCode::OK, &orders.carry_out(cluster, &address)?))
            }
            Place::Reload => self.reload(connection::collect(body).await?).await,
            Place::Nowhere => Err(Refusal::NoSuchPath(parts.uri.path().to_owned())),
        }
    }

    /// The body has nothing to say, and is read to leave the connection in order.
    async fn reload(&self, _body: Bytes) -> Result<Answer, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.wish(Wish::Reload(answer)).await?;
        let summary = answered.await.map_err(|_| Refusal::Stopping)?.map_err(Refusal::NotReloaded)?;
        Ok(json(StatusCode::OK, &json!({ "summary": summary })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_place() {
        let server =
            |pool: &str, address: &str| Place::Server { pool: pool.to_owned(), address: address.to_owned() };
        for (path, place) in [
            ("/", Place::Index),
            ("/api/v1/pools", Place::Pools),
            ("/api/v1/pools/php", Place::Pool("php".to_owned())),
            ("/api/v1/pools/a%20b", Place::Pool("a b".to_owned())),
            ("/api/v1/pools/php/servers/10.0.0.3:9000", server("php", "10.0.0.3:9000")),
            ("/api/v1/pools/php/servers/%5B::1%5D:9000", server("php", "[::1]:9000")),
            ("/api/v1/pools/php/servers/unix:/run/php.sock", server("php", "unix:/run/php.sock")),
            ("/api/v1/pools/php/servers/unix%3A%2Frun%2Fphp.sock", server("php", "unix:/run/php.sock")),
            ("/api/v1/pools/php/servers/", Place::Nowhere),
            ("/api/v1/pools/php/members/x", Place::Nowhere),
            ("/api/v2/pools", Place::Nowhere),
            ("/metricz", Place::Nowhere),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn the_index_names_every_place() {
        for (line, place) in INDEX
            .lines()
            .filter(|line| line.contains('/'))
            .map(|line| (line, Place::of(line[6..].split(' ').next().expect("a path"))))
        {
            assert_ne!(place, Place::Nowhere, "{line}");
        }
    }
}
