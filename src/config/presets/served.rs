//! What each preset does with real files, through the very router that serves.

use std::fs;
use std::path::Path;

use http::{HeaderMap, Method};

use super::*;
use crate::config::testing::model_in;
use crate::route::{Kind, Lookup, NoTrace, Plan, RequestFacts, Router, Target};

struct Real;

impl Lookup for Real {
    fn kind(&self, path: &Path) -> Kind {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => Kind::File,
            Ok(found) if found.is_dir() => Kind::Directory,
            Ok(_) => Kind::Other,
            Err(_) => Kind::Missing,
        }
    }
}

const FILES: [&str; 20] = [
    "index.php",
    "admin.php",
    "autoload.php",
    "a.css",
    "dir/index.php",
    "dir/x.php",
    "empty/a.txt",
    ".env",
    ".git/config",
    ".git/x.php",
    ".htaccess",
    ".well-known/acme",
    ".well-known/x.php",
    "wp-content/uploads/2024/x.php",
    "wp-content/debug.log",
    "sites/default/files/x.php",
    "core/install.php",
    "core/lib/x.php",
    "core/a.yml",
    "uploads/x.jpg",
];

/// A document root with something of everything.
fn document_root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        let path = folder.path().join("public").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

/// How each URL is served, in one word or two.
fn served(preset: &str, urls: &[&str]) -> Vec<String> {
    let folder = document_root();
    let text = format!(
        "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\npreset = \"{preset}\"\n"
    );
    let site = model_in(folder.path(), &text).sites.remove(0);
    let root = site.settings.root.clone();
    let router = Router::new(site.rules, site.locations, site.settings);
    let headers = HeaderMap::new();
    let plan = |url: &&str| {
        let target = Target::parse(url.as_bytes()).unwrap();
        let facts = RequestFacts { host: "localhost", ..RequestFacts::bare(&Method::GET, &target, &headers) };
        spell(&router.plan(&facts, &Real, &mut NoTrace), &root)
    };
    urls.iter().map(plan).collect()
}

fn spell(plan: &Plan<'_>, root: &Path) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match plan {
        Plan::File(file) => format!("file /{}", file.path.strip_prefix(root).unwrap().display()),
        Plan::Listing(_) => "listing".to_owned(),
        Plan::Script(script) => {
            let (name, info) = (text(&script.script_name), text(&script.path_info));
            let question = if script.args.is_empty() { "" } else { "?" };
            format!("run {name} [{info}]{question}{}", text(&script.args))
        }
        Plan::Redirect(to) => format!("{} {}", to.status.as_u16(), text(&to.location)),
        Plan::Fixed(fixed) => fixed.status.as_u16().to_string(),
        Plan::Guarded(_) => "guarded".to_owned(),
    }
}

fn check(preset: Preset, cases: &[(&str, &str)]) {
    let urls: Vec<_> = cases.iter().map(|(url, _)| *url).collect();
    let expected: Vec<_> = cases.iter().map(|(url, plan)| format!("{url} → {plan}")).collect();
    let found: Vec<_> =
        served(preset.name(), &urls).iter().zip(&urls).map(|(plan, url)| format!("{url} → {plan}")).collect();
    assert_eq!(found, expected, "{preset}");
}

#[test]
fn no_preset_gives_away_a_dotfile_or_a_source_and_all_know_well_known() {
    for preset in Preset::ALL {
        let refused = [
            "/.env",
            "/.git/config",
            "/.git/x.php",
            "/.htaccess",
            "/dir/../.env",
            "/%2eenv",
            "/.well-known/x.php",
        ];
        for (url, plan) in refused.iter().zip(served(preset.name(), &refused)) {
            assert!(plan == "403" || plan == "404", "{preset}: {url} → {plan}");
        }
        assert_eq!(served(preset.name(), &["/.well-known/acme"]), ["file /.well-known/acme"], "{preset}");
        assert_eq!(served(preset.name(), &["/a.css"]), ["file /a.css"], "{preset}");
        let image = served(preset.name(), &["/uploads/x.jpg/a.php"]);
        assert!(!image[0].contains("x.jpg ["), "{preset}: {image:?}");
    }
}

#[test]
fn plain_runs_every_script_and_serves_every_file() {
    check(
        Preset::Plain,
        &[
            ("/", "run /index.php []"),
            ("/dir/x.php/a/b?c=d", "run /dir/x.php [/a/b]?c=d"),
            ("/dir", "301 /dir/"),
            ("/dir/", "run /dir/index.php []"),
            ("/nothing", "404"),
            ("/no.php", "404"),
            ("/uploads/x.jpg/a.php", "404"),
            ("/empty/", "403"),
        ],
    );
}

#[test]
fn a_front_controller_gets_what_is_no_file() {
    for preset in [Preset::FrontController, Preset::Laravel] {
        check(
            preset,
            &[
                ("/", "run /index.php []"),
                ("/users/1?a=b", "run /index.php []?a=b"),
                ("/admin.php/a/b", "run /admin.php [/a/b]"),
                ("/dir/", "run /dir/index.php []"),
                ("/.well-known/change-password", "run /index.php []"),
                ("/no.php", "404"),
            ],
        );
    }
}

#[test]
fn thinkphp_routes_by_path_info() {
    check(
        Preset::ThinkPhp,
        &[
            ("/", "run /index.php []"),
            ("/index/hello/name/x?a=b", "run /index.php [/index/hello/name/x]?a=b"),
            ("/index.php/index/hello", "run /index.php [/index/hello]"),
            ("/admin.php/a/b", "run /admin.php [/a/b]"),
            ("/dir/x.php/a", "run /dir/x.php [/a]"),
            ("/%E4%B8%AD%E6%96%87/a%2Fb", "run /index.php [/中文/a/b]"),
            ("/.well-known/webfinger", "run /index.php [/.well-known/webfinger]"),
            ("/index.php/v1.2/.a", "run /index.php [/v1.2/.a]"),
            ("/empty/", "403"),
        ],
    );
}

#[test]
fn thinkphp_query_routes_by_s() {
    check(
        Preset::ThinkPhpQuery,
        &[
            ("/", "run /index.php []"),
            ("/index/hello?a=b", "run /index.php []?s=/index/hello&a=b"),
            ("/admin.php?s=/a", "run /admin.php []?s=/a"),
            ("/.well-known/webfinger", "run /index.php []?s=/.well-known/webfinger"),
        ],
    );
}

#[test]
fn symfony_runs_its_front_controller_only_and_hides_its_name() {
    check(
        Preset::Symfony,
        &[
            ("/", "run /index.php []"),
            ("/users?a=b", "run /index.php []?a=b"),
            ("/dir/", "run /index.php []"),
            ("/index.php", "404"),
            ("/index.php/users", "404"),
            ("/admin.php", "404"),
        ],
    );
}

#[test]
fn wordpress_has_permalinks_and_runs_nothing_among_the_uploads() {
    check(
        Preset::WordPress,
        &[
            ("/", "run /index.php []"),
            ("/2024/05/hello-world/?p=1", "run /index.php []?p=1"),
            ("/dir", "301 /dir/"),
            ("/wp-content/uploads/2024/x.php", "403"),
            ("/wp-content/uploads/2024/x.PHP", "403"),
            ("/wp-content/uploads/2024/x.php/a", "403"),
            ("/wp-content/debug.log", "403"),
            ("/robots.txt", "run /index.php []"),
        ],
    );
}

#[test]
fn drupal_runs_only_what_is_meant_to_be_asked_for() {
    check(
        Preset::Drupal,
        &[
            ("/", "run /index.php []"),
            ("/node/1?a=b", "run /index.php []?a=b"),
            ("/admin.php/selection", "run /admin.php [/selection]"),
            ("/core/install.php", "run /core/install.php []"),
            ("/core/lib/x.php", "403"),
            ("/core/a.yml", "403"),
            ("/autoload.php", "403"),
            ("/sites/default/files/x.php", "403"),
            ("/vendor/autoload.php", "403"),
            ("/sites/default/files/styles/a.jpg", "run /index.php []"),
        ],
    );
}

#[test]
fn every_preset_may_be_copied_below_a_site_and_does_the_same() {
    let base = document_root();
    let head = "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n";
    for preset in Preset::ALL {
        let by_name = model_in(base.path(), &format!("{head}preset = \"{preset}\"\n"));
        let copied = model_in(base.path(), &format!("{head}{}", preset.routes()));
        let written = |model: &crate::config::Model| format!("{:?}", model.sites[0].locations);
        assert_eq!(written(&by_name), written(&copied), "{preset}");
        assert_eq!(preset.name().parse(), Ok(preset));
    }
    assert!("symfoni".parse::<Preset>().is_err());
}

#[test]
fn a_preset_knows_the_site_s_own_extensions() {
    let text = Preset::Plain.routes_for(&[".php".into(), ".phtml".into()]);
    assert!(text.contains(r"match = '~ \.(?:php|phtml)(?:/|$)'"), "{text}");
    assert_eq!(Preset::Plain.routes_for(&[".php".into()]), Preset::Plain.routes());
}
