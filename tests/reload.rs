//! A new configuration while clients are served: none of them notices, and a wrong one changes nothing.

mod support;

use std::time::Duration;

use support::http::{self, Connection};
use support::{Answer, Cornac, Fpm, Load, Long, Scratch, Signal, Tp, server, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Writes another configuration, sends SIGHUP, and waits until it is in force.
fn reload(cornac: &Cornac, toml: &str) {
    std::fs::write(cornac.config_file(), toml).expect("the configuration");
    let before = reloads(cornac);
    cornac.signal(Signal::HUP);
    let seen = wait_until(SOON, || reloads(cornac) > before);
    assert!(seen, "no reload:\n{}", cornac.log());
}

/// What reloads said so far.
fn reloads(cornac: &Cornac) -> usize {
    cornac.log().lines().filter(|line| line.contains(" reload: ") || line.contains("reload refused")).count()
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a running cornac").count()
}

#[test]
fn a_hundred_reloads_under_load_fail_no_request_and_leave_nothing_open() {
    let members = ["a", "b", "c"].map(|name| Fpm::builder(name).workers(6).start());
    let all: Vec<String> = members.iter().map(|fpm| server(fpm, "max_conns = 6")).collect();
    let cornac = Tp::with_servers(all.clone()).quiet().start();
    let listen = cornac.address().to_string();
    let tomls: Vec<String> = (0..3)
        .map(|without| {
            let servers = all
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != without)
                .map(|(_, server)| server.clone());
            let route = format!(
                "[[sites.routes]]\nmatch = \"= /which\"\nreturn = {{ status = 200, body = \"{without}\" }}\n"
            );
            Tp::with_servers(servers.collect()).quiet().more(&route).toml(&listen)
        })
        .collect();
    reload(&cornac, &tomls[0]);
    let before = open_files(cornac.pid());
    let load = Load::mixed(cornac.address());
    let long = Long::start(cornac.address());
    for round in 1..=100 {
        reload(&cornac, &tomls[round % 3]);
        assert_eq!(cornac.get("/which").text(), (round % 3).to_string());
        load.wait_for(5);
    }
    let answers = load.stop();
    let long = long.stop();
    Answer::all_are_200(&answers);
    assert!(long.iter().all(|&done| done > 0), "{long:?}");
    Answer::each_post_ran_once(&answers, &members);
    eprintln!(
        "100 reloads: {} requests sent, {} answered, 0 failed; uploads, streams, large replies: {long:?}",
        answers.len(),
        answers.len()
    );
    let closed = wait_until(SOON, || open_files(cornac.pid()) <= before);
    assert!(closed, "{} files open, {before} before", open_files(cornac.pid()));
}

#[test]
fn a_wrong_file_changes_nothing_and_says_what_is_wrong_where() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let good = std::fs::read_to_string(cornac.config_file()).expect("the configuration");
    let bad =
        good.replace("preset = \"thinkphp\"", "preset = \"thinkphd\"").replace("servers = ", "servants = ");
    reload(&cornac, &bad);
    let log = cornac.log();
    assert!(log.contains("reload refused, everything stays as it is"), "{log}");
    let line = |text: &str| 1 + bad.lines().position(|line| line.contains(text)).expect("it is there");
    for what in ["servants", "thinkphd"] {
        let place = format!("{}:{}:", cornac.config_file().display(), line(what));
        assert!(log.contains(&place), "{place} is not in the log:\n{log}");
    }
    assert_eq!(cornac.get("/json").status, 200);
    std::fs::remove_file(cornac.config_file()).expect("it is there");
    cornac.signal(Signal::HUP);
    cornac.wait_for_log("the file does not exist");
    assert_eq!(cornac.get("/json").status, 200);
    reload(&cornac, &good);
    cornac.wait_for_log("reload: nothing has changed");
}

#[test]
fn a_port_that_is_taken_changes_nothing_either() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("bound");
    let other = support::free_port();
    let listen = format!("{}\", \"{other}\", \"{}", cornac.address(), taken.1);
    reload(&cornac, &Tp::over([&fpm]).toml(&listen));
    cornac.wait_for_log(&format!("cannot listen on {}: ", taken.1));
    assert!(std::net::TcpStream::connect(other.address()).is_err(), "half of it is in force");
    assert_eq!(cornac.get("/json").status, 200);
    let everywhere = format!("0.0.0.0:{}", cornac.address().port());
    reload(&cornac, &Tp::over([&fpm]).toml(&everywhere));
    cornac.wait_for_log("cornac itself listens on that port at another address");
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn listeners_come_and_go_and_the_clients_of_one_that_goes_get_their_answers() {
    let fpm = Fpm::start("a");
    let ports = vec![support::free_port(), support::free_port()];
    let [stays, goes] = [ports[0].address(), ports[1].address()];
    let comes = support::free_port();
    let both = Tp::over([&fpm]).toml(&format!("{stays}\", \"{goes}"));
    let cornac = Cornac::run(&both, ports);
    let mut kept = Connection::open(stays);
    assert_eq!(kept.get("/json").status, 200);
    let mut idle = Connection::open(goes);
    assert_eq!(idle.get("/json").status, 200);
    let mut flying = Connection::open(goes);
    flying.send("GET /gate/flying HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("flying", 1);

    reload(&cornac, &Tp::over([&fpm]).toml(&format!("{stays}\", \"{comes}")));
    assert_eq!(http::get(comes.address(), "/json").status, 200);
    assert_eq!(kept.get("/json").status, 200, "the same connection goes on");
    let refused = || std::net::TcpStream::connect(goes).is_err();
    assert!(wait_until(SOON, refused), "it goes on accepting:\n{}", cornac.log());
    let last = idle.get("/style.css");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")), "its last word is heard");
    assert!(idle.is_closed(SOON));
    fpm.open_gate("flying");
    assert_eq!(flying.response().text(), "through\n");
    assert!(flying.is_closed(SOON));
    cornac.wait_for_log(&format!("reload: listeners: + {comes}, − {goes}"));
}

#[test]
fn kept_connections_see_the_new_root_and_the_new_sites_at_their_next_request() {
    let fpm = Fpm::start("a");
    let folder = Scratch::new();
    folder.write("one/which.txt", "one");
    folder.write("two/which.txt", "two");
    folder.write("name/which.txt", "by name");
    let toml = |root: &str, listen: &str| {
        format!(
            "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = [\"{listen}\"]\nroot = \"{}\"\npreset = \"plain\"\n",
            fpm.server(),
            folder.join(root).display()
        )
    };
    let cornac = Cornac::serving(|listen| toml("one", listen));
    let listen = cornac.address().to_string();
    let mut kept = Connection::open(cornac.address());
    assert_eq!(kept.get("/which.txt").text(), "one");
    let named = format!(
        "[[sites]]\nlisten = [\"{listen}\"]\nnames = [\"localhost\"]\nroot = \"{}\"\npreset = \"plain\"\n",
        folder.join("name").display()
    );
    reload(&cornac, &toml("two", &listen));
    assert_eq!(kept.get("/which.txt").text(), "two");
    reload(&cornac, &(toml("two", &listen) + &named));
    assert_eq!(kept.get("/which.txt").text(), "by name");
}

#[test]
fn who_waits_for_a_worker_is_served_after_a_reload_in_turn_and_by_new_members_too() {
    let busy = Fpm::builder("busy").workers(1).start();
    let comes = Fpm::builder("comes").workers(1).start();
    let one = server(&busy, "max_conns = 1");
    let tp = |servers: Vec<String>| Tp::with_servers(servers).pool("queue = { timeout = \"60s\" }");
    let cornac = tp(vec![one.clone()]).start();
    let listen = cornac.address().to_string();
    let mut flying = Connection::open(cornac.address());
    flying.send("GET /gate/flying HTTP/1.1\r\nHost: x\r\n\r\n");
    busy.wait_for_count("flying", 1);
    let waiting: Vec<Connection> = (0..3)
        .map(|_| {
            let mut connection = Connection::open(cornac.address());
            connection.send("POST /count/waited HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
            connection
        })
        .collect();
    // Its worker is busy all the time: whoever is served now is served by the new one.
    reload(&cornac, &tp(vec![one, server(&comes, "max_conns = 1")]).toml(&listen));
    for mut connection in waiting {
        assert_eq!(connection.response().member(), "comes");
    }
    reload(&cornac, &tp(vec![server(&comes, "max_conns = 1")]).toml(&listen));
    cornac.wait_for_log(&format!("− {} (draining, 1 in flight)", busy.server()));
    busy.open_gate("flying");
    assert_eq!(flying.response().text(), "through\n");
}

#[test]
fn the_file_is_watched_where_that_is_asked_for() {
    let fpm = Fpm::start("a");
    let tp = |body: &str| {
        let route = format!(
            "[[sites.routes]]\nmatch = \"= /which\"\nreturn = {{ status = 200, body = \"{body}\" }}\n"
        );
        Tp::over([&fpm]).server("reload_on_change = true").more(&route)
    };
    let cornac = tp("one").start();
    let listen = cornac.address().to_string();
    assert_eq!(cornac.get("/which").text(), "one");
    // As editors and ConfigMaps do: another file takes the name.
    let other = cornac.folder().join("other.toml");
    std::fs::write(&other, tp("two").toml(&listen)).expect("writes");
    std::fs::rename(&other, cornac.config_file()).expect("renames");
    assert!(wait_until(SOON, || cornac.get("/which").text() == "two"), "{}", cornac.log());
    std::fs::write(cornac.config_file(), "[server]\nthreads = 0\n").expect("writes");
    cornac.wait_for_log("reload refused");
    assert_eq!(cornac.get("/which").text(), "two");
}

#[test]
fn the_access_log_moves_and_what_needs_a_start_is_said() {
    let fpm = Fpm::start("a");
    let folder = Scratch::new();
    let log = folder.join("access.log");
    let cornac = Tp::over([&fpm]).start();
    assert_eq!(cornac.get("/json").status, 200);
    cornac.entry("/json");
    let lines = format!(
        "access_log = \"{}\"\nthreads = 7\npid_file = \"{}\"",
        log.display(),
        folder.join("cornac.pid").display()
    );
    let toml = Tp::over([&fpm]).quiet().server(&lines).toml(&cornac.address().to_string());
    reload(&cornac, &toml);
    assert_eq!(cornac.get("/style.css").status, 200);
    let written = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("/style.css"));
    assert!(wait_until(SOON, written), "{}", cornac.log());
    for key in ["threads", "pid_file"] {
        cornac.wait_for_log(&format!("server.{key} holds from the next start on"));
    }
    assert!(!folder.join("cornac.pid").exists());
}
