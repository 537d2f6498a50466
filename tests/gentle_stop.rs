//! `docker/fpm/serve.pl`, which starts php-fpm in our container: its stop throws nobody out. Without cornac, which meets a stop only now and
//! then in the moment that matters.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::{Fpm, Listen, record, wait_until};

const CLIENTS: usize = 12;
const STOPS: usize = 3;

/// For php-fpm's ping page, on a connection that php-fpm closes.
fn ping() -> Vec<u8> {
    let mut params = vec![];
    for (name, value) in
        [("SCRIPT_NAME", "/fpm-ping"), ("SCRIPT_FILENAME", "/fpm-ping"), ("REQUEST_METHOD", "GET")]
    {
        params.extend([name.len() as u8, value.len() as u8]);
        params.extend_from_slice(name.as_bytes());
        params.extend_from_slice(value.as_bytes());
    }
    let responder = [0, 1, 0, 0, 0, 0, 0, 0];
    [record(1, 1, &responder), record(4, 1, &params), record(4, 1, b""), record(5, 1, b"")].concat()
}

/// Asks again and again until nobody listens, and counts the answers.
fn ask_until_refused(address: SocketAddr, answered: &AtomicUsize) {
    loop {
        let mut connection = match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            Err(error) => panic!("neither let in nor refused: {error}"),
        };
        let mut reply = vec![];
        let all = connection.write_all(&ping()).and_then(|()| connection.read_to_end(&mut reply));
        assert!(reply.windows(4).any(|word| word == b"pong"), "let in and thrown out: {all:?}");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whoever_is_let_in_before_a_stop_is_answered_and_whoever_comes_later_is_refused() {
    let mut fpm = Fpm::builder("a").global("process_control_timeout", "60s").gentle().start();
    let &Listen::Tcp(address) = fpm.listen() else { unreachable!("asked for TCP") };
    for _ in 0..STOPS {
        let answered = AtomicUsize::new(0);
        thread::scope(|scope| {
            (0..CLIENTS).for_each(|_| drop(scope.spawn(|| ask_until_refused(address, &answered))));
            let all_ask = || answered.load(Ordering::Relaxed) > 10 * CLIENTS;
            let asked = wait_until(Duration::from_secs(20), all_ask);
            fpm.stop();
            assert!(asked, "{}", fpm.log());
        });
        fpm.restart();
    }
}
