//! A real etcd of a test's own: one server, private folder, free ports.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::child::{Listen, Process, Signal, find_program};
use super::http::Connection;
use super::{Port, Scratch, free_port};

const INSTALL: &str = "etcd is not installed; install it by:\n    scripts/install-deps.sh etcd\n(Debian: apt-get install etcd-server)";

#[derive(Debug)]
pub struct Etcd {
    process: Process,
    clients: Port,
    peers: Port,
    folder: Scratch,
}

impl Etcd {
    pub fn start() -> Self {
        let (clients, peers, folder) = (free_port(), free_port(), Scratch::new());
        let process = launch(&clients, &peers, &folder);
        Self { process, clients, peers, folder }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.clients)
    }

    pub fn put(&self, key: &str, value: &str) {
        self.call("/v3/kv/put", json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)}));
    }

    pub fn delete(&self, key: &str) {
        self.call("/v3/kv/deleterange", json!({"key": STANDARD.encode(key)}));
    }

    /// Forgets all revisions before the present one.
    pub fn compact(&self) {
        let revision =
            self.call("/v3/kv/range", json!({"key": STANDARD.encode("x")}))["header"]["revision"].clone();
        self.call("/v3/kv/compaction", json!({"revision": revision, "physical": true}));
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// With all that it knew.
    pub fn restart(&mut self) {
        self.process.end(Signal::TERM);
        self.process = launch(&self.clients, &self.peers, &self.folder);
    }

    fn call(&self, path: &str, body: serde_json::Value) -> serde_json::Value {
        let body = body.to_string();
        let mut connection = Connection::open(self.clients.address());
        connection.send(format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let response = connection.response();
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- etcd said:\n{}", self.process.log());
        }
        self.process.end(Signal::TERM);
    }
}

fn launch(clients: &Port, peers: &Port, folder: &Scratch) -> Process {
    let program = find_program(&["etcd"]).unwrap_or_else(|| panic!("{INSTALL}"));
    let [client_url, peer_url] = [clients, peers].map(|port| format!("http://{port}"));
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(folder.join("data"));
    for (flag, value) in [
        ("--name", "test"),
        ("--listen-client-urls", &client_url),
        ("--advertise-client-urls", &client_url),
        ("--listen-peer-urls", &peer_url),
        ("--initial-advertise-peer-urls", &peer_url),
        ("--initial-cluster", &format!("test={peer_url}")),
    ] {
        command.arg(flag).arg(value);
    }
    let mut process = Process::start("etcd", &mut command, folder.join("output.log"));
    process.wait_for_listener(&Listen::Tcp(clients.address()), None);
    process
}
