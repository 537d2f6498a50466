//! Behind cornac, php receives what it receives behind nginx: the same bytes go to a real nginx with the equivalent
//! nginx.conf and to cornac, with the same php-fpm and the same files behind both. What differs is listed, each with its reason; a
//! difference that is not listed fails, and so does one that is listed and not seen.

mod support;

use support::compare::{Asked, Difference, HOST, compare};
use support::paths::{PATHS, made_up, root};
use support::{Cornac, Fpm, Nginx, Root};

fn paths() -> Vec<Asked> {
    let target = format!("/index.php/{}?{}", "p/".repeat(1_000), "q=1&".repeat(1_000));
    let long = Asked { name: "a long target".to_owned(), ..Asked::get(&target) };
    let made_up = made_up(400).map(|target| Asked::get(&target));
    PATHS.iter().copied().map(Asked::get).chain([long]).chain(made_up).collect()
}

const fn row(
    on: &'static str,
    what: &'static str,
    nginx: &'static str,
    cornac: &'static str,
    why: &'static str,
) -> Difference {
    Difference { on, what, nginx, cornac, why }
}

const NAME: Difference = row("*", "SERVER_SOFTWARE", "nginx/…", "cornac/…", "each says its own name");
const NAMED: Difference =
    row("*", "HTTP_X_REQUEST_ID", "-", "…", "php's log can name the request that the access log names");
const SOURCE: &str = "the source of a script never leaves, under any spelling";
const NEWLINE: &str = "a decoded newline neither shifts the script nor gets lost from PATH_INFO";
const FRAGMENT: &str = "a fragment is not for servers (RFC 3986 §3.5)";

/// In every layout.
const EVERYWHERE: &[Difference] = &[
    NAME,
    NAMED,
    row(
        "*",
        "answer",
        "301 to http://shop.example:<port>*",
        "301 to *",
        "redirects are relative: a Host header never gets into a Location",
    ),
    row("/old.inc", "answer", "200 text of …", "404", SOURCE),
    row("/SHOUT.PHP", "answer", "200 text of …", "404", SOURCE),
    row("/index.php/a#b?c", "REQUEST_URI", "/index.php/a#b?c", "/index.php/a", FRAGMENT),
    row("/index.php?a#b", "REQUEST_URI", "/index.php?a#b", "/index.php?a", FRAGMENT),
    row(
        "/index.php/a?x=\"y\"&z={1|2}",
        "answer",
        "200 by index.php",
        "400",
        "a bare quotation mark is no part of a query (RFC 3986 §3.4); browsers send %22",
    ),
];

/// With every preset: in the layout without one, nginx's regex makes a script and PATH_INFO of it.
const BACKUP: Difference = row("/info.php~", "answer", "200 text of …", "404", SOURCE);

/// Where nginx's regex finds no script when a newline follows it.
const REFUSED: Difference = row("/index.php/a%0Ab", "answer", "40…", "200 by index.php", NEWLINE);

/// Where nginx sends everything to the front controller, the newline is lost with all around it.
const LOST: &[Difference] = &[
    row("/index.php/a%0Ab", "PATH_INFO", "", "/a\nb", NEWLINE),
    row("/index.php/a%0Ab", "DOCUMENT_URI", "/index.php", "/index.php/a\nb", NEWLINE),
];

/// Where a rewrite sends everything to the front controller.
const REWRITTEN: Difference = row("/a%0Ab", "answer", "404", "200 by index.php", NEWLINE);

/// `PHP_LOCATION` in an nginx.conf: where scripts run, as most who have thought about it write it.
const PHP_LOCATION: &str =
    r"location ~ ^(.+?\.php)(/.*)?$ { fastcgi_split_path_info ^(.+?\.php)(/.*)?$; RUN }";

/// `RUN`: the params, and where they go.
const RUN: &str = "include fastcgi_params;
    fastcgi_param PATH_INFO $fastcgi_path_info;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    fastcgi_pass SERVER;";

/// One root and one php-fpm, an nginx and a cornac in front of them.
struct Both {
    nginx: Nginx,
    cornac: Cornac,
    _root: Root,
    _fpm: Fpm,
}

/// `locations` in nginx's words, `site` in cornac's.
fn both(locations: &str, site: &str) -> Both {
    let root = root();
    // php-fpm shows what was sent: with cgi.fix_pathinfo it would search for a script of its own.
    let fpm = Fpm::builder("a").ini("cgi.fix_pathinfo", 0).start();
    let locations = locations.replace("PHP_LOCATION", PHP_LOCATION).replace("RUN", RUN);
    let nginx = Nginx::start(&format!(
        "server_name {HOST}; root {}; index index.php index.html; {}",
        root.path().display(),
        locations.replace("SERVER", &fpm.server())
    ));
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nnames = [{HOST:?}]\nroot = {:?}\n{site}",
            fpm.server(),
            root.path()
        )
    });
    Both { nginx, cornac, _root: root, _fpm: fpm }
}

impl Both {
    fn agree_on(&self, asked: &[Asked], meant: &[Difference]) {
        compare(self.nginx.address(), self.cornac.address(), asked, meant);
    }

    /// On every path, but for what is so everywhere and these.
    fn agree_but_for(&self, rows: &[Difference]) {
        self.agree_on(&paths(), &[EVERYWHERE, rows].concat());
    }
}

#[test]
fn thinkphp_route_by_route_in_nginx_words() {
    let both = both(
        r"location / { if (!-e $request_filename) { rewrite ^/(.*)$ /index.php/$1 last; } }
        location ~ ^(.+\.php)(.*)$ { fastcgi_split_path_info ^(.+\.php)(.*)$; RUN }",
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
    both.agree_but_for(&[REFUSED, REWRITTEN]);
}

#[test]
fn thinkphp_by_its_preset() {
    let both = both(
        r"location / { if (!-e $request_filename) { rewrite ^/(.*)$ /index.php/$1 last; } }
        location ^~ /.well-known/ { if (!-e $request_filename) { rewrite ^/(.*)$ /index.php/$1 last; } }
        location ~ ^/index\.php(/|$) { fastcgi_split_path_info ^(.+?\.php)(/.*)?$; RUN }
        location ~ /\. { deny all; }
        PHP_LOCATION",
        "preset = \"thinkphp\"",
    );
    both.agree_but_for(&[BACKUP, REFUSED, REWRITTEN]);
}

#[test]
fn thinkphp_by_query() {
    let both = both(
        r"location / { if (!-e $request_filename) { rewrite ^/(.*)$ /index.php?s=/$1 last; } }
        location ^~ /.well-known/ { if (!-e $request_filename) { rewrite ^/(.*)$ /index.php?s=/$1 last; } }
        location ~ /\. { deny all; }
        PHP_LOCATION",
        "preset = \"thinkphp-query\"",
    );
    both.agree_but_for(&[BACKUP, REFUSED, REWRITTEN]);
}

/// As nginx's own wiki has it.
const PLAIN: &str = r"location / { try_files $uri $uri/ =404; }
    location ^~ /.well-known/ { try_files $uri $uri/ =404; }
    location ~ /\. { deny all; }
    location ~ [^/]\.php(/|$) {
        fastcgi_split_path_info ^(.+?\.php)(/.*)$;
        if (!-f $document_root$fastcgi_script_name) { return 404; }
        RUN
    }";

#[test]
fn plain_scripts_in_folders() {
    both(PLAIN, "preset = \"plain\"").agree_but_for(&[BACKUP, REFUSED]);
}

/// As Laravel's and WordPress's documentation have it, but for PATH_INFO and the dotfiles.
const TRY_FILES: &str = r"location / { try_files $uri $uri/ /index.php$is_args$args; }
    location ^~ /.well-known/ { try_files $uri /index.php$is_args$args; }
    location ~ /\. { deny all; }
    PHP_LOCATION";

#[test]
fn laravel_by_try_files() {
    both(TRY_FILES, "preset = \"laravel\"").agree_but_for(&[&[BACKUP], LOST].concat());
}

#[test]
fn wordpress_by_try_files() {
    let uploads = r"location ~* /(?:uploads|files)/.*\.php(/|$) { deny all; }";
    let locations = TRY_FILES.replace("PHP_LOCATION", &format!("{uploads} PHP_LOCATION"));
    both(&locations, "preset = \"wordpress\"").agree_but_for(&[&[BACKUP], LOST].concat());
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
    let bytes: [(&str, &[u8]); 8] = [
        (
            "GBK in the path",
            b"GET /info.php/\xd6\xd0 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n",
        ),
        (
            "GBK in the query",
            b"GET /info.php?q=\xd6\xd0 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n",
        ),
        (
            "GBK in a header",
            b"GET /info.php HTTP/1.1\r\nHost: shop.example\r\nX-Gbk: \xd6\xd0\r\nConnection: close\r\n\r\n",
        ),
        ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"),
        ("GET *", b"GET * HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"),
        (
            "an empty line first",
            b"\r\nGET /info.php HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n",
        ),
        ("line ends without CR", b"GET /info.php HTTP/1.1\nHost: shop.example\nConnection: close\n\n"),
        (
            "no space behind the colon",
            b"GET /info.php HTTP/1.1\r\nHOST:shop.example\r\nconnection:close\r\nx:y\r\n\r\n",
        ),
    ];
    let bytes = bytes.into_iter().map(|(name, bytes)| Asked::raw(name, bytes));
    with_lines.chain(methods).chain(hosts).chain(bytes).collect()
}

const JOINED: &str =
    "repeated headers are one list (RFC 9110 §5.3): php would keep the last that nginx sends";

const RAW: &str = "bytes that are no UTF-8 must be percent-encoded (RFC 3986 §2.1), as %D6%D0 they arrive";

const HEADERS: &[Difference] = &[
    NAME,
    NAMED,
    row(
        "line ends without CR",
        "answer",
        "200 by info.php",
        "400",
        "whoever stands in front may read a bare LF otherwise, and see other requests than we do",
    ),
    row("GBK in the path", "answer", "200 by info.php", "400", RAW),
    row("GBK in the query", "answer", "200 by info.php", "400", RAW),
    row("/info.php/p?q=1 [X-Twice: a | X-Twice: b]", "HTTP_X_TWICE", "b", "a, b", JOINED),
    row("/info.php/p?q=1 [Accept: a | X-Between: x | Accept: b]", "HTTP_ACCEPT", "b", "a, b", JOINED),
    row(
        "/info.php/p?q=1 [Cookie: a=1 | Cookie: b=2; c=3]",
        "HTTP_COOKIE",
        "b=2; c=3",
        "a=1; b=2; c=3",
        JOINED,
    ),
    row(
        "/info.php/p?q=1 [X-Forwarded-For: 192.0.2.1 | X-Forwarded-For: 192.0.2.2]",
        "HTTP_X_FORWARDED_FOR",
        "192.0.2.2",
        "192.0.2.1, 192.0.2.2",
        JOINED,
    ),
    row(
        "/info.php/p?q=1 [X-Empty: | X-Blank:    | X-Tab:\ta\tb\t]",
        "HTTP_X_TAB",
        "\ta\tb\t",
        "a\tb",
        "white space around a value is none of it (RFC 9110 §5.5)",
    ),
    row(
        "get /info.php",
        "answer",
        "400",
        "200 by info.php",
        "a method is any token (RFC 9110 §9.1): php decides",
    ),
];

#[test]
fn methods_headers_and_hosts() {
    both(PLAIN, "preset = \"plain\"").agree_on(&requests(), HEADERS);
}
