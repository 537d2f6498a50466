//! `[server]`: what concerns the whole process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::model::{AccessLog, Buffers, EventLog, LogFormat, LogTarget, Server, SlowLog, Syslog};
use super::reader::{Node, Table};
use super::text::Text;
use super::{account, values};

const SHUTDOWN: Duration = Duration::from_secs(30);
/// As nginx's.
const CLIENT: Duration = Duration::from_secs(60);
const KEEPALIVE: Duration = Duration::from_secs(75);
const OPEN_FILE_CACHE: u64 = 16 << 20;
const DEV_LOG: &str = "/dev/log";
const SYSLOG_HINT: &str = "\"syslog:\" (the machine's own), \"syslog:10.0.0.5:514\" or \"syslog:unix:/path\"";
const OFF: AccessLog = AccessLog { to: LogTarget::Off, format: LogFormat::Combined };

/// Reads `[server]`, which may be left out.
pub(super) fn read(root: &Table<'_>, base: &Path) -> Server {
    let mut server = Server {
        threads: None,
        account: None,
        shutdown_delay: Duration::ZERO,
        shutdown_timeout: SHUTDOWN,
        reload_on_change: false,
        access_log: OFF,
        slow_log: None,
        log: EventLog { filter: "info".to_owned(), to: LogTarget::Stderr },
        temp_dir: std::env::temp_dir(),
        buffers: Buffers::default(),
        open_file_cache: OPEN_FILE_CACHE,
        pid_file: None,
        client_header_timeout: CLIENT,
        client_body_timeout: CLIENT,
        send_timeout: CLIENT,
        keepalive_timeout: KEEPALIVE,
        keepalive_requests: 0,
        max_connections: None,
        resolver: Vec::new(),
    };
    let Some(table) = root.table("server") else { return server };
    server.threads =
        table.get("threads").and_then(|threads| threads.number(1..=1024)).map(|threads| threads as usize);
    server.account = account::read(&table);
    server.shutdown_delay = table.duration_or("shutdown_delay", Duration::ZERO);
    server.shutdown_timeout = table.duration_or("shutdown_timeout", SHUTDOWN);
    server.reload_on_change = table.boolean_or("reload_on_change", false);
    server.access_log = table.get("access_log").and_then(|log| read_access_log(log, base)).unwrap_or(OFF);
    server.slow_log = table.get("slow_log").and_then(|log| read_slow_log(log, base));
    if let Some(log) = table.get("log").and_then(|log| read_event_log(log, base)) {
        server.log = log;
    }
    if let Some(folder) = table.get("temp_dir").and_then(Node::text) {
        server.temp_dir = values::existing_folder(&folder, base, "it must exist and be writable");
    }
    if let Some(table) = table.table("buffers") {
        server.buffers = read_buffers(table);
    }
    if let Some(room) = table.get("open_file_cache").and_then(read_open_file_cache) {
        server.open_file_cache = room;
    }
    server.pid_file = table.get("pid_file").and_then(Node::text).and_then(|text| file(&text, base));
    read_clients(&mut server, &table);
    server.resolver = table.get("resolver").map(read_resolver).unwrap_or_default();
    table.finish(&[]);
    server
}

/// nginx counts files there, and has to be told how long they are believed.
fn read_open_file_cache(room: Node<'_>) -> Option<u64> {
    match room.as_text() {
        Some(text) if &*text == "off" => Some(0),
        _ => room.size(),
    }
}

fn read_buffers(table: Table<'_>) -> Buffers {
    let size = |key, default| table.get(key).and_then(Node::size).unwrap_or(default);
    let Buffers { memory, temp_files, reply } = Buffers::default();
    let buffers = Buffers {
        memory: size("memory", memory),
        temp_files: size("temp_files", temp_files),
        reply: size("reply", reply),
    };
    table.finish(&[]);
    buffers
}

/// How long clients may take, and how many there may be: by nginx's names.
fn read_clients(server: &mut Server, table: &Table<'_>) {
    let time = |key, default| table.get(key).and_then(Node::positive_duration).unwrap_or(default);
    server.client_header_timeout = time("client_header_timeout", CLIENT);
    server.client_body_timeout = time("client_body_timeout", CLIENT);
    server.send_timeout = time("send_timeout", CLIENT);
    server.keepalive_timeout = time("keepalive_timeout", KEEPALIVE);
    server.keepalive_requests =
        table.get("keepalive_requests").and_then(|number| number.number(0..=u32::MAX)).unwrap_or(0);
    let most = table.get("max_connections").and_then(|number| number.number(1..=u32::MAX));
    server.max_connections = most.map(|most| most as usize);
}

/// nginx's `resolver`: addresses of name servers, each with a port or without.
fn read_resolver(list: Node<'_>) -> Vec<SocketAddr> {
    let hint = "resolver = [\"127.0.0.1:53\"]; without the key the system's /etc/resolv.conf is heeded";
    let texts = list.texts().unwrap_or_default();
    if texts.is_empty() && list.is_list() {
        list.mistake("the list is empty", hint);
    }
    let address = |text: &Text<'_>| {
        let address = text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, 53)));
        if address.is_none() {
            text.mistake(format_args!("'{}' is not the address of a name server", text.value), hint);
        }
        address
    };
    texts.iter().filter_map(address).collect()
}

/// `"off"`, `"stdout"`, a path, or `{ path, format }`.
fn read_access_log(log: Node<'_>, base: &Path) -> Option<AccessLog> {
    if !log.is_table() {
        let to = target(&log.text_or(" or a table")?, base)?;
        return Some(AccessLog { to, ..OFF });
    }
    let table = log.table()?;
    let path = table.required("path", "{ path = \"access.log\", format = \"json\" }").and_then(Node::text);
    let formats = [
        ("combined", LogFormat::Combined),
        ("json", LogFormat::Json),
        ("logfmt", LogFormat::Logfmt),
        ("short", LogFormat::Short),
    ];
    let format = table.get("format").and_then(|format| format.choice(&formats));
    table.finish(&[]);
    Some(AccessLog { to: target(&path?, base)?, format: format.unwrap_or(OFF.format) })
}

fn target(text: &Text<'_>, base: &Path) -> Option<LogTarget> {
    match (text.value, text.value.strip_prefix("syslog:")) {
        ("off", _) => Some(LogTarget::Off),
        ("stdout", _) => Some(LogTarget::Stdout),
        (_, Some(at)) => read_syslog(text, at).map(LogTarget::Syslog),
        _ => file(text, base).map(LogTarget::File),
    }
}

/// `syslog:`, `syslog:unix:/path`, `syslog:10.0.0.5:514`.
fn read_syslog(text: &Text<'_>, at: &str) -> Option<Syslog> {
    if at.is_empty() {
        return Some(Syslog::Unix(DEV_LOG.into()));
    }
    if let Some(path) = at.strip_prefix("unix:/") {
        return Some(Syslog::Unix(format!("/{path}").into()));
    }
    let address = at.parse().map(Syslog::Udp);
    address.map_err(|_| text.mistake(format_args!("'{at}' is not where a syslog listens"), SYSLOG_HINT)).ok()
}

/// A filter, or `{ filter, path }`.
fn read_event_log(log: Node<'_>, base: &Path) -> Option<EventLog> {
    if !log.is_table() {
        let filter = read_filter(&log.text_or(" or a table")?)?;
        return Some(EventLog { filter, to: LogTarget::Stderr });
    }
    let table = log.table()?;
    let filter = table.get("filter").and_then(Node::text);
    let path = table.get("path").and_then(Node::text);
    table.finish(&[]);
    let to = path.map_or(Some(LogTarget::Stderr), |path| match path.value {
        "stderr" => Some(LogTarget::Stderr),
        "stdout" => Some(LogTarget::Stdout),
        _ => file(&path, base).map(LogTarget::File),
    });
    let filter = filter.map_or_else(|| Some("info".to_owned()), |filter| read_filter(&filter));
    Some(EventLog { filter: filter?, to: to? })
}

/// `{ threshold, path }`.
fn read_slow_log(log: Node<'_>, base: &Path) -> Option<SlowLog> {
    let table = log.table()?;
    let threshold = table.required("threshold", "{ threshold = \"1s\" }").and_then(Node::positive_duration);
    let path = table.get("path").and_then(Node::text);
    table.finish(&[]);
    let to = path.map(|path| target(&path, base));
    Some(SlowLog { threshold: threshold?, to: to.flatten() })
}

/// A file that will be written: its folder must be there.
fn file(text: &Text<'_>, base: &Path) -> Option<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        text.mistake("the path is empty", None);
        return None;
    }
    let path = values::path(base, text);
    if path.is_dir() {
        text.mistake(format_args!("{} is a folder", path.display()), "name a file in it");
    } else if !path.parent().is_some_and(Path::is_dir) {
        text.mistake(format_args!("the folder of {} does not exist", path.display()), "create it first");
    }
    Some(path)
}

fn read_filter(text: &Text<'_>) -> Option<String> {
    if EnvFilter::try_new(text.value).is_err() || text.trim().is_empty() {
        let hint = "\"error\", \"warn\", \"info\", \"debug\", \"trace\", or \"info,cornac=debug\"";
        text.mistake(format_args!("'{}' is not a filter", text.value), hint);
        return None;
    }
    Some(text.value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{model_in, project};

    const SITE: &str = "[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n";

    #[test]
    fn a_server_without_a_word_has_the_documented_defaults() {
        let project = project();
        let server = model_in(project.path(), SITE).server;
        assert_eq!((server.threads, server.shutdown_timeout), (None, Duration::from_secs(30)));
        assert_eq!((server.access_log, &*server.log.filter, server.pid_file), (OFF, "info", None));
    }

    #[test]
    fn what_may_wait_for_slow_clients_is_bounded_unless_it_is_said_otherwise() {
        let buffers =
            |line: &str| model_in(project().path(), &format!("[server]\n{line}\n{SITE}")).server.buffers;
        assert_eq!(buffers(""), Buffers { memory: 256 << 20, temp_files: 16 << 30, reply: 1 << 30 });
        let own = buffers("buffers = { memory = \"1m\", temp_files = \"2m\", reply = 0 }");
        assert_eq!(own, Buffers { memory: 1 << 20, temp_files: 2 << 20, reply: 0 });
    }

    #[test]
    fn small_files_are_held_in_as_much_memory_as_is_said() {
        let room = |line: &str| {
            model_in(project().path(), &format!("[server]\n{line}\n{SITE}")).server.open_file_cache
        };
        for (line, bytes) in [
            ("", 16 << 20),
            ("open_file_cache = \"off\"", 0),
            ("open_file_cache = 0", 0),
            ("open_file_cache = \"1m\"", 1 << 20),
        ] {
            assert_eq!(room(line), bytes, "{line}");
        }
    }

    #[test]
    fn every_spelling_of_the_access_log() {
        let project = project();
        let file = LogTarget::File(project.path().join("a.log"));
        for (written, to, format) in [
            ("\"off\"", LogTarget::Off, LogFormat::Combined),
            ("\"stdout\"", LogTarget::Stdout, LogFormat::Combined),
            ("\"a.log\"", file.clone(), LogFormat::Combined),
            ("{ path = \"a.log\", format = \"json\" }", file.clone(), LogFormat::Json),
            ("{ path = \"stdout\", format = \"logfmt\" }", LogTarget::Stdout, LogFormat::Logfmt),
            ("{ path = \"stdout\", format = \"short\" }", LogTarget::Stdout, LogFormat::Short),
            ("{ path = \"a.log\", format = \"combined\" }", file, LogFormat::Combined),
        ] {
            let text = format!("[server]\naccess_log = {written}\n{SITE}");
            assert_eq!(
                model_in(project.path(), &text).server.access_log,
                AccessLog { to, format },
                "{written}"
            );
        }
    }

    #[test]
    fn a_name_server_has_port_53_unless_told() {
        let text = format!("[server]\nresolver = [\"127.0.0.1:5353\", \"10.0.0.2\", \"::1\"]\n{SITE}");
        let resolver = model_in(project().path(), &text).server.resolver;
        let expected = ["127.0.0.1:5353", "10.0.0.2:53", "[::1]:53"];
        assert_eq!(resolver, expected.map(|address| address.parse().unwrap()));
    }

    #[test]
    fn a_log_goes_to_syslog_too_and_events_and_slow_requests_to_files() {
        let project = project();
        let server = |lines: &str| model_in(project.path(), &format!("[server]\n{lines}\n{SITE}")).server;
        for (written, to) in [
            ("syslog:", Syslog::Unix("/dev/log".into())),
            ("syslog:unix:/run/log", Syslog::Unix("/run/log".into())),
            ("syslog:10.0.0.5:514", Syslog::Udp(([10, 0, 0, 5], 514).into())),
        ] {
            let log = server(&format!("access_log = \"{written}\"")).access_log;
            assert_eq!(log.to, LogTarget::Syslog(to), "{written}");
        }
        let file = LogTarget::File(project.path().join("e.log"));
        let log = server("log = { path = \"e.log\", filter = \"warn\" }").log;
        assert_eq!(log, EventLog { filter: "warn".to_owned(), to: file.clone() });
        assert_eq!(server("log = { path = \"e.log\" }").log.filter, "info");
        assert_eq!(server("log = { path = \"stdout\" }").log.to, LogTarget::Stdout);
        assert_eq!(server("log = \"warn\"").log.to, LogTarget::Stderr);
        let threshold = Duration::from_millis(1_500);
        let slow = server("slow_log = { threshold = \"1500ms\" }").slow_log;
        assert_eq!(slow, Some(SlowLog { threshold, to: None }));
        let slow = server("slow_log = { threshold = \"1500ms\", path = \"e.log\" }").slow_log;
        assert_eq!(slow, Some(SlowLog { threshold, to: Some(file) }));
    }

    #[test]
    fn paths_are_relative_to_the_folder_of_the_file() {
        let project = project();
        let text = format!(
            "[server]\nthreads = 2\nshutdown_delay = 5\nshutdown_timeout = \"1m\"\nlog = \"info,cornac=debug\"\nreload_on_change = true\ntemp_dir = \"public/../public\"\n\
             pid_file = \"public/c.pid\"\n{SITE}"
        );
        let server = model_in(project.path(), &text).server;
        assert_eq!((server.threads, server.shutdown_timeout), (Some(2), Duration::from_secs(60)));
        assert!(server.reload_on_change);
        assert_eq!(server.shutdown_delay, Duration::from_secs(5));
        assert_eq!(server.temp_dir, project.path().canonicalize().unwrap().join("public"));
        assert_eq!(server.pid_file, Some(project.path().join("public/c.pid")));
    }
}
