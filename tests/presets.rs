//! Each preset serves the layout that it is named after.

mod support;

use serde_json::Value;
use support::http::{self, Response};
use support::{Cornac, Fpm, Root, fixtures};

fn cornac(fpm: &Fpm, root: &std::path::Path, site: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {root:?}\n{site}",
            fpm.server()
        )
    })
}

/// A root with files and scripts that every layout has a word about.
fn project() -> Root {
    ["index.php", "admin.php", "dir/page.php", "dir/index.php"]
        .into_iter()
        .fold(Root::new(), Root::script)
        .file("app.css", "body {}\n")
        .file("build/app.js", "js\n")
        .file("empty/note.txt", "note\n")
}

/// What php received, if the script answered that should.
fn params(cornac: &Cornac, target: &str, entry: &str) -> Value {
    let response = cornac.get(target);
    assert_eq!(response.status, 200, "{target}: {response:?}");
    let mirror = response.json();
    assert_eq!(mirror["entry"], entry, "{target}");
    mirror["params"].clone()
}

/// Nothing ran and nothing was sent.
fn refused(fpm: &Fpm, cornac: &Cornac, targets: &[&str]) {
    let before = fpm.count("runs");
    for target in targets {
        let response = cornac.get(target);
        assert!(matches!(response.status, 403 | 404), "{target}: {response:?}");
    }
    assert_eq!(fpm.count("runs"), before, "{targets:?}");
}

fn is_text(response: &Response, text: &str) -> bool {
    response.status == 200 && response.text() == text
}

#[test]
fn plain_runs_every_script_and_serves_every_file() {
    let (root, fpm) = (project(), Fpm::start("a"));
    let cornac = cornac(&fpm, &root.path(), "preset = \"plain\"");
    assert_eq!(params(&cornac, "/", "index.php")["SCRIPT_NAME"], "/index.php");
    assert_eq!(params(&cornac, "/dir/page.php/a/b.c?x=1", "dir/page.php")["PATH_INFO"], "/a/b.c");
    assert_eq!(params(&cornac, "/dir/", "dir/index.php")["SCRIPT_NAME"], "/dir/index.php");
    assert_eq!(cornac.get("/dir").header("location"), Some("/dir/"));
    assert!(is_text(&cornac.get("/app.css"), "body {}\n"));
    refused(&fpm, &cornac, &["/missing", "/missing.php", "/missing.php/a", "/empty/", "/app.css/x"]);
}

#[test]
fn front_controller_takes_what_is_no_file() {
    let (root, fpm) = (project(), Fpm::start("a"));
    let cornac = cornac(&fpm, &root.path(), "preset = \"front-controller\"");
    for target in ["/", "/blog/5?x=1", "/missing.css", "/empty/none/"] {
        let params = params(&cornac, target, "index.php");
        assert_eq!((&params["SCRIPT_NAME"], &params["REQUEST_URI"]), (&"/index.php".into(), &target.into()));
    }
    assert_eq!(params(&cornac, "/blog/5?x=1", "index.php")["QUERY_STRING"], "x=1");
    assert!(is_text(&cornac.get("/app.css"), "body {}\n"));
}

#[test]
fn thinkphp_routes_by_path_info() {
    let fpm = Fpm::start("a");
    let cornac = cornac(&fpm, &fixtures("tp/public"), "preset = \"thinkphp\"");
    for target in ["/echo/show/id/5?q=1", "/index.php/echo/show/id/5?q=1"] {
        let echo = cornac.get(target).json();
        assert_eq!(echo["params"]["PATH_INFO"], "/echo/show/id/5", "{target}");
        assert_eq!(echo["params"]["SCRIPT_NAME"], "/index.php", "{target}");
        assert_eq!(echo["params"]["REQUEST_URI"], target);
        assert_eq!((&echo["input"]["id"], &echo["input"]["q"]), (&"5".into(), &"1".into()), "{target}");
    }
    assert_eq!(cornac.get("/index.php?s=/echo/show/id/7").json()["input"]["id"], "7", "both ways work");
    assert_eq!(cornac.get("/admin.php/user/list").json()["entry"], "admin.php", "a second entry");
    assert!(cornac.get("/").text().contains("It works"));
    assert!(cornac.get("/style.css").header("content-type").unwrap().starts_with("text/css"));
    assert!(cornac.get("/uploads/photo.jpg").body.starts_with(b"\xff\xd8"));
    assert_eq!(cornac.get("/%E4%B8%AD%E6%96%87/%E8%AF%B4%E6%98%8E.txt").status, 200);
    assert!(matches!(cornac.get("/.env").status, 403 | 404));
    assert!(cornac.get("/nowhere").text().contains("No controller"), "the application's own 404");
}

#[test]
fn thinkphp_query_routes_by_s() {
    let fpm = Fpm::start("a");
    let cornac = cornac(&fpm, &fixtures("tp/public"), "preset = \"thinkphp-query\"");
    let echo = cornac.get("/echo/show/id/5?q=1").json();
    assert_eq!(echo["params"]["QUERY_STRING"], "s=/echo/show/id/5&q=1");
    assert_eq!((&echo["input"]["id"], &echo["input"]["q"]), (&"5".into(), &"1".into()));
    let special = cornac.get("/echo/show/k/a%26b%3Dc%2B%E4%B8%AD?q=1").json();
    assert_eq!(special["input"]["k"], "a&b=c+中", "a capture is escaped again");
    assert_eq!(special["input"]["q"], "1");
    assert_eq!(cornac.get("/index.php/echo/show/id/7").json()["input"]["id"], "7", "both ways work");
    assert_eq!(cornac.get("/style.css").status, 200);
}

#[test]
fn laravel_asks_index_php_for_what_is_no_file() {
    let (root, fpm) = (project(), Fpm::start("a"));
    let cornac = cornac(&fpm, &root.path(), "preset = \"laravel\"");
    for target in ["/", "/login", "/users/5?page=2", "/missing.css", "/users/%E4%B8%AD?"] {
        let params = params(&cornac, target, "index.php");
        assert_eq!((&params["SCRIPT_NAME"], &params["REQUEST_URI"]), (&"/index.php".into(), &target.into()));
        assert!(matches!(params["PATH_INFO"].as_str(), None | Some("")), "{target}: {params}");
    }
    assert_eq!(params(&cornac, "/users/5?page=2", "index.php")["QUERY_STRING"], "page=2");
    assert_eq!(params(&cornac, "/index.php/users/5", "index.php")["PATH_INFO"], "/users/5");
    assert_eq!(params(&cornac, "/admin.php/a/b", "admin.php")["PATH_INFO"], "/a/b");
    assert!(is_text(&cornac.get("/build/app.js"), "js\n"));
}

#[test]
fn symfony_runs_nothing_but_its_front_controller_and_that_only_from_inside() {
    let (root, fpm) = (project(), Fpm::start("a"));
    let cornac = cornac(&fpm, &root.path(), "preset = \"symfony\"");
    for target in ["/", "/blog/5?x=1", "/missing.css", "/_profiler/abc"] {
        let params = params(&cornac, target, "index.php");
        assert_eq!((&params["SCRIPT_NAME"], &params["REQUEST_URI"]), (&"/index.php".into(), &target.into()));
    }
    assert!(is_text(&cornac.get("/app.css"), "body {}\n"));
    refused(
        &fpm,
        &cornac,
        &[
            "/index.php",
            "/index.php/",
            "/index.php/blog",
            "//index.php",
            "/%69ndex.php",
            "/x/../index.php?a",
            "/admin.php",
            "/admin.php/x",
            "/dir/page.php",
        ],
    );
}

#[test]
fn wordpress_has_permalinks_an_admin_and_uploads_that_do_not_run() {
    let fpm = Fpm::start("a");
    let cornac = cornac(&fpm, &fixtures("wordpress"), "preset = \"wordpress\"");
    let post = cornac.get("/2024/05/hello-%E4%B8%AD/?p=1").json();
    assert_eq!((&post["entry"], &post["permalink"]), (&"index.php".into(), &"2024/05/hello-中".into()));
    assert_eq!(post["params"]["QUERY_STRING"], "p=1");
    for (target, entry) in [
        ("/", "index.php"),
        ("/wp-json/wp/v2/posts?x=1", "index.php"),
        ("/missing.jpg", "index.php"),
        ("/wp-login.php?action=logout", "wp-login.php"),
        ("/wp-admin/", "wp-admin/index.php"),
        ("/wp-admin/admin-ajax.php?action=x", "wp-admin/admin-ajax.php"),
        ("/index.php/2024/05/hello", "index.php"),
    ] {
        assert_eq!(cornac.get(target).json()["entry"], entry, "{target}");
    }
    assert_eq!(cornac.get("/wp-admin").header("location"), Some("/wp-admin/"));
    assert_eq!(cornac.get("/wp-includes/style.css").status, 200);
    assert_eq!(cornac.get("/wp-content/uploads/2024/05/note.txt").status, 200);
    let shell = "/wp-content/uploads/2024/05/shell.php";
    for target in [
        shell.to_owned(),
        format!("{shell}/x"),
        format!("/{shell}"),
        shell.replace("p.", "%70."),
        format!("/x/..{shell}"),
    ] {
        assert!(matches!(cornac.get(&target).status, 403 | 404), "{target}");
    }
    assert_eq!(fpm.count("upload-shell"), 0);
    assert!(!cornac.get("/wp-config.php").text().contains("password"));
    let login = http::request(
        cornac.address(),
        "POST",
        "/wp-login.php",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        b"log=a",
    );
    assert_eq!(login.json()["post"]["log"], "a");
}

#[test]
fn drupal_runs_its_entries_and_neither_files_nor_parts_of_modules() {
    let root = [
        "update.php",
        "core/install.php",
        "core/authorize.php",
        "sites/default/files/x.php",
        "vendor/a/run.php",
    ]
    .into_iter()
    .fold(project(), Root::script)
    .file("core/modules/node/node.module", "<?php // SOURCE")
    .file("core/modules/node/node.install", "<?php // SOURCE")
    .file("core/themes/x.theme", "<?php // SOURCE")
    .file("core/lib.inc", "<?php // SOURCE")
    .file("core/misc/drupal.js", "js\n")
    .file("sites/default/files/a.txt", "upload\n");
    let fpm = Fpm::start("a");
    let cornac = cornac(&fpm, &root.path(), "preset = \"drupal\"");
    for target in ["/", "/node/1?page=2", "/missing.css", "/sites/default/files/styles/thumb/a.jpg?itok=x"] {
        let params = params(&cornac, target, "index.php");
        assert_eq!((&params["SCRIPT_NAME"], &params["REQUEST_URI"]), (&"/index.php".into(), &target.into()));
    }
    assert_eq!(params(&cornac, "/index.php/node/1", "index.php")["PATH_INFO"], "/node/1");
    assert_eq!(params(&cornac, "/update.php/selection", "update.php")["PATH_INFO"], "/selection");
    params(&cornac, "/core/install.php", "core/install.php");
    assert!(is_text(&cornac.get("/core/misc/drupal.js"), "js\n"));
    assert!(is_text(&cornac.get("/sites/default/files/a.txt"), "upload\n"));
    let never = [
        "/sites/default/files/x.php",
        "/sites/default/files/x.php/y",
        "/vendor/a/run.php",
        "/core/modules/node/node.module",
        "/core/modules/node/node.install",
        "/core/themes/x.theme",
        "/core/lib.inc",
    ];
    refused(&fpm, &cornac, &never);
}

#[test]
fn a_site_s_own_routes_come_before_its_preset_s() {
    let (root, fpm) = (project(), Fpm::start("a"));
    let site = "preset = \"thinkphp\"\n[[sites.routes]]\nmatch = \"= /admin.php\"\nreturn = { status = 410, body = \"gone\\n\" }\n";
    let cornac = cornac(&fpm, &root.path(), site);
    assert_eq!((cornac.get("/admin.php").status, cornac.get("/admin.php").text()), (410, "gone\n"));
    params(&cornac, "/admin.php/x", "admin.php");
    params(&cornac, "/blog", "index.php");
}

#[test]
fn explain_says_what_php_receives() {
    let (root, fpm) = (project(), Fpm::start("a"));
    for preset in ["plain", "thinkphp", "laravel", "wordpress", "drupal"] {
        let cornac = cornac(&fpm, &root.path(), &format!("preset = {preset:?}"));
        let config = cornac.config_file();
        let seen = params(&cornac, "/index.php/a%20b/c?x=1", "index.php");
        let explained =
            support::Cornac::command(&["explain", "-c", config.to_str().unwrap(), "/index.php/a%20b/c?x=1"]);
        assert!(explained.status.success(), "{}", explained.text);
        for name in
            ["SCRIPT_FILENAME", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "DOCUMENT_ROOT"]
        {
            let line = explained.text.lines().find(|line| line.trim_start().starts_with(name));
            let value = seen[name].as_str().unwrap();
            assert!(
                line.is_some_and(|line| line.contains(value)),
                "{preset}: {name} is {value}\n{}",
                explained.text
            );
        }
    }
}
