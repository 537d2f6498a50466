//! Unix sockets that sites listen on: who may connect is the configuration's to say.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use support::{Cornac, Scratch, Signal, free_port, wait_until};

#[test]
fn a_socket_has_the_mode_that_is_written_and_a_reload_changes_it() {
    let (folder, port) = (Scratch::new(), free_port());
    let path = folder.join("http.sock");
    let toml = |mode: &str| {
        format!(
            "[[sites]]\nlisten = [\"{port}\", {{ address = \"unix:{}\", mode = \"{mode}\" }}]\n\
             routes = [{{ match = \"/\", return = {{ status = 204 }} }}]\n",
            path.display()
        )
    };
    let mode = || path.metadata().map_or(0, |found| found.permissions().mode() & 0o777);
    let first = toml("666");
    let second = toml("640");
    let cornac = Cornac::run(&first, vec![port]);
    // A port is open before all is ready; an answer comes behind that.
    assert_eq!((cornac.get("/").status, mode()), (204, 0o666), "{}", cornac.log());
    UnixStream::connect(&path).expect("it listens");
    fs::write(cornac.config_file(), second).expect("our own file");
    cornac.signal(Signal::HUP);
    assert!(wait_until(Duration::from_secs(20), || mode() == 0o640), "{:o}: {}", mode(), cornac.log());
}
