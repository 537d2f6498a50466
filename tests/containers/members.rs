//! The pool's members as cornac's admin API tells them, over the port that compose publishes to 127.0.0.1.

use std::net::SocketAddr;

use crate::support::http;

/// This test's own.
pub const TOKEN: &str = "a-token-of-the-tests";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub address: String,
    pub state: String,
}

/// Nobody, while cornac does not answer.
pub fn of(admin: SocketAddr) -> Vec<Member> {
    let bearer = format!("Bearer {TOKEN}");
    let answer = http::try_request(admin, "GET", "/api/v1/pools", &[("Authorization", &bearer)], b"");
    let Ok(answer) = answer else { return vec![] };
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let members = told["pools"][0]["members"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    members.iter().map(|one| Member { address: text(&one["address"]), state: text(&one["state"]) }).collect()
}
