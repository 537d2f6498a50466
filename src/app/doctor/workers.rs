//! What php-fpm's status page tells about its workers.

use std::time::Duration;

use tokio::time::sleep;

use super::finding::Finding;
use crate::balance::{Keepalive, ProcessManager, Report};
use crate::config::model::{Pool, ServerSpec};
use crate::upstream::{Endpoint, Question, Reaction, ask, status_door};

/// Where php-fpm's status page usually is. A path where it is not costs a 404, and runs nothing.
const USUAL: [&str; 2] = ["/status", "/fpm-status"];

/// How long php-fpm may take to start its workers.
const STARTING: Duration = Duration::from_secs(1);

/// A status page that answered.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) path: String,
    /// Whether the configuration knows of it.
    pub(super) told: bool,
    /// Whether it answered at `status_listen`, so that no worker of the pool did.
    pub(super) apart: bool,
    pub(super) report: Report,
}

/// What came of looking for it.
#[derive(Debug)]
pub(super) enum Look {
    Found(Page),
    /// What answers there is something else.
    Elsewhere,
    /// Nothing answered in time.
    Silent,
}

/// Looks for the page at the path that is told, or where it usually is; at `status_listen` first. `open`: whether the
/// member's own door is, and php-fpm behind it.
///
/// php-fpm counts workers while it starts them: `pm = static` has fewer in its first moments than ever after. Where that would
/// matter it is asked again.
pub(super) async fn look(
    pool: &Pool,
    server: &ServerSpec,
    (endpoint, open): (&Endpoint, bool),
    patience: Duration,
) -> Look {
    let first = find(pool, endpoint, open, patience).await;
    match &first {
        Look::Found(page) if limit(&page.report, server).is_some() => sleep(STARTING).await,
        _ => return first,
    }
    match find(pool, endpoint, open, patience).await {
        Look::Found(page) => Look::Found(page),
        Look::Elsewhere | Look::Silent => first,
    }
}

async fn find(pool: &Pool, endpoint: &Endpoint, open: bool, patience: Duration) -> Look {
    let health = pool.health.as_ref();
    let told = health.and_then(|health| health.status_path.as_deref());
    let listen = health.and_then(|health| status_door(health.status_listen.as_ref()?, endpoint));
    let paths: Vec<&str> = told.map_or(USUAL.to_vec(), |path| vec![path]);
    let mut came = Look::Silent;
    for path in paths {
        let told = told.is_some();
        let apart = listen.iter().filter(|_| told).map(|door| (door, true));
        for (door, apart) in apart.chain(open.then_some((endpoint, false))) {
            match ask(door, &Question::status(path), patience).await {
                Reaction::Answered(answer) => match Report::parse(&answer.body) {
                    Ok(report) => return Look::Found(Page { path: path.to_owned(), told, apart, report }),
                    Err(_) => came = Look::Elsewhere,
                },
                Reaction::Busy | Reaction::NotAsked(_) | Reaction::Failed(_) => {}
            }
        }
    }
    came
}

/// What to say where nothing answered.
pub(super) fn silent() -> Finding {
    Finding::hint("the status page did not answer in time").means("Every worker was busy then.")
}

/// What to say where there is no page.
pub(super) fn no_page(pool: &Pool) -> Finding {
    let told = pool.health.as_ref().and_then(|health| health.status_path.as_deref());
    match told {
        Some(path) => Finding::warning(format!("{path} is not php-fpm's status page"))
            .means("Active health learns nothing from it.")
            .change(format!("pm.status_path = {path} in php-fpm's pool, or correct status_path here.")),
        None => Finding::hint("php-fpm's status page is not known")
            .means("Its workers, backlog and restarts cannot be seen.")
            .change("pm.status_path = /status in php-fpm's pool, and health = { status_path = \"/status\" } here."),
    }
}

/// What the page says about the workers, the backlog, and what cornac is told to do with them.
pub(super) fn findings(page: &Page, pool: &Pool, server: &ServerSpec) -> Vec<Finding> {
    let report = &page.report;
    let mut found = vec![Finding::ok(summary(page))];
    let listen = pool.health.as_ref().is_some_and(|health| health.status_listen.is_some());
    if listen && !page.apart {
        found.push(
            Finding::warning("nobody answers at status_listen")
                .means("The status page came from the pool's own workers, and will not come while all of them are busy.")
                .change("pm.status_listen in php-fpm's pool, at an address that is reachable from here; or correct it here."),
        );
    }
    if !page.told {
        found.push(
            Finding::hint(format!("php-fpm has a status page at {}, and cornac is not told", page.path))
                .means("cornac would see restarts and waiting requests.")
                .change(format!("health = {{ status_path = \"{}\" }}", page.path)),
        );
    }
    found.extend(crowd(report));
    found.extend(backlog(report));
    found.extend(keepalive(report, &pool.keepalive));
    found.extend(limit(report, server));
    found
}

fn summary(page: &Page) -> String {
    let Report { pm, active, total, listen_queue, .. } = &page.report;
    let asking = if page.apart { "" } else { " (one with this question)" };
    format!(
        "pm = {pm}: {active} of {total} workers active{asking}, {listen_queue} connections waiting in the backlog"
    )
}

/// Workers that were not enough.
fn crowd(report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    if report.listen_queue > 0 {
        found.push(
            Finding::warning(format!("{} connections wait in php-fpm's backlog", report.listen_queue))
                .means("All its workers are busy, and whoever waits there cannot be put in order, or be taken out when he leaves.")
                .change("Raise pm.max_children, and set max_conns of this server to it: then requests wait in cornac's queue."),
        );
    }
    if report.max_children_reached > 0 {
        found.push(
            Finding::warning(format!(
                "pm.max_children was reached {} times since php-fpm's start",
                report.max_children_reached
            ))
            .means("There were more requests than workers.")
            .change("Raise pm.max_children if the memory allows, or add a server."),
        );
    }
    if report.slow_requests > 0 {
        found.push(
            Finding::hint(format!("{} slow requests since php-fpm's start", report.slow_requests)).means(
                "Each was longer than request_slowlog_timeout, and its trace is in php-fpm's slowlog.",
            ),
        );
    }
    found
}

/// php-fpm tells no length for unix sockets.
fn backlog(report: &Report) -> Option<Finding> {
    (1..128).contains(&report.listen_queue_len).then(|| {
        Finding::hint(format!("php-fpm's backlog holds {} connections", report.listen_queue_len))
            .means("In a burst, connects beyond that are refused or delayed by a second and more.")
            .change(
                "listen.backlog = 511 in php-fpm's pool, and net.core.somaxconn of its system no smaller.",
            )
    })
}

/// Workers that idle connections hold: an idle one is a busy worker to php-fpm.
fn keepalive(report: &Report, keepalive: &Keepalive) -> Option<Finding> {
    let Keepalive::On { idle, .. } = keepalive else { return None };
    if report.pm == ProcessManager::Ondemand {
        return Some(
            Finding::warning("keepalive is on, and pm = ondemand")
                .means("A kept connection is a busy worker to php-fpm: the workers that ondemand would end stay for good.")
                .change("keepalive = { mode = \"auto\" }, or \"off\"."),
        );
    }
    let all = report.pm == ProcessManager::Static && *idle >= report.total;
    all.then(|| {
        Finding::warning(format!(
            "keepalive may keep {idle} idle connections, and php-fpm has {} workers",
            report.total
        ))
        .means("A kept connection is a busy worker to php-fpm: nobody else gets one then.")
        .change("keepalive = { mode = \"auto\" }, or fewer idle ones.")
    })
}

/// With `pm = static` the workers are `pm.max_children`.
fn limit(report: &Report, server: &ServerSpec) -> Option<Finding> {
    let most = server.max_conns.told()?;
    (report.pm == ProcessManager::Static && most > report.total).then(|| beyond(most, report.total))
}

/// More connections than workers.
pub(super) fn beyond(max_conns: u32, workers: u32) -> Finding {
    Finding::warning(format!("max_conns = {max_conns}, and php-fpm has {workers} workers at most"))
        .means("The others wait in php-fpm's backlog, where nobody can put them in order or take out who has left.")
        .change(format!("max_conns = {workers}, or pm.max_children = {max_conns}."))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::testing::{model, report};
    use super::*;

    /// What is said, beside what is fine, of a report under a pool with these lines.
    fn said(lines: &str, change: impl Fn(&mut Report)) -> Vec<String> {
        let pool = model(lines).pools.remove(0);
        let mut report = report();
        change(&mut report);
        let page = Page { path: "/status".into(), told: true, apart: false, report };
        let all = findings(&page, &pool, &pool.servers[0]);
        assert!(all.iter().all(|finding| finding.severity != Severity::Problem));
        all.into_iter()
            .filter(|finding| finding.severity != Severity::Ok)
            .map(|finding| finding.what)
            .collect()
    }

    #[test]
    fn a_quiet_php_fpm_gives_nothing_to_say() {
        assert_eq!(said("", |_| {}), [""; 0]);
        assert_eq!(
            summary(&Page { path: "/status".into(), told: true, apart: true, report: report() }),
            "pm = static: 1 of 4 workers active, 0 connections waiting in the backlog"
        );
    }

    #[test]
    fn what_the_page_counts_is_told() {
        let crowded = |report: &mut Report| {
            (report.listen_queue, report.max_children_reached, report.slow_requests) = (3, 2, 1);
        };
        assert_eq!(
            said("", crowded),
            [
                "3 connections wait in php-fpm's backlog",
                "pm.max_children was reached 2 times since php-fpm's start",
                "1 slow requests since php-fpm's start"
            ]
        );
        assert_eq!(said("", |report| report.listen_queue_len = 5), ["php-fpm's backlog holds 5 connections"]);
        assert_eq!(said("", |report| report.listen_queue_len = 0), [""; 0], "a unix socket");
    }

    #[test]
    fn connections_that_hold_workers_are_told() {
        let on = "keepalive = { mode = \"on\", idle = 4 }";
        assert_eq!(said(on, |_| {}), ["keepalive may keep 4 idle connections, and php-fpm has 4 workers"]);
        assert_eq!(said(on, |report| report.total = 5), [""; 0]);
        let ondemand = |report: &mut Report| report.pm = ProcessManager::Ondemand;
        assert_eq!(said(on, ondemand), ["keepalive is on, and pm = ondemand"]);
        assert_eq!(said("", ondemand), [""; 0], "auto gives the worker back at once");
    }

    #[test]
    fn more_connections_than_workers_are_told() {
        let most = |number| format!("servers = [{{ address = \"127.0.0.1:9000\", max_conns = {number} }}]");
        assert_eq!(said(&most(5), |_| {}), ["max_conns = 5, and php-fpm has 4 workers at most"]);
        assert_eq!(said(&most(4), |_| {}), [""; 0]);
        assert_eq!(said(&most(5), |report| report.pm = ProcessManager::Dynamic), [""; 0], "4 are not all");
    }
}
