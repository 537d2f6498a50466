//! What the image of cornac is like.

use crate::engine;
use crate::rig::Rig;
use crate::support::wait_until;
use std::time::Duration;

#[test]
#[ignore = "needs Docker: make test-docker"]
fn cornac_runs_as_nobody_in_particular_without_tools_and_says_that_it_is_healthy() {
    let rig = Rig::up("compose.yml");
    let cornac = rig.cornac().id;
    let exec = |script: &str| engine::docker(&["exec", &cornac, "sh", "-c", script]);
    assert_eq!(exec("id -u"), "10001");
    assert_eq!(exec("command -v cc gcc ld cargo curl wget python3 || true"), "", "tools in the image");
    assert_eq!(exec("cornac check -c /etc/cornac/shared.toml >/dev/null && echo valid"), "valid");
    assert!(exec("cornac ctl status").contains("least_conn"), "ctl in the container needs no more words");
    let healthy = || rig.cornac().health == "healthy";
    assert!(wait_until(Duration::from_secs(30), healthy), "it is {}", rig.cornac().health);
}
