//! Which files a client can reach, and which scripts it can make run: no spelling of a path gets past the presets and the routes.
//! Every spelling is sent to every preset; php-fpm is set up as carelessly as it can be, so that nothing but cornac protects.

mod support;

use std::net::SocketAddr;

use support::http::{Connection, Response};
use support::{Cornac, Fpm, Nginx, Root, script};

const PRESETS: [&str; 8] =
    ["plain", "front-controller", "thinkphp", "thinkphp-query", "laravel", "symfony", "wordpress", "drupal"];

/// php-fpm that runs whatever it is told to (`security.limit_extensions` off) and searches for scripts above a path.
fn careless() -> Fpm {
    Fpm::builder("a").directive("security.limit_extensions", "").ini("cgi.fix_pathinfo", 1).start()
}

/// One cornac, one site for each preset, told apart by Host.
fn every_preset(root: &Root, fpm: &Fpm) -> Cornac {
    Cornac::serving(|listen| {
        let site = |preset: &&str| {
            format!(
                "[[sites]]\nlisten = [{listen:?}]\nnames = [\"{preset}.example\"]\nroot = {:?}\npreset = {preset:?}\n",
                root.path()
            )
        };
        let sites: String = PRESETS.iter().map(site).collect();
        format!("[pools.php]\nservers = [{:?}]\n{sites}", fpm.server())
    })
}

/// Exactly this target, to the site of this preset.
fn ask(server: SocketAddr, preset: &str, target: &str) -> Response {
    let mut connection = Connection::open(server);
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: {preset}.example\r\nConnection: close\r\n\r\n"));
    connection.try_response("GET").unwrap_or_else(|broken| panic!("{preset} {target}: {broken:?}"))
}

/// Sends every target to every preset, and shows each answer.
fn each(server: SocketAddr, targets: &[&str], mut look: impl FnMut(&str, &Response)) {
    for preset in PRESETS {
        for target in targets {
            look(&format!("{preset} {target}"), &ask(server, preset, target));
        }
    }
}

fn holds(response: &Response, text: &str) -> bool {
    response.body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The script that answered, if one did.
fn entry(response: &Response) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    json["entry"].as_str().map(str::to_owned)
}

const PHOTO: &str =
    "<?php file_put_contents(getenv('COUNTER_DIR') . '/photo', '.', FILE_APPEND); echo 'PHOTO ' . 'RAN';";

fn with_photo() -> Root {
    Root::new().script("index.php").script("info.php").file("uploads/photo.jpg", PHOTO)
}

#[test]
fn an_upload_never_runs_however_it_is_called() {
    let (root, fpm) = (with_photo(), careless());
    let targets = [
        "/uploads/photo.jpg/x.php",
        "/uploads/photo.jpg/index.php",
        "/uploads/photo.jpg/.php",
        "/uploads/photo.jpg/a/b/c.php/d",
        "/uploads/photo.jpg//x.php",
        "/uploads/photo.jpg%2Fx.php",
        "/uploads/photo.jpg/%78.php",
        "/uploads/photo.jpg%00.php",
        "/uploads/photo.jpg%0A.php",
        "/uploads/photo.jpg/%0Ax.php",
        "/uploads/photo.jpg/x.php%0A",
        "/uploads/photo.jpg%20.php",
        "/uploads/photo.jpg;.php",
        "/uploads/photo.jpg?x.php",
        "/uploads/photo.jpg?/x.php",
        "/uploads/photo.jpg/x.PHP",
        "/uploads/photo.jpg/x.php%FF",
        "/uploads/photo.jpg/%FF.php",
        "/uploads/photo.jpg/../photo.jpg/x.php",
        "/index.php/../uploads/photo.jpg/x.php",
        "/uploads/photo.jpg/x.php/../y.php",
    ];
    let cornac = every_preset(&root, &fpm);
    each(cornac.address(), &targets, |name, response| {
        assert!(!holds(response, "PHOTO RAN"), "{name}: {response:?}");
        assert_eq!(fpm.count("photo"), 0, "{name}: {response:?}");
    });

    // The trap is real: nginx as the blogs have it runs the picture.
    let nginx = Nginx::start(&format!(
        r"root {}; location ~ ^(.+\.php)(.*)$ {{
            fastcgi_split_path_info ^(.+\.php)(.*)$; include fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass {}; }}",
        root.path().display(),
        fpm.server()
    ));
    assert!(holds(&ask(nginx.address(), "x", targets[0]), "PHOTO RAN"));
    assert_eq!(fpm.count("photo"), 1);
}

#[test]
fn a_newline_or_bad_utf_8_never_moves_the_border_between_script_and_path_info() {
    let (root, fpm) = (with_photo(), careless());
    let cornac = every_preset(&root, &fpm);
    let params = |target: &str| ask(cornac.address(), "plain", target).json()["params"].clone();
    for (target, path_info) in [
        ("/info.php/a%0Ab", serde_json::json!("/a\nb")),
        ("/info.php/%0A", serde_json::json!("/\n")),
        ("/info.php/%0D%0Ax.php", serde_json::json!("/\r\nx.php")),
        ("/info.php/x%0A.php/y", serde_json::json!("/x\n.php/y")),
        ("/info.php/%FF.php", serde_json::json!({ "hex": "2fff2e706870" })),
        ("/info.php/%C3", serde_json::json!({ "hex": "2fc3" })),
        ("/info.php/x.php/%80/y.php", serde_json::json!({ "hex": "2f782e7068702f802f792e706870" })),
    ] {
        let params = params(target);
        assert_eq!(params["SCRIPT_NAME"], "/info.php", "{target}");
        assert_eq!(params["SCRIPT_FILENAME"], root.join("info.php").display().to_string(), "{target}");
        assert_eq!(params["PATH_INFO"], path_info, "{target}");
    }
    let runs = fpm.count("runs");
    let not_scripts = [
        "/info.php%0A",
        "/info.php%0A/x",
        "/info.php%FF",
        "/%0Ainfo.php",
        "/%FFinfo.php/x",
        "/info%0A.php",
        "/x%0A/info.php",
        "/info.php%0D",
        "/%FF.php",
        "/uploads/photo.jpg%0A/info.php",
    ];
    for target in not_scripts {
        assert_eq!(ask(cornac.address(), "plain", target).status, 404, "{target}");
    }
    assert_eq!(fpm.count("runs"), runs, "nothing of these is a script");
}

#[test]
fn a_script_is_never_sent_as_text_under_any_spelling() {
    let sources = [
        "x.PHP",
        "x.Php",
        "x.php.",
        "x.php ",
        "x.php~",
        "x.php.bak",
        "x.php.old",
        "x.php.orig",
        "x.php.save",
        "x.php.swp",
        "#x.php#",
        "x.phtml",
        "x.PHTML",
        "x.pht",
        "x.phps",
        "x.phar",
        "x.inc",
        "x.php3",
        "x.php5",
        "x.php7",
        "x.php8",
        "lib/x.inc",
    ];
    let text = script("SOURCE", "source");
    let root = sources.iter().fold(with_photo(), |root, name| root.file(name, &text));
    let fpm = careless();
    let cornac = every_preset(&root, &fpm);

    let encoded = sources.map(|name| format!("/{}", name.replace('#', "%23").replace(' ', "%20")));
    let mut targets: Vec<&str> = encoded.iter().map(String::as_str).collect();
    targets.extend([
        "/x%2EPHP",
        "/x.ph%50",
        "/x%2ephp%7E",
        "/x.php.%62ak",
        "//x.inc",
        "/./x.inc",
        "/lib/../x.inc",
        "/x.inc?x",
        "/x.inc/",
        "/x.phtml/a",
        "/info.php/",
        "/info.php.",
        "/info.php%2E",
        "/info.php%20",
        "/info.php+",
        "/info.php%00",
        "/info.php%00.txt",
        "/info.php%0A",
        "/info.php%5C",
        "/info.php%2F",
        "/info.php::$DATA",
        "/info.php;x",
        "/info.php%3B.txt",
        "/info.php%3Fx",
        "/info.php%23",
        "/INFO.PHP",
        "/info.pHp",
        "/%69nfo.ph%70",
        "/info.php/../info.php",
        "/info.php/%2e%2e/info.php/",
    ]);
    each(cornac.address(), &targets, |name, response| {
        assert!(!holds(response, "SOURCE"), "{name}: {}", response.body.escape_ascii());
        assert!(!holds(response, "<?php"), "{name}: {}", response.body.escape_ascii());
        let fine = matches!(response.status, 400 | 403 | 404) || entry(response).is_some();
        assert!(fine, "{name}: neither refused nor run: {response:?}");
    });
    assert_eq!(fpm.count("source"), 0, "what is no script does not run either");
}

#[test]
fn a_range_or_a_conditional_request_does_not_get_source_either() {
    let root = with_photo().file("x.inc", script("SOURCE", "source")).file("x.inc.gz", "SOURCE, compressed");
    let fpm = careless();
    let cornac = every_preset(&root, &fpm);
    for line in ["Range: bytes=0-9", "Accept-Encoding: gzip", "If-None-Match: \"x\"", "If-Match: *"] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            let mut connection = Connection::open(cornac.address());
            connection.send(format!(
                "{method} /x.inc HTTP/1.1\r\nHost: plain.example\r\n{line}\r\nConnection: close\r\n\r\n"
            ));
            let response = connection.try_response(method).unwrap();
            assert!(matches!(response.status, 403..=405), "{method} {line}: {response:?}");
        }
    }
}

/// Every way out of the root that somebody ever found, and back in.
const OUT: &[&str] = &[
    "/../secret.txt",
    "/..//secret.txt",
    "/../../secret.txt",
    "/..%2Fsecret.txt",
    "/..%2fsecret.txt",
    "/%2e%2e/secret.txt",
    "/%2E%2E%2Fsecret.txt",
    "/.%2e/secret.txt",
    "/%2e./secret.txt",
    "/%252e%252e/secret.txt",
    "/%252e%252e%252fsecret.txt",
    "/..%5Csecret.txt",
    "/..\\secret.txt",
    "/\\../secret.txt",
    "/%5C../secret.txt",
    "/..;/secret.txt",
    "/..%3B/secret.txt",
    "/....//secret.txt",
    "/...//secret.txt",
    "/./../secret.txt",
    "//../secret.txt",
    "/dir/../../secret.txt",
    "/dir/..%2F..%2Fsecret.txt",
    "/dir/%2e%2e/%2e%2e/secret.txt",
    "/missing/../../secret.txt",
    "/hello.txt/../../secret.txt",
    "/index.php/../../secret.txt",
    "/index.php/..%2f..%2fsecret.txt",
    "/index.php/%2e%2e/%2e%2e/outside.php",
    "/%c0%ae%c0%ae/secret.txt",
    "/%e0%80%ae%e0%80%ae/secret.txt",
    "/..%c0%afsecret.txt",
    "/..%ef%bc%8fsecret.txt",
    "/..%u2215secret.txt",
    "/..%00/secret.txt",
    "/%00../secret.txt",
    "/..%0A/secret.txt",
    "/..%20/secret.txt",
    "/.. /secret.txt",
    "/../outside.php",
    "/%2e%2e/outside.php/x",
    "/dir/../../outside.php",
    "/..%2Foutside.php",
    "/../public/../secret.txt",
    "/../public/hello.txt",
    "//etc/passwd",
    "/%2Fetc%2Fpasswd",
    "/dir/../../../../../../../../etc/passwd",
    "/file:///etc/passwd",
    "../secret.txt",
    "secret.txt",
    "..",
    "/..",
    "/../",
    "/%2e%2e",
    "/dir/%2e%2e/%2e%2e/",
    "http://plain.example/../secret.txt",
    "http://plain.example/%2e%2e/secret.txt",
    "http://plain.example//../secret.txt",
    "http://plain.example/dir/..%2F../secret.txt",
    "http://plain.example/../outside.php",
    "http://../secret.txt",
    "http:///../secret.txt",
    "file:///etc/passwd",
    "/secret.txt",
    "/public/../secret.txt",
];

#[test]
fn no_path_leaves_the_root() {
    let root = Root::new()
        .script("index.php")
        .file("hello.txt", "hello\n")
        .file("dir/note.txt", "note\n")
        .outside("outside.php", script("outside", "outside"));
    let fpm = careless();
    let cornac = every_preset(&root, &fpm);
    let mut ran = 0;
    each(cornac.address(), OUT, |name, response| {
        assert!(!holds(response, "SECRET") && !holds(response, "root:"), "{name}: {response:?}");
        ran += u64::from(entry(response).is_some());
        let fine = matches!(response.status, 301 | 400 | 403 | 404) || entry(response).is_some();
        assert!(fine, "{name}: {response:?}");
    });
    assert_eq!(fpm.count("outside"), 0);
    assert_eq!(fpm.count("runs"), ran, "a script ran that nobody saw the answer of");
    assert!(holds(&ask(cornac.address(), "plain", "/hello.txt"), "hello"), "the root itself is served");
}

#[test]
fn presets_refuse_dotfiles_and_allow_well_known() {
    let hidden = [
        ".env",
        ".env.local",
        ".git/config",
        ".git/HEAD",
        ".svn/entries",
        ".htaccess",
        ".htpasswd",
        ".user.ini",
        ".DS_Store",
        ".x.php.swp",
        "dir/.env",
        "dir/.git/config",
    ];
    let root = hidden.iter().fold(Root::new().script("index.php"), |root, name| root.file(name, "HIDDEN\n"));
    let root = root.file(".well-known/acme-challenge/token", "token\n").script(".hidden.php");
    let fpm = careless();
    let cornac = every_preset(&root, &fpm);
    let plainly = hidden.map(|name| format!("/{name}"));
    let mut targets: Vec<&str> = plainly.iter().map(String::as_str).collect();
    targets.extend([
        "/%2eenv",
        "//.env",
        "/./.env",
        "/dir/../.env",
        "/dir/%2e%2e/.env",
        "/.%65nv",
        "/.git%2Fconfig",
        "/.env?x",
        "/.env/",
        "/.git",
        "/.git/",
        "/index.php/../.env",
        "/.well-known/../.env",
        "/.well-known/%2e%2e/.git/config",
        "http://plain.example/.env",
        "/.hidden.php",
        "/.hidden.php/x",
    ]);
    each(cornac.address(), &targets, |name, response| {
        assert!(!holds(response, "HIDDEN"), "{name}: {response:?}");
        assert!(matches!(response.status, 403 | 404), "{name}: {response:?}");
    });
    assert_eq!(fpm.count("runs"), 0, "no front controller is asked for them either");
    each(cornac.address(), &["/.well-known/acme-challenge/token"], |name, response| {
        assert!(holds(response, "token"), "{name}: {response:?}");
    });
}
