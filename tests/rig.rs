//! The rig itself: real php-fpm and real nginx answer the fixtures, and what the rig says about them is true. cornac has no part in
//! this: when a test of cornac fails and these pass, it is cornac.

mod support;

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use fastcgi_client::{Client, Params, Request};
use serde_json::{Value, json};
use support::http::{self, BodyReader, Broken, Connection};
use support::{
    Answer, Cornac, Fpm, Listen, Load, Nginx, Pm, Signal, big_bytes, fixtures, free_port, record, wait_until,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Asks php-fpm through an independent FastCGI client. Returns the CGI reply's head and body.
async fn ask(fpm: &Fpm, params: Params<'_>, body: &[u8]) -> (String, Vec<u8>) {
    match fpm.listen() {
        Listen::Tcp(address) => {
            exchange(TcpStream::connect(address).await.expect("php-fpm listens"), params, body).await
        }
        Listen::Unix(path) => {
            exchange(UnixStream::connect(path).await.expect("php-fpm listens"), params, body).await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    params: Params<'_>,
    body: &[u8],
) -> (String, Vec<u8>) {
    let request = Request::new_tokio(params, body);
    let reply = Client::new_tokio(stream).execute_once(request).await.expect("a whole reply");
    let stdout = reply.stdout.expect("php said something");
    let end = stdout.windows(4).position(|window| window == b"\r\n\r\n").expect("a CGI head");
    (String::from_utf8(stdout[..end].to_vec()).expect("a UTF-8 head"), stdout[end + 4..].to_vec())
}

fn script_params(path: &Path, path_info: &str) -> Params<'static> {
    Params::default()
        .request_method("GET")
        .script_filename(path.display().to_string())
        .script_name("/index.php")
        .request_uri(format!("/index.php{path_info}"))
        .custom("PATH_INFO", path_info.to_owned())
        .query_string("q=1")
}

/// nginx as the ThinkPHP blogs have it (`config/thinkphp.toml` is the same for cornac).
fn thinkphp(fpm: &Fpm) -> Nginx {
    let root = fixtures("tp/public").display().to_string();
    let server = fpm.server();
    Nginx::start(&format!(
        r"
        root {root};
        index index.php;
        location / {{
            if (!-e $request_filename) {{ rewrite ^/(.*)$ /index.php/$1 last; }}
        }}
        location ~ ^(.+\.php)(.*)$ {{
            fastcgi_split_path_info ^(.+\.php)(.*)$;
            include fastcgi_params;
            fastcgi_param PATH_INFO $fastcgi_path_info;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_pass {server};
        }}"
    ))
}

#[tokio::test]
async fn php_fpm_shows_the_params_and_the_body_that_a_foreign_client_sent() {
    for fpm in [Fpm::start("unix-member"), Fpm::builder("tcp-member").tcp().start()] {
        let params = script_params(&fixtures("tp/public/index.php"), "/echo/show/name/value")
            .request_method("POST")
            .content_type("application/octet-stream")
            .content_length(3)
            .custom("HTTP_X_TEST", "yes");
        let (head, body) = ask(&fpm, params, b"abc").await;
        assert!(head.contains("Content-Type: application/json"), "{head}");
        assert!(head.contains(&format!("X-Fixture-Member: {}", fpm.member())), "{head}");

        let echo: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(echo["member"], fpm.member());
        assert_eq!(echo["route"], "echo/show/name/value");
        assert_eq!(echo["input"], json!({ "q": "1", "name": "value" }));
        assert_eq!(echo["params"]["HTTP_X_TEST"], "yes");
        assert_eq!(echo["params"]["PATH_INFO"], "/echo/show/name/value");
        assert_eq!(echo["params"].get("FIXTURE_MEMBER"), None, "the pool's environment is not a param");
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(echo["body"], json!({ "length": 3, "sha256": digest }));
        assert!(fpm.worker_pids().contains(&(echo["pid"].as_u64().unwrap() as u32)));
    }
}

#[tokio::test]
async fn a_value_that_is_not_utf_8_is_shown_as_hex() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    let mut connection = Connection::open(nginx.address());
    connection.send(b"GET /echo/a/%FF%FE HTTP/1.1\r\nHost: x\r\nX-Raw: \xff\r\nConnection: close\r\n\r\n");
    let echo = connection.response().json();
    assert_eq!(echo["params"]["HTTP_X_RAW"], json!({ "hex": "ff" }));
    assert_eq!(echo["params"]["PATH_INFO"], json!({ "hex": "2f6563686f2f612ffffe" }));
}

#[test]
fn nginx_routes_by_path_info_as_thinkphp_wants() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    for target in ["/index.php/echo/show/k/v?q=1", "/echo/show/k/v?q=1"] {
        let echo = http::get(nginx.address(), target).json();
        assert_eq!(echo["params"]["PATH_INFO"], "/echo/show/k/v", "{target}");
        assert_eq!(echo["params"]["SCRIPT_NAME"], "/index.php", "{target}");
        assert_eq!(echo["params"]["REQUEST_URI"], target);
        assert_eq!(echo["params"]["REDIRECT_STATUS"], "200");
        assert_eq!(echo["input"], json!({ "q": "1", "k": "v" }));
    }
    let by_query = http::get(nginx.address(), "/index.php?s=/echo/show/k/v").json();
    assert_eq!(by_query["input"]["k"], "v");
    assert_eq!(http::get(nginx.address(), "/admin.php/user").json()["entry"], "admin.php");
    let chinese = http::get(nginx.address(), "/%E4%B8%AD%E6%96%87/%E9%A1%B5%E9%9D%A2.php/x").json();
    assert_eq!(chinese["params"]["SCRIPT_NAME"], "/中文/页面.php");
    assert_eq!(http::get(nginx.address(), "/style.css").header("content-type"), Some("text/css"));
    assert_eq!(http::get(nginx.address(), "/").member(), "a");
    assert_eq!(http::get(nginx.address(), "/nowhere").status, 404);
}

#[test]
fn every_controller_does_what_its_name_says() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    let get = |target: &str| http::get(nginx.address(), target);

    assert_eq!(get("/json").json()["ok"], true);
    assert_eq!((get("/status/404").status, get("/status/503").status), (404, 503));
    assert_eq!((get("/error").status, get("/fatal").status, get("/fatal/memory").status), (500, 500, 500));
    assert!(get("/error").text().contains("thrown on purpose &lt;by&gt;"));
    assert_eq!((get("/redirect").status, get("/redirect/status/code/308").status), (302, 308));
    assert!(get("/redirect/absolute").header("location").unwrap().starts_with("https://example.org/"));
    assert_eq!(get("/headers/index/long/2000").header_all("set-cookie").len(), 3);
    assert_eq!(get("/headers/index/long/2000").header_all("link").len(), 2);
    assert_eq!(get("/headers?long=2000").header("x-long").unwrap().len(), 2_000);
    assert_eq!(get("/headers/location").header("location"), Some("/中文/说明.txt?q=ä"));
    assert_eq!(get("/headers/many/count/50").header("x-many-49"), Some("49"));
    assert_eq!(get("/headers/encoded").header("content-encoding"), Some("gzip"));
    assert_eq!(get("/stderr").json()["logged"], true);

    let started = Instant::now();
    assert_eq!(get("/sleep/150").json()["slept_ms"], 150);
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_session_counts_over_requests() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    let first = http::get(nginx.address(), "/session");
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let second = http::request(nginx.address(), "GET", "/session", &[("Cookie", &cookie)], b"");
    assert_eq!((first.json()["visits"].clone(), second.json()["visits"].clone()), (json!(1), json!(2)));
}

#[test]
fn big_replies_and_uploads_have_the_digest_that_both_sides_compute() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    let size = 3 * 65_536 + 12_345;
    assert!(http::get(nginx.address(), &format!("/big/{size}")).body == big_bytes(size));
    let sized = http::get(nginx.address(), &format!("/big/{size}?length=1"));
    assert_eq!((sized.header("content-length"), sized.body.len()), (Some("208953"), size));

    let expected = http::get(nginx.address(), &format!("/big/digest/bytes/{size}")).json();
    let raw = http::request(nginx.address(), "PUT", "/upload", &[], &big_bytes(size)).json();
    assert_eq!((&raw["body"]["sha256"], &raw["body"]["length"]), (&expected["sha256"], &json!(size)));

    let mut form = b"--XX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nT\r\n--XX\r\nContent-Disposition: form-data; \
        name=\"f\"; filename=\"big.bin\"\r\nContent-Type: application/x-big\r\n\r\n"
        .to_vec();
    form.extend(big_bytes(size));
    form.extend(b"\r\n--XX--\r\n");
    let kind = [("Content-Type", "multipart/form-data; boundary=XX")];
    let upload = http::request(nginx.address(), "POST", "/upload", &kind, &form).json();
    assert_eq!(upload["post"], json!({ "title": "T" }));
    assert_eq!(
        (&upload["files"][0]["sha256"], &upload["files"][0]["name"]),
        (&expected["sha256"], &json!("big.bin"))
    );
}

#[test]
fn a_streamed_reply_comes_in_pieces_and_in_time() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    let mut connection = Connection::open(nginx.address());
    connection.send("GET /stream?chunks=3&ms=150&unbuffered=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut body = BodyReader::of(&connection.head().unwrap(), "GET").unwrap();
    let first = body.next(&mut connection).unwrap().unwrap();
    assert_eq!(first, b"chunk 1 of 3 \n");
    let first_seen = Instant::now();
    let mut rest = vec![];
    while let Some(piece) = body.next(&mut connection).unwrap() {
        rest.extend(piece);
    }
    assert_eq!(rest, b"chunk 2 of 3 \nchunk 3 of 3 \n");
    assert!(first_seen.elapsed() >= Duration::from_millis(200), "the first chunk waited for the others");
}

#[test]
fn finish_goes_on_after_the_reply_and_a_count_is_seen_without_php() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    assert_eq!(fpm.count("after"), 0);
    assert_eq!(http::get(nginx.address(), "/finish?ms=200&name=after&count=before").json()["finished"], true);
    assert_eq!((fpm.count("before"), fpm.count("after")), (1, 0));
    assert!(wait_until(Duration::from_secs(5), || fpm.count("after") == 1));
    assert_eq!(http::get(nginx.address(), "/count/visits").json()["runs"], 1);
    assert_eq!(http::get(nginx.address(), "/count/visits").json()["runs"], 2);
    assert_eq!(fpm.count("visits"), 2);
}

#[test]
fn a_gate_holds_a_script_until_the_test_opens_it_and_runs_at_once_are_counted() {
    let fpm = Fpm::builder("a").workers(2).start();
    let nginx = thinkphp(&fpm);
    let mut held = Connection::open(nginx.address());
    held.send("GET /gate/held?first=begun&unbuffered=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut body = BodyReader::of(&held.head().unwrap(), "GET").unwrap();
    assert_eq!(body.next(&mut held).unwrap().unwrap(), b"begun");
    fpm.wait_for_count("held", 1);
    fpm.open_gate("held");
    assert_eq!(body.next(&mut held).unwrap().unwrap(), b"through\n");
    assert_eq!(http::get(nginx.address(), "/gate/held").text(), "through\n");

    let answers = Load::until(nginx.address(), 4, 10, |_, _| "/concurrent/runs?ms=4").join();
    Answer::all_are_200(&answers);
    assert_eq!((answers.len(), Answer::of_member(&answers, "a")), (40, 40));
    assert_eq!(std::fs::read_to_string(fpm.counters().join("runs")).unwrap(), "0 2");
}

#[test]
fn php_in_an_image_does_not_run_and_php_itself_refuses_it() {
    let fpm = Fpm::start("a");
    let nginx = thinkphp(&fpm);
    let image = http::get(nginx.address(), "/uploads/photo.jpg");
    assert!(image.body.starts_with(b"\xff\xd8"), "served as an image, source and all");
    assert_eq!(
        http::get(nginx.address(), "/uploads/photo.jpg/a.php").status,
        403,
        "security.limit_extensions"
    );
    assert_eq!(fpm.count("photo"), 0);
}

#[test]
fn the_other_roots_answer_too() {
    let fpm = Fpm::start("a");
    let front = |root: &str| {
        Nginx::start(&format!(
            r"
            root {};
            index index.php index.html;
            location / {{ try_files $uri $uri/ /index.php$is_args$args; }}
            location ~ \.php(/|$) {{
                fastcgi_split_path_info ^(.+?\.php)(/.*)?$;
                include fastcgi_params;
                fastcgi_param PATH_INFO $fastcgi_path_info;
                fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
                fastcgi_pass {};
            }}",
            fixtures(root).display(),
            fpm.server()
        ))
    };
    let wordpress = front("wordpress");
    let entry = |nginx: &Nginx, target: &str| http::get(nginx.address(), target).json()["entry"].clone();
    let post = http::get(wordpress.address(), "/2024/05/hello-%E4%B8%AD/?p=1").json();
    assert_eq!((&post["entry"], &post["permalink"]), (&json!("index.php"), &json!("2024/05/hello-中")));
    assert_eq!(entry(&wordpress, "/wp-login.php"), "wp-login.php");
    assert_eq!(entry(&wordpress, "/wp-admin/"), "wp-admin/index.php");

    let plain = front("plain");
    let params = http::get(plain.address(), "/params.php/a/b.c?x=1").json();
    assert_eq!(params["params"]["PATH_INFO"], "/a/b.c");
    assert_eq!(entry(&plain, "/folder/"), "folder/index.php");
    assert_eq!(entry(&plain, "/folder/deep/script.php"), "folder/deep/script.php");
    assert_eq!(http::get(plain.address(), "/hello.php").text(), "hello\n");
    assert_eq!(http::get(plain.address(), "/folder").status, 301);
    assert_eq!(http::get(plain.address(), "/empty/").status, 403);
}

#[test]
fn a_killed_worker_is_a_truncated_reply_and_the_master_starts_another() {
    let fpm = Fpm::builder("a").workers(2).start();
    let nginx = thinkphp(&fpm);
    assert!(wait_until(Duration::from_secs(5), || fpm.worker_pids().len() == 2));
    let killed = fpm.kill_worker();
    assert!(wait_until(Duration::from_secs(5), || fpm.worker_pids().len() == 2
        && !fpm.worker_pids().contains(&killed)));
    let unbuffered = http::try_request(nginx.address(), "GET", "/exitmid?declared=5000&sent=100", &[], b"");
    assert!(matches!(unbuffered, Err(Broken::Truncated { so_far }) if so_far.body.len() == 100));
    assert_eq!(http::get(nginx.address(), "/fatal/kill").status, 502);
    assert!(fpm.log().contains("signal 9"), "{}", fpm.log());
}

#[test]
fn a_pool_can_be_stopped_killed_and_started_again_on_its_address() {
    let mut fpm = Fpm::builder("a").tcp().pm(Pm::Dynamic).workers(3).max_requests(100).backlog(16).start();
    let nginx = thinkphp(&fpm);
    assert_eq!(http::get(nginx.address(), "/json").status, 200);
    fpm.stop();
    assert_eq!(http::get(nginx.address(), "/json").status, 502);
    fpm.restart();
    assert_eq!(http::get(nginx.address(), "/json").status, 200);
    fpm.kill();
    fpm.restart();
    assert_eq!(http::get(nginx.address(), "/json").status, 200);
    let pid = fpm.pid();
    drop(fpm);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "php-fpm outlived its value");
}

#[tokio::test]
async fn settings_reach_php_and_its_status_page_answers() {
    let fpm = Fpm::builder("a")
        .pm(Pm::Ondemand)
        .env("FIXTURE_MEMBER", "renamed")
        .ini("memory_limit", "77M")
        .start();
    let (_, body) = ask(&fpm, script_params(&fixtures("plain/params.php"), ""), b"").await;
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["member"], "renamed");
    let status =
        Params::default().request_method("GET").script_filename("/fpm-status").script_name("/fpm-status");
    let (_, body) = ask(&fpm, status.query_string("json"), b"").await;
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["process manager"], "ondemand");
    let ping = Params::default().request_method("GET").script_filename("/fpm-ping").script_name("/fpm-ping");
    assert_eq!(ask(&fpm, ping, b"").await.1, b"pong");
}

/// FastCGI 1.0 §4.1. So one request at a time on a connection, and nothing else to be learnt by asking.
#[test]
fn php_fpm_says_of_itself_only_that_it_does_not_multiplex() {
    let fpm = Fpm::builder("a").tcp().start();
    let Listen::Tcp(address) = fpm.listen() else { unreachable!("asked for TCP") };
    let mut asks = std::net::TcpStream::connect(address).expect("php-fpm listens");
    let mut names = vec![];
    for name in ["FCGI_MPXS_CONNS", "FCGI_MAX_CONNS", "FCGI_MAX_REQS"] {
        names.extend([name.len() as u8, 0]);
        names.extend(name.bytes());
    }
    let (get_values, result) = (9, 10);
    asks.write_all(&record(get_values, 0, &names)).expect("php-fpm reads");
    let mut header = [0; 8];
    asks.read_exact(&mut header).expect("a record");
    assert_eq!((header[1], header[4]), (result, 0));
    let mut values = vec![0; header[5].into()];
    asks.read_exact(&mut values).expect("its content");
    assert_eq!(values, b"\x0f\x01FCGI_MPXS_CONNS0");
}

#[test]
#[should_panic(expected = "php-fpm ended (exit status: 78)")]
fn a_php_fpm_that_cannot_start_fails_at_once_and_with_its_own_words() {
    Fpm::builder("a").directive("pm.max_children", "none").start();
}

#[test]
fn a_command_of_cornac_ends_and_shows_its_status() {
    assert!(Cornac::command(&["--version"]).status.success());
}

#[test]
fn ports_are_never_given_twice() {
    let ports: Vec<_> = (0..200).map(|_| free_port()).collect();
    let mut numbers: Vec<_> = ports.iter().map(support::Port::number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 200);
}

#[test]
fn a_signal_by_pid_ends_a_process() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    support::signal(child.id(), Signal::TERM);
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}
