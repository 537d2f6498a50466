//! Settings of php-fpm and of cornac that do not go together.

use std::time::Duration;

use super::finding::Finding;
use super::local::LocalPool;
use super::workers::beyond;
use crate::config::model::{Pool, ServerSpec};

/// What php-fpm's own configuration says, beside the pool's.
pub(super) fn of_php_fpm(local: &LocalPool, pool: &Pool, server: &ServerSpec) -> Vec<Finding> {
    let mut found = Vec::new();
    let file = local.file.display();
    if local.conf.duration("global", "process_control_timeout").is_zero() {
        found.push(
            Finding::warning("process_control_timeout is 0")
                .means("A reload of php-fpm (SIGUSR2) kills the requests that run.")
                .change(format!("process_control_timeout = 30s in [global] of {file}")),
        );
    }
    let terminate = local.conf.duration(&local.section, "request_terminate_timeout");
    found.extend(patience(terminate, pool.timeouts.first_byte));
    let children = local.conf.get(&local.section, "pm.max_children").and_then(|most| most.parse().ok());
    if let (Some(children), Some(most)) = (children, server.max_conns.told())
        && most > children
        // With pm = static the status page has told already.
        && local.conf.get(&local.section, "pm") != Some("static")
    {
        found.push(beyond(most, children));
    }
    found
}

/// Who gives up first: php-fpm or cornac?
fn patience(terminate: Duration, first_byte: Duration) -> Option<Finding> {
    let (kills, waits) = (terminate.as_secs(), first_byte.as_secs());
    if terminate.is_zero() || terminate == first_byte {
        None
    } else if terminate < first_byte {
        Some(
            Finding::warning(format!("request_terminate_timeout is {kills} s, timeouts.first_byte {waits} s"))
                .means("php-fpm kills a slow script first: its client gets 502, and cornac takes it for the member's failure.")
                .change(format!("timeouts = {{ first_byte = \"{kills}s\" }}, or a longer request_terminate_timeout.")),
        )
    } else {
        Some(
            Finding::hint(format!("timeouts.first_byte is {waits} s, request_terminate_timeout {kills} s"))
                .means("cornac answers 504 first, and the script keeps its worker until php-fpm kills it.")
                .change(format!("request_terminate_timeout = {waits}s, or a longer first_byte.")),
        )
    }
}

/// What to look at by hand, where php-fpm's configuration cannot be read here.
pub(super) fn unseen(pool: &Pool) -> Finding {
    let waits = pool.timeouts.first_byte.as_secs();
    Finding::hint("php-fpm's own configuration cannot be read here")
        .means("Check there: process_control_timeout is not 0 (a reload would kill requests)")
        .change(format!(
            "and request_terminate_timeout is 0 or at least {waits} s (timeouts.first_byte); max_conns here is pm.max_children there."
        ))
}

/// Keys of cornac's pool that contradict each other.
pub(super) fn of_cornac(pool: &Pool) -> Vec<Finding> {
    let Some(total) = pool.timeouts.total else { return Vec::new() };
    let longer = [("timeouts.first_byte", pool.timeouts.first_byte), ("queue.timeout", pool.queue.timeout)];
    let never = longer.into_iter().filter(|&(_, time)| time > total);
    never
        .map(|(key, time)| {
            Finding::hint(format!("{key} is {} s, timeouts.total {} s", time.as_secs(), total.as_secs()))
                .means("The total ends a request first, so the longer one never does.")
                .change(format!("A {key} below timeouts.total, or no total."))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fpm_conf::FpmConf;
    use super::super::testing::model;
    use super::*;

    fn said(fpm: &str, pool: &str) -> Vec<String> {
        let pool = model(pool).pools.remove(0);
        let conf = FpmConf::read(fpm, &mut |_| Vec::new());
        let local = LocalPool { file: "/etc/fpm.conf".into(), conf, section: "www".into() };
        of_php_fpm(&local, &pool, &pool.servers[0]).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_reload_that_kills_requests_is_told() {
        assert_eq!(said("[www]\n", ""), ["process_control_timeout is 0"]);
        assert_eq!(said("[global]\nprocess_control_timeout = 5\n[www]\n", ""), [""; 0]);
    }

    #[test]
    fn who_gives_up_first_is_told() {
        let with = |timeout| {
            said(&format!("process_control_timeout = 5\n[www]\nrequest_terminate_timeout = {timeout}\n"), "")
        };
        assert_eq!(with("30s"), ["request_terminate_timeout is 30 s, timeouts.first_byte 60 s"]);
        assert_eq!(with("5m"), ["timeouts.first_byte is 60 s, request_terminate_timeout 300 s"]);
        assert_eq!((with("60"), with("0")), (vec![], vec![]));
    }

    #[test]
    fn more_connections_than_children_are_told() {
        let fpm = "process_control_timeout = 5\n[www]\npm = dynamic\npm.max_children = 5\n";
        let most = |number| format!("servers = [{{ address = \"127.0.0.1:9000\", max_conns = {number} }}]");
        assert_eq!(said(fpm, &most(6)), ["max_conns = 6, and php-fpm has 5 workers at most"]);
        assert_eq!(said(fpm, &most(5)), [""; 0]);
    }

    #[test]
    fn a_total_that_makes_another_timeout_pointless_is_told() {
        let all = |lines: &str| -> Vec<String> {
            of_cornac(&model(lines).pools[0]).into_iter().map(|finding| finding.what).collect()
        };
        assert_eq!(all(""), [""; 0]);
        let expected = ["timeouts.first_byte is 60 s, timeouts.total 40 s"];
        assert_eq!(all("timeouts = { total = \"40s\" }"), expected);
    }
}
