//! Which rows there are.

use crate::args::{Args, Subject};
use crate::contestant::{Contestant, Told};
use crate::feature::Feature;
use crate::rows::{Ask, BackendKind, Load, Row, Task, With};
use crate::{clients, idle, overload, reload, sharing, slow, start, system_calls};

/// 12 workers, 0.97 × 2 ms + 0.03 × 200 ms a request.
const MIXED_12: &str = "3 % of scripts take 200 ms, the others 2 ms, on 3 pools of 4 workers, 12 clients; no more than 1,511/s is possible; times of the quick ones";
const SECOND_FRONT_END: &str = "what nginx without keepalive gets of 3 pools of 4 workers, 12 clients, beside another front end: nginx with keepalive 64, haproxy, or cornac";
const SECOND_FRONT_END_SLOW: &str = "the same with scripts that sleep for 2 ms and 24 clients: the workers are what is short, not the processors";
/// Where `--pgo` adds its contestant.
const GUIDED: [&str; 10] = [
    "hello",
    "static-1k",
    "static-304",
    "static-404",
    "browser",
    "cookies",
    "access-log",
    "precompressed",
    "tls",
    "http2",
];
/// The files' own date, to the second: what nginx asks for.
const UNCHANGED: With = With::Header("If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT");

const NGINX: Contestant = Contestant::NGINX;
const NO_KEEPALIVE: Contestant = Contestant::NGINX_NO_KEEPALIVE;
const FILE_CACHE: Contestant = Contestant::NGINX_FILE_CACHE;
const HAPROXY: Contestant = Contestant::Haproxy;

pub(crate) fn all(args: &Args) -> Vec<Row> {
    let subject = match args.subject {
        Subject::Cornac => Contestant::Cornac(Told::Nothing),
        Subject::Nginx => Contestant::NginxAgain,
    };
    let peers: &[Contestant] = if args.all { &Contestant::PEERS } else { &[] };
    let mut rows: Vec<_> = [
        scripts(subject, peers),
        files(subject, peers),
        requests(subject),
        compression(subject),
        tls(subject),
        php(subject),
        scale(subject),
        whole_life(subject),
    ]
    .into_iter()
    .flatten()
    .collect();
    for row in rows.iter_mut().filter(|row| args.pgo && GUIDED.contains(&row.name)) {
        // Beside its like.
        row.contestants.insert(2, Contestant::Guided);
    }
    rows
}

fn asked(target: &'static str) -> Load {
    Load::Requests(Ask::get(target, 64))
}

fn scripts(subject: Contestant, peers: &[Contestant]) -> Vec<Row> {
    let null = BackendKind::Null;
    let all = &[&[NGINX, subject, HAPROXY], peers].concat();
    vec![
        Row::load("hello", "FastCGI, 12 bytes from a null responder", asked("/hello.php"), null(12), all),
        Row::load(
            "floor",
            "the same through a bare epoll loop: what the kernel alone costs",
            asked("/hello.php"),
            null(12),
            &[NGINX, subject, Contestant::Floor],
        ),
        Row::load(
            "reply-64k",
            "FastCGI, 64 KiB from a null responder",
            asked("/hello.php"),
            null(64 << 10),
            all,
        ),
        Row::load(
            "reply-1m",
            "FastCGI, 1 MiB from a null responder",
            asked("/hello.php"),
            null(1 << 20),
            &[NGINX, subject, HAPROXY],
        ),
    ]
}

fn files(subject: Contestant, peers: &[Contestant]) -> Vec<Row> {
    let none = BackendKind::None;
    let all = &[&[NGINX, subject, FILE_CACHE], peers].concat();
    let pair = &[NGINX, subject];
    let unchanged = Load::Requests(Ask::get("/1k.bin", 64).with(UNCHANGED));
    let missing = Load::Requests(Ask::get("/missing.bin", 64).with(With::Refusal));
    vec![
        Row::load("static-1k", "a file of 1 KiB", asked("/1k.bin"), none, all),
        Row::load("static-100k", "a file of 100 KiB", asked("/100k.bin"), none, all),
        Row::load("static-10m", "a file of 10 MiB", Load::Requests(Ask::get("/10m.bin", 16)), none, all),
        Row::load("static-304", "a file that the client has: 304", unchanged, none, pair),
        Row::load("static-404", "a file that is not there: 404", missing, none, pair),
    ]
}

/// Requests that are not as plain as the others.
fn requests(subject: Contestant) -> Vec<Row> {
    let all = &[NGINX, subject, HAPROXY];
    let hello = |with| Load::Requests(Ask::get("/hello.php", 64).with(with));
    let null = BackendKind::Null(12);
    let row = |name, what, with| Row::load(name, what, hello(with), null, all);
    let posts = &[NGINX, subject, Contestant::Cornac(Told::MayRepeat), HAPROXY];
    vec![
        row("browser", "hello with a browser's head, 1 KB", With::Browser),
        row("cookies", "hello with 8 KB of cookies and a query string of 2 KB", With::Cookies),
        row("churn", "hello, each on a connection of its own", With::Header("Connection: close")),
        Row::load("upload-1k", "POSTs of 1 KB", hello(With::Body(1_000)), null, posts),
        row("upload-1m", "POSTs of 1 MB", With::Body(1_000_000)),
        Row::load(
            "access-log",
            "hello with an access log (combined)",
            asked("/hello.php"),
            null,
            &[NGINX, subject],
        )
        .with(Feature::AccessLog),
    ]
}

fn compression(subject: Contestant) -> Vec<Row> {
    let takes = |coding| Load::Requests(Ask::get("/hello.php", 64).with(With::Header(coding)));
    let file = Load::Requests(Ask::get("/page.txt", 64).with(With::Header("Accept-Encoding: gzip")));
    let (page, pair) = (BackendKind::NullPage, &[NGINX, subject]);
    vec![
        Row::load("gzip", "a page of 40 KB by FastCGI, gzip 5", takes("Accept-Encoding: gzip"), page, pair)
            .with(Feature::Gzip),
        Row::load("brotli", "the same, brotli 5", takes("Accept-Encoding: br"), page, pair)
            .with(Feature::Brotli),
        Row::load("precompressed", "a file of 40 KB with a .gz beside it", file, BackendKind::None, pair)
            .with(Feature::Precompressed),
    ]
}

fn tls(subject: Contestant) -> Vec<Row> {
    let (null, all) = (BackendKind::Null(12), &[NGINX, subject, HAPROXY]);
    let http2 = |streams| Load::Http2 { ask: Ask::get("/hello.php", 64 / streams), streams };
    let row = |name, what, load| Row::load(name, what, load, null, all).with(Feature::Tls);
    vec![
        row("tls", "hello over TLS 1.3, HTTP/1.1", asked("/hello.php")),
        row("http2", "hello over TLS 1.3, HTTP/2: 8 connections, 8 streams each", http2(8)),
        row("http2-1", "the same: 64 connections, one stream each", http2(1)),
        Row::load(
            "http2-100k",
            "a file of 100 KiB over HTTP/2: 8 connections, 8 streams each",
            Load::Http2 { ask: Ask::get("/100k.bin", 8), streams: 8 },
            BackendKind::None,
            &[NGINX, subject],
        )
        .with(Feature::Tls),
        row("handshakes", "a TLS connection for each request", Load::Handshakes { resumed: false }),
        row("resumption", "the same, resumed by a ticket", Load::Handshakes { resumed: true }),
    ]
}

fn php(subject: Contestant) -> Vec<Row> {
    let fpm = BackendKind::Fpm;
    let mixed = |name, what, connections| {
        let all = &[NGINX, subject, NO_KEEPALIVE, HAPROXY, Contestant::Straight];
        Row::load(name, what, Load::Mixed { connections }, fpm, all)
    };
    let pair = &[NGINX, subject];
    // The first is the reference.
    let auto = &[Contestant::Cornac(Told::MaxConns), Contestant::Cornac(Told::Nothing)];
    let hello = Load::Requests(Ask::get("/hello.php", 12));
    vec![
        Row::load(
            "hello-fpm",
            "a one-line script on 3 php-fpm pools of 4 workers, 12 clients",
            hello,
            fpm,
            &[NGINX, subject, NO_KEEPALIVE, HAPROXY],
        ),
        mixed("mixed-12", MIXED_12, 12),
        mixed("mixed-24", "the same, 24 clients", 24),
        mixed("mixed-96", "the same, 96 clients", 96),
        Row::load("upload-100m", "100 MB to a script on php-fpm, digest checked", Load::Upload, fpm, pair),
        Row::load(
            "download-100m",
            "100 MB from a script on php-fpm, every byte checked",
            Load::Download,
            fpm,
            pair,
        ),
        Row::load("auto-hello", "hello-fpm, nothing told against max_conns = 4", hello, fpm, auto),
        Row::load(
            "auto-mixed",
            "mixed-24, nothing told against max_conns = 4",
            Load::Mixed { connections: 24 },
            fpm,
            auto,
        ),
    ]
}

/// What more of something costs.
fn scale(subject: Contestant) -> Vec<Row> {
    let null = BackendKind::Null(12);
    let one_of_many = Load::Requests(Ask::get("/hello.php", 64).with(With::Header(SITE)));
    let one_site = Contestant::Cornac(Told::OneSite);
    let three = Contestant::Cornac(Told::ThreeMembers);
    let many = BackendKind::NullMembers(300);
    vec![
        Row::load("sites", "hello of one of 1,000 sites × 200 routes", one_of_many, null, &[NGINX, subject])
            .with(Feature::ManySites),
        Row::load(
            "sites-flat",
            "the same, cornac with 1,000 sites ÷ with one",
            one_of_many,
            null,
            &[one_site, subject],
        )
        .with(Feature::ManySites),
        Row::load(
            "members-flat",
            "hello of 300 members ÷ of 3",
            asked("/hello.php"),
            many,
            &[three, subject],
        ),
        Row::turn(
            "clients",
            "CPU µs for a file of 1 KiB, by 1 to 10,000 clients",
            clients::turn,
            BackendKind::None,
            &[NGINX, subject],
        ),
        Row::turn("idle", "memory of idle clients", idle::turn, null, &[NGINX, subject, HAPROXY]),
        Row::turn(
            "idle-tls",
            "memory of idle clients over TLS 1.3",
            idle::tls_turn,
            null,
            &[NGINX, subject, HAPROXY],
        )
        .with(Feature::Tls),
    ]
}

/// One of `feature::SITES`.
const SITE: &str = "Host: site500.bench";

/// From its start to its reloads, and what goes wrong in between.
fn whole_life(subject: Contestant) -> Vec<Row> {
    let (null, fpm) = (BackendKind::Null(12), BackendKind::Fpm);
    let fair = &[NO_KEEPALIVE, subject, HAPROXY];
    let shared = &[NGINX, subject, HAPROXY];
    vec![
        Row::turn(
            "start",
            "from the start to the first answer, and memory then",
            start::turn,
            null,
            &[NGINX, subject, HAPROXY],
        ),
        Row::turn("start-sites", "the same with 1,000 sites", start::turn, null, &[NGINX, subject])
            .with(Feature::PlainSites),
        Row::turn(
            "reload",
            "20 reloads under clients that keep their connections",
            reload::turn,
            null,
            &[NGINX, subject, HAPROXY],
        ),
        Row::turn("slow-readers", "200 slow readers of 1 MB by php: others' p99", slow::turn, fpm, fair),
        Row::turn("overload", "5 × what 12 workers can do, in open loop", overload::turn, fpm, fair),
        Row::turn("second-front-end", SECOND_FRONT_END, sharing::quick_turn, fpm, shared),
        Row::turn("second-front-end-slow", SECOND_FRONT_END_SLOW, sharing::slow_turn, fpm, shared),
        Row {
            name: "failover",
            what: "one of 3 pools is killed and started again under a load of GETs, nginx without keepalive",
            task: Task::Failover,
            backend: fpm,
            feature: Feature::None,
            contestants: vec![NO_KEEPALIVE, subject, Contestant::Cornac(Told::Health)],
        },
        Row::turn(
            "system-calls",
            "system calls of one hello; without a body one write to php-fpm and one to the client",
            system_calls::turn,
            null,
            &[NGINX, subject, HAPROXY],
        ),
    ]
}
