//! Promises that no single file of the room can keep alone: whatever a client sends, over the routes of the presets.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use proptest::prelude::*;

use super::rig::*;
use super::*;

const PRIVATE: &str = "/www-private/key";

/// The shapes that presets and users' configurations take, each with files, scripts and an alias.
fn sites() -> Vec<Router> {
    let dotfiles = || location(r"~ /\.").rule(gives(404, ReturnBody::None));
    let php = || location(r"~ \.php(/|$)").runs();
    let named = || fastcgi(ScriptSource::Named(template("/index.php")));
    let split = || fastcgi(ScriptSource::Split(pattern(r"^(.+?\.php)(/.*)?$", false).unwrap()));
    let alias =
        |from: &str, to: &'static str| location(from).with(move |settings| settings.alias = Some(to.into()));
    [
        vec![location("/"), php()],
        vec![dotfiles(), location("/").tries("$uri $uri/ /index.php$is_args$args"), php()],
        vec![location("/").rule(rewrite("^/(.*)$ /index.php/$1 last unless_file")), php()],
        vec![
            location("/").rule(rewrite("^/(.*)$ /index.php?s=/$1 last unless_file")),
            location(r"~ \.php$").runs_as(split()),
        ],
        vec![location("/").tries("$uri @php"), location("@php").runs_as(named())],
        vec![
            alias("/i", "/www/d/"),
            alias("/j/", "/www/d"),
            alias("/k", "/www/d").runs(),
            location("/"),
            php(),
        ],
        vec![location("/").rule(rewrite("^/x/(.*)$ $1 last")).rule(rewrite("^/y(.*)$ /d/$1 break")), php()],
        vec![location("/").tries("/d$uri $uri/x $arg_a =404")],
    ]
    .map(router)
    .into()
}

fn disk() -> FakeDisk {
    FakeDisk::of(&[
        "/www/index.php",
        "/www/d/a.txt",
        "/www/d/a.php",
        "/www/a.jpg",
        "/www/.git/config",
        PRIVATE,
    ])
}

fn is_below_root(path: &Path) -> bool {
    path.starts_with("/www")
}

fn stays_below_root(plan: Plan<'_>) -> Result<(), TestCaseError> {
    match plan {
        Plan::File(file) => prop_assert!(is_below_root(&file.path), "{}", file.path.display()),
        Plan::Listing(folder) => prop_assert!(is_below_root(&folder.path), "{}", folder.path.display()),
        Plan::Script(script) => {
            let path = String::from_utf8(script.script_filename).unwrap();
            prop_assert!(is_below_root(Path::new(&path)) && path.ends_with(".php"), "{}", path);
        }
        Plan::Redirect(redirect) => {
            prop_assert!(!redirect.location.starts_with(b"//"));
            prop_assert!(redirect.location.iter().all(|byte| (b'!'..0x7f).contains(byte)));
        }
        Plan::Fixed(_) => {}
        Plan::Guarded(guarded) => return stays_below_root(guarded.plan),
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_path_leaves_the_root_for_any_target(
        tail in "([ijkxyd./%]|%2e|%2F|%5c|\\.\\./|index\\.php|a\\.(txt|php|jpg)|-private|key|%00|\\?a=/\\.\\./){0,12}",
    ) {
        let sent = format!("/{tail}");
        if Target::parse(sent.as_bytes()).is_ok() {
            for site in &sites() {
                let disk = disk();
                planned(site, &disk, &sent, stays_below_root)?;
                for asked in disk.asked.borrow().iter() {
                    prop_assert!(is_below_root(asked), "{}", asked.display());
                }
            }
        }
    }

    #[test]
    fn no_order_of_a_script_leaves_its_internal_route(
        to in "(@|/in|/i|[xyd./%]|%2e|%2F|%5c|\\.\\./|index\\.php|a\\.(txt|php)|-private|key|%00|\\?a=/\\.\\./){0,10}",
    ) {
        let internal = |location: Location| location.with(|settings| settings.internal = true);
        let aliased = location("^~ /in/").with(|settings| settings.alias = Some("/www/d/".into()));
        let site = router(vec![internal(aliased), internal(location("/i")), location("/"), location("~ php").runs()]);
        let order = Order { to: to.clone().into(), uri: b"/index.php".to_vec(), args: Bytes::new() };
        let disk = disk();
        with_facts("/", &[], |facts| match site.plan_order(&order, facts, &disk, &mut NoTrace) {
            Ok(plan) => {
                prop_assert!(["^~ /in/", "/i"].contains(&plan.route()), "{to}: {}", plan.route());
                stays_below_root(plan)
            }
            Err(_) => Ok(()),
        })?;
        for asked in disk.asked.borrow().iter() {
            prop_assert!(is_below_root(asked), "{to}: {}", asked.display());
        }
    }

    #[test]
    fn what_runs_is_a_script_that_is_there(tail in "(/|index\\.php|a\\.php|a\\.jpg|d|%0a|%ff|\\.|%20|x){0,10}") {
        let sent = format!("/{tail}");
        prop_assume!(Target::parse(sent.as_bytes()).is_ok());
        for site in &sites() {
            let disk = disk();
            planned(site, &disk, &sent, |plan| {
                if let Plan::Script(script) = plan {
                    let path = String::from_utf8(script.script_filename).unwrap();
                    prop_assert_eq!(disk.kind(Path::new(&path)), Kind::File);
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn no_bytes_of_a_target_make_the_router_panic(tail in "[!-~]{0,40}", method in "GET|POST|PUT|OPTIONS") {
        let request = format!("{method} /{tail}");
        if Target::parse(format!("/{tail}").as_bytes()).is_ok() {
            for site in &sites() {
                told(site, &disk(), &request);
            }
        }
    }

    #[test]
    fn client_text_is_never_expanded_again(text in "(\\$|\\{|\\}|uri|args|1|request_id|a){1,8}") {
        let echo = router(vec![
            location("/").rule(Rule::Set { name: "copy".into(), value: template("$arg_a") })
                .rule(gives(200, ReturnBody::Text(template("$copy$arg_a$arg_a")))),
        ]);
        let sent = format!("/?a={text}");
        prop_assert_eq!(told(&echo, &disk(), &sent), format!("200 {text}{text}{text}"));
    }
}

/// security.md: "source text never leaves, under any spelling".
#[test]
fn source_never_leaves_under_any_spelling() {
    let spellings = [
        "/index.php",
        "/index.PHP",
        "/index.php.",
        "/index.php%20",
        "/index.php%2500",
        "/index.php~",
        "/index.php/",
        "/index.phtml",
        "/index.inc",
        "/index.phps",
        "/index.php5",
        "/index.php.bak",
        "/.index.php.swp",
        "/%23index.php%23",
        "/index%2Ephp",
        "/d/../index.php",
        "//index.php",
        "/index.php%0A",
        "/index.php%FF",
    ];
    for spelling in spellings {
        let name = Target::parse(spelling.as_bytes()).unwrap().path.into_owned();
        let name = String::from_utf8_lossy(&name).trim_end_matches('/').to_owned();
        let disk = FakeDisk::of(&[&format!("/www{name}")]);
        let served = told(&router(vec![location("/")]), &disk, spelling);
        assert!(served == "404" || served == "403", "{spelling}: {served}");
    }
}

/// security.md: "dotfiles refused by presets, .well-known allowed", whatever the spelling.
#[test]
fn a_location_for_dotfiles_cannot_be_spelt_around() {
    let site = router(vec![
        location("^~ /.well-known/"),
        location(r"~ /\.").rule(gives(404, ReturnBody::None)),
        location("/"),
    ]);
    let disk = FakeDisk::of(&["/www/.git/config", "/www/.env", "/www/.well-known/x"]);
    for sent in [
        "/.git/config",
        "//.git//config",
        "/%2egit/config",
        "/x/../.git/config",
        "/.well-known/../.env",
        "/%2Eenv",
        "/.env/",
    ] {
        assert_eq!(told(&site, &disk, sent), "404", "{sent}");
    }
    assert_eq!(told(&site, &disk, "/.well-known/x"), "file /www/.well-known/x");
}

/// security.md: "no path leaves the root": what never even becomes a target.
#[test]
fn what_climbs_or_holds_a_nul_is_refused_at_the_door() {
    for sent in
        ["/../x", "/%2e%2e/x", "/..%2fx", "/a/%2e./%2e./x", "/a%00.php", "http://h/../x", "/a/../..%2F"]
    {
        assert!(Target::parse(sent.as_bytes()).is_err(), "{sent}");
    }
}

/// A method that files do not know never reaches the disk.
#[test]
fn only_get_head_and_post_look_for_files() {
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        let disk = disk();
        assert_eq!(told(&router(vec![location("/")]), &disk, &format!("{method} /a.jpg")), "405");
        assert!(disk.asked.borrow().is_empty());
    }
}
