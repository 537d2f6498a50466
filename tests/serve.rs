//! `cornac serve DIR`: a project folder in the browser, with a php-fpm of its own that lives and ends with it.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Cornac, Fpm, Port, Scratch, Signal, fixtures, free_port, signal, wait_until, worker_pids};

const SOON: Duration = Duration::from_secs(10);

fn serve(folder: &Path, more: &[&str]) -> Cornac {
    let port: Port = free_port();
    let listen = port.to_string();
    let mut args = vec!["serve", folder.to_str().expect("a UTF-8 path"), "--listen", &listen];
    args.extend(more);
    Cornac::running(&args, vec![port])
}

/// The php-fpm that cornac has started: the master's pid.
fn master(cornac: &Cornac) -> u32 {
    let mut found = vec![];
    wait_until(SOON, || {
        found = worker_pids(cornac.pid());
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "one php-fpm: {found:?}\n{}", cornac.log());
    found[0]
}

/// Its workers, when all of them have started.
fn workers_of(master: u32, count: usize) -> Vec<u32> {
    assert!(wait_until(SOON, || worker_pids(master).len() == count), "{:?}", worker_pids(master));
    worker_pids(master)
}

/// The private folder of that php-fpm: its title names the configuration in it.
fn folder_of(master: u32) -> PathBuf {
    let title = std::fs::read(format!("/proc/{master}/cmdline")).expect("a running php-fpm");
    let title = String::from_utf8_lossy(&title);
    let config = title.split(['(', ')', '\0', ' ']).find(|word| word.ends_with(".conf"));
    let config = config.unwrap_or_else(|| panic!("no configuration in {title:?}"));
    Path::new(config).parent().expect("a file in a folder").to_owned()
}

fn is_alive(pid: u32) -> bool {
    // A dead one whose parent has not asked yet is a zombie: state Z.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with(['Z', 'X']))
}

#[test]
fn each_kind_of_project_is_served_and_announced() {
    for (root, preset, target, expected) in [
        ("tp", "thinkphp", "/json", "\"ok\":true"),
        ("tp/public", "thinkphp", "/index.php/json", "\"ok\":true"),
        ("wordpress", "wordpress", "/2024/05/hello/?p=1", "\"permalink\":\"2024/05/hello\""),
        ("plain", "plain", "/params.php/a/b", "\"PATH_INFO\":\"/a/b\""),
    ] {
        // Only WordPress leaves its mark in a folder; there is no framework in the other fixtures.
        let named = ["--preset", preset];
        let cornac = serve(&fixtures(root), if preset == "wordpress" { &[] } else { &named });
        cornac.wait_for_log(&format!("http://{}/", cornac.address()));
        cornac.wait_for_log(&format!("preset {preset}"));
        let reply = cornac.get(target);
        assert_eq!(reply.status, 200, "{root}: {}", cornac.log());
        assert!(reply.text().contains(expected), "{root}: {}", reply.text());
    }
}

#[test]
fn an_operator_is_listened_to_where_it_is_asked_for() {
    let admin = support::free_port();
    let cornac = serve(&fixtures("tp"), &["--open-admin", &admin.to_string()]);
    assert_eq!(support::http::get(admin.address(), "/readyz").text(), "ready\n");
    let status = Cornac::command(&["ctl", "status", "--admin", &admin.to_string()]);
    assert!(status.text.contains("/php.sock  ready"), "{}", status.text);
    drop(cornac);
}

#[test]
fn the_front_page_and_files_of_a_project_are_served_without_a_word_about_it() {
    let cornac = serve(&fixtures("tp"), &[]);
    assert!(cornac.get("/").text().contains("It works"));
    assert_eq!(cornac.get("/style.css").status, 200);
    for hidden in ["/.env", "/../app/App.php", "/uploads/photo.jpg/a.php"] {
        let reply = cornac.get(hidden);
        assert!(!reply.body.windows(5).any(|window| window == b"<?php"), "{hidden}");
        assert!(!reply.body.windows(14).any(|window| window == b"made-up-secret"), "{hidden}");
    }
}

#[test]
fn every_request_is_one_line_for_people() {
    let cornac = serve(&fixtures("plain"), &["--preset", "plain"]);
    for target in ["/hello.php?n=1", "/hello.php?n=2", "/nowhere.txt"] {
        cornac.get(target);
        cornac.wait_for_log(target);
    }
    let log = cornac.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("  GET /")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].contains("  200  GET /hello.php?n=1  ") && lines[0].ends_with(" B"), "{}", lines[0]);
    assert!(lines[2].contains("  404  GET /nowhere.txt  "), "{}", lines[2]);
}

#[test]
fn php_that_is_killed_comes_back_and_the_next_requests_succeed() {
    let cornac = serve(&fixtures("plain"), &["--workers", "2"]);
    assert_eq!(cornac.get("/hello.php").text(), "hello\n");
    let first = master(&cornac);
    let workers = workers_of(first, 2);
    signal(first, Signal::KILL);
    assert!(wait_until(SOON, || !is_alive(first)));
    let renewed = || worker_pids(cornac.pid()).iter().any(|&pid| pid != first && is_alive(pid));
    assert!(wait_until(SOON, renewed), "php-fpm was not started again:\n{}", cornac.log());
    assert!(wait_until(SOON, || cornac.get("/hello.php").status == 200), "{}", cornac.log());
    for _ in 0..20 {
        assert_eq!(cornac.get("/hello.php").status, 200, "{}", cornac.log());
    }
    assert!(
        wait_until(SOON, || workers.iter().all(|&pid| !is_alive(pid))),
        "workers of the killed one are left"
    );
}

#[test]
fn with_it_its_php_fpm_ends_and_nothing_is_left() {
    for how in [Signal::INT, Signal::TERM, Signal::QUIT] {
        let mut cornac = serve(&fixtures("plain"), &["--workers", "2"]);
        assert_eq!(cornac.get("/hello.php").status, 200);
        let php = master(&cornac);
        let (workers, folder) = (workers_of(php, 2), folder_of(php));
        assert!(folder.join("php.sock").exists(), "{}", folder.display());
        cornac.signal(how);
        let status = cornac.wait(SOON).unwrap_or_else(|| panic!("does not end on {how:?}"));
        assert_eq!(status.code(), Some(0), "{how:?}");
        assert!(!is_alive(php) && workers.iter().all(|&pid| !is_alive(pid)), "php-fpm is left after {how:?}");
        assert!(!folder.exists(), "{} is left", folder.display());
    }
}

#[test]
fn it_ends_at_once_also_while_a_script_runs_and_while_php_is_away() {
    let mut cornac = serve(&fixtures("tp"), &["--preset", "thinkphp"]);
    let mut slow = support::http::Connection::open(cornac.address());
    slow.send("GET /sleep/60000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(cornac.get("/json").status, 200);
    let php = master(&cornac);
    cornac.signal(Signal::INT);
    assert!(cornac.wait(SOON).is_some());
    assert!(!is_alive(php));

    let mut cornac = serve(&fixtures("tp"), &["--preset", "thinkphp"]);
    signal(master(&cornac), Signal::KILL);
    cornac.signal(Signal::INT);
    assert!(cornac.wait(SOON).is_some());
    assert!(worker_pids(cornac.pid()).is_empty());
}

#[test]
fn its_socket_is_nobody_elses() {
    use std::os::unix::fs::PermissionsExt;
    let cornac = serve(&fixtures("plain"), &[]);
    let folder = folder_of(master(&cornac));
    let mode = std::fs::metadata(&folder).expect("the folder is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
}

#[test]
fn a_port_that_is_taken_is_a_3_that_offers_another() {
    let port = free_port();
    let _other = std::net::TcpListener::bind(port.address()).expect("a free port");
    let refused =
        Cornac::command(&["serve", fixtures("plain").to_str().unwrap(), "--listen", &port.to_string()]);
    assert_eq!(refused.status.code(), Some(3), "{}", refused.text);
    assert!(
        refused.text.contains("--listen") && refused.text.contains(&port.to_string()),
        "{}",
        refused.text
    );
}

#[test]
fn a_folder_that_is_not_there_and_an_unknown_preset_are_told() {
    for (args, words) in [
        (&["serve", "/nonexistent/project"][..], &["/nonexistent/project"][..]),
        (&["serve", "/tmp", "--preset", "larvel"], &["larvel", "laravel"]),
    ] {
        let refused = Cornac::command(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {}", refused.text);
        for word in words {
            assert!(refused.text.contains(word), "{args:?}: {}", refused.text);
        }
    }
}

#[test]
fn a_running_php_fpm_can_be_given_and_outlives_it() {
    let [a, b] = [Fpm::start("a"), Fpm::builder("b").tcp().start()];
    let (first, second) = (a.server(), b.server());
    let args = ["--preset", "thinkphp", "--fpm", &first, "--fpm", &second];
    let mut cornac = serve(&fixtures("tp"), &args);
    let members: std::collections::BTreeSet<_> =
        (0..20).map(|_| cornac.get("/json").member().to_owned()).collect();
    assert_eq!(members.len(), 2, "{members:?}");
    assert!(worker_pids(cornac.pid()).is_empty(), "it started a php-fpm though two were given");
    cornac.signal(Signal::TERM);
    assert!(cornac.wait(SOON).is_some());
    assert!(a.listen().accepts() && b.listen().accepts());
}

#[test]
fn odd_names_of_folders_are_no_trouble() {
    let folder = Scratch::new();
    let odd = "it's \"quoted\" ; 中文 {y}";
    folder.write(&format!("{odd}/index.php"), "<?php echo 'in ', basename(__DIR__);");
    let cornac = serve(&folder.join(odd), &[]);
    assert_eq!(cornac.get("/").text(), format!("in {odd}"));
}

#[test]
fn more_requests_than_workers_wait_and_none_is_refused() {
    let cornac = serve(&fixtures("tp"), &["--preset", "thinkphp", "--workers", "2"]);
    support::Answer::all_are_200(&support::Load::until(cornac.address(), 16, 5, |_, _| "/sleep/5").join());
}
