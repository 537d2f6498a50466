//! A member's door: does anybody listen, speak FastCGI, have a worker free?

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use super::finding::Finding;
use crate::balance::Failure;
use crate::upstream::{Answer, Endpoint, Question, Reaction, ask};

/// What the first question came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// A worker answered.
    Open(Php),
    /// Reachable, and no worker was free.
    Busy,
    /// Not reachable, or not FastCGI.
    Shut,
}

/// Who answered, by what was said of a file that nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Php {
    /// php-fpm that looks for a file before it judges its name (`cgi.fix_pathinfo = 1`, the default): it can be asked
    /// whether a file is there.
    LooksFirst,
    /// php-fpm that refuses by the name alone (`cgi.fix_pathinfo = 0`).
    JudgesByName,
    /// Another FastCGI application.
    Other,
}

pub(super) async fn look(endpoint: &Endpoint, patience: Duration) -> (Door, Finding) {
    let reaction = ask(endpoint, &Question::ANYBODY, patience).await;
    match reaction {
        Reaction::Answered(answer) => {
            let php = who(&answer);
            (Door::Open(php), answered(php, &answer))
        }
        Reaction::Busy => (Door::Busy, busy(patience)),
        Reaction::Failed(failure) | Reaction::NotAsked(failure) => (Door::Shut, shut(endpoint, failure)),
    }
}

fn who(answer: &Answer) -> Php {
    match (answer.status.as_u16(), answer.body.trim_ascii()) {
        (404, b"File not found.") => Php::LooksFirst,
        (403, b"Access denied.") | (404, b"No input file specified.") => Php::JudgesByName,
        _ => Php::Other,
    }
}

fn answered(php: Php, answer: &Answer) -> Finding {
    match php {
        Php::LooksFirst | Php::JudgesByName => Finding::ok("php-fpm answers"),
        Php::Other => Finding::hint(format!(
            "speaks FastCGI, but is not php-fpm (it answers {})",
            answer.status.as_u16()
        ))
        .means("What is found out below by php-fpm's own words could not be asked."),
    }
}

fn busy(patience: Duration) -> Finding {
    Finding::warning(format!("busy: connected, and no worker answered within {} s", patience.as_secs()))
        .means("It is not down: every worker has a request, or an idle connection that somebody keeps open.")
        .change("Raise pm.max_children, find the slow scripts (request_slowlog_timeout), or add a server. pm.status_listen would tell more now.")
}

fn shut(endpoint: &Endpoint, failure: Failure) -> Finding {
    let what = format!("no answer: {failure}");
    let (means, change) = match (failure, endpoint) {
        (Failure::Refused, Endpoint::Tcp(address)) if address.ip().is_loopback() => (
            "Nobody listens there on this machine.",
            "Start php-fpm, or write here what its pool has as `listen`. In a container 127.0.0.1 is the container itself.",
        ),
        (Failure::Refused, Endpoint::Tcp(_)) => (
            "The machine is there, and nobody listens at that port.",
            "Start php-fpm, and let its `listen` be reachable from here: `listen = 9000`, not 127.0.0.1:9000.",
        ),
        (Failure::Refused | Failure::Unreachable | Failure::Forbidden, Endpoint::Unix(path)) => {
            shut_socket(path, failure)
        }
        (Failure::Unreachable | Failure::Forbidden, Endpoint::Tcp(_)) => {
            ("There is no way to that address.", "Check the address, the network and its routes.")
        }
        (Failure::ConnectTimeout, _) => (
            "Nothing came back: the machine is off, or a firewall drops the packets.",
            "Check the address and the firewall.",
        ),
        (Failure::Exhausted, _) => (
            "It was not asked, and may be well.",
            "Raise the limit of open files (LimitNOFILE, ulimit -n) or net.ipv4.ip_local_port_range of this machine.",
        ),
        (Failure::TurnedAway, _) => (
            "php-fpm closes at once on hosts that it does not know.",
            "Add this machine's address, as php-fpm sees it, to listen.allowed_clients of its pool, or remove that line.",
        ),
        (Failure::Garbage, _) => (
            "Somebody listens there who does not speak FastCGI.",
            "Write the address of php-fpm's `listen`; a web server's port (80, 8080) is not it.",
        ),
        (Failure::ClosedEarly | Failure::Truncated | Failure::Silent | Failure::BacklogFull, _) => (
            "It took the connection and gave no whole answer.",
            "Look into php-fpm's error_log: workers may be crashing.",
        ),
    };
    Finding::problem(what).means(means).change(change)
}

fn shut_socket(path: &Path, failure: Failure) -> (&'static str, &'static str) {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (
            "There is no such file.",
            "Start php-fpm, or write here what its pool has as `listen`. From another container the folder must be mounted.",
        ),
        Ok(file) if !file.file_type().is_socket() => {
            ("That file is no socket.", "Write here what php-fpm's pool has as `listen`.")
        }
        _ if failure == Failure::Refused => (
            "The socket's file is there, and nobody listens.",
            "Start php-fpm: it has ended without removing the file.",
        ),
        _ => (
            "This user may not connect to it.",
            "Let listen.owner, listen.group and listen.mode of php-fpm's pool allow the user that cornac runs as.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_shut_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let (file, socket) = (folder.path().join("file"), folder.path().join("socket"));
        std::fs::write(&file, "").unwrap();
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let means = |path: &Path, failure| shut_socket(path, failure).0;
        assert_eq!(means(&folder.path().join("none"), Failure::Unreachable), "There is no such file.");
        assert_eq!(means(&file, Failure::Refused), "That file is no socket.");
        assert_eq!(means(&socket, Failure::Refused), "The socket's file is there, and nobody listens.");
        assert_eq!(means(&socket, Failure::Unreachable), "This user may not connect to it.");
    }
}
