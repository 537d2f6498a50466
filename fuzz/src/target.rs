//! Whatever target a client sends: its path is canonical, and over the routes of every preset it leads to nothing but a file or a
//! script below the root.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::{Arc, OnceLock};

use cornac::config;
use cornac::route::{Kind, Lookup, NoTrace, Plan, RequestFacts, Router, Target, is_source};
use http::{HeaderMap, Method};

/// Exists on every machine, as the configuration demands; what lies there is [`Files`]'.
const ROOT: &str = "/usr";

const PRESETS: [&str; 8] =
    ["plain", "front-controller", "thinkphp", "thinkphp-query", "laravel", "symfony", "wordpress", "drupal"];

/// Shapes of users' own, with what is known to go wrong: captures, aliases, variables.
const ROUTES: &str = r#"
[[sites]]
listen = [":89"]
root = "/usr"
index = ["index.php", "index.html"]
routes = [
    { match = "/i", alias = "/usr/lib/" },
    { match = "/j/", alias = "/usr/lib" },
    { match = "/x/", rewrite = [{ from = '^/x/(.*)$', to = '/$1', flag = "last" }] },
    { match = "/y", rewrite = [{ from = '^/y(.*)$', to = '/lib/$1', flag = "break" }] },
    { match = "/t", try_files = ["$uri", "/lib$uri", "$uri/x", "=404"] },
    { match = "/go", return = { status = 302, url = "/to$uri?$args" } },
    { match = '~ ^(.+?\.php)(/.*)?$', fastcgi = "php", split_path_info = '^(.+?\.php)(/.*)?$' },
]
"#;

/// A disk in a few names: nothing but these exists.
struct Files;

const FILES: &[&str] = &[
    "index.php",
    "index.html",
    "lib/index.php",
    "lib/a.php",
    "lib/a.txt",
    "a.jpg",
    "a.txt",
    ".env",
    ".git/config",
    "a.inc",
    "a.PHP",
];

impl Lookup for Files {
    fn kind(&self, path: &Path) -> Kind {
        let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        assert!(path.is_absolute() && path.components().all(plain), "{path:?} is looked at");
        assert!(!path.as_os_str().as_bytes().contains(&0), "{path:?} is looked at");
        let Ok(name) = path.strip_prefix(ROOT) else { return Kind::Missing };
        if FILES.iter().any(|file| Path::new(file) == name) {
            return Kind::File;
        }
        let is_folder = FILES.iter().any(|file| Path::new(file).starts_with(name));
        if is_folder { Kind::Directory } else { Kind::Missing }
    }
}

/// The first byte chooses the site; the rest is the target as a client sends it.
pub fn target(data: &[u8]) {
    let [site, sent @ ..] = data else { return };
    let Ok(target) = Target::parse(sent) else { return };
    is_canonical(&target);
    let (method, headers) = (Method::GET, HeaderMap::new());
    let facts = RequestFacts::bare(&method, &target, &headers);
    let routers = routers();
    stays_inside(&routers[usize::from(*site) % routers.len()].plan(&facts, &Files, &mut NoTrace));
}

fn is_canonical(target: &Target<'_>) {
    let path = &*target.path;
    if target.is_asterisk() {
        return;
    }
    assert!(path.starts_with(b"/") && !path.contains(&0), "{target:?}");
    let segments: Vec<_> = path[1..].split(|&byte| byte == b'/').collect();
    let (_, inner) = segments.split_last().expect("at least one");
    assert!(inner.iter().all(|segment| !segment.is_empty()), "an empty segment: {target:?}");
    assert!(
        !segments.iter().any(|&segment| segment == b"." || segment == b".."),
        "a dot segment: {target:?}"
    );
    // Whoever reads it once more comes to the same.
    let escaped: String = path.iter().map(|byte| format!("%{byte:02x}")).collect();
    let again = format!("/{escaped}");
    let again = Target::parse(again.as_bytes()).expect("escaped");
    assert_eq!(&*again.path, path, "read twice");
}

fn stays_inside(plan: &Plan<'_>) {
    match plan {
        Plan::File(file) => {
            let name = file.path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            assert!(file.path.starts_with(ROOT), "{plan:?}");
            assert!(!is_source(name) || Files.kind(&file.path) != Kind::File, "source leaves: {plan:?}");
        }
        Plan::Listing(listing) => {
            assert!(listing.path.starts_with(ROOT), "{plan:?}");
            assert_eq!(Files.kind(&listing.path), Kind::Directory, "{plan:?}");
        }
        Plan::Script(script) => {
            let path = Path::new(std::ffi::OsStr::from_bytes(&script.script_filename));
            assert!(path.starts_with(ROOT) && script.script_filename.ends_with(b".php"), "{plan:?}");
            assert_eq!(Files.kind(path), Kind::File, "runs what is not there: {plan:?}");
        }
        Plan::Redirect(redirect) => {
            assert!(!redirect.location.starts_with(b"//"), "to another host: {plan:?}");
            assert!(redirect.location.iter().all(|byte| (b'!'..0x7f).contains(byte)), "{plan:?}");
        }
        Plan::Guarded(guarded) => stays_inside(&guarded.plan),
        Plan::Fixed(_) => {}
    }
}

fn routers() -> &'static [Router] {
    static ROUTERS: OnceLock<Vec<Router>> = OnceLock::new();
    ROUTERS.get_or_init(|| {
        let site = |preset: &&str| {
            format!("[[sites]]\nlisten = [\":80\"]\nnames = [\"{preset}\"]\nroot = \"{ROOT}\"\npreset = \"{preset}\"\n")
        };
        let sites: String = PRESETS.iter().map(site).collect();
        let text = format!("[pools.php]\nservers = [\"127.0.0.1:9000\"]\n{sites}{ROUTES}");
        let model = config::parse(&text, "fuzz.toml", Path::new("/")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let router = |site: &config::model::Site| {
            Router::new(site.rules.clone(), site.locations.clone(), Arc::clone(&site.settings))
        };
        model.sites.iter().map(router).collect()
    })
}
