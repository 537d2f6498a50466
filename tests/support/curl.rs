//! The client that everybody has: real curl.

use std::net::SocketAddr;
use std::process::Command;

use super::child::find_program;

const INSTALL: &str =
    "curl is not installed; install it by:\n    scripts/install-deps.sh tls\n(Debian: apt-get install curl)";

/// What curl got.
#[derive(Clone, Debug)]
pub struct Curled {
    pub status: u16,
    /// `1.1` or `2`.
    pub version: String,
    /// Status line and headers, lower case.
    pub head: String,
    pub body: String,
    /// curl's own word when it failed.
    pub error: String,
}

impl Curled {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::trim_end)
    }
}

/// `https://NAME:PORT/target` of a server on this machine, whatever NAME is to others.
pub fn curl(to: SocketAddr, url: &str, args: &[&str]) -> Curled {
    let program = find_program(&["curl"]).unwrap_or_else(|| panic!("{INSTALL}"));
    let url = url.replace("PORT", &to.port().to_string());
    let host =
        url.split("://").nth(1).and_then(|rest| rest.split([':', '/']).next()).expect("a URL with a host");
    let mut command = Command::new(program);
    command.args([
        "-sS",
        "-D",
        "/dev/stderr",
        "--max-time",
        "30",
        "-o",
        "-",
        "-w",
        "\n%{http_code} %{http_version}",
    ]);
    command.args(["--resolve", &format!("{host}:{}:{}", to.port(), to.ip())]).args(args).arg(&url);
    let output = command.output().expect("curl starts");
    let (text, noise) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (body, last) = text.rsplit_once('\n').expect("what -w writes");
    let (status, version) = last.split_once(' ').expect("two words");
    let error = if output.status.success() { String::new() } else { noise.clone().into_owned() };
    Curled {
        status: status.parse().expect("a status"),
        version: version.to_owned(),
        head: noise.to_lowercase(),
        body: body.to_owned(),
        error,
    }
}
