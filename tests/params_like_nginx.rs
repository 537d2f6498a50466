//! Behind cornac, php receives what it receives behind nginx: the same bytes go to a real nginx with the equivalent
//! nginx.conf and to cornac, with the same php-fpm and the same files behind both. What differs is listed, each with its reason; a
//! difference that is not listed fails, and so does one that is listed and not seen.

mod support;

use support::compare::{Asked, Difference, HOST, compare};
use support::{Cornac, Fpm, Nginx, Root};

/// Static files and scripts, with the names that cause trouble.
fn root() -> Root {
    let scripts = [
        "index.php",
        "admin.php",
        "info.php",
        "both/index.php",
        "dir/index.php",
        "dir/page.php",
        "deep/er/script.php",
        "v1.2/index.php",
        "中文/页面.php",
        "w+x&y.php",
    ];
    let files = [
        "hello.txt",
        "style.css",
        "a b.txt",
        "a+b.txt",
        "a&b.txt",
        "a%b.txt",
        "a;b=c.txt",
        "both/index.html",
        "html/index.html",
        "empty/note.txt",
        "script.php.d/file.txt",
        "中文/说明.txt",
        ".well-known/security.txt",
        ".env",
        ".git/config",
        "info.php~",
        "old.inc",
        "SHOUT.PHP",
    ];
    let root = scripts.into_iter().fold(Root::new(), Root::script);
    files
        .into_iter()
        .fold(root, |root, name| root.file(name, format!("text of {name}\n")))
        .file("uploads/photo.jpg", "\u{ff}<?php echo 'PHOTO RAN';")
}

/// Every way to write a path.
const PATHS: &[&str] = &[
    // The front controller by name, with PATH_INFO.
    "/index.php",
    "/index.php/",
    "/index.php/a/b",
    "/index.php/a.b/c.d",
    "/index.php/x.php",
    "/index.php/x.php/y",
    "/index.php/info.php/z",
    "/index.php//a///b//",
    "/index.php/a/../b",
    "/index.php/a/./b/.",
    "/index.php/a/..",
    "/index.php/%2e%2E/index.php",
    "/index.php/a%2Fb",
    "/index.php/a%252Fb",
    "/index.php/a%20b",
    "/index.php/a+b%2Bc",
    "/index.php/a&b%26c=d",
    "/index.php/a;b=1,c%3B",
    "/index.php/a%3Fb?c",
    "/index.php/a%23b",
    "/index.php/a%25b%2525",
    "/index.php/a:b@c!$'()*~",
    "/index.php/$uri/${request_uri}/%24args",
    "/index.php/%E4%B8%AD%E6%96%87",
    "/index.php/中文/ä",
    "/index.php/%FF%FE",
    "/index.php/a%5Cb",
    "/index.php/%7B%22%7D%3C%3E%5E%60%7C",
    "/%69ndex.php/a",
    "/index%2Ephp/a",
    "//index.php//a",
    "/x/../index.php/a",
    "/./index.php",
    // Other entries, folders with scripts.
    "/admin.php/user/list",
    "/info.php",
    "/dir/page.php/p/q?x=1",
    "/deep/er/script.php",
    "/v1.2/index.php/a",
    "/v1.2/",
    "/中文/页面.php/参数",
    "/%E4%B8%AD%E6%96%87/%E9%A1%B5%E9%9D%A2.php",
    "/w+x&y.php/z",
    "/w%2Bx%26y.php/z",
    // Directories.
    "/",
    "//",
    "/dir",
    "/dir/",
    "/dir//",
    "/dir?x=1",
    "/dir/.",
    "/empty",
    "/empty/",
    "/html/",
    "/both/",
    "/script.php.d/",
    // Files.
    "/hello.txt",
    "/hello.txt?x=1",
    "/%68ello.txt",
    "/dir/../hello.txt",
    "/a%20b.txt",
    "/a+b.txt",
    "/a%2Bb.txt",
    "/a&b.txt",
    "/a%26b.txt",
    "/a%25b.txt",
    "/a;b=c.txt",
    "/script.php.d/file.txt",
    "/中文/说明.txt",
    "/%e4%b8%ad%e6%96%87/%e8%af%b4%e6%98%8e.txt",
    "/.well-known/security.txt",
    "/uploads/photo.jpg",
    // Nothing there.
    "/blog/read/id/5",
    "/blog/read/id/5?page=2",
    "/blog//read///id",
    "/blog/",
    "/missing.txt",
    "/missing.css?v=1",
    "/missing.php",
    "/missing.php/a",
    "/dir/missing",
    "/hello.txt/",
    "/hello.txt/x",
    "/Index.html",
    "/a%2Fb/c",
    "/a%26b=c",
    "/a+b/c%2Bd",
    "/a%3Fb",
    "/a%23b",
    "/a%25b",
    "/a%20b/c",
    "/中文/没有",
    "/%E4%B8%AD/%E6%96%87",
    "/%FF",
    "/a/./b/../c",
    "/a=b&c=d;e",
    "/a:b@c!$'()*~",
    "/$uri/$1/${args}",
    // Query strings.
    "/?",
    "/??",
    "/?a=1&b=2&a=3",
    "/?a",
    "/?=",
    "/?&&",
    "/?/x/y?z",
    "/?q=%E4%B8%AD%20+%26%00",
    "/?q=中文",
    "/?s=$uri&$args=1",
    "/blog?",
    "/blog?a=%2F&b=+&c=%zz",
    "/index.php?s=/a/b",
    "/index.php/a?PATH_INFO=/evil",
    // What nginx serves, and shall not be served.
    "/.env",
    "/.git/config",
    "/info.php~",
    "/old.inc",
    "/SHOUT.PHP",
    "/index.php/a%0Ab",
    "/a%0Ab",
    "/uploads/photo.jpg/x.php",
    // Refused by everybody.
    "/../hello.txt",
    "/%2e%2e/hello.txt",
    "/dir/../../hello.txt",
    "/a%00b",
    "/%",
    "/%zz",
    "/%c",
];

fn paths() -> Vec<Asked> {
    let target = format!("/index.php/{}?{}", "p/".repeat(1_000), "q=1&".repeat(1_000));
    let long = Asked { name: "a long target".to_owned(), ..Asked::get(&target) };
    PATHS.iter().copied().map(Asked::get).chain([long]).collect()
}

/// What is the same in every layout.
const EVERYWHERE: &[Difference] = &[
    Difference {
        on: "*",
        what: "SERVER_SOFTWARE",
        nginx: "nginx/…",
        cornac: "cornac/…",
        why: "each says its own name",
    },
    Difference {
        on: "/dir?x=1",
        what: "answer",
        nginx: "301 to http://shop.example:<port>/dir/?x=1",
        cornac: "301 to /dir/?x=1",
        why: "redirects are relative: a Host header never gets into a Location",
    },
    Difference {
        on: "/dir",
        what: "answer",
        nginx: "301 to http://shop.example:<port>/dir/",
        cornac: "301 to /dir/",
        why: "redirects are relative",
    },
    Difference {
        on: "/empty",
        what: "answer",
        nginx: "301 to http://shop.example:<port>/empty/",
        cornac: "301 to /empty/",
        why: "redirects are relative",
    },
];

/// php-fpm shows what was sent: with cgi.fix_pathinfo it would search for a script of its own.
fn php() -> Fpm {
    Fpm::builder("a").ini("cgi.fix_pathinfo", 0).start()
}

/// The directives of nginx's PHP location, behind `fastcgi_split_path_info`.
fn fastcgi(fpm: &Fpm) -> String {
    format!(
        "include fastcgi_params;
        fastcgi_param PATH_INFO $fastcgi_path_info;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass {};",
        fpm.server()
    )
}

fn nginx(root: &Root, locations: &str) -> Nginx {
    Nginx::start(&format!(
        "server_name {HOST}; root {}; index index.php index.html; {locations}",
        root.path().display()
    ))
}

/// `site` is what stands in the site below its root.
fn cornac(root: &Root, fpm: &Fpm, site: &str) -> Cornac {
    Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nnames = [{HOST:?}]\nroot = {:?}\n{site}",
            fpm.server(),
            root.path()
        )
    })
}

fn meant(rows: &[Difference]) -> Vec<Difference> {
    [EVERYWHERE, rows].concat()
}

#[test]
fn thinkphp_route_by_route_in_nginx_words() {
    let (root, fpm) = (root(), php());
    let nginx = nginx(
        &root,
        &format!(
            r"location / {{ if (!-e $request_filename) {{ rewrite ^/(.*)$ /index.php/$1 last; }} }}
            location ~ ^(.+\.php)(.*)$ {{ fastcgi_split_path_info ^(.+\.php)(.*)$; {} }}",
            fastcgi(&fpm)
        ),
    );
    let cornac = cornac(
        &root,
        &fpm,
        r#"
        index = ["index.php", "index.html"]
        [[sites.routes]]
        match = "/"
        rewrite = [{ from = '^/(.*)$', to = '/index.php/$1', flag = "last", unless_file = true }]
        [[sites.routes]]
        match = '~ ^(.+\.php)(.*)$'
        fastcgi = "php"
        split_path_info = '^(.+\.php)(.*)$'
        "#,
    );
    compare(nginx.address(), cornac.address(), &paths(), &meant(&[]));
}

#[test]
fn thinkphp_by_its_preset() {
    let (root, fpm) = (root(), php());
    let nginx = nginx(
        &root,
        &format!(
            r"location / {{ if (!-e $request_filename) {{ rewrite ^/(.*)$ /index.php/$1 last; }} }}
            location ~ ^(.+?\.php)(/.*)?$ {{ fastcgi_split_path_info ^(.+?\.php)(/.*)?$; {} }}",
            fastcgi(&fpm)
        ),
    );
    let cornac = cornac(&root, &fpm, "preset = \"thinkphp\"");
    compare(nginx.address(), cornac.address(), &paths(), &meant(&[]));
}

#[test]
fn thinkphp_by_query() {
    let (root, fpm) = (root(), php());
    let nginx = nginx(
        &root,
        &format!(
            r"location / {{ if (!-e $request_filename) {{ rewrite ^/(.*)$ /index.php?s=/$1 last; }} }}
            location ~ ^(.+?\.php)(/.*)?$ {{ fastcgi_split_path_info ^(.+?\.php)(/.*)?$; {} }}",
            fastcgi(&fpm)
        ),
    );
    let cornac = cornac(&root, &fpm, "preset = \"thinkphp-query\"");
    compare(nginx.address(), cornac.address(), &paths(), &meant(&[]));
}

#[test]
fn plain_scripts_in_folders() {
    let (root, fpm) = (root(), php());
    let nginx = nginx(&root, &plain(&fpm));
    let cornac = cornac(&root, &fpm, "preset = \"plain\"");
    compare(nginx.address(), cornac.address(), &paths(), &meant(&[]));
}

/// As nginx's own wiki has it.
fn plain(fpm: &Fpm) -> String {
    format!(
        r"location / {{ try_files $uri $uri/ =404; }}
        location ~ [^/]\.php(/|$) {{
            fastcgi_split_path_info ^(.+?\.php)(/.*)$;
            if (!-f $document_root$fastcgi_script_name) {{ return 404; }}
            {}
        }}",
        fastcgi(fpm)
    )
}

#[test]
fn laravel_by_try_files() {
    let (root, fpm) = (root(), php());
    let nginx = nginx(
        &root,
        &format!(
            r"location / {{ try_files $uri $uri/ /index.php?$query_string; }}
            location ~ \.php(/|$) {{ fastcgi_split_path_info ^(.+?\.php)(/.*)?$; {} }}",
            fastcgi(&fpm)
        ),
    );
    let cornac = cornac(&root, &fpm, "preset = \"laravel\"");
    compare(nginx.address(), cornac.address(), &paths(), &meant(&[]));
}

#[test]
fn wordpress_by_try_files() {
    let (root, fpm) = (root(), php());
    let nginx = nginx(
        &root,
        &format!(
            r"location / {{ try_files $uri $uri/ /index.php$is_args$args; }}
            location ~ \.php(/|$) {{ fastcgi_split_path_info ^(.+?\.php)(/.*)?$; {} }}",
            fastcgi(&fpm)
        ),
    );
    let cornac = cornac(&root, &fpm, "preset = \"wordpress\"");
    compare(nginx.address(), cornac.address(), &paths(), &meant(&[]));
}

/// Methods, versions and header lines: all to one script.
fn requests() -> Vec<Asked> {
    let lines: &[&[&str]] = &[
        &["Accept: */*", "Accept-Language: zh, en;q=0.5", "User-Agent: x (y; z)"],
        &["X-Twice: a", "X-Twice: b"],
        &["Accept: a", "X-Between: x", "Accept: b"],
        &["Cookie: a=1", "Cookie: b=2; c=3"],
        &["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"],
        &["X_Under: 1"],
        &["X.Dot: 1"],
        &["X-Dash-9: 1", "x-lower: 1", "X-UPPER: 1"],
        &["Proxy: http://evil.example:8080/"],
        &["Content-Type: text/x", "Content-Length: 0"],
        &["Authorization: Basic YTpi"],
        &["X-Empty:", "X-Blank:   ", "X-Tab:\ta\tb\t"],
        &["X-Latin: \u{fc}", "X-Dollar: $uri ${args}"],
        &["Upgrade: h2c", "TE: trailers", "Keep-Alive: 5"],
        &["Expect: nothing"],
        &["Script-Name: /evil.php", "Path-Info: /evil", "Document-Root: /", "Https: on"],
        &["If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT", "Range: bytes=0-1", "If-None-Match: \"x\""],
    ];
    let with_lines = lines.iter().map(|lines| Asked::with("GET", "/info.php/p?q=1", lines));
    let methods = ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL", "get"]
        .map(|method| Asked::with(method, "/info.php", &[]));
    let to = |name: &str, line: &str, host: &str| {
        Asked::raw(name, format!("{line}\r\n{host}Connection: close\r\n\r\n"))
    };
    let with_body = |name, kind: &str, body: &str| {
        let length = body.len();
        let head =
            format!("Host: {HOST}\r\nConnection: close\r\nContent-Length: {length}\r\n{kind}\r\n{body}");
        Asked::raw(name, format!("POST /info.php?a HTTP/1.1\r\n{head}"))
    };
    let hosts = [
        to("Host with port", "GET /info.php HTTP/1.1", "Host: shop.example:8080\r\n"),
        to("Host in capitals", "GET /info.php HTTP/1.1", "Host: SHOP.Example\r\n"),
        to("Host is an address", "GET /info.php HTTP/1.1", "Host: [::1]:80\r\n"),
        to("Host of nobody", "GET /info.php HTTP/1.1", "Host: other.example\r\n"),
        to("Host with a dot", "GET /info.php HTTP/1.1", "Host: shop.example.\r\n"),
        to("no Host", "GET /info.php HTTP/1.1", ""),
        to("1.0", "GET /info.php HTTP/1.0", "Host: shop.example\r\n"),
        to("1.0 without Host", "GET /info.php HTTP/1.0", ""),
        to("absolute", "GET http://shop.example/info.php/p?q=1 HTTP/1.1", "Host: shop.example\r\n"),
        to(
            "absolute with port",
            "GET http://shop.example:8080/info.php HTTP/1.1",
            "Host: shop.example:8080\r\n",
        ),
        to("absolute without path", "GET http://shop.example HTTP/1.1", "Host: shop.example\r\n"),
        to("absolute with only a query", "GET http://shop.example?q=1 HTTP/1.1", "Host: shop.example\r\n"),
        to("absolute, https", "GET https://shop.example/info.php HTTP/1.1", "Host: shop.example\r\n"),
        to(
            "absolute of another host",
            "GET http://other.example/info.php HTTP/1.1",
            "Host: shop.example\r\n",
        ),
        with_body("a form", "Content-Type: application/x-www-form-urlencoded\r\n", "a=1&b=2"),
        with_body("a body without a type", "", "abc"),
    ];
    with_lines.chain(methods).chain(hosts).collect()
}

#[test]
fn methods_headers_and_hosts() {
    let (root, fpm) = (root(), php());
    let nginx = nginx(&root, &plain(&fpm));
    let cornac = cornac(&root, &fpm, "preset = \"plain\"");
    compare(nginx.address(), cornac.address(), &requests(), &EVERYWHERE[..1]);
}
