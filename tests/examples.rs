//! The configurations in `config/` work as they stand there: only addresses and folders are replaced by the test's own.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use support::{Cornac, Fpm, Port, Scratch, config_example, curl, fixtures, free_port, wait_until};

/// The example with other addresses. What is replaced must be there, so that no example changes unseen.
fn with_addresses(example: &str, addresses: &[(&str, &str)]) -> String {
    addresses.iter().fold(config_example(example), |text, (from, to)| {
        let (from, to) = (format!("{from:?}"), format!("{to:?}"));
        assert!(text.contains(&from), "{from} is not in {example}");
        text.replace(&from, &to)
    })
}

fn checks(text: &str) {
    let scratch = Scratch::new();
    let file = scratch.write("cornac.toml", text);
    let checked = Cornac::command(&["check", "-c", file.to_str().expect("a UTF-8 path")]);
    assert!(checked.status.success(), "{text}\n{}", checked.text);
}

fn run(text: &str, port: Port) -> Cornac {
    checks(text);
    Cornac::run(text, vec![port])
}

fn member(name: &str) -> Fpm {
    Fpm::builder(name).tcp().workers(2).start()
}

fn tp() -> String {
    fixtures("tp/public").display().to_string()
}

/// How often each member answered.
fn members(cornac: &Cornac, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(cornac.get("/json").member().to_owned()).or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[test]
fn thinkphp_over_three_members_in_nginx_words() {
    let fpms = ["one", "two", "three"].map(member);
    let [one, two, three] = fpms.each_ref().map(Fpm::server);
    let port = free_port();
    let text = with_addresses(
        "thinkphp.toml",
        &[
            ("phpfpm7:9000", &one),
            ("172.17.0.5:9000", &two),
            ("172.17.0.6:9000", &three),
            ("0.0.0.0:80", &port.to_string()),
            ("/srv/tp5/public", &tp()),
        ],
    );
    let cornac = run(&text, port);
    for target in ["/echo/show/id/5?q=1", "/index.php/echo/show/id/5?q=1"] {
        let echo = cornac.get(target).json();
        assert_eq!(echo["params"]["PATH_INFO"], "/echo/show/id/5", "{target}");
        assert_eq!(echo["params"]["SCRIPT_NAME"], "/index.php", "{target}");
        assert_eq!(echo["params"]["SCRIPT_FILENAME"], format!("{}/index.php", tp()), "{target}");
        assert_eq!(echo["input"]["id"], "5", "{target}");
    }
    assert_eq!(cornac.get("/admin.php/a").json()["entry"], "admin.php");
    assert!(cornac.get("/").text().contains("It works"));
    assert_eq!(cornac.get("/style.css").status, 200);
    assert!(matches!(cornac.get("/.env").status, 403 | 404));
    let answered = members(&cornac, 60);
    assert_eq!(answered.len(), 3, "all three members answer: {answered:?}");
}

#[test]
fn the_preset_does_the_same_as_the_routes_it_stands_for() {
    let fpm = member("a");
    let words = ["phpfpm7:9000", "172.17.0.5:9000", "172.17.0.6:9000"];
    let serve = |text: String, port: Port| {
        let text = text.replace("\"0.0.0.0:80\"", &format!("\"{port}\"")).replace("/srv/tp5/public", &tp());
        run(&words.iter().fold(text, |text, word| text.replace(word, &fpm.server())), port)
    };
    let example = config_example("thinkphp.toml");
    let (site, _routes) = example.split_once("[[sites.routes]]").expect("an example with routes");
    // Three times the same address would be a mistake.
    let one_member = |text: &str| text.replace(", \"172.17.0.5:9000\", \"172.17.0.6:9000\"", "");
    let by_preset = serve(one_member(&format!("{site}\npreset = \"thinkphp\"\n")), free_port());
    let by_routes = serve(one_member(&example), free_port());
    for target in [
        "/echo/a/b",
        "/index.php/echo/a/b?x=1",
        "/echo/a%2Fb",
        "/admin.php/x",
        "/style.css",
        "/uploads/photo.jpg",
        "/none.php",
    ] {
        let [theirs, ours] = [&by_routes, &by_preset].map(|cornac| cornac.get(target));
        assert_eq!(theirs.status, ours.status, "{target}");
        if theirs.header("content-type") == Some("application/json") && theirs.status == 200 {
            for name in ["SCRIPT_NAME", "SCRIPT_FILENAME", "PATH_INFO", "QUERY_STRING", "DOCUMENT_URI"] {
                assert_eq!(theirs.json()["params"][name], ours.json()["params"][name], "{target}: {name}");
            }
        } else {
            assert!(theirs.status != 200 || theirs.body == ours.body, "{target}");
        }
    }
}

#[test]
fn weights_are_kept_exactly_and_the_backup_is_asked_only_when_the_others_are_gone() {
    let mut fpms = ["four", "three", "two", "one"].map(member);
    let backup = member("backup");
    let down = member("down");
    let servers = fpms.each_ref().map(Fpm::server);
    let port = free_port();
    let text = with_addresses(
        "weights.toml",
        &[
            ("10.0.0.1:9000", &servers[0]),
            ("10.0.0.2:9000", &servers[1]),
            ("10.0.0.3:9000", &servers[2]),
            ("10.0.0.4:9000", &servers[3]),
            ("10.0.0.5:9000", &backup.server()),
            ("10.0.0.6:9000", &down.server()),
            ("0.0.0.0:80", &port.to_string()),
            ("/srv/app/public", &tp()),
        ],
    );
    let cornac = run(&text, port);
    for _ in 0..3 {
        assert_eq!(
            members(&cornac, 10),
            counts([("four", 4), ("three", 3), ("two", 2), ("one", 1)]),
            "of any ten"
        );
    }
    assert_eq!(members(&cornac, 100), counts([("four", 40), ("three", 30), ("two", 20), ("one", 10)]));

    fpms.iter_mut().for_each(Fpm::stop);
    let backup_answers = || {
        let response = cornac.get("/json");
        response.status == 200 && response.member() == "backup"
    };
    assert!(
        wait_until(Duration::from_secs(10), backup_answers),
        "the backup is never asked: {}",
        cornac.log()
    );
    assert_eq!(members(&cornac, 20), counts([("backup", 20)]));
}

#[test]
fn members_told_by_a_name_and_by_a_file_serve_before_the_backup() {
    let [a, b] = ["a", "b"].map(member);
    let (port, folder) = (free_port(), Scratch::new());
    let file = folder.write("members.json", format!("[{:?}]", b.server()));
    let text = with_addresses(
        "discovery.toml",
        &[
            ("fpm:9000", &a.server().replace("127.0.0.1", "localhost")),
            ("members.json", file.to_str().expect("a UTF-8 path")),
            ("0.0.0.0:8080", &port.to_string()),
            ("/srv/app/public", &tp()),
        ],
    );
    let cornac = run(&text, port);
    for member in [&a, &b] {
        cornac.wait_for_log(&format!("+ {} (", member.server()));
    }
    let answered = members(&cornac, 20);
    assert!(answered["a"] > 0 && answered["b"] > 0 && answered.len() == 2, "{answered:?}");
}

#[test]
fn every_other_example_is_valid_and_serves() {
    let fpm = member("a");
    let wordpress = fixtures("wordpress").display().to_string();
    let servers = ["127.0.0.1:9701", "127.0.0.1:9702", "127.0.0.1:9703"];
    let others = ["two", "three"].map(member);
    let mut done = vec!["thinkphp.toml", "weights.toml", "discovery.toml"];

    let port = free_port();
    let text = with_addresses(
        "demo.toml",
        &[
            (servers[0], &fpm.server()),
            (servers[1], &others[0].server()),
            (servers[2], &others[1].server()),
            ("127.0.0.1:8080", &port.to_string()),
            ("../php-fixtures/tp/public", &tp()),
        ],
    );
    assert_eq!(members(&run(&text, port), 8), counts([("a", 4), ("two", 2), ("three", 2)]));
    done.push("demo.toml");

    for (example, root, folder) in [
        ("access.toml", "/srv/app/public", tp()),
        ("laravel.toml", "/srv/app/public", tp()),
        ("wordpress.toml", "/srv/wordpress", wordpress),
    ] {
        let port = free_port();
        let addresses =
            [("unix:/run/php/php-fpm.sock", fpm.server()), ("0.0.0.0:80", port.to_string()), (root, folder)];
        let text = with_addresses(example, &addresses.each_ref().map(|(from, to)| (*from, to.as_str())));
        let cornac = run(&text, port);
        assert_eq!(cornac.get("/").status, 200, "{example}");
        if example == "access.toml" {
            assert_eq!(
                (0..20).filter(|_| cornac.get("/login").status == 429).count(),
                14,
                "one and a burst of 5"
            );
        }
        done.push(example);
    }

    let (port, admin) = (free_port(), free_port());
    let text = with_addresses(
        "ha.toml",
        &[
            ("192.0.2.11:9000", &fpm.server()),
            ("192.0.2.12:9000", &others[0].server()),
            ("127.0.0.1:9180", &admin.to_string()),
            ("0.0.0.0:80", &port.to_string()),
            ("/srv/app/public", &tp()),
        ],
    );
    assert_eq!(run(&text, port).get("/").status, 200);
    done.push("ha.toml");

    let (port, secure) = (free_port(), free_port());
    let text = with_addresses(
        "tls.toml",
        &[
            ("127.0.0.1:9000", &fpm.server()),
            ("127.0.0.1:8080", &port.to_string()),
            ("127.0.0.1:8443", &secure.to_string()),
            ("../php-fixtures/tp/public", &tp()),
        ],
    );
    let to = secure.address();
    let cornac = Cornac::run(&text, vec![port, secure]);
    assert_eq!(cornac.get("/").status, 301);
    let reply = curl::curl(to, "https://localhost:PORT/", &["-k"]);
    assert_eq!((reply.status, &*reply.version), (200, "2"), "{reply:?}");
    done.push("tls.toml");

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // keepalived's has tests/high_availability.
        let is_done = done.contains(&name.as_str()) || name == "keepalived.conf";
        assert!(is_done, "config/{name} is in no test");
    }
}
