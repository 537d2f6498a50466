//! Who may come in, and how often: passwords, addresses, a script's word and limits, on real php-fpm, beside a real nginx with the
//! same words and the same password file. Php's runs are counted: who is refused never makes php run.

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::http::{self, Connection, Response};
use support::{Cornac, Fpm, Nginx, Operated, Root, Signal, Tp, fixtures, wait_until};

/// "al:a", "bob:open sesame", "ü:ß" and "spaced name:x y" in base64.
const AL: &str = "Authorization: Basic YWw6YQ==";
const BOB: &str = "Authorization: Basic Ym9iOm9wZW4gc2VzYW1l";
/// Cost 4, by php's password_hash(), of "open sesame".
const BCRYPT: &str = "$2y$04$3ssEak5VvyFCZ.snMcvsTeJLjOrpo5L3I93nweGKvZ7mXVa5Uk1v.";

fn openssl(args: &[&str]) -> String {
    let made = Command::new("openssl").arg("passwd").args(args).output().expect("openssl is installed");
    assert!(made.status.success(), "{args:?}: {made:?}");
    String::from_utf8(made.stdout).expect("ASCII").trim().to_owned()
}

/// One user for each kind of hash, all with the password "open sesame".
fn users() -> String {
    let made = ["-apr1", "-1", "-5", "-6"].map(|kind| openssl(&[kind, "open sesame"]));
    let [apr1, md5, sha256, sha512] = made;
    format!(
        "# staff\napr1:{apr1}\nmd5:{md5}\nsha256:{sha256}:a comment\nsha512:{sha512}\nbob:{BCRYPT}\n\
         bcrypt-a:{}\nbcrypt-b:{}\nsha:{{SHA}}W8r/fyL/UzygmbNAjq2HbA67qac=\n\
         ssha:{{SSHA}}hN5uxFJUEWCPg56kk42tnVCdJ61zYWx0\nplain:{{PLAIN}}open sesame\nal:{{PLAIN}}a\n",
        BCRYPT.replace("$2y$", "$2a$"),
        BCRYPT.replace("$2y$", "$2b$"),
    )
}

fn basic(user: &str, password: &str) -> String {
    let mut encoded = String::new();
    let bytes = format!("{user}:{password}").into_bytes();
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = digits[(bits >> (18 - 6 * place) & 0x3f) as usize] as char;
            encoded.push(if place <= group.len() { digit } else { '=' });
        }
    }
    format!("Authorization: Basic {encoded}")
}

fn get(server: std::net::SocketAddr, target: &str, lines: &[&str]) -> Response {
    let lines: Vec<_> = lines.iter().filter_map(|line| line.split_once(": ")).collect();
    http::request(server, "GET", target, &lines, b"")
}

/// A root with a script and a file, beside a password file; and what stands in the way to them.
struct Guarded {
    fpm: Fpm,
    root: Root,
}

impl Guarded {
    fn new() -> Self {
        Self::with(Root::new())
    }

    fn with(root: Root) -> Self {
        let root = root.counted("index.php", "runs").file("a.txt", "a file\n").outside("users", users());
        Self { fpm: Fpm::start("a"), root }
    }

    fn users(&self) -> std::path::PathBuf {
        self.root.path().parent().expect("public/ is in a folder").join("users")
    }

    fn runs(&self) -> u64 {
        self.fpm.count("runs")
    }

    fn toml(&self, listen: &str, site: &str) -> String {
        let site = site.replace("USERS", &self.users().display().to_string());
        format!(
            "[server]\naccess_log = {{ path = \"stdout\", format = \"json\" }}\n[pools.php]\nservers = [{:?}]\n\
             [[sites]]\nlisten = [{listen:?}]\nroot = {:?}\npreset = \"front-controller\"\n{site}\n",
            self.fpm.server(),
            self.root.path().display().to_string(),
        )
    }

    fn cornac(&self, site: &str) -> Cornac {
        Cornac::serving(|listen| self.toml(listen, site))
    }

    /// The same site behind nginx: `server` and `location` are what stands there and in its location of scripts.
    fn nginx(&self, server: &str) -> Nginx {
        let text = format!(
            "root ROOT; {server} location / {{ try_files $uri /index.php$is_args$args; }}\n\
             location ~ \\.php$ {{ include fastcgi_params; fastcgi_param SCRIPT_FILENAME ROOT$fastcgi_script_name; fastcgi_pass {}; }}",
            self.fpm.server()
        );
        let root = self.root.path().display().to_string();
        Nginx::start(&text.replace("ROOT", &root).replace("USERS", &self.users().display().to_string()))
    }
}

const STAFF: &str = "auth = { realm = \"Staff\", file = \"USERS\" }";
const NGINX_STAFF: &str = "auth_basic Staff; auth_basic_user_file USERS;";

#[test]
fn passwords_are_judged_as_nginx_judges_them_and_who_is_refused_runs_nothing() {
    let site = Guarded::new();
    let (nginx, cornac) = (site.nginx(NGINX_STAFF), site.cornac(STAFF));
    let mut asked: Vec<String> = Vec::new();
    for user in [
        "apr1", "md5", "sha256", "sha512", "bob", "bcrypt-a", "bcrypt-b", "sha", "ssha", "plain", "al",
        "nobody", "",
    ] {
        asked.extend(["open sesame", "open sesam", "", "a", "open sesame:"].map(|word| basic(user, word)));
    }
    for odd in [
        "Basic",
        "Basic !!",
        "Basic YWw=",
        "Bearer YWw6YQ==",
        "basic YWw6YQ==",
        "Basic  YWw6YQ",
        "BasicYWw6YQ==",
    ] {
        asked.push(format!("Authorization: {odd}"));
    }
    asked.push("X-Nothing: here".to_owned());
    let mut granted = 0;
    for line in &asked {
        for target in ["/front/controller", "/a.txt"] {
            let [theirs, ours] =
                [nginx.address(), cornac.address()].map(|server| get(server, target, &[line]));
            let [theirs_challenge, ours_challenge] =
                [&theirs, &ours].map(|reply| reply.header_all("www-authenticate").join(" | "));
            assert_eq!(theirs.status, ours.status, "{line} {target}");
            // Later ones than this nginx say it too.
            let charset = theirs_challenge.replace("realm=\"Staff\"", "realm=\"Staff\", charset=\"UTF-8\"");
            assert_eq!(charset, ours_challenge, "{line} {target}");
            granted += u64::from(ours.status == 200 && target != "/a.txt");
        }
    }
    // Each of eleven users by the right word, and al by two more spellings.
    assert_eq!(granted, 13);
    assert_eq!(
        site.runs(),
        2 * granted,
        "php ran for those who were let in, by each of the two, and for nobody else"
    );
}

#[test]
fn php_hears_of_a_user_only_once_the_password_was_right_and_no_log_of_the_password() {
    let site = Guarded::new();
    let cornac = site.cornac(&format!(
        "params = {{ X_USER = \"$remote_user\" }}\n[[sites.routes]]\nmatch = \"^~ /index.php/staff\"\nfastcgi = true\n{STAFF}"
    ));
    let params = |target: &str, line: &str| get(cornac.address(), target, &[line]).json()["params"].clone();
    let told = |params: &Value| {
        ["REMOTE_USER", "AUTH_TYPE", "X_USER"].map(|name| params[name].as_str().unwrap_or("-").to_owned())
    };
    let claimed = params("/index.php/open", BOB);
    assert_eq!(told(&claimed), ["-", "-", ""], "a name that is only claimed");
    assert_eq!(claimed["HTTP_AUTHORIZATION"], BOB.split_once(": ").unwrap().1, "php may judge for itself");
    let known = params("/index.php/staff", BOB);
    assert_eq!(told(&known), ["bob", "Basic", "bob"]);
    assert_eq!(get(cornac.address(), "/index.php/staff/x", &[&basic("bob", "opensecret")]).status, 401);
    assert_eq!(cornac.entry("/index.php/staff")["remote_user"], "bob");
    assert_eq!(cornac.entry("/index.php/open")["remote_user"], Value::Null);
    assert_eq!(cornac.entry("/index.php/staff/x")["remote_user"], Value::Null);
    let log = cornac.settled_log();
    assert!(log.contains("wrong name or password: user \"bob\""), "{log}");
    assert!(!log.contains("open sesame") && !log.contains("opensecret"), "{log}");
}

#[test]
fn a_change_of_the_password_file_holds_for_the_next_request_without_a_reload() {
    let site = Guarded::new();
    let cornac = site.cornac(STAFF);
    let status = |line: &str| get(cornac.address(), "/x", &[line]).status;
    assert_eq!((status(AL), status(BOB)), (200, 200));
    std::fs::write(site.users(), "al:{PLAIN}other\n").unwrap();
    assert_eq!((status(AL), status(&basic("al", "other")), status(BOB)), (401, 200, 401));
    std::fs::write(site.users(), format!("al:nonsense\nbob:{BCRYPT}\n")).unwrap();
    assert_eq!((status(&basic("al", "other")), status(BOB)), (401, 200));
    cornac.wait_for_log("line 1: user 'al' has no known kind of hash");
    std::fs::remove_file(site.users()).unwrap();
    assert_eq!((status(AL), status(BOB)), (403, 403), "as nginx");
}

#[test]
fn satisfy_and_addresses_and_passwords_are_weighed_as_nginx_weighs_them() {
    let site = Guarded::new();
    let open = "allow = [\"127.0.0.0/8\"]\ndeny = [\"all\"]";
    let shut = "deny = [\"127.0.0.1\"]\nallow = [\"all\"]";
    let elsewhere = "allow = [\"192.0.2.0/24\"]";
    let mut expected = Vec::new();
    let (mut nginx, mut toml) = (String::new(), String::new());
    let access = [
        ("open", "allow 127.0.0.0/8; deny all;", open),
        ("shut", "deny 127.0.0.1; allow all;", shut),
        ("elsewhere", "allow 192.0.2.0/24;", elsewhere),
        ("none", "", ""),
    ];
    let password = [("pass", NGINX_STAFF, STAFF), ("free", "auth_basic off;", "auth = \"off\"")];
    for satisfy in ["any", "all"] {
        for (where_, nginx_access, toml_access) in access {
            for (how, nginx_password, toml_password) in password {
                let name = format!("/{satisfy}/{where_}/{how}/");
                nginx += &format!(
                    "location ^~ {name} {{ satisfy {satisfy}; {nginx_access} {nginx_password} alias ROOT/; }}\n"
                );
                toml += &format!(
                    "[[sites.routes]]\nmatch = \"^~ {name}\"\nalias = {:?}\nsatisfy = \"{satisfy}\"\n{toml_access}\n{toml_password}\n",
                    site.root.path().display().to_string() + "/"
                );
                expected.push(name);
            }
        }
    }
    let (nginx, cornac) = (site.nginx(&nginx), site.cornac(&toml));
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for name in expected {
        for line in [AL, "Authorization: Basic YWw6Yg==", "X-Nothing: here"] {
            let target = format!("{name}a.txt");
            let [theirs, ours] =
                [nginx.address(), cornac.address()].map(|server| get(server, &target, &[line]).status);
            assert_eq!(theirs, ours, "{target} [{line}]");
            *seen.entry(ours).or_default() += 1;
        }
    }
    assert_eq!(
        seen.keys().copied().collect::<Vec<_>>(),
        [200, 401, 403],
        "each answer was among them: {seen:?}"
    );
}

#[test]
fn no_spelling_of_a_path_leads_around_a_password() {
    let site = Guarded::new();
    let cornac =
        site.cornac(&format!("[[sites.routes]]\nmatch = '~ ^/index\\.php/private'\nfastcgi = true\n{STAFF}"));
    let spellings = [
        "/index.php/private",
        "//index.php/private",
        "/index.php//private",
        "/x/../index.php/private",
        "/./index.php/./private",
        "/%69ndex.php/private",
        "/index%2ephp/private",
        "/index.php/%70rivate",
        "/index.php%2Fprivate",
        "/index.php/x/../private",
        "/index.php/private/",
        "/index.php/private?x",
        "/index.php/private%3Fx",
        "/index.php/private%00",
        "/index.php/private%0a",
        "/index.php/%2e/private",
        "/index.php/x/%2e%2e/private",
        "http://localhost/index.php/private",
        "/index.php/private;x",
        "/index.php/private.",
    ];
    for spelling in spellings {
        let status = get(cornac.address(), spelling, &[]).status;
        assert!(matches!(status, 400 | 401), "{spelling}: {status}");
    }
    assert_eq!(site.runs(), 0, "php never ran");
    assert_eq!(get(cornac.address(), spellings[1], &[AL]).status, 200);
}

#[test]
fn a_limit_lets_its_burst_through_and_refuses_the_rest_with_the_time_to_wait() {
    let site = Guarded::new();
    let cornac = site.cornac("limits = { rate = \"1r/h\", burst = 2, by = \"$arg_key\" }");
    let reply = |target: &str| get(cornac.address(), target, &[]);
    let statuses: Vec<_> = (0..5).map(|_| reply("/x?key=one").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let refused = reply("/a.txt?key=one");
    let again: u64 = refused.header("retry-after").expect("the time").parse().expect("seconds");
    assert!((3590..=3600).contains(&again), "{again}");
    assert_eq!(reply("/x?key=two").status, 200, "another key");
    assert!((0..9).all(|_| reply("/x").status == 200), "no key, no limit");
    assert_eq!(site.runs(), 3 + 1 + 9, "php ran for those who were let in");
    cornac.wait_for_log("refused with 429: over limits { rate 1r/h, burst 2, by $arg_key }");
    // Before the body: the answer is there while it is still to come.
    let mut poster = Connection::open(cornac.address());
    poster.send("POST /x?key=one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
    assert_eq!(poster.response().status, 429);

    let config = std::fs::read_to_string(cornac.config_file()).unwrap();
    let route = "[[sites.routes]]\nmatch = \"= /new\"\nreturn = { status = 204 }\n";
    std::fs::write(cornac.config_file(), config + route).unwrap();
    cornac.signal(Signal::HUP);
    assert!(wait_until(Duration::from_secs(20), || reply("/new").status == 204), "{}", cornac.log());
    assert_eq!(reply("/x?key=one").status, 429, "a reload forgives nothing");
}

#[test]
fn so_many_requests_of_a_key_are_at_work_and_no_more() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).site("limits = [{ connections = 2 }]").start();
    let mut waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut waiting = Connection::open(cornac.address());
            waiting.send("GET /gate/held HTTP/1.1\r\nHost: localhost\r\n\r\n");
            waiting
        })
        .collect();
    fpm.wait_for_count("held", 2);
    let refused = cornac.get("/json?count=more");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(cornac.get("/robots.txt").status, 429, "a file is a request too");
    fpm.open_gate("held");
    assert!(waiting.iter_mut().all(|waiting| waiting.response().status == 200));
    assert!(wait_until(Duration::from_secs(10), || cornac.get("/robots.txt").status == 200));
    assert_eq!((fpm.count("held"), fpm.count("more")), (2, 0));
}

#[test]
fn what_is_refused_is_counted_and_a_dry_run_refuses_nobody() {
    let fpm = Fpm::start("a");
    let routes = "[[sites.routes]]\nmatch = \"^~ /dry/\"\nreturn = { status = 404 }\n\
        [[sites.routes]]\nmatch = \"= /robots.txt\"\nlimits = { rate = \"1r/d\", dry_run = true }\n\
        [[sites.routes]]\nmatch = \"= /style.css\"\nlimits = { rate = \"1r/d\" }\n";
    let cornac = Operated::start(&Tp::over([&fpm]).site("names = [\"localhost\"]").more(routes), "");
    let statuses = |target: &str| (0..3).map(|_| cornac.get(target).status).collect::<Vec<_>>();
    assert_eq!(statuses("/robots.txt"), [200, 200, 200]);
    assert_eq!(statuses("/style.css"), [200, 429, 429]);
    let page = cornac.ask("/metrics").text().to_owned();
    for (by, count) in [("rate", 2), ("rate_dry_run", 2), ("connections", 0), ("auth", 0)] {
        let line = format!("cornac_refused_total{{site=\"localhost\",by=\"{by}\"}} {count}");
        assert!(page.contains(&line), "{line} is not in\n{page}");
    }
    cornac.wait_for_log("would be refused (dry_run)");
}

/// Says what the header X-Verdict tells it to; what it was asked goes into its own counter's name.
fn oracle() -> String {
    format!(
        "<?php require '{}';\nfixture\\count_run('asked');\n\
         if (file_get_contents('php://input') !== '' || ($_SERVER['CONTENT_LENGTH'] ?? '') !== '') fixture\\count_run('body');\n\
         $verdict = (int) ($_SERVER['HTTP_X_VERDICT'] ?? 204);\n\
         http_response_code($verdict);\n\
         header('X-User: known-to-auth');\n\
         if ($verdict === 401) header('WWW-Authenticate: Bearer realm=\"of the script\"');\n\
         if ($verdict === 200) echo str_repeat('x', 300000);\n",
        fixtures("shared/mirror.php").display()
    )
}

#[test]
fn a_script_s_word_decides() {
    let site = Guarded::with(Root::new().file("auth.php", oracle()));
    let cornac = site.cornac(
        "auth_request = { uri = \"/auth.php\", params = { AUTH_USER = \"X-User\" } }\n\
         [[sites.routes]]\nmatch = \"= /auth.php\"\nfastcgi = true\ninternal = true",
    );
    let nginx = site.nginx(&format!(
        "auth_request /auth.php; location = /auth.php {{ internal; include fastcgi_params; fastcgi_pass_request_body off;\n\
         fastcgi_param CONTENT_LENGTH ''; fastcgi_param SCRIPT_FILENAME ROOT/auth.php; fastcgi_pass {}; }}",
        site.fpm.server()
    ));
    for (verdict, expected) in
        [(200, 200), (204, 200), (299, 200), (401, 401), (403, 403), (404, 500), (302, 500), (500, 500)]
    {
        let line = format!("X-Verdict: {verdict}");
        for target in ["/a.txt", "/x"] {
            let theirs = get(nginx.address(), target, &[&line]);
            let before = [site.runs(), site.fpm.count("asked")];
            let ours = get(cornac.address(), target, &[&line]);
            assert_eq!((theirs.status, ours.status), (expected, expected), "{verdict} {target}");
            assert_eq!(theirs.header("www-authenticate"), ours.header("www-authenticate"), "{verdict}");
            let ran = u64::from(expected == 200 && target == "/x");
            let after = [site.runs(), site.fpm.count("asked")];
            assert_eq!(
                after,
                [before[0] + ran, before[1] + 1],
                "{verdict} {target}: asked once, and run if let in"
            );
        }
    }
    assert_eq!(get(cornac.address(), "/auth.php", &[]).status, 404, "it is not for clients");

    let posted = http::request(cornac.address(), "POST", "/x", &[("X-Verdict", "204")], b"a body");
    assert_eq!(posted.json()["params"]["AUTH_USER"], "known-to-auth");
    assert_eq!(posted.json()["params"]["CONTENT_LENGTH"], "6");
    assert_eq!(site.fpm.count("body"), 0, "the body is the request's own script's");
}

#[test]
fn check_names_the_wrong_line_of_a_password_file() {
    let site = Guarded::new();
    std::fs::write(site.users(), "al:{PLAIN}a\nbob:rqXexS6ZhobKA\n").unwrap();
    let folder = support::Scratch::new();
    let config =
        folder.write("cornac.toml", site.toml("127.0.0.1:1", &format!("{STAFF}\nallow = [\"10.0.0.0/33\"]")));
    let checked = Cornac::command(&["check", "-c", config.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(1), "{}", checked.text);
    let users = site.users().display().to_string();
    for words in [
        format!("{users}:2: user 'bob' has a DES hash"),
        format!("htpasswd -B {users} bob"),
        "'10.0.0.0/33' is neither an address nor a network".to_owned(),
    ] {
        assert!(checked.text.contains(&words), "{words} is not in\n{}", checked.text);
    }
}

#[test]
fn explain_says_which_checks_there_are_and_what_they_come_to() {
    let site = Guarded::with(Root::new().file("auth.php", oracle()));
    let folder = support::Scratch::new();
    let routes = "[[sites.routes]]\nmatch = \"^~ /denied/\"\ndeny = [\"127.0.0.0/8\"]\n";
    let limits = "limits = { rate = \"10r/s\", burst = 5 }\nauth_request = \"/auth.php\"\nparams = { X_USER = \"$remote_user\" }";
    let config =
        folder.write("cornac.toml", site.toml("127.0.0.1:1", &format!("{STAFF}\n{limits}\n{routes}")));
    let explain = |more: &[&str]| {
        let args = [&["explain", "-c", config.to_str().unwrap(), "--json"][..], more].concat();
        let explained = Cornac::command(&args);
        serde_json::from_str::<Value>(&explained.text)
            .unwrap_or_else(|error| panic!("{error}: {}", explained.text))
    };
    let results = |explained: &Value| {
        let steps = explained["steps"].as_array().unwrap().iter();
        steps.filter_map(|step| step["result"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let refused = explain(&["/x"]);
    assert_eq!(refused["answer"], json!({ "kind": "fixed", "status": 401, "body": null }), "{refused:#}");
    assert_eq!(
        results(&refused),
        [
            "check of /: limits: not counted, because nothing is sent",
            "check of /: auth: no name and password"
        ]
    );
    let granted = explain(&["-H", BOB, "/x"]);
    let params = granted["answer"]["params"].as_array().unwrap_or_else(|| panic!("{granted:#}"));
    for pair in [["REMOTE_USER", "bob"], ["X_USER", "bob"]] {
        assert!(params.contains(&json!(pair)), "{pair:?} is not in {params:?}");
    }
    assert!(results(&granted).iter().any(|result| result.contains("auth_request: not asked")), "{granted:#}");
    let denied = explain(&["/denied/x"]);
    assert_eq!(denied["answer"]["status"], 403);
    let rule = denied["steps"].as_array().unwrap().iter().find(|step| step["what"] == "access").unwrap();
    assert_eq!((&rule["rule"], &rule["client"]), (&json!("deny 127.0.0.0/8"), &json!("127.0.0.1")));
    assert_eq!((site.runs(), site.fpm.count("asked")), (0, 0), "nothing was sent");
}
