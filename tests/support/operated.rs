//! A cornac with an admin listener, and the operator's ways to it: the API and `cornac ctl`.

use std::ops::Deref;

use serde_json::{Value, json};

use super::http::{self, Response};
use super::{Cornac, Finished, Fpm, Port, Tp, free_port};

/// What a change has to bring along.
pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A running cornac whose operator is listened to on a port of its own.
#[derive(Debug)]
pub struct Operated {
    cornac: Cornac,
    admin: std::net::SocketAddr,
}

impl Operated {
    /// `lines` are more of `[admin]`, such as a token.
    pub fn start(tp: &Tp, lines: &str) -> Self {
        let (site, admin): (Port, Port) = (free_port(), free_port());
        let toml = format!("{}\n[admin]\nlisten = \"{admin}\"\n{lines}\n", tp.toml(&site.to_string()));
        let address = admin.address();
        Self { cornac: Cornac::run(&toml, vec![site, admin]), admin: address }
    }

    /// Over these members, each with all defaults.
    pub fn over<'a>(members: impl IntoIterator<Item = &'a Fpm>) -> Self {
        Self::start(&Tp::over(members), "")
    }

    pub fn admin(&self) -> std::net::SocketAddr {
        self.admin
    }

    /// A GET of the admin listener.
    pub fn ask(&self, path: &str) -> Response {
        http::get(self.admin, path)
    }

    /// A change of one server of the pool `php`, as a program makes it.
    pub fn patch(&self, fpm: &Fpm, body: &Value) -> Response {
        let path = format!("/api/v1/pools/php/servers/{}", fpm.server());
        http::request(self.admin, "PATCH", &path, &[JSON], body.to_string().as_bytes())
    }

    /// The same for its state; panics unless it is done.
    pub fn order(&self, fpm: &Fpm, state: &str) {
        let done = self.patch(fpm, &json!({ "state": state }));
        assert_eq!(done.status, 200, "{}", done.text());
    }

    /// What the API tells of one server of the pool `php`.
    pub fn member(&self, fpm: &Fpm) -> Value {
        let pool = self.ask("/api/v1/pools/php").json();
        let members = pool["members"].as_array().expect("members");
        let found = members.iter().find(|member| member["address"] == fpm.server().as_str());
        found.unwrap_or_else(|| panic!("{} is not in {pool:#}", fpm.server())).clone()
    }

    /// `cornac ctl … --admin ADDR`.
    pub fn ctl(&self, args: &[&str]) -> Finished {
        let admin = self.admin.to_string();
        Cornac::command(&[&["ctl"][..], args, &["--admin", &admin]].concat())
    }
}

impl Deref for Operated {
    type Target = Cornac;
    fn deref(&self) -> &Cornac {
        &self.cornac
    }
}
