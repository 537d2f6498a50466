//! `symlinks = "beneath"`: a link leads nowhere out of its root, whether what it leads to is sent, listed or run; php's runs are counted.

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use support::http;
use support::{Cornac, Fpm, Nginx, Root, script};

/// A root with files and scripts, and links to them and to what lies beside it.
fn root() -> Root {
    let root = Root::new()
        .counted("index.php", "inside")
        .file("a.txt", "a file\n")
        .file("sub/b.txt", "below\n")
        .file("app.js", "plain javascript\n")
        .file("listed/c.txt", "c\n")
        .outside("beside.php", script("beside.php", "outside"))
        .outside("beside.js.gz", "compressed elsewhere\n")
        .outside("beside/index.html", "index elsewhere\n")
        .outside("store/report.txt", "a report\n")
        .file("order.php", "<?php header('X-Sendfile: ' . $_GET['path']);");
    for (target, link) in [
        ("a.txt", "in.txt"),
        ("sub", "in"),
        ("index.php", "in.php"),
        ("../secret.txt", "out.txt"),
        ("..", "out"),
        ("/etc", "etc"),
        ("../beside.php", "out.php"),
        ("../../beside/index.html", "html/index.html"),
        ("../beside.js.gz", "app.js.gz"),
        ("../../secret.txt", "../store/out.txt"),
    ] {
        let link = root.join(link);
        fs::create_dir_all(link.parent().expect("below the root")).expect("a folder of ours");
        symlink(target, link).expect("a fresh name");
    }
    root
}

fn site(root: &Root, fpm: &Fpm, lines: &str) -> Cornac {
    let (path, store) = (root.path(), root.join("../store"));
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = \"{listen}\"\nroot = \"{}\"\npreset = \"plain\"\n\
             index = [\"index.html\"]\nx_sendfile = {{ \"/store\" = \"{}\" }}\nerror_pages = {{ 404 = \"/out.txt\" }}\n{lines}\n\
             [[sites.routes]]\nmatch = \"^~ /listed/\"\nautoindex = true\n\
             [[sites.routes]]\nmatch = \"^~ /out/free/\"\nsymlinks = \"follow\"\nalias = \"{}/out/\"\n",
            fpm.server(),
            path.display(),
            store.display(),
            path.display(),
        )
    })
}

#[test]
fn a_link_out_of_the_root_is_403_and_runs_nothing_and_one_inside_is_as_ever() {
    let (root, fpm) = (root(), Fpm::start("a"));
    let cornac = site(&root, &fpm, "symlinks = \"beneath\"");
    for (target, status, text) in [
        ("/a.txt", 200, "a file"),
        ("/in.txt", 200, "a file"),
        ("/in/b.txt", 200, "below"),
        ("/in.php", 200, "index.php"),
        ("/in.php/info", 200, "index.php"),
        ("/out.txt", 403, "403"),
        ("/out/secret.txt", 403, "403"),
        ("/out/", 403, "403"),
        ("/etc/passwd", 403, "403"),
        ("/etc/", 403, "403"),
        ("/out.php", 403, "403"),
        ("/out.php/info", 403, "403"),
        ("/out/beside.php", 403, "403"),
        ("/html/", 403, "403"),
        // The page of this error lies outside too: the standard one is sent.
        ("/missing", 404, "404"),
        ("/order.php?path=/store/report.txt", 200, "a report"),
        ("/order.php?path=/store/out.txt", 403, "403"),
        ("/listed/", 200, "c.txt"),
        ("/out/free/secret.txt", 200, "SECRET"),
    ] {
        let response = cornac.get(target);
        assert_eq!(response.status, status, "{target}: {response:?}");
        assert!(response.text().contains(text), "{target}: {response:?}");
        assert!(target.contains("free") || !response.text().contains("SECRET"), "{target}");
    }
    assert_eq!((fpm.count("inside"), fpm.count("outside")), (2, 0));
    let accepted = [("Accept-Encoding", "gzip")];
    let plain = http::request(cornac.address(), "GET", "/app.js", &accepted, b"");
    assert_eq!((plain.header("content-encoding"), plain.text()), (None, "plain javascript\n"));
}

#[test]
fn links_are_followed_wherever_they_lead_unless_told_as_with_nginx() {
    let (root, fpm) = (root(), Fpm::start("a"));
    let cornac = site(&root, &fpm, "");
    let place = |on: &str| format!("root {}; location / {{ {on} }}", root.path().display());
    let follows = Nginx::start(&place(""));
    let refuses = Nginx::start(&place("disable_symlinks on from=$document_root;"));
    // nginx says 404 where a folder on the way is a link.
    for (target, refused) in [("/out.txt", 403), ("/out/secret.txt", 404)] {
        assert!(cornac.get(target).text().contains("SECRET"), "{target}");
        assert!(http::get(follows.address(), target).text().contains("SECRET"), "{target}");
        assert_eq!(http::get(refuses.address(), target).status, refused, "{target}");
    }
    assert_eq!((cornac.get("/out.php").status, fpm.count("outside")), (200, 1));
}

/// The root itself may be reached by a link that moves, as deployments do it.
#[test]
fn a_root_behind_a_link_that_moves_is_the_one_that_it_leads_to_now() {
    let fpm = Fpm::start("a");
    let root = Root::new().outside("v1/a.txt", "one\n").outside("v2/a.txt", "two\n");
    let (folder, current) = (root.join(".."), root.join("../current"));
    symlink("v1", &current).expect("a fresh name");
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = \"{listen}\"\nroot = \"{}\"\npreset = \"plain\"\nsymlinks = \"beneath\"\n",
            fpm.server(),
            folder.canonicalize().expect("it is there").join("current").display()
        )
    });
    assert_eq!(cornac.get("/a.txt").text(), "one\n");
    symlink("v2", folder.join("next")).expect("a fresh name");
    fs::rename(folder.join("next"), &current).expect("our own folder");
    assert_eq!(cornac.get("/a.txt").text(), "two\n");
}
