//! The access log: one line a request, whatever became of it, with all that one asks a log after a bad night.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::http::{self, Connection};
use support::{Cornac, Fpm, Responder, Scratch, Signal, Tp, server, wait_until};

/// Lines of a log file, when there are so many.
fn lines(file: &std::path::Path, at_least: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(file).unwrap_or_default();
    let seen = wait_until(Duration::from_secs(10), || read().lines().count() >= at_least);
    assert!(seen, "fewer than {at_least} lines:\n{}", read());
    read().lines().map(str::to_owned).collect()
}

fn millis(entry: &Value, key: &str) -> f64 {
    entry[key].as_f64().unwrap_or_else(|| panic!("no {key} in {entry}"))
}

#[test]
fn a_line_tells_site_route_pool_member_tries_times_and_bytes() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).site("names = [\"shop.example\"]").start();
    let headers = [("Host", "shop.example"), ("User-Agent", "curl/8"), ("Referer", "http://x/")];
    let target = "/sleep/30?x=%E4%B8%AD";
    let reply = ask(&cornac, target, &headers);
    let entry = cornac.entry(target);
    assert_eq!((&entry["method"], &entry["status"]), (&"GET".into(), &200.into()));
    assert_eq!((&entry["site"], &entry["host"]), (&"shop.example".into(), &"shop.example".into()));
    assert_eq!((&entry["pool"], &entry["tries"]), (&"php".into(), &1.into()));
    assert_eq!((&entry["referer"], &entry["user_agent"]), (&"http://x/".into(), &"curl/8".into()));
    assert_eq!((&entry["remote_addr"], &entry["end"]), (&"127.0.0.1".into(), &"complete".into()));
    assert_eq!(entry["bytes"], reply.len());
    assert!(
        entry["member"]
            .as_str()
            .is_some_and(|member| fpm.server().ends_with(member.trim_start_matches("unix:")))
    );
    assert!(entry["route"].as_str().is_some_and(|route| !route.is_empty()), "{entry}");
    assert!(entry["request_id"].as_str().is_some_and(|id| id.len() >= 8), "{entry}");
    assert!(millis(&entry, "first_byte_ms") >= 30.0 && millis(&entry, "queue_ms") >= 0.0, "{entry}");
    assert!(millis(&entry, "total_ms") >= millis(&entry, "first_byte_ms"), "{entry}");
    assert!(millis(&entry, "total_ms") < 10_000.0, "{entry}");
}

/// With a Host of one's own; the rig's client sends one already.
fn ask(cornac: &Cornac, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut client = Connection::open(cornac.address());
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    client.send(format!("GET {target} HTTP/1.1\r\n{headers}\r\n"));
    let reply = client.response();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

#[test]
fn ids_differ_from_request_to_request() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let mut client = Connection::open(cornac.address());
    (0..20).for_each(|n| assert_eq!(client.get(&format!("/json?{n}")).status, 200));
    cornac.entry("/json?19");
    let mut ids: Vec<_> = cornac.entries().iter().map(|entry| entry["request_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[test]
fn combined_begins_as_nginx_writes_it_and_goes_on_with_cornacs_fields() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let file = folder.join("access.log");
    let cornac = Cornac::serving(|listen| {
        let json = "{ path = \"stdout\", format = \"json\" }";
        let combined = format!("{{ path = \"{}\", format = \"combined\" }}", file.display());
        let toml = Tp::over([&fpm]).toml(listen).replace(json, &combined);
        assert!(toml.contains("combined"));
        toml
    });
    assert_eq!(cornac.get("/json?a=1").status, 200);
    assert_eq!(cornac.get("/style.css").status, 200);
    let lines = lines(&file, 2);
    let line = &lines[0];
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains("] \"GET /json?a=1 HTTP/1.1\" 200 "), "{line}");
    for word in ["php", &fpm.server().replace("unix:", "")] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    assert!(lines[1].contains("\"GET /style.css HTTP/1.1\" 200 "), "{}", lines[1]);
}

#[test]
fn a_log_named_by_its_path_alone_is_combined_and_one_that_is_off_is_silent() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let file = folder.join("access.log");
    let with = |access_log: &str| {
        let toml = |listen: &str| {
            let json = "{ path = \"stdout\", format = \"json\" }";
            Tp::over([&fpm]).toml(listen).replace(json, access_log)
        };
        Cornac::serving(toml)
    };
    let on = with(&format!("\"{}\"", file.display()));
    assert_eq!(on.get("/json").status, 200);
    assert!(lines(&file, 1)[0].contains("\"GET /json HTTP/1.1\" 200 "));
    let off = with("\"off\"");
    assert_eq!(off.get("/seen-nowhere").status, 404);
    assert!(!off.log().contains("seen-nowhere"), "{}", off.log());
}

#[test]
fn after_a_rotation_sigusr1_opens_the_file_anew_and_no_line_is_lost() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let (file, old) = (folder.join("access.log"), folder.join("access.log.1"));
    let cornac = Cornac::serving(|listen| {
        let json = "{ path = \"stdout\", format = \"json\" }";
        Tp::over([&fpm]).toml(listen).replace(json, &format!("\"{}\"", file.display()))
    });
    assert_eq!(cornac.get("/json?before").status, 200);
    lines(&file, 1);
    std::fs::rename(&file, &old).expect("a rotation");
    assert_eq!(cornac.get("/json?between").status, 200);
    lines(&old, 2);
    cornac.signal(Signal::USR1);
    cornac.wait_for_log("logs reopened");
    assert_eq!(cornac.get("/json?after").status, 200);
    assert!(lines(&file, 1)[0].contains("/json?after"));
    assert_eq!(lines(&old, 2).len(), 2);
}

#[test]
fn what_a_client_sends_cannot_break_out_of_its_line() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    for format in ["combined", "json", "logfmt"] {
        let file = folder.join(format);
        let cornac = Cornac::serving(|listen| {
            let json = "{ path = \"stdout\", format = \"json\" }";
            let own = format!("{{ path = \"{}\", format = \"{format}\" }}", file.display());
            Tp::over([&fpm]).toml(listen).replace(json, &own)
        });
        let mut client = Connection::open(cornac.address());
        client.send(b"GET /json?q=\"quote%0Aline HTTP/1.1\r\nHost: x\r\nUser-Agent: a\"b\\c\x80\xffd\te\r\nReferer: \"; forged=1\r\n\r\n");
        let answered = client.try_response("GET").map(|reply| reply.status).ok();
        assert!(matches!(answered, Some(200 | 400)), "{answered:?}");
        assert_eq!(cornac.get("/json?last").status, 200);
        let bytes = std::fs::read(&file).expect("a log");
        let bare = bytes.iter().find(|&&byte| byte < b' ' && byte != b'\n' || byte == 0x7f);
        assert_eq!(bare, None, "{format}: {}", bytes.escape_ascii());
        let expected = if answered == Some(200) { 2 } else { 1 };
        let lines = lines(&file, expected);
        assert!(lines.len() <= 2, "{format}: {lines:?}");
        let first = &lines[0];
        match format {
            "json" => drop(serde_json::from_str::<Value>(first).unwrap_or_else(|e| panic!("{e}: {first}"))),
            _ => assert!(!first.contains("a\"b"), "{format}: {first}"),
        }
    }
}

#[test]
fn a_client_that_leaves_is_a_499() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let mut leaver = Connection::open(cornac.address());
    leaver.send("GET /gate/left HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("left", 1);
    drop(leaver);
    let entry = cornac.entry("/gate/left");
    assert_eq!((&entry["status"], &entry["end"]), (&499.into(), &"client left".into()));
    assert_eq!((&entry["pool"], &entry["tries"]), (&"php".into(), &1.into()));
    fpm.open_gate("left");
}

#[test]
fn a_client_that_leaves_in_mid_reply_is_logged_with_what_it_got() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let mut leaver = Connection::open(cornac.address());
    leaver.send("GET /big/50000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(leaver.head().expect("a head").status, 200);
    drop(leaver);
    let entry = cornac.entry("/big/50000000");
    assert_eq!((&entry["status"], &entry["end"]), (&200.into(), &"client left".into()));
    assert!(entry["bytes"].as_u64().is_some_and(|bytes| bytes < 50_000_000), "{entry}");
}

#[test]
fn a_failure_is_logged_with_all_attempts_and_the_last_member() {
    let closes = [(); 2].map(|()| Responder::start(|_| false));
    let servers = closes.iter().map(|member| format!("\"{}\"", member.server())).collect();
    let cornac = Tp::with_servers(servers).start();
    assert_eq!(cornac.get("/json").status, 502);
    let entry = cornac.entry("/json");
    assert_eq!((&entry["status"], &entry["tries"]), (&502.into(), &2.into()));
    let member = entry["member"].as_str().expect("a member");
    assert!(closes.iter().any(|closes| closes.server() == member), "{entry}");
}

#[test]
fn time_in_the_queue_is_told_apart_from_phps() {
    let fpm = Fpm::builder("a").workers(1).start();
    let cornac = Tp::with_servers(vec![server(&fpm, "max_conns = 1")]).start();
    let mut first = Connection::open(cornac.address());
    first.send("GET /gate/first HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("first", 1);
    let mut second = Connection::open(cornac.address());
    second.send("GET /sleep/60 HTTP/1.1\r\nHost: x\r\n\r\n");
    let sent = std::time::Instant::now();
    assert!(wait_until(Duration::from_secs(5), || sent.elapsed() >= Duration::from_millis(120)));
    fpm.open_gate("first");
    assert_eq!((first.response().status, second.response().status), (200, 200));
    let entry = cornac.entry("/sleep/60");
    let (queued, total) = (millis(&entry, "queue_ms"), millis(&entry, "total_ms"));
    assert!(queued >= 80.0 && total - queued >= 60.0, "{entry}");
}

#[test]
fn files_and_refusals_have_their_lines_too() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    for (target, status) in [("/style.css", 200), ("/.env", 403), ("/uploads/photo.jpg/a.php", 404)] {
        let reply = http::get(cornac.address(), target);
        assert!(reply.status == status || reply.status / 100 == 4, "{target}: {}", reply.status);
        let entry = cornac.entry(target);
        assert_eq!(entry["status"], reply.status);
        assert_eq!((entry.get("pool"), &entry["bytes"]), (None, &reply.body.len().into()), "{target}");
    }
}

#[test]
fn a_reply_without_a_body_is_complete_too() {
    let nowhere = vec!["\"127.0.0.1:1\"".to_owned()];
    let empty = "[[sites.routes]]\nmatch = \"= /empty\"\nreturn = { status = 204 }\n";
    let cornac = Tp::with_servers(nowhere).more(empty).start();
    for (method, target, header, status) in [
        ("HEAD", "/style.css", "", 200),
        ("HEAD", "/.env", "", 403),
        ("GET", "/empty", "", 204),
        ("GET", "/style.css?304", "If-None-Match: *\r\n", 304),
    ] {
        let mut client = Connection::open(cornac.address());
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{header}\r\n"));
        assert_eq!(client.try_response(method).expect("a reply").status, status, "{target}");
        let entry = cornac.entry(target);
        assert_eq!((&entry["end"], &entry["bytes"]), (&"complete".into(), &0.into()), "{entry}");
    }
}

#[test]
fn a_connection_closed_without_an_answer_is_a_444() {
    let closes = "[[sites.routes]]\nmatch = \"= /closes\"\nreturn = { status = 444 }\n";
    let cornac = Tp::with_servers(vec!["\"127.0.0.1:1\"".to_owned()]).more(closes).start();
    let mut client = Connection::open(cornac.address());
    client.send("GET /closes HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_to_end().is_empty());
    let entry = cornac.entry("/closes");
    assert_eq!((&entry["status"], &entry["end"]), (&444.into(), &"closed without an answer".into()));
}

#[test]
fn a_request_too_wrong_for_any_site_has_its_line() {
    let cornac = Tp::with_servers(vec!["\"127.0.0.1:1\"".to_owned()]).start();
    let long = format!("/{}", "a".repeat(9000));
    for (request, target, status) in [
        ("TRACE /traced HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "/traced", 405),
        (
            "GET /hosts HTTP/1.1\r\nHost: x\r\nHost: y\r\nUser-Agent: scan\"ner\r\n\r\n".to_owned(),
            "/hosts",
            400,
        ),
        (format!("GET {long} HTTP/1.1\r\nHost: x\r\n\r\n"), &long, 414),
    ] {
        let mut client = Connection::open(cornac.address());
        client.send(request);
        assert_eq!(client.response().status, status);
        let entry = cornac.entry(target);
        assert_eq!((&entry["status"], &entry["end"]), (&status.into(), &"complete".into()), "{entry}");
        assert_eq!((&entry["remote_addr"], &entry["site"]), (&"127.0.0.1".into(), &"".into()), "{entry}");
    }
}

#[test]
fn an_outage_is_not_a_line_a_request_and_the_access_log_has_them_all() {
    let mut fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    fpm.kill();
    for n in 0..50 {
        assert_eq!(cornac.get(&format!("/json?n={n}")).status, 502);
    }
    let entry = cornac.entry("/json?n=49");
    assert_eq!(entry["error"], "connect: connection refused");
    assert!(wait_until(Duration::from_secs(30), || cornac.log().contains("more in the last 10 s: ")));
    let log = cornac.settled_log();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 6, "{errors:?}");
    assert!(errors[5].contains("requests=45") && errors[5].contains("connection refused"), "{errors:?}");
}

#[test]
fn the_event_log_goes_to_a_file_which_sigusr1_opens_anew_and_a_reload_moves() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let file = |name: &str| folder.join(name);
    let tp = |filter: &str, name: &str| {
        let log = format!("log = {{ filter = \"{filter}\", path = \"{}\" }}", file(name).display());
        Tp::over([&fpm]).quiet().server(&log)
    };
    let comes_to_say = |name: &str, text: &str| {
        let says = || std::fs::read_to_string(file(name)).unwrap_or_default().contains(text);
        wait_until(Duration::from_secs(10), says)
    };
    let cornac = tp("info", "one.log").start();
    let listen = cornac.address().to_string();
    // The last line of the start: before it is there, it would go to the file that is opened anew.
    assert!(comes_to_say("one.log", "pool=\"php\""), "the start is not in the log");
    assert!(lines(&file("one.log"), 2).iter().any(|line| line.contains("listening on ")));
    std::fs::rename(file("one.log"), file("one.log.1")).expect("a rotation");
    cornac.signal(Signal::USR1);
    assert!(lines(&file("one.log"), 1)[0].contains("logs reopened"));
    std::fs::write(cornac.config_file(), tp("debug", "two.log").toml(&listen)).expect("the configuration");
    cornac.signal(Signal::HUP);
    lines(&file("two.log"), 1);
    let mut client = Connection::open(cornac.address());
    client.send("nonsense\r\n\r\n");
    client.read_to_end();
    assert!(comes_to_say("two.log", "DEBUG cornac::front"), "the new filter is not in force");
    assert!(!cornac.log().contains("INFO"), "{}", cornac.log());
}

#[test]
fn a_slow_request_has_a_line_of_its_own_with_route_member_and_phases() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let slow = folder.join("slow.log");
    let to_file = format!("slow_log = {{ threshold = \"100ms\", path = \"{}\" }}", slow.display());
    let cornac = Tp::over([&fpm]).quiet().server(&to_file).start();
    assert_eq!(cornac.get("/json").status, 200);
    assert_eq!(cornac.get("/sleep/120").status, 200);
    let line = lines(&slow, 1).remove(0);
    assert!(line.contains(" target=\"/sleep/120\" ") && line.contains(" status=200 "), "{line}");
    assert!(line.contains(" pool=php ") && line.contains(fpm.server().trim_start_matches("unix:")), "{line}");
    let time = |key: &str| -> f64 {
        let value = line.split(&format!(" {key}=")).nth(1).and_then(|rest| rest.split(' ').next());
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {key}: {line}"))
    };
    assert!(time("first_byte_ms") >= 120.0 && time("total_ms") >= time("first_byte_ms"), "{line}");
    assert!(
        time("queue_ms") + time("connect_ms") <= time("first_byte_ms") && time("body_ms") >= 0.0,
        "{line}"
    );
    drop(cornac);
    assert_eq!(lines(&slow, 1).len(), 1, "the quick one has none");

    let cornac = Tp::over([&fpm]).quiet().server("slow_log = { threshold = \"100ms\" }").start();
    assert_eq!(cornac.get("/sleep/120").status, 200);
    cornac.wait_for_log("WARN cornac::front::slow_log: slow request: ");
}

#[test]
fn the_access_log_goes_to_syslog() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let path = folder.join("log");
    let daemon = std::os::unix::net::UnixDatagram::bind(&path).expect("a fresh name");
    daemon.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout that is not zero");
    let log = format!("access_log = {{ path = \"syslog:unix:{}\", format = \"json\" }}", path.display());
    let cornac = Tp::over([&fpm]).quiet().server(&log).start();
    assert_eq!(cornac.get("/json?syslog").status, 200);
    let mut datagram = [0; 4096];
    let length = daemon.recv(&mut datagram).expect("a line");
    let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
    let (head, line) = text.split_once("]: ").expect("a head");
    assert!(head.starts_with("<190>") && head.ends_with(&format!(" cornac[{}", cornac.pid())), "{text}");
    let entry: Value = serde_json::from_str(line).expect("an object");
    assert_eq!(entry["target"], "/json?syslog");
}

#[test]
fn a_log_that_cannot_be_written_costs_lines_and_no_request() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).quiet().server("access_log = \"/dev/full\"").start();
    for _ in 0..20 {
        assert_eq!(cornac.get("/json").status, 200);
    }
    cornac.wait_for_log("lines of a log are lost: No space left on device");
}
