//! What `docker` and `docker compose` are asked, whichever version of compose is there. Knows nothing of the rig.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use jiff::Timestamp;

/// One container as the engine describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The twelve digits that are also its host name.
    pub id: String,
    pub started: Timestamp,
    /// While it runs this is a time before its start.
    pub finished: Timestamp,
    pub health: String,
}

/// Runs `docker` with these words. Its output, trimmed.
pub fn docker(words: &[&str]) -> String {
    run(Command::new("docker").args(words))
}

/// The engine's own socket, and the group that may open it.
pub fn socket() -> (String, String) {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned();
    let group = std::fs::metadata(&path).map_or(0, |file| file.gid()).to_string();
    (path, group)
}

/// Both of a container's streams, with the engine's own times.
pub fn logs(container: &str) -> String {
    let output = output(Command::new("docker").args(["logs", container]));
    text(&output.stdout) + &text(&output.stderr)
}

/// `docker compose` (version 2) or `docker-compose` (version 1), or what `COMPOSE` says.
///
/// # Errors
/// What it said when it ended with anything but 0.
pub fn compose(folder: &Path, environment: &[(&str, &str)], words: &[&str]) -> Result<String, String> {
    let program = std::env::var("COMPOSE").unwrap_or_else(|_| match is_version_2() {
        true => "docker compose".into(),
        false => "docker-compose".into(),
    });
    let mut parts = program.split_whitespace();
    let mut command = Command::new(parts.next().expect("COMPOSE names a program"));
    try_run(command.args(parts).args(words).envs(environment.iter().copied()).current_dir(folder))
}

fn is_version_2() -> bool {
    output(Command::new("docker").args(["compose", "version"])).status.success()
}

/// The containers of a compose service, those that ended included.
pub fn containers(project: &str, service: &str) -> Vec<Container> {
    ids(project, service).iter().map(|id| inspect(id)).collect()
}

/// Their full ids.
pub fn ids(project: &str, service: &str) -> Vec<String> {
    let project = format!("label=com.docker.compose.project={project}");
    let service = format!("label=com.docker.compose.service={service}");
    let ids = docker(&["ps", "-aq", "--no-trunc", "--filter", &project, "--filter", &service]);
    ids.lines().map(str::to_owned).collect()
}

pub fn inspect(id: &str) -> Container {
    const FORMAT: &str =
        "{{.State.StartedAt}} {{.State.FinishedAt}} {{with .State.Health}}{{.Status}}{{end}}";
    let told = docker(&["inspect", "-f", FORMAT, id]);
    let mut words = told.split(' ');
    let mut time = || -> Timestamp {
        let word = words.next().unwrap_or_default();
        word.parse().unwrap_or_else(|error| panic!("docker's time {word:?}: {error}"))
    };
    let (started, finished) = (time(), time());
    Container { id: id[..12].into(), started, finished, health: words.next().unwrap_or_default().into() }
}

fn run(command: &mut Command) -> String {
    try_run(command).unwrap_or_else(|said| panic!("{said}"))
}

fn try_run(command: &mut Command) -> Result<String, String> {
    let output = output(command);
    match output.status.success() {
        true => Ok(text(&output.stdout).trim().to_owned()),
        false => Err(format!("{command:?} ended with {}: {}", output.status, text(&output.stderr))),
    }
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}; see docs/docker.md"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
