//! Wrong configurations and wrong requests: each mistake is told with its place and its remedy, and a running server
//! never stops because of one.

mod support;

use std::net::TcpListener;
use std::time::Duration;

use support::http::{self, Connection};
use support::{Cornac, Finished, Fpm, Scratch, Tp, fixtures, free_port};

/// A fine configuration, to be spoilt line by line.
fn fine() -> String {
    format!(
        "[server]\nlog = \"info\"\n\n[pools.php]\nservers = [\"127.0.0.1:9000\"]\n\n[[sites]]\nlisten = \
         [\"127.0.0.1:8080\"]\nroot = \"{}\"\npreset = \"thinkphp\"\n",
        fixtures("tp/public").display()
    )
}

fn check(toml: &str) -> Finished {
    command("check", toml)
}

fn command(command: &str, toml: &str) -> Finished {
    let folder = Scratch::new();
    let file = folder.write("cornac.toml", toml);
    Cornac::command(&[command, "-c", file.to_str().expect("a UTF-8 path")])
}

/// `check` and `run` refuse it alike, at this place (`line:` or `line:column:`) and with each of the words; and nothing panics.
#[track_caller]
fn assert_refused(toml: &str, place: &str, words: &[&str]) {
    for name in ["check", "run"] {
        let refused = command(name, toml);
        assert_eq!(refused.status.code(), Some(1), "{name} of\n{toml}said:\n{}", refused.text);
        let first = format!("cornac.toml:{place}");
        assert!(refused.text.contains(&first), "{first:?} is not in what {name} said:\n{}", refused.text);
        for word in words {
            assert!(refused.text.contains(word), "{word:?} is not in what {name} said:\n{}", refused.text);
        }
        assert!(!refused.text.contains("panicked"), "{}", refused.text);
    }
}

#[test]
fn a_fine_configuration_is_told_so() {
    let checked = check(&fine());
    assert_eq!((checked.status.code(), checked.text.contains("fine")), (Some(0), true), "{}", checked.text);
}

#[test]
fn toml_that_is_none_is_told_with_its_place() {
    assert_refused(
        &fine().replace("servers = [\"127.0.0.1:9000\"]", "servers = [\"127.0.0.1:9000\""),
        "7:1:",
        &["never closed"],
    );
    assert_refused(&fine().replace("[pools.php]", "[pools.php"), "4:", &[]);
    assert_refused(&fine().replace("\"thinkphp\"", "thinkphp"), "10:", &[]);
    assert_refused(&fine().replace("[server]", "[server]\nlog = \"warn\""), "3:", &[]);
    assert_refused("\u{0}\u{1}garbage\u{1b}[31m", "1:1:", &[]);
    assert_refused("[[[[[[[[", "1:", &[]);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    assert_refused(&fine().replace("servers", "server"), "5:1:", &["server", "servers"]);
    assert_refused(&fine().replace("preset", "prset"), "10:1:", &["prset", "preset"]);
    assert_refused(&fine().replace("[pools.php]", "[pool.php]"), "4:", &["pools"]);
    assert_refused(&fine().replace("\"thinkphp\"", "\"tinkphp\""), "10:", &["thinkphp"]);
    let policy = "[pools.php]\npolicy = \"least_con\"";
    assert_refused(&fine().replace("[pools.php]", policy), "5:10:", &["least_conn"]);
}

#[test]
fn what_is_specified_but_not_built_is_refused_and_not_ignored() {
    let protocol = "[pools.php]\nprotocol = \"http\"";
    assert_refused(&fine().replace("[pools.php]", protocol), "5:12:", &["not supported yet"]);
}

#[test]
fn a_certificate_that_cannot_be_served_is_told() {
    let tls = fine() + "tls = { cert = \"a.pem\", key = \"b.pem\" }\n";
    assert_refused(&tls, "11:16:", &["a.pem does not exist", "hint: "]);
}

#[test]
fn a_missing_root_is_told_with_its_path() {
    let root = fixtures("tp/public").display().to_string();
    assert_refused(&fine().replace(&root, "/nonexistent/public"), "9:", &["/nonexistent/public", "hint: "]);
    let file = fixtures("tp/public/index.php").display().to_string();
    assert_refused(&fine().replace(&root, &file), "9:", &["index.php"]);
}

#[test]
fn a_pool_without_servers_and_a_site_without_a_pool_are_told() {
    assert_refused(&fine().replace("[\"127.0.0.1:9000\"]", "[]"), "5:", &["hint: "]);
    assert_refused(&fine().replace("servers = [\"127.0.0.1:9000\"]\n", ""), "4:", &["servers"]);
    let no_pool = fine().replace("[pools.php]\nservers = [\"127.0.0.1:9000\"]\n", "");
    assert_refused(&no_pool, "", &["pool"]);
    assert_refused(&(fine() + "pool = \"phq\"\n"), "11:", &["phq", "php"]);
    assert_refused("", "", &["sites"]);
}

#[test]
fn duplicates_are_told() {
    let server = "\"127.0.0.1:9000\"";
    assert_refused(&fine().replace(server, &format!("{server}, {server}")), "5:30:", &["already"]);
    let twice = fine() + "\n[pools.php]\nservers = [\"127.0.0.1:9001\"]\n";
    assert_refused(&twice, "12:", &["php"]);
    let site = fine().split_once("[[sites]]").expect("a site").1.to_owned() + "names = [\"a.example\"]\n";
    let sites = fine() + "names = [\"a.example\"]\n[[sites]]" + &site;
    assert_refused(&sites, "", &["a.example"]);
}

#[test]
fn a_weight_of_0_is_told_with_what_was_meant() {
    let weight = "{ address = \"127.0.0.1:9000\", weight = 0 }";
    assert_refused(&fine().replace("\"127.0.0.1:9000\"", weight), "5:51:", &["down = true"]);
    let negative = weight.replace("weight = 0", "weight = -1");
    assert_refused(&fine().replace("\"127.0.0.1:9000\"", &negative), "5:51:", &[]);
}

#[test]
fn values_of_the_wrong_kind_are_told() {
    for (wrong, words) in [
        ("queue = { timeout = \"30 apples\" }", &["30 apples"][..]),
        ("queue = { size = \"many\" }", &["a number", "a string"]),
        ("keepalive = { mode = \"perhaps\" }", &["auto"]),
        ("timeouts = { connect = \"0s\" }", &[]),
        ("retry = { tries = 0 }", &[]),
        ("policy = \"hash\"", &["hash_key"]),
    ] {
        assert_refused(&fine().replace("[pools.php]", &format!("[pools.php]\n{wrong}")), "5:", words);
    }
    for server in
        ["127.0.0.1", "127.0.0.1:99999", "http://127.0.0.1:9000", "unix:", "/run/php.sock", "a b:9000", ""]
    {
        assert_refused(&fine().replace("127.0.0.1:9000", server), "5:", &["hint: "]);
    }
    for listen in ["127.0.0.1", "nowhere:8080", "127.0.0.1:70000", ""] {
        assert_refused(&fine().replace("127.0.0.1:8080", listen), "8:", &[]);
    }
}

#[test]
fn a_bad_regex_and_one_that_needs_look_around_are_told_at_their_place() {
    let route =
        |regex: &str| format!("{}\n[[sites.routes]]\nmatch = '~ {regex}'\ndeny = [\"all\"]\n", fine());
    assert_refused(&route("^/a(b"), "13:", &["regex"]);
    assert_refused(&route("^/a[z-a]"), "13:", &["regex"]);
    assert_refused(&route(r"^/\.(?!well-known)"), "13:", &["look-around", "hint: "]);
    assert_refused(&route(r"^/(a)\1$"), "13:", &["back-reference"]);
    let rewrite = fine() + "\n[[sites.routes]]\nmatch = \"/\"\nrewrite = [{ from = '(', to = '/' }]\n";
    assert_refused(&rewrite, "14:", &["regex"]);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file_each_with_line_and_caret() {
    let toml = "\
[server]
thread = 2
[pools.php]
servers = [\"127.0.0.1\", { address = \"b:9000\", weight = 0 }]
policy = \"roundrobin\"
queue = { sise = 3 }
[[sites]]
listen = [\"127.0.0.1:8080\"]
root = \"/nonexistent\"
preset = \"joomla\"
[[sites.routes]]
match = '~ ('
fastcgi = \"nosuchpool\"
";
    let checked = check(toml);
    assert_eq!(checked.status.code(), Some(1));
    let places: Vec<&str> = checked
        .text
        .lines()
        .filter_map(|line| line.split_once("cornac.toml:")?.1.split(':').next())
        .collect();
    assert_eq!(places, ["2", "4", "4", "5", "6", "9", "10", "12", "13"], "{}", checked.text);
    assert!(checked.text.matches('^').count() >= 9, "{}", checked.text);
    assert!(checked.text.contains("  queue = { sise = 3 }\n"), "the line itself: {}", checked.text);
}

#[test]
fn a_configuration_that_cannot_be_read_is_told() {
    for path in ["/nonexistent/cornac.toml", "/"] {
        let refused = Cornac::command(&["check", "-c", path]);
        assert_eq!((refused.status.code(), refused.text.contains(path)), (Some(1), true), "{}", refused.text);
    }
    let folder = Scratch::new();
    let file = folder.write("latin1.toml", b"# \xe4\n");
    let refused = Cornac::command(&["check", "-c", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.text.contains("UTF-8"), "{}", refused.text);
}

#[test]
fn bad_usage_is_2_and_shows_the_usage() {
    for args in [
        &["frobnicate"][..],
        &["run", "--nonsense"],
        &["check", "-c"],
        &["serve", "--workers", "0"],
        &["serve", "--listen", "nowhere"],
        &["explain", "a", "b"],
        &[],
    ] {
        let refused = Cornac::command(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", refused.text);
        assert!(refused.text.contains("--help"), "{}", refused.text);
    }
}

#[test]
fn a_port_in_use_is_a_3_that_says_what_to_do() {
    let port = free_port();
    let _other = TcpListener::bind(port.address()).expect("a free port");
    let refused = command("run", &fine().replace("127.0.0.1:8080", &port.to_string()));
    assert_eq!(refused.status.code(), Some(3), "{}", refused.text);
    for words in [port.to_string().as_str(), "another program"] {
        assert!(refused.text.contains(words), "{}", refused.text);
    }
}

#[test]
fn folders_that_are_not_there_are_told_before_anything_is_started() {
    for line in [
        "temp_dir = \"/nonexistent/tmp\"",
        "access_log = \"/nonexistent/log\"",
        "pid_file = \"/nonexistent/pid\"",
    ] {
        let toml = fine().replace("[server]", &format!("[server]\n{line}"));
        assert_refused(&toml, "2:", &["/nonexistent/", "does not exist"]);
    }
}

#[test]
fn a_php_socket_that_cannot_be_used_is_a_502_with_its_path_in_the_log_and_files_are_served() {
    let folder = Scratch::new();
    let no_socket = folder.write("file.sock", "not a socket");
    for path in ["/nonexistent/fpm.sock", no_socket.to_str().unwrap()] {
        let cornac = Tp::with_servers(vec![format!("\"unix:{path}\"")]).start();
        assert_eq!(cornac.get("/json").status, 502);
        cornac.wait_for_log(path);
        assert_eq!(cornac.get("/style.css").status, 200);
    }
}

/// Requests that no server must take. `{COUNT}` counts when php runs.
const GARBAGE: &[&[u8]] = &[
    b"\r\n\r\n\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\0\0\0\0\0\0\0\0\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /json?count=ran\r\n\r\n",
    b"GET /json?count=ran HTTP/0.9\r\n\r\n",
    b"GET /json?count=ran HTTP/1.10\r\nHost: x\r\n\r\n",
    b"GET /json?count=ran HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET  /json?count=ran HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\nHost: x\r\n folded: yes\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /json?count=ran HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx",
    b"POST /json?count=ran HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    b"POST /json?count=ran HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /json?count=ran HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /json?count=ran HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /json?count=ran HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    b"TRACE /json?count=ran HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a%00b.php HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET json?count=ran HTTP/1.1\r\nHost: x\r\n\r\n",
];

#[test]
fn garbage_is_refused_never_reaches_php_and_the_server_goes_on() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    for garbage in GARBAGE {
        let shown = garbage.escape_ascii();
        let mut client = Connection::open(cornac.address());
        client.silence(Duration::from_secs(10));
        client.send(garbage);
        client.finish_sending();
        let answer = client.read_to_end();
        let refused =
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 5");
        assert!(refused, "{shown} was answered {}", answer.escape_ascii());
        assert_eq!(fpm.count("ran"), 0, "php ran for {shown}");
        assert_eq!(cornac.get("/json").status, 200, "after {shown}");
    }
    assert!(!cornac.log().contains("panicked"), "{}", cornac.log());
}

#[test]
fn random_bytes_do_not_stop_the_server() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    for round in 0..100 {
        let mut bytes: Vec<u8> = (0..400).map(|_| random()).collect();
        if round % 2 == 0 {
            bytes.splice(0..0, *b"GET /index.php/json HTTP/1.1\r\nHost: x\r\n");
        }
        let mut client = Connection::open(cornac.address());
        drop(client.try_send(&bytes));
    }
    assert_eq!(cornac.get("/json").status, 200);
    assert!(!cornac.log().contains("panicked"), "{}", cornac.log());
}

#[test]
fn what_is_too_large_is_refused_with_its_own_status() {
    let fpm = Fpm::start("a");
    let cornac = Tp::over([&fpm]).start();
    let long = "a".repeat(100_000);
    let target = http::try_request(cornac.address(), "GET", &format!("/json?count=ran&{long}"), &[], b"");
    assert!(matches!(&target, Ok(reply) if matches!(reply.status, 414 | 431)), "{target:?}");
    let value = "v".repeat(70_000);
    let header = http::try_request(cornac.address(), "GET", "/json?count=ran", &[("X-Long", &value)], b"");
    assert!(matches!(&header, Ok(reply) if reply.status == 431), "{header:?}");
    let many: Vec<(String, String)> = (0..2_000).map(|n| (format!("X-{n}"), "v".repeat(100))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers = http::try_request(cornac.address(), "GET", "/json?count=ran", &many, b"");
    assert!(matches!(&headers, Ok(reply) if reply.status == 431), "{headers:?}");
    assert_eq!(fpm.count("ran"), 0);
    assert_eq!(cornac.get("/json").status, 200);
}
