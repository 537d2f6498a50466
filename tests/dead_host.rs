//! A host that dies without a word while it has requests: no packet says that it is gone.
//!
//! Real php-fpm in a network namespace of its own, at the other end of a virtual cable that is cut.

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::http::{Connection, Response};
use support::{Cornac, Fpm, Tp, server};

/// Longer than cornac's own patience with a script, which must not be what ends the wait.
const PATIENCE: Duration = Duration::from_secs(90);

/// A machine of its own, as far as the network goes.
#[derive(Debug)]
struct Host {
    name: String,
    address: SocketAddr,
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).output().is_ok_and(|output| output.status.success())
}

impl Host {
    /// `None` where this machine does not let us.
    fn plug_in() -> Option<Self> {
        let number = std::process::id();
        let name = format!("cornac{number}");
        // A network of four addresses in the range for benchmarks (RFC 2544), by our process id.
        let net = format!("198.18.{}.", number / 64 % 256);
        let (ours, theirs) = (number % 64 * 4 + 1, number % 64 * 4 + 2);
        let host = Self { address: format!("{net}{theirs}:9000").parse().expect("an address"), name };
        let name = &host.name;
        let built = ip(&format!("netns add {name}"))
            && ip(&format!("link add {name} type veth peer name eth0 netns {name}"))
            && ip(&format!("addr add {net}{ours}/30 dev {name}"))
            && ip(&format!("-n {name} addr add {net}{theirs}/30 dev eth0"))
            && ip(&format!("link set {name} up"))
            && ip(&format!("-n {name} link set eth0 up"));
        built.then_some(host)
    }

    /// From now on nothing arrives there, and nothing comes from there.
    fn pull_the_plug(&self) {
        assert!(ip(&format!("-n {} link set eth0 down", self.name)));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The cable goes with its end.
        ip(&format!("netns del {}", self.name));
    }
}

/// Asks in a thread of its own, and waits as long as it takes.
fn asks(cornac: &Cornac, method: &'static str, target: &str) -> thread::JoinHandle<Response> {
    let mut client = Connection::open(cornac.address());
    client.silence(PATIENCE);
    let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    thread::spawn(move || {
        client.send(request);
        client.try_response(method).expect("an answer")
    })
}

#[test]
fn a_host_that_dies_with_requests_loses_no_get_and_runs_no_post_twice() {
    let Some(host) = Host::plug_in() else {
        return eprintln!("not seen here: it takes the right to make network namespaces");
    };
    let dies = Fpm::builder("dies").at(host.address).inside(&host.name).start();
    let other = Fpm::start("other");
    // A script may take as long as it likes.
    let pool = "timeouts = { first_byte = \"1h\" }\nkeepalive = { mode = \"on\" }";
    let cornac = Tp::with_servers(vec![server(&dies, "max_fails = 0"), server(&other, "backup = true")])
        .pool(pool)
        .start();
    assert_eq!(cornac.get("/json").member(), "dies");

    // Two that the scripts have, and one that is sent into the void, on a connection that lies idle.
    let runs = [("GET", "/gate/get?n=1"), ("POST", "/gate/post?n=2")].map(|(method, target)| {
        let asking = asks(&cornac, method, target);
        dies.wait_for_count(&method.to_lowercase(), 1);
        asking
    });
    other.open_gate("get");
    host.pull_the_plug();
    let sent_after = asks(&cornac, "GET", "/json?n=3");

    let [get, post] = runs.map(|asking| asking.join().expect("an answer"));
    assert_eq!((get.status, get.member()), (200, "other"));
    assert_eq!((post.status, dies.count("post"), other.count("post")), (504, 1, 0));
    let sent_after = sent_after.join().expect("an answer");
    assert_eq!((sent_after.status, sent_after.member()), (200, "other"));
    cornac.wait_for_log("its host is gone");
    for (target, tries) in [("/gate/get?n=1", 2), ("/gate/post?n=2", 1), ("/json?n=3", 2)] {
        assert_eq!(cornac.entry(target)["tries"], tries, "{target}");
    }
}
