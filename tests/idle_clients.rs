//! Clients that say nothing, or say it slowly: what they cost, how long they are waited for, and who leaves when there are too many.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::http::{Broken, Connection};
use support::pki::Authority;
use support::tls::{Tls, Trust};
use support::{Cornac, Fpm, Root, Scratch, free_port, wait_until};

const LONG: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_millis(1);

fn serving(root: &Root, server: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[server]\nthreads = 2\n{server}\n[[sites]]\nlisten = \"{listen}\"\nroot = {:?}\n",
            root.path()
        )
    })
}

fn root() -> Root {
    Root::new().file("a.txt", "a").file("large.bin", "x".repeat(8 << 20))
}

fn open_files(cornac: &Cornac) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", cornac.pid())).expect("it runs").count()
}

fn is_served(cornac: &Cornac) -> bool {
    cornac.get("/a.txt").status == 200
}

/// The usual soft limit of open files is 1024.
fn allow_many_clients() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
}

// The allocator keeps up to 2 MB of half empty pages, whatever was there before: of so many clients it is next to nothing for each.

#[test]
fn four_thousand_idle_clients_cost_four_kilobytes_each_and_are_answered_when_they_ask_again() {
    const CLIENTS: u64 = 4000;
    allow_many_clients();
    let root = root();
    let cornac = serving(&root, "");
    // What threads and allocator need once is not a client's.
    let warm: Vec<_> = (0..50).map(|_| Connection::open(cornac.address())).collect();
    for mut client in warm {
        assert_eq!(client.get("/a.txt").status, 200);
    }
    let before = cornac.heap_kib();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Connection::open(cornac.address())).collect();
    for round in 0..2 {
        for client in &mut clients {
            assert_eq!(client.get("/a.txt").status, 200, "round {round}");
        }
        let each = || cornac.heap_kib().saturating_sub(before) * 1024 / CLIENTS;
        assert!(wait_until(LONG, || each() <= 4096), "{} bytes each in round {round}", each());
    }
}

#[test]
fn idle_clients_over_tls_cost_no_more_than_with_nginx_and_are_answered_when_they_ask_again() {
    const CLIENTS: u64 = 2000;
    // Measured beside nginx 1.22.
    const OF_NGINX: u64 = 14_900;
    allow_many_clients();
    let (root, scratch, authority) = (root(), Scratch::new(), Authority::new("ours"));
    let tls = authority.signs(&["localhost"]).toml(&scratch, "a");
    let cornac = Cornac::serving(|listen| {
        format!(
            "[server]\nthreads = 2\n[[sites]]\nlisten = \"{listen}\"\nroot = {:?}\ntls = {tls}\n",
            root.path()
        )
    });
    let trust = Trust::of(&authority).speaking(&["http/1.1"]);
    let open = |_| trust.connect(cornac.address(), "localhost").expect("a handshake");
    let ask = |client: &mut Tls| assert!(client.get("localhost", "/a.txt").ends_with("\r\n\r\na"));
    (0..50).map(open).for_each(|mut client| ask(&mut client));
    let before = cornac.heap_kib();
    let mut clients: Vec<_> = (0..CLIENTS).map(open).collect();
    for round in 0..2 {
        clients.iter_mut().for_each(ask);
        let each = || cornac.heap_kib().saturating_sub(before) * 1024 / CLIENTS;
        let mut calm = || {
            clients.iter_mut().take(8).for_each(ask);
            each() <= OF_NGINX
        };
        assert!(wait_until(LONG, &mut calm), "{} bytes each in round {round}", each());
    }
}

#[test]
fn whoever_is_idle_for_longer_leaves_for_a_newcomer() {
    let root = root();
    let cornac = serving(&root, "max_connections = 8");
    let ask = |client: &mut Connection| assert_eq!(client.get("/a.txt").status, 200);
    let mut clients: Vec<_> = (0..8).map(|_| Connection::open(cornac.address())).collect();
    clients.iter_mut().for_each(ask);
    // Which of them was idle first, by some milliseconds, is not the test's to say; nobody among them asks any more.
    let closed = |clients: &mut [Connection]| {
        clients.iter_mut().filter_map(|client| client.is_closed(MOMENT).then_some(())).count()
    };
    let mut newcomers = vec![];
    for leave in 1..=4 {
        let mut client = Connection::open(cornac.address());
        ask(&mut client);
        newcomers.push(client);
        assert!(wait_until(LONG, || closed(&mut clients) == leave), "{leave} of the old ones leave");
    }
    newcomers.iter_mut().for_each(ask);
    assert_eq!(closed(&mut clients), 4, "no more than had to");
}

#[test]
fn whoever_says_nothing_before_a_first_request_leaves_for_a_newcomer() {
    let root = root();
    for door in ["tls = true", "http2 = true", "proxy_protocol = true"] {
        let (plain, silent) = (free_port(), free_port());
        let (to, quiet) = (plain.address(), silent.address());
        let listen =
            format!("{{ address = \"{plain}\", tls = false }}, {{ address = \"{silent}\", {door} }}");
        let certificate = if door.starts_with("tls") { "tls = \"self-signed\"" } else { "" };
        let text = format!(
            "[server]\nthreads = 2\nmax_connections = 8\n[[sites]]\nlisten = [{listen}]\nroot = {:?}\n{certificate}\n",
            root.path()
        );
        let _cornac = Cornac::run(&text, vec![plain, silent]);
        let mut crowd: Vec<_> = (0..8).map(|_| Connection::open(quiet)).collect();
        // The beginning of a handshake, of the preface, of a header; a byte now and then buys no time.
        let first: &[u8] = if door.starts_with("tls") { &[22, 3, 1] } else { b"PR" };
        crowd.iter_mut().step_by(2).for_each(|client| client.send(first));
        let mut newcomers = vec![];
        for leave in 1..=4 {
            let mut client = Connection::open(to);
            assert_eq!(client.get("/a.txt").text(), "a", "{door}");
            newcomers.push(client);
            let mut closed =
                || crowd.iter_mut().filter_map(|one| one.is_closed(MOMENT).then_some(())).count();
            assert!(wait_until(LONG, || closed() == leave), "{leave} of the silent ones leave: {door}");
        }
    }
}

#[test]
fn a_request_that_comes_in_halves_around_a_long_pause_is_answered() {
    let root = root();
    let cornac = serving(&root, "");
    let mut client = Connection::open(cornac.address());
    client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /a.t");
    assert_eq!(client.response().status, 200);
    // Longer than it takes until an idle connection is put aside.
    thread::sleep(Duration::from_millis(1500));
    client.send("xt HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "a");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(client.get("/a.txt").text(), "a");
}

#[test]
fn idle_clients_are_let_go_after_keepalive_timeout_and_keepalive_requests() {
    let root = root();
    let cornac = serving(&root, "keepalive_timeout = \"1s\"\nkeepalive_requests = 3");
    let mut client = Connection::open(cornac.address());
    assert_eq!(client.get("/a.txt").header("connection"), None);
    assert!(client.is_closed(LONG));
    let mut client = Connection::open(cornac.address());
    let last: Vec<_> = (0..3).map(|_| client.get("/a.txt").header("connection").map(str::to_owned)).collect();
    assert_eq!(last, [None, None, Some("close".to_owned())]);
    assert!(matches!(client.head(), Err(Broken::Closed)));
}

#[test]
fn heads_that_never_end_hold_nothing_for_long() {
    let root = root();
    let cornac = serving(&root, "client_header_timeout = \"1s\"");
    assert!(is_served(&cornac));
    let before = open_files(&cornac);
    let mut slow: Vec<_> =
        (0..200).map(|_| TcpStream::connect(cornac.address()).expect("it listens")).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        // Some say nothing at all.
        if number % 4 > 0 {
            stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX-A: ").expect("it is there");
        }
    }
    assert!(is_served(&cornac), "the others do not wait");
    let dripped = wait_until(LONG, || {
        // A byte now and then buys no time.
        slow.retain_mut(|stream| stream.write_all(b"x").is_ok());
        open_files(&cornac) <= before + 2
    });
    assert!(dripped, "{} files are open, {before} before", open_files(&cornac));
}

#[test]
fn bodies_that_never_end_get_408_and_no_worker() {
    let fpm = Fpm::start("a");
    let root = Root::new().script("index.php");
    let cornac = Cornac::serving(|listen| {
        format!(
            "[server]\nclient_body_timeout = \"1s\"\n[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = {listen:?}\nroot = {:?}\npreset = \"plain\"\n",
            fpm.server(),
            root.path()
        )
    });
    let mut slow: Vec<_> = (0..50).map(|_| Connection::open(cornac.address())).collect();
    for client in &mut slow {
        client.send("POST /index.php HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    }
    assert_eq!(cornac.get("/index.php").status, 200, "the others do not wait");
    for client in &mut slow {
        assert_eq!(client.response().status, 408);
    }
}

#[test]
fn readers_that_stop_hold_nothing_for_long() {
    let root = root();
    let cornac = serving(&root, "send_timeout = \"1s\"");
    assert!(is_served(&cornac));
    let before = open_files(&cornac);
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(cornac.address()).expect("it listens");
            stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is there");
            stream
        })
        .collect();
    assert!(is_served(&cornac), "the others do not wait");
    let freed = wait_until(LONG, || open_files(&cornac) <= before + 2);
    assert!(freed, "{} files are open, {before} before", open_files(&cornac));
    drop(slow);
}
