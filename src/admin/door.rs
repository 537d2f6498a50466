//! Who may come in. Beside the token, two things keep out a web page in the operator's own browser: a Host that such a page
//! cannot choose, and a content type that it cannot send without asking first (Fetch standard, CORS-safelisted headers).

use std::net::IpAddr;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;

use super::refusal::Refusal;
use crate::config::Secret;

/// The door of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door<'a> {
    /// What an operator has to know, if that is required.
    pub(super) token: Option<&'a Secret>,
    /// The address that the connection came to; none over a unix socket, which no web page can reach.
    pub(super) own: Option<IpAddr>,
}

impl Door<'_> {
    /// Whether the request may have an answer to what is not for everybody.
    pub(super) fn admits(&self, parts: &Parts) -> Result<(), Refusal> {
        self.admits_host(parts)?;
        match (self.token, said(parts)) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Refusal::NoToken),
            (Some(token), Some(said)) if token.is(said) => Ok(()),
            (Some(_), Some(_)) => Err(Refusal::WrongToken),
        }
    }

    /// Whether the request came under a name that is this server's. Who knows the token may call it what he likes.
    pub(super) fn admits_host(&self, parts: &Parts) -> Result<(), Refusal> {
        let Some(own) = self.own else { return Ok(()) };
        if let (Some(token), Some(said)) = (self.token, said(parts))
            && token.is(said)
        {
            return Ok(());
        }
        match hosts(parts).into_iter().find(|host| !is_own(host, own)) {
            Some(foreign) => Err(Refusal::ForeignHost(foreign)),
            None => Ok(()),
        }
    }
}

/// What a change needs beside being let in.
pub(super) fn speaks_json(parts: &Parts) -> Result<(), Refusal> {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(Refusal::NotJson),
    }
}

/// The token that the request brings (RFC 6750 §2.1).
fn said(parts: &Parts) -> Option<&[u8]> {
    let (scheme, token) = parts.headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Every name that the request gives this server. A browser always gives one.
fn hosts(parts: &Parts) -> Vec<String> {
    let headers = parts.headers.get_all(HOST).iter();
    let written = headers.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    written.chain(parts.uri.authority().map(ToString::to_string)).collect()
}

fn is_own(host: &str, own: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == own.to_canonical(),
        Err(_) => {
            let name = name.to_ascii_lowercase();
            // RFC 6761 §6.3: names below localhost never leave the machine.
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        request.body(()).expect("a request").into_parts().0
    }

    fn own() -> Option<IpAddr> {
        Some([10, 0, 0, 5].into())
    }

    #[test]
    fn a_name_that_somebody_pointed_here_is_refused_and_our_own_are_not() {
        let door = Door { token: None, own: own() };
        for host in
            ["localhost", "LOCALHOST:9180", "a.localhost", "127.0.0.1:9180", "[::1]:9180", "10.0.0.5:9180"]
        {
            assert!(door.admits(&parts(&[("host", host)])).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9180",
            "localhost.evil.example",
            "10.0.0.6",
            "",
            "127.0.0.1.evil.example",
        ] {
            let refused = door.admits(&parts(&[("host", host)]));
            assert!(matches!(refused, Err(Refusal::ForeignHost(_))), "{host}");
        }
        assert!(door.admits(&parts(&[("host", "localhost"), ("host", "evil.example")])).is_err());
    }

    #[test]
    fn who_knows_the_token_may_call_it_what_he_likes() {
        let token = Secret::new("open-sesame".to_owned());
        let door = Door { token: Some(&token), own: own() };
        let with = |word: &str| door.admits(&parts(&[("host", "cornac.example"), ("authorization", word)]));
        assert!(with("Bearer open-sesame").is_ok() && with("bearer  open-sesame").is_ok());
        assert!(matches!(with("Bearer open"), Err(Refusal::ForeignHost(_))));
        let at_home = |headers: &[(&str, &str)]| door.admits(&parts(headers));
        assert!(matches!(at_home(&[("host", "localhost")]), Err(Refusal::NoToken)));
        assert!(matches!(
            at_home(&[("host", "localhost"), ("authorization", "Basic b3Blbg==")]),
            Err(Refusal::NoToken)
        ));
        assert!(matches!(
            at_home(&[("host", "localhost"), ("authorization", "Bearer no")]),
            Err(Refusal::WrongToken)
        ));
    }

    #[test]
    fn a_unix_socket_has_no_name_to_be_wrong() {
        let door = Door { token: None, own: None };
        assert!(door.admits(&parts(&[("host", "whatever")])).is_ok());
    }

    #[test]
    fn what_a_form_can_send_is_not_json() {
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
        {
            assert!(speaks_json(&parts(&[("content-type", kind)])).is_err(), "{kind}");
        }
        assert!(speaks_json(&parts(&[])).is_err());
        assert!(speaks_json(&parts(&[("content-type", "Application/JSON; charset=utf-8")])).is_ok());
    }
}
