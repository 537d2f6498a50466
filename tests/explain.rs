//! `cornac explain` says what the pipeline does: the same file, script and params, seen from both sides. And the rest of what
//! the command line says about itself.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{Cornac, Fpm, Scratch, Tp, config_example, fixtures, http};

/// Params of the connection, which explain does not have, and of headers that the test's client adds.
const OF_THE_CONNECTION: [&str; 7] = [
    "REMOTE_PORT",
    "REMOTE_ADDR",
    "SERVER_PORT",
    "SERVER_ADDR",
    "HTTP_CONNECTION",
    "CONTENT_LENGTH",
    "HTTP_X_REQUEST_ID",
];

fn explain(config: &Path, more: &[&str], url: &str) -> Value {
    let mut args =
        vec!["explain", "-c", config.to_str().expect("a UTF-8 path"), "--json", "-H", "Host: localhost"];
    args.extend(more);
    args.push(url);
    let explained = Cornac::command(&args);
    assert!(explained.status.success(), "{url}: {}", explained.text);
    serde_json::from_str(&explained.text).unwrap_or_else(|error| panic!("{url}: {error}: {}", explained.text))
}

fn params(answer: &Value) -> BTreeMap<String, String> {
    let pairs = answer["params"].as_array().unwrap_or_else(|| panic!("no params in {answer}"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// What explain says about the URL is what a GET of it comes to.
fn assert_true(cornac: &Cornac, url: &str) -> &'static str {
    let explained = explain(&cornac.config_file(), &[], url);
    let answer = &explained["answer"];
    let reply = http::get(cornac.address(), url);
    let status = |kind| {
        assert_eq!(answer["status"], reply.status, "{url}: {explained}");
        kind
    };
    match answer["kind"].as_str().unwrap_or_default() {
        "script" => {
            assert_params_are_phps(url, &params(answer), &reply);
            "script"
        }
        "file" => {
            let path = answer["path"].as_str().expect("a path");
            assert_eq!((reply.status, &reply.body), (200, &std::fs::read(path).expect(path)), "{url}");
            "file"
        }
        "redirect" => {
            let location = answer["location"].as_str().expect("a location");
            assert!(
                reply.header("location").is_some_and(|sent| sent.ends_with(location)),
                "{url}: {reply:?}"
            );
            status("redirect")
        }
        "fixed" => status("fixed"),
        other => panic!("{url}: kind {other:?} in {explained}"),
    }
}

fn assert_params_are_phps(url: &str, explained: &BTreeMap<String, String>, reply: &http::Response) {
    assert_eq!(reply.status, 200, "{url}: {}", reply.body.escape_ascii());
    let php = &reply.json()["params"];
    for name in
        ["SCRIPT_FILENAME", "SCRIPT_NAME", "REQUEST_URI", "DOCUMENT_ROOT", "QUERY_STRING", "REQUEST_METHOD"]
    {
        assert!(explained.contains_key(name), "{url}: {name} is not explained: {explained:?}");
    }
    for (name, value) in explained.iter().filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str())) {
        let got =
            php.get(name).map_or_else(String::new, |got| got.as_str().map_or(got.to_string(), str::to_owned));
        assert_eq!(&got, value, "{url}: {name}");
    }
    for (name, value) in php.as_object().expect("an object") {
        let known = explained.contains_key(name) || OF_THE_CONNECTION.contains(&name.as_str());
        assert!(known, "{url}: php got {name}={value}, which explain does not say");
    }
}

fn site(fpm: &Fpm, root: &str, preset: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = [\"{listen}\"]\nroot = \"{}\"\npreset = \"{preset}\"\n",
            fpm.server(),
            fixtures(root).display()
        )
    })
}

fn kinds(cornac: &Cornac, urls: &[&str]) -> Vec<&'static str> {
    urls.iter().map(|url| assert_true(cornac, url)).collect()
}

const TP: &[&str] = &[
    "/index.php/echo/show/id/7?q=1",
    "/echo/show/id/7?q=1&q=2",
    "/echo//double///slashes",
    "/echo/a/./b/../c",
    "/echo/%E4%B8%AD/%2F/%20x+y?z=%26%25&=",
    "/echo/file.php/more.php/x",
    "/echo/?",
    "/admin.php",
    "/admin.php/user/list",
    "/%E4%B8%AD%E6%96%87/%E9%A1%B5%E9%9D%A2.php",
    "/%E4%B8%AD%E6%96%87/%E8%AF%B4%E6%98%8E.txt",
    "/style.css?v=1",
    "/robots.txt",
    "/.env",
    "/.well-known/test.txt",
    "/uploads/photo.jpg",
    "/uploads",
];

#[test]
fn explain_tells_what_thinkphp_gets() {
    let fpm = Fpm::start("a");
    let seen = kinds(&site(&fpm, "tp/public", "thinkphp"), TP);
    assert!(seen.iter().filter(|&&kind| kind == "script").count() >= 8, "{seen:?}");
    for kind in ["file", "fixed"] {
        assert!(seen.contains(&kind), "no {kind} in {seen:?}");
    }
}

#[test]
fn explain_tells_what_the_example_written_out_route_by_route_does() {
    let fpm = Fpm::start("a");
    let cornac = Cornac::serving(|listen| {
        config_example("thinkphp.toml")
            .replace(
                "\"phpfpm7:9000\", \"172.17.0.5:9000\", \"172.17.0.6:9000\"",
                &format!("\"{}\"", fpm.server()),
            )
            .replace("0.0.0.0:80", listen)
            .replace("/srv/tp5/public", &fixtures("tp/public").display().to_string())
    });
    let mut expected = ["script"; 10];
    // Its greedy regex takes /echo/file.php/more.php for the script, and that is not there.
    expected[5] = "fixed";
    assert_eq!(kinds(&cornac, &TP[..10]), expected);
}

#[test]
fn explain_tells_what_wordpress_and_plain_scripts_get() {
    let fpm = Fpm::start("a");
    let wordpress = site(&fpm, "wordpress", "wordpress");
    let urls = [
        "/",
        "/2024/05/hello-%E4%B8%AD/?p=1",
        "/index.php/a/b",
        "/wp-login.php?x",
        "/wp-admin/",
        "/wp-admin",
        "/wp-includes/style.css",
    ];
    let seen = kinds(&wordpress, &urls);
    assert_eq!(seen, ["script", "script", "script", "script", "script", "redirect", "file"]);
    let plain = site(&fpm, "plain", "plain");
    let urls =
        ["/", "/params.php", "/params.php/path/info?a=b", "/folder/", "/folder", "/nowhere", "/empty/"];
    assert_eq!(kinds(&plain, &urls), ["script", "script", "script", "script", "redirect", "fixed", "fixed"]);
}

#[test]
fn explain_takes_method_headers_and_a_whole_url() {
    let fpm = Fpm::start("a");
    let cornac = site(&fpm, "tp/public", "thinkphp");
    let more = ["-X", "POST", "-H", "X-Test: yes", "-H", "Proxy: evil"];
    let url = format!("http://{}/echo/a/b?c=d", cornac.address());
    let explained = explain(&cornac.config_file(), &more, &url);
    let params = params(&explained["answer"]);
    assert_eq!(
        (params["REQUEST_METHOD"].as_str(), params["REQUEST_URI"].as_str()),
        ("POST", "/echo/a/b?c=d")
    );
    assert_eq!((params["HTTP_X_TEST"].as_str(), params.get("HTTP_PROXY")), ("yes", None));
    assert_eq!(explained["answer"]["pool"], "php");
}

#[test]
fn explain_for_people_shows_each_step_and_the_params() {
    let fpm = Fpm::start("a");
    let cornac = site(&fpm, "tp/public", "thinkphp");
    let config = cornac.config_file();
    let text = Cornac::command(&["explain", "-c", config.to_str().unwrap(), "/echo/show"]).text;
    let script = fixtures("tp/public/index.php").display().to_string();
    for words in ["GET /echo/show", "SCRIPT_FILENAME", &script, "PATH_INFO", "/echo/show", "pool php"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}

#[test]
fn explain_tells_the_part_of_the_workers_that_a_route_may_have() {
    let fpm = Fpm::start("a");
    let route = "[[sites.routes]]\nmatch = \"^~ /index.php/slow/\"\nfastcgi = true\nmax_share = \"25%\"\n";
    let cornac = Tp::over([&fpm]).more(route).start();
    let config = cornac.config_file();
    assert_eq!(explain(&config, &[], "/index.php/slow/1")["answer"]["max_share"], "25%");
    assert_eq!(explain(&config, &[], "/json")["answer"]["max_share"], Value::Null);
    let text = Cornac::command(&["explain", "-c", config.to_str().unwrap(), "/index.php/slow/1"]).text;
    assert!(text.contains("pool php (at most 25% of its workers)"), "{text}");
}

#[test]
fn explain_tells_how_long_a_reply_may_be_kept() {
    let folder = Scratch::new();
    let route =
        "[[sites.routes]]\nmatch = \"/kept/\"\nexpires = { \"text/css\" = \"max\", default = \"1h\" }\n";
    let config = folder.write(
        "cornac.toml",
        format!(
            "[[sites]]\nlisten = [\"127.0.0.1:1\"]\nroot = {:?}\n{route}",
            folder.path().display().to_string()
        ),
    );
    assert_eq!(explain(&config, &[], "/kept/a.css")["expires"], "text/css max, else 1h");
    assert_eq!(explain(&config, &[], "/a.css")["expires"], Value::Null);
    let text = Cornac::command(&["explain", "-c", config.to_str().unwrap(), "/kept/"]).text;
    assert!(text.contains("\nexpires: text/css max, else 1h\n"), "{text}");
}

#[test]
fn explain_refuses_what_is_no_request_with_1() {
    let fpm = Fpm::start("a");
    let config = site(&fpm, "tp/public", "thinkphp").config_file();
    let folder = Scratch::new();
    let file = folder.write(
        "cornac.toml",
        format!("[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = [\"127.0.0.1:1\"]\nroot = \"{}\"\npreset = \"plain\"\n",
            fpm.server(), fixtures("plain").display()),
    );
    assert!(!config.exists(), "the first server is gone");
    let file = file.to_str().unwrap();
    for args in [&["-X", "G T", "/"][..], &["-H", "no colon", "/"], &["/%zz"], &["http://[/"], &["/a b"]] {
        let refused = Cornac::command(&[&["explain", "-c", file], args].concat());
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {}", refused.text);
        assert!(!refused.text.contains("panicked"), "{}", refused.text);
    }
}

/// A preset is nothing but routes: written out in its place, they do the same.
#[test]
fn the_routes_of_every_preset_are_toml_that_does_the_same() {
    let fpm = Fpm::start("a");
    for (preset, root) in [
        ("plain", "plain"),
        ("front-controller", "tp/public"),
        ("thinkphp", "tp/public"),
        ("thinkphp-query", "tp/public"),
        ("laravel", "tp/public"),
        ("symfony", "tp/public"),
        ("wordpress", "wordpress"),
        ("drupal", "wordpress"),
    ] {
        let config = |site: &str| {
            format!(
                "[pools.php]\nservers = [\"{}\"]\n[[sites]]\nlisten = [\"127.0.0.1:8080\"]\nroot = \"{}\"\n{site}\n",
                fpm.server(),
                fixtures(root).display()
            )
        };
        let folder = Scratch::new();
        let short = folder.write("short.toml", config(&format!("preset = \"{preset}\"")));
        let routes = Cornac::command(&["explain", "--routes", "-c", short.to_str().unwrap()]);
        assert!(routes.status.success(), "{preset}: {}", routes.text);
        assert!(routes.text.contains("[[sites.routes]]"), "{preset}: {}", routes.text);
        let long = folder.write("long.toml", config(&routes.text));
        let checked = Cornac::command(&["check", "-c", long.to_str().unwrap()]);
        assert!(checked.status.success(), "{preset} written out:\n{}\n{}", routes.text, checked.text);
        for url in [
            "/",
            "/index.php/a/b?c",
            "/a/b",
            "/.env",
            "/style.css",
            "/admin.php/x",
            "/x.php",
            "/folder",
            "/wp-admin/",
        ] {
            let [by_preset, by_routes] =
                [&short, &long].map(|file| explain(file, &[], url)["answer"].clone());
            assert_eq!(by_preset, by_routes, "{preset}: {url}");
        }
    }
}

#[test]
fn completions_version_and_help() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Cornac::command(&["completions", shell]);
        assert!(script.status.success() && script.text.contains("explain"), "{shell}: {}", script.text);
    }
    let version = Cornac::command(&["--version"]);
    assert_eq!(version.text.trim(), format!("cornac {}", env!("CARGO_PKG_VERSION")));
    let help = Cornac::command(&["--help"]);
    for word in ["serve", "run", "check", "explain", "completions", "cornac serve", "Exit codes"] {
        assert!(help.text.contains(word), "{word} is not in\n{}", help.text);
    }
    for command in ["serve", "explain", "completions"] {
        let help = Cornac::command(&[command, "--help"]);
        assert!(help.status.success() && help.text.contains("Example"), "{command}:\n{}", help.text);
    }
}

#[test]
fn explain_asks_as_whoever_it_is_told_and_believes_proxies_as_the_site_does() {
    let scratch = Scratch::new();
    scratch.write("public/a.txt", "a file");
    let config = scratch.write(
        "cornac.toml",
        "[[sites]]\nlisten = \":80\"\ntrusted_proxies = [\"10.0.0.9\"]\nroot = \"public\"\n\
         allow = [\"192.0.2.0/24\"]\ndeny = [\"all\"]\n",
    );
    let forwarded = ["-H", "X-Forwarded-For: 192.0.2.7"];
    for (from, more, allowed) in [
        (&[][..], &[][..], false),
        (&["--from", "192.0.2.1"], &[], true),
        (&["--from", "198.51.100.1"], &forwarded, false),
        (&["--from", "10.0.0.9"], &forwarded, true),
    ] {
        let answer = explain(&config, &[from, more].concat(), "/a.txt")["answer"].clone();
        match allowed {
            true => assert_eq!(answer["kind"], "file", "{from:?}: {answer}"),
            false => assert_eq!(answer["status"], 403, "{from:?}: {answer}"),
        }
    }
}
