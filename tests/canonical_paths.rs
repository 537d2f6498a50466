//! Whoever looks at a path sees the same one, decoded and without detours: access rules, aliases, and what serves it in the end.

mod support;

use support::http::Response;
use support::{Cornac, Fpm, Root, script};

/// php-fpm that runs whatever it is told to (`security.limit_extensions` off) and searches for scripts above a path.
fn careless() -> Fpm {
    Fpm::builder("a").directive("security.limit_extensions", "").ini("cgi.fix_pathinfo", 1).start()
}

/// One site with routes of its own.
fn one_site(root: &Root, fpm: &Fpm, site: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nroot = {:?}\n{site}",
            fpm.server(),
            root.path()
        )
    })
}

fn holds(response: &Response, text: &str) -> bool {
    response.body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn an_alias_is_never_off_by_a_slash() {
    let root = Root::new()
        .outside("images/a.txt", "an image\n")
        .outside("images/deep/b.txt", "a deep image\n")
        .outside("images/x.php", script("SOURCE", "source"))
        .outside("imagessecret.txt", "SECRET by joining names\n");
    let images = root.path().parent().unwrap().join("images");
    let images = images.display();
    let fpm = careless();
    // nginx's own documentation warns of the first two: location without, alias with the slash, and the reverse.
    let cornac = one_site(
        &root,
        &fpm,
        &format!(
            "[[sites.routes]]\nmatch = \"/img\"\nalias = \"{images}/\"\n\
             [[sites.routes]]\nmatch = \"/pic/\"\nalias = \"{images}\"\n\
             [[sites.routes]]\nmatch = \"/both/\"\nalias = \"{images}/\"\n"
        ),
    );
    for prefix in ["/img", "/pic", "/both"] {
        let get = |rest: &str| cornac.get(&format!("{prefix}{rest}"));
        assert_eq!(get("/a.txt").text(), "an image\n", "{prefix}");
        assert_eq!(get("/deep/b.txt").text(), "a deep image\n", "{prefix}");
        for out in [
            "../secret.txt",
            "..%2Fsecret.txt",
            "%2e%2e/secret.txt",
            "/../secret.txt",
            "/..%2Fsecret.txt",
            "/..;/secret.txt",
            "/deep/../../secret.txt",
            "secret.txt",
            "/secret.txt",
            "/imagessecret.txt",
            "..%5Csecret.txt",
            "./../secret.txt",
            "../images/../secret.txt",
            "/x.php",
            "x.php",
        ] {
            let response = get(out);
            assert!(
                !holds(&response, "SECRET") && !holds(&response, "SOURCE"),
                "{prefix}{out}: {response:?}"
            );
            assert!(matches!(response.status, 400 | 403 | 404), "{prefix}{out}: {response:?}");
        }
    }
}

#[test]
fn access_rules_and_handlers_see_the_same_path() {
    let root = Root::new()
        .script("index.php")
        .counted("admin.php", "admin")
        .counted("private/tool.php", "admin")
        .file("hello.txt", "hello\n")
        .file("private/data.txt", "PRIVATE\n");
    let fpm = careless();
    let cornac = one_site(
        &root,
        &fpm,
        "preset = \"plain\"\n\
         [[sites.routes]]\nmatch = \"^~ /private/\"\ndeny = [\"all\"]\n\
         [[sites.routes]]\nmatch = '~ ^/admin\\.php(/|$)'\ndeny = [\"all\"]\n",
    );
    let spellings = [
        "/private/data.txt",
        "//private/data.txt",
        "///private///data.txt",
        "/private//data.txt",
        "/./private/./data.txt",
        "/x/../private/data.txt",
        "/private/x/../data.txt",
        "/%70rivate/data.txt",
        "/priv%61te/dat%61.txt",
        "/private%2Fdata.txt",
        "/%2Fprivate/data.txt",
        "/x/%2e%2e/private/data.txt",
        "/x%2F..%2Fprivate/data.txt",
        "/index.php/../private/data.txt",
        "/index.php/%2e%2e/private/data.txt",
        "/hello.txt/../private/data.txt",
        "/private/data.txt?x",
        "/private/tool.php",
        "/private/tool.php/x",
        "/private%2Ftool.php",
        "/index.php/../private/tool.php",
        "http://plain.example/private/data.txt",
        "http://plain.example//private/tool.php",
        "/admin.php",
        "/admin.php/x",
        "/admin.php/",
        "/admin.php?x",
        "//admin.php",
        "/./admin.php",
        "/%61dmin.php",
        "/admin%2Ephp",
        "/admin.ph%70/x",
        "/admin.php%2Fx",
        "/index.php/../admin.php",
        "/x/..%2Fadmin.php",
        "/private/../admin.php",
        "http://plain.example/admin.php",
    ];
    for target in spellings {
        let response = cornac.get(target);
        assert_eq!(response.status, 403, "{target}: {response:?}");
        assert!(!holds(&response, "PRIVATE"), "{target}: {response:?}");
    }
    // Not the same path, and nothing of what is denied.
    for target in [
        "/PRIVATE/data.txt",
        "/private%252Fdata.txt",
        "/admin.php%20",
        "/ADMIN.PHP",
        "/admin.php.",
        "/private\\data.txt",
    ] {
        let response = cornac.get(target);
        assert!(matches!(response.status, 400 | 403 | 404), "{target}: {response:?}");
    }
    assert_eq!(fpm.count("admin"), 0);
    assert_eq!(cornac.get("/hello.txt").text(), "hello\n");
}
