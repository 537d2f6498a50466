//! The whole answer is the one that nginx gives: for the same configuration, files and php-fpm, the same bytes go to a real nginx and
//! to cornac, and what is compared is the status, the headers, the body, what php got, how often it ran, and what became of the
//! connection. Each difference is listed with its reason; one that is not listed fails, and so does one that is not seen any more.
//! Which params a script gets is in `params_like_nginx.rs`, what routes mean in `routes_like_nginx.rs`.

#![allow(unreachable_pub, reason = "a test's modules are private to it; `pub` is what they offer each other")]

#[path = "../support/mod.rs"]
mod support;

mod differences;
mod files;
mod heads;
mod php;

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use differences::{DIFFERENCES, EVERYWHERE};
use files::{codings, conditions, methods, places, ranges};
use heads::{connections, hosts};
use php::replies;
use support::compare::{HOST, compare_by};
use support::whole::whole;
use support::{Cornac, Fpm, Nginx, Root};

/// Every file's time: Tue, 02 Jan 2024 03:04:05 GMT, which is 65937d25 in an ETag.
const MODIFIED: Duration = Duration::from_secs(1_704_164_645);

/// Sends the header lines `h`, the status `s` and the body `b` that it is asked for.
const REPLY: &str = r"<?php
require 'MIRROR';
fixture\count_run('runs');
foreach ($_GET['h'] ?? [] as $line) { header($line, false); }
isset($_GET['s']) && http_response_code((int) $_GET['s']);
echo $_GET['b'] ?? 'body', str_repeat('x', (int) ($_GET['n'] ?? 0));
";

fn root() -> Root {
    let reply = REPLY.replace("MIRROR", &support::fixtures("shared/mirror.php").display().to_string());
    let root = Root::new()
        .file("ten.txt", "0123456789")
        .file("empty.txt", "")
        .file("big.bin", (0..300_000_u32).map(|n| n as u8).collect::<Vec<u8>>())
        .file("app.js", "plain javascript\n".repeat(100))
        .file("app.js.gz", "gzip bytes")
        .file("style.css", "body {}\n")
        .file("logo.svg", "<svg/>")
        .file("page.html", "<p>page\n")
        .file("no-extension", "bytes\n")
        .file("a b/note.txt", "a note\n")
        .file("100%/note.txt", "a note\n")
        .file("q?a/note.txt", "a note\n")
        .file("x#y/note.txt", "a note\n")
        .file("中文/note.txt", "a note\n")
        .file("html/index.html", "<p>index\n")
        .file("empty/note.txt", "a note\n")
        .file("assets/a.css", "a {}\n")
        .script("info.php")
        .script("dir/index.php")
        .file("reply.php", reply);
    set_times(&root.path());
    root
}

fn set_times(folder: &Path) {
    for entry in folder.read_dir().expect("a folder of ours").map(|entry| entry.expect("it is there").path())
    {
        if entry.is_dir() {
            set_times(&entry);
        }
        let time = SystemTime::UNIX_EPOCH + MODIFIED;
        File::open(&entry).and_then(|file| file.set_modified(time)).expect("a file of ours");
    }
}

const NGINX: &str = r"
    index index.php index.html; charset utf-8; charset_types text/css text/javascript text/plain;
    gzip_static on; gzip_vary on; absolute_redirect off; client_max_body_size 100k;
    location / { }
    location ~ [^/]\.php(/|$) {
        fastcgi_split_path_info ^(.+?\.php)(/.*)$;
        if (!-f $document_root$fastcgi_script_name) { return 404; }
        include fastcgi_params;
        fastcgi_param PATH_INFO $fastcgi_path_info;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass BACKEND;
    }
    location /assets/ { expires 30d; add_header X-Own own; }
    location /denied/ { deny all; }
    location = /text { default_type text/plain; return 200 'text'; }
    location = /teapot { default_type text/plain; return 418 'teapot'; }
    location = /gone { return 410; }
    location = /nothing { return 204; }
    location = /moved { return 301 /ten.txt; }
    location = /see { return 303 /ten.txt; }
    location = /kept { return 307 /ten.txt$is_args$args; }
    location = /hang-up { return 444; }
";

const CORNAC: &str = r#"
    preset = "plain"
    index = ["index.php", "index.html"]
    max_body = "100k"
    [[sites.routes]]
    match = "/assets/"
    expires = "30d"
    headers = { X-Own = "own" }
    [[sites.routes]]
    match = "/denied/"
    deny = ["all"]
    [[sites.routes]]
    match = "= /text"
    return = { status = 200, body = "text" }
    [[sites.routes]]
    match = "= /teapot"
    return = { status = 418, body = "teapot" }
    [[sites.routes]]
    match = "= /gone"
    return = { status = 410 }
    [[sites.routes]]
    match = "= /nothing"
    return = { status = 204 }
    [[sites.routes]]
    match = "= /moved"
    return = { status = 301, url = "/ten.txt" }
    [[sites.routes]]
    match = "= /see"
    return = { status = 303, url = "/ten.txt" }
    [[sites.routes]]
    match = "= /kept"
    return = { status = 307, url = "/ten.txt$is_args$args" }
    [[sites.routes]]
    match = "= /hang-up"
    return = { status = 444 }
"#;

#[test]
fn the_whole_answer_is_the_one_that_nginx_gives() {
    let (root, fpm) = (root(), Fpm::builder("a").ini("cgi.fix_pathinfo", 0).start());
    let nginx = Nginx::start(&format!(
        "server_name {HOST}; root {}; {}",
        root.path().display(),
        NGINX.replace("BACKEND", &fpm.server())
    ));
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nnames = [{HOST:?}]\nroot = {:?}\n{CORNAC}",
            fpm.server(),
            root.path()
        )
    });
    let all =
        [methods(), conditions(), ranges(), places(), codings(), replies(), connections(), hosts()].concat();
    let different: HashSet<_> = all.iter().map(|asked| &asked.bytes).collect();
    assert!(different.len() >= 300, "{} of {}", different.len(), all.len());
    let meant = [EVERYWHERE, DIFFERENCES].concat();
    compare_by(|server, asked| whole(server, asked, &fpm), nginx.address(), cornac.address(), &all, &meant);
}
