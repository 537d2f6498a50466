//! `/metrics`: a foreign parser reads it, its numbers are those of the requests that were really sent, and the manual has them all.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus_parse::{Scrape, Value};
use support::http::{self, Connection};
use support::{Fpm, Operated, Tp, wait_until};

const SOON: Duration = Duration::from_secs(10);

fn scrape(cornac: &Operated) -> Scrape {
    let page = cornac.ask("/metrics");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Scrape::parse(page.text().lines().map(|line| Ok(line.to_owned()))).expect("lines of text")
}

/// The number of one series; `None` where there is none.
fn number(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |sample: &&prometheus_parse::Sample| {
        sample.metric == name && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
    };
    let found: Vec<_> = scrape.samples.iter().filter(fits).collect();
    assert!(found.len() < 2, "{name} {labels:?} is {} series", found.len());
    Some(match &found.first()?.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => *value,
        Value::Histogram(buckets) => buckets.last().expect("a bucket").count,
        Value::Summary(_) => panic!("{name} is a summary"),
    })
}

/// A request is counted when its reply has gone, which its client may see first.
#[track_caller]
fn wait_for(cornac: &Operated, name: &str, labels: &[(&str, &str)], value: f64) {
    let mut seen = None;
    wait_until(SOON, || {
        seen = number(&scrape(cornac), name, labels);
        seen == Some(value)
    });
    assert_eq!(seen, Some(value), "{name} {labels:?} of:\n{}", cornac.ask("/metrics").text());
}

#[test]
fn the_numbers_are_those_of_the_requests_really_sent() {
    let fpm = Fpm::start("a");
    let cornac = Operated::start(&Tp::over([&fpm]).site("names = [\"shop.example\", \"localhost\"]"), "");
    let mut bytes = 0;
    for _ in 0..7 {
        bytes += cornac.get("/json").body.len();
    }
    for _ in 0..3 {
        bytes += cornac.get("/robots.txt").body.len();
    }
    bytes += cornac.get("/status/404").body.len();
    bytes += http::request(cornac.address(), "POST", "/json", &[], &[b'x'; 3_000]).body.len();
    let mut wrong = Connection::open(cornac.address());
    wrong.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(wrong.response().status, 400);

    let site = ("site", "shop.example");
    wait_for(&cornac, "cornac_requests_total", &[site, ("route", "script"), ("code", "2xx")], 8.0);
    wait_for(&cornac, "cornac_requests_total", &[site, ("route", "script"), ("code", "4xx")], 1.0);
    wait_for(&cornac, "cornac_requests_total", &[site, ("route", "static"), ("code", "2xx")], 3.0);
    wait_for(&cornac, "cornac_requests_total", &[("site", "-"), ("route", "refused"), ("code", "4xx")], 1.0);
    wait_for(&cornac, "cornac_request_duration_seconds", &[site, ("route", "script")], 9.0);
    wait_for(&cornac, "cornac_response_body_bytes_total", &[site], bytes as f64);
    wait_for(&cornac, "cornac_request_body_bytes_total", &[site], 3_000.0);
    wait_for(&cornac, "cornac_pool_queue_seconds", &[("pool", "php")], 9.0);
    wait_for(&cornac, "cornac_pool_first_byte_seconds", &[("pool", "php")], 9.0);
    // The rig's own look at the listener is one.
    wait_for(&cornac, "cornac_connections_accepted_total", &[], 14.0);
    let server = fpm.server();
    let fresh = number(
        &scrape(&cornac),
        "cornac_member_requests_total",
        &[("member", &server), ("connection", "fresh")],
    );
    let reused = number(
        &scrape(&cornac),
        "cornac_member_requests_total",
        &[("member", &server), ("connection", "reused")],
    );
    assert_eq!(fresh.zip(reused).map(|(fresh, reused)| fresh + reused), Some(9.0));
}

#[test]
fn a_member_is_shown_as_it_is_at_this_moment() {
    let fpm = Fpm::builder("a").workers(1).start();
    let tp = Tp::with_servers(vec![support::server(&fpm, "max_conns = 1, weight = 3")])
        .pool("health = { interval = \"50ms\", status_path = \"/fpm-status\" }");
    let cornac = Operated::start(&tp, "");
    let server = fpm.server();
    let member = ("member", &*server);
    let (mut flying, mut queued) = (Connection::open(cornac.address()), Connection::open(cornac.address()));
    flying.send("GET /gate/flying HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("flying", 1);
    queued.send("GET /json HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&cornac, "cornac_pool_queue_waiting", &[("pool", "php")], 1.0);
    let busy = scrape(&cornac);
    for (name, labels, value) in [
        ("cornac_member_in_flight", &[member][..], 1.0),
        ("cornac_member_limit", &[member], 1.0),
        ("cornac_member_weight", &[member], 3.0),
        ("cornac_member_idle_connections", &[member], 0.0),
        ("cornac_pool_queue_size", &[("pool", "php")], 1024.0),
        ("cornac_connections_open", &[], 2.0),
    ] {
        assert_eq!(number(&busy, name, labels), Some(value), "{name}");
    }
    fpm.open_gate("flying");
    assert_eq!((flying.response().status, queued.response().status), (200, 200));
    wait_for(&cornac, "cornac_member_workers", &[member, ("state", "active")], 1.0);
    wait_for(&cornac, "cornac_member_state", &[member, ("state", "ready")], 1.0);
    cornac.order(&fpm, "drain");
    let drained = scrape(&cornac);
    assert_eq!(number(&drained, "cornac_member_state", &[member, ("state", "ready")]), Some(0.0));
    assert_eq!(number(&drained, "cornac_member_state", &[member, ("state", "draining")]), Some(1.0));
}

#[test]
fn what_goes_wrong_is_counted_by_its_reason() {
    let (mut dead, well) = (Fpm::start("a"), Fpm::start("b"));
    let servers = vec![support::server(&dead, "max_fails = 1, weight = 100"), support::server(&well, "")];
    let cornac = Operated::start(&Tp::with_servers(servers).pool("policy = \"round_robin\""), "");
    dead.kill();
    for _ in 0..4 {
        assert_eq!(cornac.get("/json").member(), "b");
    }
    let pool = ("pool", "php");
    wait_for(&cornac, "cornac_pool_retries_total", &[pool, ("reason", "connect")], 1.0);
    wait_for(&cornac, "cornac_member_ejections_total", &[("member", &dead.server())], 1.0);
    wait_for(&cornac, "cornac_pool_failures_total", &[pool, ("reason", "connect")], 0.0);
    drop(well);
    assert_eq!(cornac.get("/json").status, 502);
    let failed = || {
        let scrape = scrape(&cornac);
        let of = |reason| {
            number(&scrape, "cornac_pool_failures_total", &[pool, ("reason", reason)]).unwrap_or(0.0)
        };
        of("connect") + of("nobody") + of("closed_early")
    };
    assert!(wait_until(SOON, || failed() == 1.0), "{}", cornac.ask("/metrics").text());
    wait_for(&cornac, "cornac_requests_total", &[("route", "script"), ("code", "5xx")], 1.0);
}

#[test]
fn a_reload_loses_no_count() {
    let fpm = Fpm::start("a");
    let tp = Tp::over([&fpm]).site("names = [\"localhost\"]\npool = \"php\"");
    let cornac = Operated::start(&tp, "");
    let site = ("site", "localhost");
    assert_eq!((cornac.get("/json").status, cornac.get("/json").status), (200, 200));
    wait_for(&cornac, "cornac_requests_total", &[site, ("route", "script"), ("code", "2xx")], 2.0);
    let config = std::fs::read_to_string(cornac.config_file()).expect("the rig's own file");
    let more = "[pools.batch]\nservers = [\"127.0.0.1:9\"]\n";
    std::fs::write(cornac.config_file(), format!("{config}{more}")).expect("the rig's own file");
    let reloaded = cornac.ctl(&["reload"]);
    assert_eq!(reloaded.text, "pool batch: new, 1 servers\n");
    assert_eq!(cornac.get("/json").status, 200);
    wait_for(&cornac, "cornac_requests_total", &[site, ("route", "script"), ("code", "2xx")], 3.0);
    wait_for(&cornac, "cornac_pool_queue_seconds", &[("pool", "php")], 3.0);
    wait_for(&cornac, "cornac_pool_queue_seconds", &[("pool", "batch")], 0.0);
}

#[test]
fn a_client_that_leaves_is_counted_as_one_without_an_answer() {
    let fpm = Fpm::start("a");
    let cornac = Operated::over([&fpm]);
    let mut leaving = Connection::open(cornac.address());
    leaving.send("GET /gate/left HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("left", 1);
    drop(leaving);
    wait_for(&cornac, "cornac_requests_total", &[("route", "script"), ("code", "none")], 1.0);
    fpm.open_gate("left");
}

/// A line that its parser cannot read is left out by it, so the lines are counted.
#[test]
fn every_line_is_one_that_prometheus_reads() {
    let fpm = Fpm::start("a");
    let cornac = Operated::over([&fpm]);
    cornac.get("/json");
    cornac.get("/robots.txt");
    wait_for(&cornac, "cornac_requests_total", &[("route", "static"), ("code", "2xx")], 1.0);
    let page = cornac.ask("/metrics");
    let (mut families, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut current = ("", "");
    for line in page.text().lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect("a help");
            assert!(families.insert(name), "{name} is told twice");
            current = (name, "");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, current.0, "{line}");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            current = (name, kind);
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().expect("a name");
            let suffix =
                name.strip_prefix(current.0).unwrap_or_else(|| panic!("{line} in the family {}", current.0));
            let suffixes = if current.1 == "histogram" { &["_sum", "_count", "_bucket"][..] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
            assert!(seen.insert(series), "{series} is there twice");
        }
    }
    let of_histograms = seen.iter().filter(|series| series.contains("_bucket{")).count();
    let histograms = seen.iter().filter(|series| series.contains("le=\"+Inf\"")).count();
    let scrape = scrape(&cornac);
    assert_eq!(scrape.samples.len(), seen.len() - of_histograms + histograms, "{}", page.text());
    for sample in &scrape.samples {
        let Value::Histogram(buckets) = &sample.value else { continue };
        assert!(buckets.is_sorted_by(|a, b| a.less_than < b.less_than && a.count <= b.count), "{sample:?}");
        let labels: Vec<_> = sample.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let count = number(&scrape, &format!("{}_count", sample.metric), &labels);
        assert_eq!(count, buckets.last().map(|bucket| bucket.count), "{sample:?}");
    }
}

#[test]
fn open_metrics_is_for_who_asks_for_it() {
    let fpm = Fpm::start("a");
    let cornac = Operated::over([&fpm]);
    let accept = ("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5");
    let page = http::request(cornac.admin(), "GET", "/metrics", &[accept], b"");
    assert_eq!(
        page.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(page.text().ends_with("\n# EOF\n") && page.text().contains("# TYPE cornac_requests counter\n"));
}

#[test]
fn the_process_and_the_build_are_told() {
    let fpm = Fpm::start("a");
    let cornac = Operated::over([&fpm]);
    let scrape = scrape(&cornac);
    assert_eq!(number(&scrape, "cornac_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    let at_least = [
        ("process_open_fds", 5.0),
        ("process_max_fds", 64.0),
        ("process_threads", 2.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_virtual_memory_bytes", 1e6),
        ("process_cpu_seconds_total", 0.0),
        ("process_start_time_seconds", 1.7e9),
    ];
    for (name, least) in at_least {
        assert!(number(&scrape, name, &[]).is_some_and(|value| value >= least), "{name}");
    }
    let told = number(&scrape, "process_resident_memory_bytes", &[]).expect("it is there") / 1024.0;
    let kernel = cornac.rss_kib() as f64;
    assert!((told / kernel - 1.0).abs() < 0.5, "{told} KiB, and the kernel says {kernel}");
}

#[test]
fn the_manual_has_every_family_and_no_other() {
    let manual = std::fs::read_to_string("docs/operations.md").expect("the manual");
    let documented: BTreeSet<_> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let documented: BTreeSet<_> = documented
        .into_iter()
        .map(|name| name.split('{').next().expect("a name"))
        .filter(|name| name.starts_with("cornac_") || name.starts_with("process_"))
        .collect();
    let fpm = Fpm::start("a");
    let cornac = Operated::over([&fpm]);
    let page = cornac.ask("/metrics");
    let told: BTreeSet<_> = page
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(documented, told);
}
