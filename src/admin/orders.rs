//! A member's state and weight, changed by hand: the body of a PATCH, and what is done about it.

use std::num::NonZeroU16;

use serde::{Deserialize, Deserializer};

use super::refusal::Refusal;
use super::view::Member;
use crate::config::nearest;
use crate::site::Generation;
use crate::upstream::{Cluster, Order};

/// The body of a PATCH.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Orders {
    state: Option<State>,
    /// `Some(None)`: as configured.
    #[serde(default, deserialize_with = "present")]
    weight: Option<Option<NonZeroU16>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ready,
    Drain,
    Down,
}

/// `null` is a value here, and a key that is not there is none.
fn present<'de, D: Deserializer<'de>>(weight: D) -> Result<Option<Option<NonZeroU16>>, D::Error> {
    Option::deserialize(weight).map(Some)
}

impl Orders {
    /// Reads the body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let orders: Self =
            serde_json::from_slice(body).map_err(|error| Refusal::BadOrder(error.to_string()))?;
        match (orders.state, orders.weight) {
            (None, None) => Err(Refusal::BadOrder("nothing to change".to_owned())),
            _ => Ok(orders),
        }
    }

    /// Does it: all of it, or nothing where there is no such server.
    pub(super) fn carry_out(&self, cluster: &Cluster, address: &str) -> Result<Member, Refusal> {
        let state = self.state.map(|state| match state {
            State::Ready => Order::PutBack,
            State::Drain => Order::Drain,
            State::Down => Order::TakeDown,
        });
        for order in state.into_iter().chain(self.weight.map(Order::Weight)) {
            cluster.order(address, order).map_err(|_| no_such_server(cluster, address))?;
        }
        let found = cluster.status().members.into_iter().find(|member| &*member.address == address);
        found.map(Member::of).ok_or_else(|| no_such_server(cluster, address))
    }
}

/// The pool of that name.
pub(super) fn pool<'a>(generation: &'a Generation, name: &str) -> Result<&'a Cluster, Refusal> {
    let clusters = generation.clusters();
    clusters.iter().find(|cluster| **cluster.name() == *name).ok_or_else(|| {
        let known: Vec<_> = clusters.iter().map(|cluster| &**cluster.name()).collect();
        Refusal::NoSuchPool { name: name.to_owned(), hint: hint(name, &known, "pools") }
    })
}

fn no_such_server(cluster: &Cluster, address: &str) -> Refusal {
    let status = cluster.status();
    let known: Vec<_> = status.members.iter().map(|member| &*member.address).collect();
    let hint = hint(address, &known, "servers");
    Refusal::NoSuchServer { pool: status.name.to_string(), address: address.to_owned(), hint }
}

fn hint(word: &str, known: &[&str], what: &str) -> String {
    nearest(word, known, what).unwrap_or_else(|| format!("there are no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_changes_the_state_or_the_weight_or_both() {
        let both = Orders::parse(br#"{"state": "drain", "weight": 3}"#).expect("both");
        assert!(matches!((both.state, both.weight), (Some(State::Drain), Some(Some(_)))));
        let reset = Orders::parse(br#"{"weight": null}"#).expect("as configured");
        assert!(matches!((reset.state, reset.weight), (None, Some(None))));
        assert!(Orders::parse(br#"{"state": "ready"}"#).is_ok_and(|orders| orders.weight.is_none()));
    }

    #[test]
    fn what_is_no_order_is_told_what_would_be_one() {
        for body in [
            "",
            "{}",
            "[]",
            "{",
            r#"{"state":"off"}"#,
            r#"{"weight":0}"#,
            r#"{"weight":-1}"#,
            r#"{"weight":65536}"#,
            r#"{"stat":"ready"}"#,
        ] {
            let refusal = Orders::parse(body.as_bytes()).expect_err(body).to_string();
            assert!(refusal.contains("send {\"state\": \"ready\" | \"drain\" | \"down\"}"), "{refusal}");
        }
    }
}
