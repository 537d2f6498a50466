//! One compose project of `docker/`, published to a free port of 127.0.0.1, gone with the value.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::engine::{self, Container};
use crate::members::{self, Member};
use crate::support::http::{self, Response};
use crate::support::{Port, free_port, wait_until};

/// What a busy machine may take to bring containers up.
const SOON: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Rig {
    file: &'static str,
    project: String,
    port: Port,
    admin: Port,
}

impl Rig {
    /// Nothing runs yet.
    pub fn new(file: &'static str) -> Self {
        let port = free_port();
        Self { file, project: format!("cornac-test-{}", port.number()), port, admin: free_port() }
    }

    /// All of it.
    pub fn up(file: &'static str) -> Self {
        let rig = Self::new(file);
        rig.compose(&["up", "-d", "--no-build"]);
        rig.wait_for_php();
        rig
    }

    pub fn compose(&self, words: &[&str]) {
        self.try_compose(words).unwrap_or_else(|said| panic!("{said}"));
    }

    fn try_compose(&self, words: &[&str]) -> Result<String, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
        let tag = std::env::var("CORNAC_TAG").unwrap_or_else(|_| "latest".into());
        let (site, admin) = (self.port.to_string(), self.admin.number().to_string());
        let (socket, group) = engine::socket();
        let environment = [
            ("SITE", &*site),
            ("ADMIN_PORT", &admin),
            ("CORNAC_TAG", &tag),
            ("CORNAC_ADMIN_TOKEN", members::TOKEN),
            ("DOCKER_SOCKET", &socket),
            ("DOCKER_GROUP", &group),
        ];
        let mut all = vec!["-f", self.file, "-p", &self.project];
        all.extend_from_slice(words);
        engine::compose(&folder, &environment, &all)
    }

    /// Starts these services only.
    pub fn start(&self, services: &[&str]) {
        self.compose(&[&["up", "-d", "--no-build", "--no-deps"], services].concat());
    }

    pub fn scale_to(&self, replicas: usize) {
        let scale = format!("fpm={replicas}");
        self.compose(&["up", "-d", "--no-build", "--no-recreate", "--scale", &scale]);
    }

    pub fn site(&self) -> SocketAddr {
        self.port.address()
    }

    pub fn get(&self, target: &str) -> Option<Response> {
        http::try_request(self.site(), "GET", target, &[], b"").ok()
    }

    pub fn wait_for(&self, target: &str, status: u16) {
        let came = || self.get(target).is_some_and(|response| response.status == status);
        assert!(wait_until(SOON, came), "{target} is not {status} but {:?}", self.get(target));
    }

    pub fn wait_for_php(&self) {
        self.wait_for("/json", 200);
    }

    pub fn containers(&self, service: &str) -> Vec<Container> {
        engine::containers(&self.project, service)
    }

    pub fn ids(&self, service: &str) -> Vec<String> {
        engine::ids(&self.project, service)
    }

    pub fn cornac(&self) -> Container {
        self.containers("cornac").pop().expect("a rig with a cornac")
    }

    /// As cornac's admin API tells them.
    pub fn members(&self) -> Vec<Member> {
        members::of(self.admin.address())
    }

    pub fn wait_for_members(&self, number: usize) {
        let right = || self.members().len() == number;
        assert!(wait_until(SOON, right), "not {number} members: {:#?}", self.members());
    }

    /// What cornac said, the access log included.
    pub fn log(&self) -> String {
        engine::logs(&self.cornac().id)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.try_compose(&["logs", "--no-color", "cornac"]).unwrap_or_else(|said| said);
            let lines: Vec<_> = said.lines().filter(|line| !line.contains("\" 200 ")).collect();
            eprintln!("--- {}", lines[lines.len().saturating_sub(80)..].join("\n"));
        }
        if let Err(said) = self.try_compose(&["down", "--volumes", "--timeout", "5"]) {
            eprintln!("{said}");
        }
    }
}
