//! Who starts first does not matter.

use crate::rig::Rig;

#[test]
#[ignore = "needs Docker: make test-docker"]
fn php_may_be_there_before_cornac() {
    let rig = Rig::new("compose.yml");
    rig.start(&["fpm"]);
    rig.start(&["cornac"]);
    rig.wait_for_php();
    rig.wait_for_members(3);
}

#[test]
#[ignore = "needs Docker: make test-docker"]
fn cornac_may_be_there_before_php_and_before_its_name() {
    let rig = Rig::new("compose.yml");
    rig.start(&["cornac"]);
    rig.wait_for("/style.css", 200);
    let early = rig.get("/json").expect("an answer");
    println!("cornac first: /style.css is 200, /json is {}", early.status);
    assert!(matches!(early.status, 502 | 503), "{early:?}");
    assert_eq!(rig.members(), []);
    assert_eq!(rig.log().matches("cannot be looked up").count(), 1, "said once: {}", rig.log());
    rig.start(&["fpm"]);
    rig.wait_for_php();
    rig.wait_for_members(3);
}
