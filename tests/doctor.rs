//! `cornac doctor` on real php-fpm: what it finds, in which words, and with which exit code. It runs none of the
//! application's scripts.

mod support;

use serde_json::Value;
use support::http::Connection;
use support::{Cornac, Finished, Fpm, FpmBuilder, Responder, Root, Scratch, Tp, fixtures, free_port, server};

/// A php-fpm about which there is nothing to say.
fn healthy(member: &str) -> FpmBuilder {
    Fpm::builder(member).global("process_control_timeout", "30s")
}

const TOLD: &str = "health = { status_path = \"/fpm-status\", ping_path = \"/fpm-ping\" }";

/// The doctor's answer about a configuration, for people.
fn doctor(toml: &str) -> Finished {
    let folder = Scratch::new();
    let file = folder.write("cornac.toml", toml);
    Cornac::command(&["doctor", "-c", file.to_str().expect("a UTF-8 path")])
}

/// The same for programs.
fn findings(toml: &str) -> (i32, Vec<Value>) {
    let folder = Scratch::new();
    let file = folder.write("cornac.toml", toml);
    let asked = Cornac::command(&["doctor", "--json", "-c", file.to_str().expect("a UTF-8 path")]);
    let json: Value =
        serde_json::from_str(&asked.text).unwrap_or_else(|error| panic!("{error}: {}", asked.text));
    let list = json["findings"].as_array().expect("a list").clone();
    let problems = list.iter().filter(|finding| finding["severity"] == "problem").count();
    assert_eq!(json["problems"], problems);
    (asked.status.code().expect("an exit code"), list)
}

fn tp(servers: &[String], pool: &str, site: &str) -> String {
    Tp::with_servers(servers.to_vec()).pool(pool).site(site).toml("127.0.0.1:1")
}

/// The finding whose text holds this.
#[track_caller]
fn find<'a>(findings: &'a [Value], what: &str) -> &'a Value {
    let found =
        findings.iter().find(|finding| finding["what"].as_str().is_some_and(|text| text.contains(what)));
    found.unwrap_or_else(|| panic!("nobody says {what:?}: {findings:#?}"))
}

fn worst(findings: &[Value]) -> Vec<&str> {
    let matters = findings.iter().filter(|finding| finding["severity"] != "ok");
    matters.map(|finding| finding["what"].as_str().expect("a text")).collect()
}

#[test]
fn a_healthy_pool_is_fine() {
    let fpm = healthy("a").directive("request_terminate_timeout", "60s").start();
    let toml = tp(&[server(&fpm, "max_conns = 4")], TOLD, "");
    let (code, found) = findings(&toml);
    assert_eq!((code, worst(&found)), (0, vec![]), "{found:#?}");
    for what in [
        "php-fpm answers",
        "pm = static: ",
        "of 4 workers active (one with this question), 0 connections waiting",
        "php-fpm sees the site's files at",
    ] {
        assert_eq!(find(&found, what)["severity"], "ok");
    }
    let text = doctor(&toml);
    assert!(
        text.text.starts_with(&format!("pool php\n\n  {}\n    ok       php-fpm answers\n", fpm.server())),
        "{}",
        text.text
    );
    assert!(
        text.text.ends_with("\n\nproblems: 0, warnings: 0, hints: 0\n") && text.status.success(),
        "{}",
        text.text
    );
}

#[test]
fn it_runs_no_script_of_the_application() {
    let root = Root::new().script("index.php").script("admin.php").file("robots.txt", "x");
    let fpm = healthy("a").start();
    let toml = format!(
        "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = [\"127.0.0.1:1\"]\nroot = \"{}\"\npreset = \"thinkphp\"\n",
        fpm.server(),
        root.path().display()
    );
    let (code, found) = findings(&toml);
    assert_eq!((code, fpm.count("runs")), (0, 0), "{found:#?}");
    find(&found, "php-fpm sees the site's files at");
}

#[test]
fn it_works_while_cornac_is_running() {
    let fpm = healthy("a").start();
    let cornac = Tp::over([&fpm]).pool(TOLD).start();
    assert_eq!(cornac.get("/json").status, 200);
    let file = cornac.config_file();
    let asked = Cornac::command(&["doctor", "-c", file.to_str().expect("a UTF-8 path")]);
    assert!(asked.status.success(), "{}", asked.text);
    assert_eq!(cornac.get("/json").status, 200);
}

#[test]
fn where_nobody_listens_is_a_problem_and_hides_no_other_member() {
    let fpm = healthy("a").start();
    let port = free_port();
    let gone = format!("\"127.0.0.1:{}\"", port.address().port());
    let (code, found) =
        findings(&tp(&[gone, "\"unix:/nonexistent/php.sock\"".into(), server(&fpm, "")], TOLD, ""));
    assert_eq!(code, 1);
    let refused = find(&found, "no answer: connection refused");
    assert_eq!((&refused["severity"], &refused["member"]), (&"problem".into(), &port.to_string().into()));
    let no_socket = find(&found, "no answer: unreachable");
    assert_eq!(no_socket["means"], "There is no such file.");
    assert_eq!(find(&found, "php-fpm answers")["member"], fpm.server());
}

#[test]
fn a_name_that_nobody_knows_is_a_problem() {
    let (code, found) = findings(&tp(&["\"nobody.invalid:9000\"".into()], "", ""));
    assert_eq!(code, 1);
    assert_eq!(find(&found, "the name cannot be looked up")["member"], "nobody.invalid:9000");
}

#[test]
fn a_wrong_backend_root_is_a_problem_that_names_the_remedy() {
    let fpm = healthy("a").start();
    let (code, found) = findings(&tp(&[server(&fpm, "")], TOLD, "backend_root = \"/srv/nowhere\""));
    assert_eq!(code, 1);
    let finding = find(&found, "php-fpm finds nothing at /srv/nowhere");
    assert_eq!((&finding["severity"], &finding["site"]), (&"problem".into(), &"127.0.0.1:1".into()));
    assert!(finding["change"].as_str().is_some_and(|change| change.contains("backend_root")));
}

#[test]
fn a_folder_without_the_sites_files_is_seen_through() {
    let fpm = healthy("a").start();
    let empty = Scratch::new();
    let site = format!("backend_root = \"{}\"", empty.path().display());
    let (code, found) = findings(&tp(&[server(&fpm, "")], TOLD, &site));
    assert_eq!(code, 0);
    let finding = find(&found, &format!("php-fpm sees the folder {}, but no ", empty.path().display()));
    assert_eq!(finding["severity"], "warning");
}

#[test]
fn an_open_limit_extensions_is_a_warning_and_nothing_is_run_by_it() {
    let root = Root::new().script("index.php").counted("robots.txt", "robots");
    let fpm = healthy("a").directive("security.limit_extensions", "").start();
    let toml = format!(
        "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = [\"127.0.0.1:1\"]\nroot = \"{}\"\npreset = \"thinkphp\"\n",
        fpm.server(),
        root.path().display()
    );
    let (_, found) = findings(&toml);
    assert_eq!(find(&found, "would run any file there")["severity"], "warning");
    assert_eq!((fpm.count("robots"), fpm.count("runs")), (0, 0));
}

#[test]
fn busy_is_a_warning_and_not_a_problem() {
    let fpm = healthy("a").workers(1).start();
    let cornac = Tp::over([&fpm]).start();
    let mut held = Connection::open(cornac.address());
    held.send("GET /gate/held HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("held", 1);
    let (code, found) = findings(&tp(&[server(&fpm, "")], "", ""));
    assert_eq!(code, 0);
    assert_eq!(find(&found, "busy: connected, and no worker answered")["severity"], "warning");
    fpm.open_gate("held");
    assert_eq!(held.response().text(), "through\n");
}

#[test]
fn status_listen_tells_of_a_busy_php_fpm() {
    let port = free_port();
    let fpm = healthy("a").tcp().workers(1).directive("pm.status_listen", port.address()).start();
    let cornac = Tp::over([&fpm]).start();
    let mut held = Connection::open(cornac.address());
    held.send("GET /gate/held HTTP/1.1\r\nHost: x\r\n\r\n");
    fpm.wait_for_count("held", 1);
    let listen = format!("status_path = \"/fpm-status\", status_listen = \":{}\"", port.address().port());
    let (code, found) = findings(&tp(&[server(&fpm, "")], &format!("health = {{ {listen} }}"), ""));
    assert_eq!(code, 0);
    find(&found, "busy: connected, and no worker answered");
    find(&found, "pm = static: 1 of 1 workers active");
    fpm.open_gate("held");
    assert_eq!(held.response().text(), "through\n");
}

#[test]
fn a_status_listen_where_nobody_is_is_a_warning() {
    let port = free_port();
    let fpm = healthy("a").tcp().start();
    let listen = format!("status_path = \"/fpm-status\", status_listen = \":{}\"", port.address().port());
    let (code, found) = findings(&tp(&[server(&fpm, "")], &format!("health = {{ {listen} }}"), ""));
    assert_eq!((code, &find(&found, "nobody answers at status_listen")["severity"]), (0, &"warning".into()));
}

#[test]
fn a_status_path_that_php_fpm_does_not_have_is_a_warning() {
    let fpm = healthy("a").start();
    let (code, found) = findings(&tp(&[server(&fpm, "")], "health = { status_path = \"/nostatus\" }", ""));
    assert_eq!(
        (code, &find(&found, "/nostatus is not php-fpm's status page")["severity"]),
        (0, &"warning".into())
    );
}

#[test]
fn what_is_not_fastcgi_is_a_problem() {
    let http = Responder::start(|call| {
        call.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        false
    });
    let (code, found) = findings(&tp(&[format!("\"{}\"", http.server())], "", ""));
    assert_eq!((code, &find(&found, "no answer: wrong FastCGI")["severity"]), (1, &"problem".into()));
}

#[test]
fn a_fastcgi_application_that_is_not_php_fpm_is_only_a_hint() {
    let other = Responder::start(|call| {
        call.reply("Content-Type: text/plain\r\n\r\nhello");
        false
    });
    let (code, found) = findings(&tp(&[format!("\"{}\"", other.server())], "", ""));
    assert_eq!((code, &find(&found, "is not php-fpm (it answers 200)")["severity"]), (0, &"hint".into()));
}

#[test]
fn allowed_clients_that_do_not_name_us_read_so() {
    let fpm = healthy("a").tcp().directive("listen.allowed_clients", "10.99.99.99").start();
    let (code, found) = findings(&tp(&[server(&fpm, "")], "", ""));
    assert_eq!(code, 1);
    let change = &find(&found, "no answer: closed at once")["change"];
    assert!(change.as_str().is_some_and(|change| change.contains("listen.allowed_clients")), "{change}");
}

#[test]
fn ondemand_with_keepalive_on_is_a_warning() {
    let fpm = healthy("a").pm(support::Pm::Ondemand).start();
    let on = format!("{TOLD}\nkeepalive = {{ mode = \"on\" }}");
    let (code, found) = findings(&tp(&[server(&fpm, "")], &on, ""));
    assert_eq!(
        (code, &find(&found, "keepalive is on, and pm = ondemand")["severity"]),
        (0, &"warning".into())
    );
}

#[test]
fn php_fpms_settings_on_this_machine_are_read() {
    let fpm = Fpm::builder("a").pm(support::Pm::Dynamic).directive("request_terminate_timeout", "5s").start();
    let (code, found) = findings(&tp(&[server(&fpm, "max_conns = 9")], "", ""));
    assert_eq!(code, 0);
    for what in [
        "process_control_timeout is 0",
        "request_terminate_timeout is 5 s, timeouts.first_byte 60 s",
        "max_conns = 9, and php-fpm has 4 workers at most",
    ] {
        assert_eq!(find(&found, what)["severity"], "warning");
    }
    assert_eq!(
        find(&found, "php-fpm has a status page at /fpm-status, and cornac is not told")["severity"],
        "hint"
    );
}

/// What the doctor says about a page that is exposed is true: a stranger gets it.
#[test]
fn a_status_page_that_a_site_exposes_is_a_problem() {
    let fpm = healthy("a").start();
    let route = "[[sites.routes]]\nmatch = \"= /fpm-status\"\nfastcgi = true\nscript = \"/fpm-status\"\n";
    let toml = |listen: &str| {
        let tp = Tp::with_servers(vec![server(&fpm, "")]).pool(TOLD).site("scripts = \"remote\"");
        tp.more(route).toml(listen)
    };
    let (code, found) = findings(&toml("127.0.0.1:1"));
    assert_eq!(code, 1);
    assert_eq!(
        find(&found, "/fpm-status is php-fpm's own page /fpm-status for everybody")["severity"],
        "problem"
    );
    let cornac = Cornac::serving(toml);
    assert!(cornac.get("/fpm-status").text().contains("process manager"));
}

#[test]
fn with_fix_pathinfo_0_a_path_info_exposes_the_status_page() {
    let fpm = healthy("a").ini("cgi.fix_pathinfo", "0").start();
    let toml = |listen: &str| Tp::over([&fpm]).pool(TOLD).toml(listen);
    let (code, found) = findings(&toml("127.0.0.1:1"));
    assert_eq!(code, 1);
    find(&found, "/fpm-status is php-fpm's own page /fpm-status for everybody");
    assert_eq!(find(&found, "cannot be asked")["severity"], "hint");
    let cornac = Cornac::serving(toml);
    assert!(cornac.get("/fpm-status").text().contains("process manager"), "it is true");
    // And without it, it is not.
    let fpm = healthy("a").start();
    let (code, found) = findings(&tp(&[server(&fpm, "")], TOLD, ""));
    assert_eq!(code, 0, "{found:#?}");
    assert!(!Tp::over([&fpm]).start().get("/fpm-status").text().contains("process manager"));
}

#[test]
fn a_configuration_with_mistakes_is_told_as_check_does() {
    let asked =
        doctor(&format!("[pools.php]\nserver = []\n[[sites]]\nroot = \"{}\"\n", fixtures("tp").display()));
    assert_eq!(asked.status.code(), Some(1));
    assert!(asked.text.contains("unknown key 'server'"), "{}", asked.text);
}

#[test]
fn members_that_a_source_tells_of_are_examined_and_a_source_that_cannot_tell_is_a_problem() {
    let (fpm, folder) = (healthy("a").start(), Scratch::new());
    let file = folder.write("members.json", format!("[{:?}]", fpm.server()));
    let gone = folder.join("docker.sock");
    let discover = format!(
        "discover = [{{ file = {file:?} }}, {{ docker = \"unix:{}\", label = \"cornac.pool=php\" }}]",
        gone.display()
    );
    let (code, found) = findings(&tp(&[], &discover, ""));
    assert_eq!(code, 1, "{found:#?}");
    assert_eq!(find(&found, "php-fpm answers")["member"], fpm.server());
    let silent = find(&found, "it cannot tell who its members are: cannot connect to unix:");
    assert_eq!((&silent["member"], &silent["severity"]), (&"docker".into(), &"problem".into()));
}
