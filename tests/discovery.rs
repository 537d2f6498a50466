//! Members that a pool is told of while it runs: by name servers and by a file. They come and go under load without a failed
//! request, and a source that cannot tell costs nobody anything.

mod support;

use std::path::Path;
use std::time::Duration;

use support::dns::{Dns, Mood};
use support::{Answer, Fleet, Fpm, Load, Scratch, told_by, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_name_in_dns_scales_under_load_whatever_its_ttl_says() {
    let (mut fleet, dns) = (Fleet::start(["a", "b", "c", "d", "e"]), Dns::start());
    let tell = |which: &[usize], _: &Fleet| {
        let addresses: Vec<_> = which.iter().map(|&index| Fleet::ip(index)).collect();
        dns.a("fpm.test", &addresses);
    };
    tell(&[0, 1, 2], &fleet);
    let source = format!("{{ dns = \"fpm.test:{}\" }}", fleet.port.number());
    let cornac = told_by(&source).server(&dns.key()).pool("resolve = \"100ms\"").start();
    fleet.scales_without_a_failed_request(&cornac, tell);
}

#[test]
fn a_members_file_scales_under_load() {
    let (mut fleet, folder) = (Fleet::start(["a", "b", "c", "d", "e"]), Scratch::new());
    let tell = |which: &[usize], fleet: &Fleet| {
        let members: Vec<_> = which.iter().map(|&index| fleet.server(index)).collect();
        replace(&folder.join("members.json"), &format!("{members:?}"));
    };
    tell(&[0, 1, 2], &fleet);
    let cornac = told_by(&format!("{{ file = \"{}\" }}", folder.join("members.json").display())).start();
    fleet.scales_without_a_failed_request(&cornac, tell);
}

/// As deployments do it: nobody sees half a file.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("the folder of the file");
    std::fs::rename(new, path).expect("the folder of the file");
}

#[test]
fn srv_records_tell_ports_weights_and_who_is_a_backup() {
    let (fleet, dns) = (Fleet::start(["heavy", "light", "backup"]), Dns::start());
    let (port, service) = (fleet.port.number(), "_fpm._tcp.test");
    for (name, index) in [("heavy.test", 0), ("light.test", 1), ("backup.test", 2)] {
        dns.a(name, &[Fleet::ip(index)]);
    }
    dns.ttl(1);
    dns.srv(
        service,
        &[(20, 1, port, "backup.test"), (10, 3, port, "heavy.test"), (10, 1, port, "light.test")],
    );
    let cornac = told_by(&format!("{{ srv = \"{service}\" }}"))
        .server(&dns.key())
        .pool("policy = \"round_robin\"\nresolve = \"1m\"")
        .start();
    let answers = Load::until(cornac.address(), 1, 8, |_, _| "/json").join();
    Answer::all_are_200(&answers);
    let counts = ["heavy", "light", "backup"].map(|name| Answer::of_member(&answers, name));
    assert_eq!(counts, [6, 2, 0]);
    // Its TTL is over long before the minute is.
    dns.srv(service, &[(20, 1, port, "backup.test")]);
    cornac.wait_for_log(&format!("− {} (draining", fleet.server(0)));
    assert_eq!(cornac.get("/json").member(), "backup");
}

#[test]
fn what_a_name_server_cannot_tell_is_said_once_and_costs_nobody_anything() {
    let (fleet, dns) = (Fleet::start(["a"]), Dns::start());
    let discover = format!("{{ dns = \"fpm.test:{}\" }}", fleet.port.number());
    dns.be(Mood::Silent);
    let cornac = told_by(&discover).server(&dns.key()).pool("resolve = \"50ms\"").start();
    cornac.wait_for_log("fpm.test cannot be looked up: no name server answered in time");
    assert_eq!(cornac.get("/json").status, 502, "nobody is known yet");
    dns.a("fpm.test", &[Fleet::ip(0)]);
    dns.be(Mood::Answers);
    cornac.wait_for_log("the source of members is well again");
    cornac.wait_for_log(&format!("+ {} (dns fpm.test:", fleet.server(0)));
    for (wrong, said) in [
        (Mood::ServFail, "fpm.test cannot be looked up: "),
        (Mood::Answers, "fpm.test does not exist (NXDOMAIN)"),
    ] {
        dns.a("fpm.test", &[]);
        dns.be(wrong);
        cornac.wait_for_log(said);
        let asked = dns.asked();
        assert!(wait_until(SOON, || dns.asked() > asked + 3));
        assert_eq!(cornac.get("/json").member(), "a");
        dns.a("fpm.test", &[Fleet::ip(0)]);
        dns.be(Mood::Answers);
        let well = || cornac.log().lines().last().is_some_and(|line| line.contains("well again"));
        assert!(wait_until(SOON, well), "{}", cornac.log());
    }
    let complaints = cornac.log().matches("a source of members fails").count();
    assert_eq!(complaints, 3, "{}", cornac.log());
}

#[test]
fn a_malformed_members_file_is_told_with_its_place_and_costs_nobody_anything() {
    let (fpm, folder) = (Fpm::start("a"), Scratch::new());
    let path = folder.join("members.toml");
    let cornac = told_by(&format!("{{ file = \"{}\" }}", path.display())).start();
    cornac.wait_for_log("members.toml cannot be read: No such file or directory");
    assert_eq!(cornac.get("/json").status, 502);
    replace(&path, &format!("servers = [\"{}\"]", fpm.server()));
    cornac.wait_for_log(&format!("+ {} (file members.toml)", fpm.server()));
    replace(&path, "servers = [\n  \"10.0.0.1:9000\",\n  \"10.0.0.2\",\n]");
    cornac.wait_for_log("members.toml:3:3: '10.0.0.2' is not an address such as");
    assert_eq!(cornac.get("/json").member(), "a");
    replace(&path, "servers = []");
    cornac.wait_for_log("it tells of no member, and the pool has no other: the last known are kept");
    assert_eq!(cornac.get("/json").member(), "a");
}

/// A volume of a ConfigMap: `members.json → ..data/members.json`, `..data → ..v1`, and `..data` is swapped.
#[test]
fn a_file_behind_the_links_of_a_configmap_is_followed() {
    let (a, b, folder) = (Fpm::start("a"), Fpm::start("b"), Scratch::new());
    for (version, fpm) in [("..v1", &a), ("..v2", &b)] {
        std::fs::create_dir(folder.join(version)).expect("a folder");
        let list = format!("[{:?}]", fpm.server());
        std::fs::write(folder.join(version).join("members.json"), list).expect("a file");
    }
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, folder.join("..new")).expect("a link");
        std::fs::rename(folder.join("..new"), folder.join("..data")).expect("a link");
    };
    link("..v1");
    std::os::unix::fs::symlink("..data/members.json", folder.join("members.json")).expect("a link");
    let cornac = told_by(&format!("{{ file = \"{}\" }}", folder.join("members.json").display())).start();
    assert_eq!(cornac.get("/json").member(), "a");
    link("..v2");
    cornac.wait_for_log(&format!("− {} (draining", a.server()));
    assert_eq!(cornac.get("/json").member(), "b");
}
