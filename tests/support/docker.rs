//! A stand-in for Docker's Engine API, as much of it as discovery uses: the list of running containers by label, and the stream of
//! events. Shapes and order are those of Docker 27.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

use super::Scratch;
use super::api::{Api, Asked, Reply};

#[derive(Default)]
struct Engine {
    containers: Vec<Value>,
    events: Vec<String>,
    /// Told of as dead, and listed once more as running.
    dying: Vec<String>,
}

type Shared = Arc<(Mutex<Engine>, Condvar)>;

/// A Docker whose containers are php-fpms that somebody else has started.
pub struct Docker {
    engine: Shared,
    api: Option<Api>,
    folder: Scratch,
}

impl Docker {
    pub fn start() -> Self {
        let mut docker = Self { engine: Shared::default(), api: None, folder: Scratch::new() };
        docker.comes_back();
        docker
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// The daemon ends; its containers live on.
    pub fn goes_away(&mut self) {
        self.api = None;
    }

    pub fn comes_back(&mut self) {
        let engine = Arc::clone(&self.engine);
        self.api = Some(Api::on_socket(&self.socket(), move |asked, reply| answer(&engine, asked, reply)));
    }

    /// A container at this address, with the label `cornac.pool=php` and more.
    pub fn run(&self, name: &str, address: &str, labels: Value) {
        let (ip, port) = address.rsplit_once(':').expect("ip:port");
        let port: u16 = port.parse().expect("a port");
        let mut all = json!({"cornac.pool": "php", "com.docker.compose.service": "fpm"});
        for (key, value) in labels.as_object().expect("labels") {
            all[key] = value.clone();
        }
        let container = json!({
            "Id": format!("{name:0>64}"), "Names": [format!("/{name}")], "Image": "app-fpm", "Command": "php-fpm",
            "Created": 1_760_000_000, "State": "running", "Status": "Up Less than a second", "Labels": all,
            "Ports": [{"PrivatePort": port, "Type": "tcp"}], "HostConfig": {"NetworkMode": "app_default"}, "Mounts": [],
            "NetworkSettings": {"Networks": {"app_default": {"IPAddress": ip, "GlobalIPv6Address": "", "Gateway": "172.18.0.1"}}},
        });
        self.change("start", name, |containers| containers.push(container));
    }

    /// It has ended.
    pub fn die(&self, name: &str) {
        self.change("die", name, |containers| containers.retain(|container| !is(container, name)));
    }

    /// It has ended; Docker 20.10 was seen to say so before its own list knows.
    pub fn die_before_the_list_knows(&self, name: &str) {
        self.engine.0.lock().dying.push(name.to_owned());
        self.change("die", name, |_| ());
    }

    /// What its HEALTHCHECK found: "healthy" or "unhealthy".
    pub fn health(&self, name: &str, health: &str) {
        self.change(&format!("health_status: {health}"), name, |containers| {
            let container = containers.iter_mut().find(|container| is(container, name)).expect("a container");
            container["Status"] = json!(format!("Up 2 minutes ({health})"));
        });
    }

    fn change(&self, action: &str, name: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let (engine, news) = &*self.engine;
        let mut engine = engine.lock();
        change(&mut engine.containers);
        let event = json!({"status": action, "id": name, "Type": "container", "Action": action, "Actor": {"ID": name}, "time": 1_760_000_000});
        engine.events.push(format!("{event}\n"));
        news.notify_all();
    }
}

fn is(container: &Value, name: &str) -> bool {
    container["Names"][0] == format!("/{name}")
}

fn answer((engine, news): &(Mutex<Engine>, Condvar), asked: &Asked, reply: &mut Reply) {
    let filters: Value = serde_json::from_str(asked.value("filters")).unwrap_or_default();
    match asked.target.split('?').next().map(Path::new).and_then(Path::to_str) {
        Some("/containers/json") if filters["status"] == json!(["running"]) => {
            let label = filters["label"][0].as_str().unwrap_or_default().to_owned();
            let (key, value) = label.split_once('=').unwrap_or((&label, ""));
            let has_label = |container: &&Value| container["Labels"][key] == value;
            let mut engine = engine.lock();
            let list: Vec<_> = engine.containers.iter().filter(has_label).cloned().collect();
            for dead in std::mem::take(&mut engine.dying) {
                engine.containers.retain(|container| !is(container, &dead));
            }
            drop(engine);
            reply.send("200 OK", "", &json!(list).to_string());
        }
        Some("/events") => {
            reply.begin();
            let mut engine = engine.lock();
            let mut seen = engine.events.len();
            while reply.goes_on() {
                for event in &engine.events[seen..] {
                    if reply.part(event).is_err() {
                        return;
                    }
                }
                seen = engine.events.len();
                news.wait_for(&mut engine, Duration::from_millis(50));
            }
        }
        _ => reply.send("404 Not Found", "", r#"{"message":"page not found"}"#),
    }
}
