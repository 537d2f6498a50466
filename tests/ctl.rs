//! `cornac ctl` against a running cornac: what it says, what it does, and how it ends.

mod support;

use std::process::{Command, Output};

use support::http::Connection;
use support::{Cornac, Fpm, Operated, Scratch, Tp, free_port};

fn code_and_text(finished: &support::Finished) -> (Option<i32>, &str) {
    (finished.status.code(), &finished.text)
}

fn with_token(cornac: &Operated, token: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cornac"));
    command.arg("ctl").args(args).arg("--admin").arg(cornac.admin().to_string());
    command.env("CORNAC_ADMIN_TOKEN", token).output().expect("cornac runs")
}

#[test]
fn status_is_a_table_with_a_line_for_each_server() {
    let (a, b) = (Fpm::start("a"), Fpm::start("b"));
    let cornac = Operated::over([&a, &b]);
    assert_eq!(cornac.get("/json").status, 200);
    cornac.order(&b, "down");
    let table = cornac.ctl(&["status"]);
    let lines: Vec<Vec<&str>> = table.text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["php", "least_conn", "queue", "0", "of", "1024", "0", "refused"], "{}", table.text);
    assert_eq!(lines[1], ["SERVER", "STATE", "FOR", "WEIGHT", "IN", "FLIGHT", "IDLE", "REUSED", "REASON"]);
    assert_eq!(lines[2][..2], [&*a.server(), "ready"]);
    assert_eq!(
        (lines[3][..2].to_vec(), &lines[3][lines[3].len() - 2..]),
        (vec![&*b.server(), "down"], &["by", "hand"][..])
    );
    let columns: Vec<_> = table.text.lines().skip(1).filter_map(|line| line.find(" 1 ")).collect();
    assert_eq!(columns.len(), 2, "{}", table.text);
    assert_eq!(columns[0], columns[1], "the weights do not stand one below the other:\n{}", table.text);

    let json = cornac.ctl(&["status", "php", "--json"]);
    let pools: serde_json::Value = serde_json::from_str(&json.text).expect("JSON");
    assert_eq!(pools["pools"][0]["members"][1]["state"], "down");
    assert_eq!(
        code_and_text(&cornac.ctl(&["status", "phq"])),
        (Some(1), "cornac: there is no pool 'phq'; did you mean 'php'?\n")
    );
}

#[test]
fn a_server_is_drained_put_back_taken_down_and_weighed() {
    let (a, b) = (Fpm::start("a"), Fpm::start("b"));
    let cornac = Operated::over([&a, &b]);
    let name = a.server();
    for (args, state, said) in [
        (vec!["drain", "php", &name], "draining", "draining (0 in flight), weight 1"),
        (vec!["ready", &name], "ready", "ready, weight 1"),
        (vec!["down", "php", &name], "down", "down (by hand), weight 1"),
        (vec!["weight", &name, "9"], "down", "down (by hand), weight 9"),
        (vec!["weight", "php", &name, "configured"], "down", "down (by hand), weight 1"),
        (vec!["ready", "php", &name, &b.server()], "ready", "ready, weight 1"),
    ] {
        let done = cornac.ctl(&args);
        assert_eq!(done.status.code(), Some(0), "{args:?}: {}", done.text);
        assert!(done.text.starts_with(&format!("php {name}: {said}\n")), "{args:?}: {}", done.text);
        assert_eq!(cornac.member(&a)["state"], state, "{args:?}");
    }
}

#[test]
fn drain_wait_returns_when_the_last_request_is_answered() {
    let (a, b) = (Fpm::start("a"), Fpm::start("b"));
    let cornac = Operated::over([&a, &b]);
    cornac.order(&b, "down");
    let mut flying = Connection::open(cornac.address());
    flying.send("GET /gate/flying HTTP/1.1\r\nHost: x\r\n\r\n");
    a.wait_for_count("flying", 1);
    cornac.order(&b, "ready");
    let (server, admin) = (a.server(), cornac.admin().to_string());
    let waiting = std::thread::spawn(move || {
        Cornac::command(&["ctl", "drain", "php", &server, "--wait", "--admin", &admin])
    });
    cornac.wait_for_log("member is draining (1 in flight)");
    assert!(!waiting.is_finished(), "one is in flight");
    a.open_gate("flying");
    assert_eq!(flying.response().text(), "through\n");
    let ended = waiting.join().expect("no panic");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.text);
    assert_eq!(cornac.member(&a)["in_flight"], 0);
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let (a, b) = (Fpm::start("a"), Fpm::start("b"));
    let cornac = Operated::over([&a, &b]);
    let (name, near) = (a.server(), a.server().replace("fpm.sock", "fmp.sock"));
    for (args, code, says) in [
        (vec!["drain", "php"], 1, "pool php has 2 servers, name one: "),
        (vec!["drain", "php", &name, &near], 1, &*format!("did you mean '{name}'?")),
        (vec!["drain", "shop"], 1, "there is no pool or server 'shop'"),
        (vec!["weight", "php", &name, "0"], 1, "'0' is no weight: a number from 1 to 65535"),
        (vec!["weight", &name], 2, "2 values required"),
        (vec!["drain"], 2, "required"),
    ] {
        let refused = cornac.ctl(&args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}: {}", refused.text);
        assert!(refused.text.contains(says), "{args:?}: {}", refused.text);
    }
    assert_eq!((&cornac.member(&a)["state"], &cornac.member(&a)["weight"]), (&"ready".into(), &1.into()));
}

#[test]
fn reload_says_what_has_changed_or_what_is_wrong() {
    let (a, b) = (Fpm::start("a"), Fpm::start("b"));
    let cornac = Operated::over([&a, &b]);
    assert_eq!(cornac.ctl(&["reload"]).text.trim(), "nothing has changed");
    let file = cornac.config_file();
    let written = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, written.replace("[admin]", "[amdin]")).expect("written");
    let refused = cornac.ctl(&["reload"]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.text);
    assert!(
        refused.text.contains("did you mean 'admin'") && refused.text.contains(".toml:"),
        "{}",
        refused.text
    );
    std::fs::write(&file, written.replace(&b.server(), "127.0.0.1:9")).expect("written");
    let done = cornac.ctl(&["reload"]);
    assert_eq!(done.status.code(), Some(0), "{}", done.text);
    assert!(
        done.text.contains("pool php: + 127.0.0.1:9") && done.text.contains(&b.server()),
        "{}",
        done.text
    );
}

#[test]
fn a_token_comes_from_the_environment_or_a_file() {
    let a = Fpm::start("a");
    let scratch = Scratch::new();
    let file = scratch.write("token", "open-sesame\n").display().to_string();
    let cornac = Operated::start(&Tp::over([&a]), &format!("token = {{ file = \"{file}\" }}"));
    let without = cornac.ctl(&["status"]);
    assert_eq!(without.status.code(), Some(1));
    assert!(
        without.text.contains("a token is required") && without.text.contains("CORNAC_ADMIN_TOKEN"),
        "{}",
        without.text
    );
    let wrong = with_token(&cornac, "open", &["status"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("wrong token"));
    assert_eq!(with_token(&cornac, "open-sesame", &["status"]).status.code(), Some(0));
    assert_eq!(cornac.ctl(&["drain", "php", "--token-file", &file]).status.code(), Some(0));
}

#[test]
fn who_is_not_there_and_who_is_no_admin_api_are_told_apart() {
    let nobody = free_port().to_string();
    let a = Fpm::start("a");
    let cornac = Tp::over([&a]).start();
    let site = cornac.address().to_string();
    for (admin, code, says) in [
        (&*nobody, 3, "nothing listens at 127.0.0.1:"),
        (
            "unix:/nonexistent.sock",
            3,
            "nothing listens at unix:/nonexistent.sock; is cornac running, with [admin] listen",
        ),
        (&*site, 1, "is no admin API of cornac (it answered 404"),
        ("localhost", 1, "'localhost' is no address: write host:port or unix:/path"),
    ] {
        let failed = Cornac::command(&["ctl", "status", "--admin", admin]);
        assert_eq!(failed.status.code(), Some(code), "{admin}: {}", failed.text);
        assert!(failed.text.contains(says), "{admin}: {}", failed.text);
    }
}
