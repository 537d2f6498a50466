//! The other ways to have the files, and to reach php-fpm.

use crate::clients::Clients;
use crate::engine;
use crate::rig::Rig;
use crate::scale::{wait_for_answers, wait_for_more};
use crate::support::http;

#[test]
#[ignore = "needs Docker: make test-docker"]
fn scripts_may_be_in_one_image_and_files_in_the_other() {
    let rig = Rig::up("compose.remote.yml");
    let echo = rig.get("/echo/a/b?x=1").expect("an answer").json();
    assert_eq!(echo["params"]["SCRIPT_FILENAME"], "/srv/app/tp/public/index.php");
    assert_eq!(echo["params"]["PATH_INFO"], "/echo/a/b");
    assert_eq!(
        rig.get("/style.css").expect("an answer").header("x-fixture-member"),
        None,
        "a file is cornac's own"
    );
    for missing in ["/none.php", "/none.css/x.php"] {
        assert_eq!(rig.get(missing).expect("an answer").status, 404, "{missing}");
    }
    let scripts = engine::docker(&["exec", &rig.cornac().id, "find", "/srv", "-iname", "*.php"]);
    assert_eq!(scripts, "", "scripts in cornac's image");
    let files =
        engine::docker(&["exec", &rig.ids("fpm")[0], "sh", "-c", "ls /srv/static 2>/dev/null | wc -l"]);
    assert_eq!(files, "0", "cornac's files in php-fpm's image");

    let clients = Clients::start(rig.site());
    wait_for_answers(&clients, &rig.ids("fpm"));
    rig.scale_to(4);
    wait_for_answers(&clients, &rig.ids("fpm"));
    rig.scale_to(2);
    wait_for_more(&clients, 500);
    let sums = clients.stop();
    println!("scripts remote, scale 3 → 4 → 2: {sums}");
    sums.assert_none_failed("GET");
    sums.assert_none_failed("POST");
}

#[test]
#[ignore = "needs Docker: make test-docker"]
fn a_unix_socket_may_lie_in_a_volume_whoever_comes_first() {
    let rig = Rig::new("compose.socket.yml");
    rig.start(&["cornac"]);
    rig.wait_for("/style.css", 200);
    rig.start(&["blue", "green"]);
    rig.wait_for_php();
    let [blue, green] = [rig.ids("blue").remove(0), rig.ids("green").remove(0)];
    let clients = Clients::start(rig.site());
    wait_for_answers(&clients, &[blue.clone(), green.clone()]);
    engine::docker(&["restart", &blue]);
    wait_for_more(&clients, 500);
    engine::docker(&["kill", "--signal", "USR2", &green]);
    wait_for_more(&clients, 500);
    let sums = clients.stop();
    println!("unix sockets, one php-fpm restarted and one reloaded: {sums}");
    sums.assert_none_failed("GET");
    sums.assert_none_failed("POST");
    assert_eq!(http::get(rig.site(), "/json").status, 200);
}
