//! X-Accel-Redirect, error pages, listings, indexes and expiry: the same words in an nginx.conf and in a cornac.toml, on the same files,
//! with the same php-fpm, give the same replies; each difference is listed with its reason.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use support::compare::{Asked, Difference, HOST};
use support::http::Connection;
use support::{Cornac, Fpm, Nginx, Root};

/// Says which headers `h` names, with the status `s`, and what `b` holds.
const SAY: &str = "<?php foreach ((array) ($_GET['h'] ?? []) as $line) { header($line, false); } \
                   isset($_GET['s']) && http_response_code((int) $_GET['s']); echo $_GET['b'] ?? 'said by php';";

const NGINX: &str = r#"
root ROOT; index index.html index.php; RUNNABLE
location /in/ { internal; alias ROOT/../store/; }
location /in/expiring/ { internal; alias ROOT/../store/; expires 1d; add_header X-Own inner; }
location /in/named/ { internal; error_page 404 = @named; }
location @named { return 200 'named $uri $args'; }
location /pages/ { error_page 404 /404.html; error_page 405 =200 /404.html; }
location /pages/again/ { error_page 404 /nowhere.html; }
location /pages/name/ { error_page 404 = @named; }
location /pages/name-same/ { error_page 404 @named; }
location /pages/away/ { error_page 404 https://away.example/?from=$uri; }
location /pages/moved/ { error_page 404 =301 https://away.example/; }
location /pages/script/ { error_page 404 /say.php?b=page; }
location /pages/script-own/ { error_page 404 = /say.php?s=202&b=page; }
location /pages/returned/ { error_page 403 404 410 /404.html; return 410; }
location /pages/text/ { error_page 410 /404.html; return 410 'a text of its own'; }
location /pages/denied/ { error_page 403 /404.html; deny all; }
location /pages/headers/ { error_page 404 /headers/404.html; add_header X-Own outer always; }
location /headers/ { add_header X-Own plain; add_header X-Always always always; }
location /fail/ { rewrite ^ /say.php break; RUN fastcgi_intercept_errors on; error_page 404 /404.html; error_page 401 /404.html;
    error_page 500 =503 /404.html; error_page 418 = @named; error_page 302 /404.html; }
location /list/json/ { autoindex on; autoindex_format json; }
location /exp/a/ { expires 1h; } location /exp/b/ { expires -1; } location /exp/c/ { expires epoch; } location /exp/d/ { expires max; }
location /exp/m/ { expires modified 1d; } location /exp/n/ { expires modified -1; }
location /exp/cc/ { expires 1h; add_header Cache-Control public; }
location /exp/t/ { expires $by_type; }
location = /exp/say.php { RUN expires 1h; }
location /types/ { types { text/x-own own; } default_type text/x-other; }
location ~ \.php$ { RUN }
"#;

const NGINX_HTTP: &str =
    "map $sent_http_content_type $by_type { text/html epoch; text/css max; ~image/ 30d; }";

const CORNAC: &str = r#"
index = ["index.html", "index.php"]
charset = "off"
serve_source = true
[[sites.routes]]
match = "/in/"
internal = true
alias = "ROOT/../store/"
[[sites.routes]]
match = "/in/expiring/"
internal = true
alias = "ROOT/../store/"
expires = "1d"
headers = { X-Own = "inner" }
[[sites.routes]]
match = "/in/named/"
internal = true
error_pages = { 404 = "= @named" }
[[sites.routes]]
match = "@named"
return = { status = 200, body = "named $uri $args" }
[[sites.routes]]
match = "/pages/"
error_pages = { 404 = "/404.html", 405 = "=200 /404.html" }
[[sites.routes]]
match = "/pages/again/"
error_pages = { 404 = "/nowhere.html" }
[[sites.routes]]
match = "/pages/name/"
error_pages = { 404 = "= @named" }
[[sites.routes]]
match = "/pages/name-same/"
error_pages = { 404 = "@named" }
[[sites.routes]]
match = "/pages/away/"
error_pages = { 404 = "https://away.example/?from=$uri" }
[[sites.routes]]
match = "/pages/moved/"
error_pages = { 404 = "=301 https://away.example/" }
[[sites.routes]]
match = "/pages/script/"
error_pages = { 404 = "/say.php?b=page" }
[[sites.routes]]
match = "/pages/script-own/"
error_pages = { 404 = "= /say.php?s=202&b=page" }
[[sites.routes]]
match = "/pages/returned/"
error_pages = { "403 404 410" = "/404.html" }
return = { status = 410 }
[[sites.routes]]
match = "/pages/text/"
error_pages = { 410 = "/404.html" }
return = { status = 410, body = "a text of its own" }
[[sites.routes]]
match = "/pages/denied/"
error_pages = { 403 = "/404.html" }
deny = ["all"]
[[sites.routes]]
match = "/pages/headers/"
error_pages = { 404 = "/headers/404.html" }
headers = { X-Own = { value = "outer", always = true } }
[[sites.routes]]
match = "/headers/"
headers = { X-Own = "plain", X-Always = { value = "always", always = true } }
[[sites.routes]]
match = "/fail/"
fastcgi = true
script = "/say.php"
intercept_errors = true
error_pages = { "401 404 302" = "/404.html", 500 = "=503 /404.html", 418 = "= @named" }
[[sites.routes]]
match = "/list/json/"
autoindex = "json"
[[sites.routes]]
match = "/exp/a/"
expires = "1h"
[[sites.routes]]
match = "/exp/b/"
expires = "-1"
[[sites.routes]]
match = "/exp/c/"
expires = "epoch"
[[sites.routes]]
match = "/exp/d/"
expires = "max"
[[sites.routes]]
match = "/exp/m/"
expires = "modified 1d"
[[sites.routes]]
match = "/exp/n/"
expires = "modified -1"
[[sites.routes]]
match = "/exp/cc/"
expires = "1h"
headers = { Cache-Control = "public" }
[[sites.routes]]
match = "/exp/t/"
expires = { "image/*" = "30d", "text/html" = "epoch", default = "off", "text/css" = "max" }
[[sites.routes]]
match = "= /exp/say.php"
fastcgi = true
expires = "1h"
[[sites.routes]]
match = "/types/"
types = { own = "text/x-own" }
default_type = "text/x-other"
[[sites.routes]]
match = '~ \.php$'
fastcgi = true
[[sites.routes]]
match = "/"
"#;

/// One request of the table: what a script is to say, percent-encoded here.
fn says(path: &str, status: u16, lines: &[&str]) -> String {
    let encode = |line: &str| line.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let lines: String = lines.iter().map(|line| format!("&h[]={}", encode(line))).collect();
    format!("{path}?s={status}{lines}")
}

fn asked() -> Vec<(String, Asked)> {
    let mut all = Vec::new();
    let mut add = |name: String, method: &str, target: &str, lines: &[&str]| {
        all.push((name, Asked::with(method, target, lines)));
    };
    for target in TARGETS {
        add((*target).to_owned(), "GET", target, &[]);
    }
    for (method, target, line) in [
        ("HEAD", "/pages/missing", "X: y"),
        ("POST", "/pages/missing", "Content-Length: 0"),
        ("PUT", "/pages/x.txt", "Content-Length: 0"),
        ("GET", "/pages/missing", "Range: bytes=0-1"),
        ("GET", "/pages/missing", "If-None-Match: *"),
        ("GET", "/pages/missing", "If-Match: \"x\""),
        ("GET", "/exp/m/a.txt", "If-None-Match: *"),
        ("GET", "/exp/t/a.css", "If-None-Match: *"),
        ("GET", "/exp/t/a.css", "Range: bytes=0-0"),
    ] {
        add(format!("{method} {target} [{line}]"), method, target, &[line]);
    }
    for (name, to, lines) in ORDERS {
        let order = format!("X-Accel-Redirect: {to}");
        let headers: Vec<&str> = [order.as_str()].into_iter().chain(lines.iter().copied()).collect();
        add((*name).to_owned(), "GET", &says("/say.php", 200, &headers), &[]);
    }
    let file = says("/say.php", 200, &["X-Accel-Redirect: /in/a.txt", "Content-Type: text/x-php"]);
    for (name, method, line) in [
        ("order, range", "GET", "Range: bytes=1-3"),
        ("order, ranges beyond", "GET", "Range: bytes=90-"),
        ("order, any tag", "GET", "If-None-Match: *"),
        ("order, wrong tag", "GET", "If-Match: \"x\""),
        ("order, HEAD", "HEAD", "X: y"),
        ("order, POST", "POST", "Content-Length: 0"),
        ("order, PUT", "PUT", "Content-Length: 0"),
    ] {
        add(name.to_owned(), method, &file, &[line]);
    }
    for status in [200, 302, 401, 403, 404, 418, 500, 503] {
        let lines = ["WWW-Authenticate: Basic realm=x", "X-Own: php", "Cache-Control: private"];
        add(format!("fail {status}"), "GET", &says("/fail/", status, &lines), &[]);
    }
    add(
        "fail 404 with an order".to_owned(),
        "GET",
        &says("/fail/", 404, &["X-Accel-Redirect: /in/a.txt"]),
        &[],
    );
    add(
        "fail 403 with an order".to_owned(),
        "GET",
        &says("/fail/", 403, &["X-Accel-Redirect: /in/a.txt"]),
        &[],
    );
    let cached = says(
        "/exp/say.php",
        200,
        &["Cache-Control: private", "Expires: 0", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"],
    );
    add("expires over php's".to_owned(), "GET", &cached, &[]);
    let charset = says("/say.php", 200, &["X-Accel-Charset: koi8-r"]);
    add("charset".to_owned(), "GET", &charset, &[]);
    let pace =
        says("/say.php", 200, &["X-Accel-Limit-Rate: 100000", "X-Accel-Expires: 5", "X-Accel-Buffering: no"]);
    add("pace".to_owned(), "GET", &pace, &[]);
    all
}

const TARGETS: &[&str] = &[
    "/",
    "/d",
    "/d/",
    "/both/",
    "/php-only/",
    "/php-only",
    "/none/",
    "/index.php/",
    "/d?x=1",
    "/d%20e",
    "/d%20e/",
    "/in/a.txt",
    "/in/",
    "/in/expiring/a.txt",
    "/pages/missing",
    "/pages/again/x",
    "/pages/name/x?a=b",
    "/pages/name-same/x?a=b",
    "/pages/away/x%20y",
    "/pages/moved/x",
    "/pages/script/x?a=b",
    "/pages/script-own/x",
    "/pages/returned/",
    "/pages/text/",
    "/pages/denied/x",
    "/pages/headers/x",
    "/headers/404.html",
    "/headers/x",
    "/missing",
    "/list/json/",
    "/list/json",
    "/list/json/sub/",
    "/list/json/none/",
    "/list/",
    "/exp/a/a.txt",
    "/exp/b/a.txt",
    "/exp/c/a.txt",
    "/exp/d/a.txt",
    "/exp/m/a.txt",
    "/exp/n/a.txt",
    "/exp/cc/a.txt",
    "/exp/a/missing",
    "/exp/t/a.html",
    "/exp/t/a.css",
    "/exp/t/a.jpg",
    "/exp/t/a.txt",
    "/exp/t/missing.css",
    "/types/a.own",
    "/types/a.other",
    "/types/a",
    "/types/a.txt",
];

/// What a script orders, and says besides.
const ORDERS: &[(&str, &str, &[&str])] = &[
    ("order", "/in/a.txt", &[]),
    (
        "order with headers",
        "/in/a.txt",
        &[
            "Content-Type: text/x-php",
            "Content-Disposition: attachment",
            "Set-Cookie: a=1",
            "Set-Cookie: b=2",
            "Cache-Control: private",
            "Expires: 0",
            "X-Own: php",
            "ETag: \"php\"",
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "Link: </x>",
            "Vary: X",
            "Content-Language: de",
        ],
    ),
    ("order, Accept-Ranges", "/in/a.txt", &["Accept-Ranges: none"]),
    ("order, encoded", "/in/%61%2etxt", &[]),
    ("order, space", "/in/b%20c.txt", &[]),
    ("order, bare space", "/in/b c.txt", &[]),
    ("order, encoded twice", "/in/%2561.txt", &[]),
    ("order, query", "/in/a.txt?x=/../y", &[]),
    ("order, question mark", "/in/a%3Fb.txt", &[]),
    (
        "order, missing",
        "/in/missing",
        &["Content-Type: text/x-php", "Content-Disposition: attachment", "Set-Cookie: a=1"],
    ),
    ("order, folder", "/in/sub", &[]),
    ("order, folder with slash", "/in/sub/", &[]),
    ("order, folder with index", "/in/indexed/", &[]),
    ("order, climbs", "/in/../a.txt", &[]),
    ("order, climbs encoded", "/in/%2e%2e/a.txt", &[]),
    ("order, climbs half encoded", "/in/.%2e/a.txt", &[]),
    ("order, NUL", "/in/a.txt%00", &[]),
    ("order, doubled slashes", "/in//sub//s.txt", &[]),
    ("order, dots that stay", "/in/./a.txt", &[]),
    ("order, doubled in front", "//in/a.txt", &[]),
    ("order, no path", "in/a.txt", &[]),
    ("order, nothing", "", &[]),
    ("order, question only", "?x", &[]),
    ("order, name", "@named", &[]),
    ("order, no such name", "@nobody", &[]),
    ("order, open route", "/d/index.html", &[]),
    ("order, script", "/say.php?b=two", &[]),
    ("order, expiring", "/in/expiring/a.txt", &["Cache-Control: private"]),
    ("order, page of the target", "/in/named/missing?x=y", &[]),
    ("order, limited", "/in/a.txt", &["X-Accel-Limit-Rate: 100000"]),
];

const MEANT: &[Difference] = &[
    Difference {
        on: "*",
        what: "location",
        nginx: "http://shop.example:<port>*",
        cornac: "*",
        why: "a relative Location is right whatever name and port the client used (RFC 9110 §10.2.2)",
    },
    Difference {
        on: "/pages/away/x%20y",
        what: "location",
        nginx: "https://away.example/?from=/pages/away/x y",
        cornac: "https://away.example/?from=/pages/away/x%20y",
        why: "no Location holds what splits a reply",
    },
    Difference {
        on: "*",
        what: "content-type",
        nginx: "application/octet-stream",
        cornac: "text/plain; charset=utf-8",
        why: "the text of a return is text",
    },
    Difference {
        on: "order, page of the target",
        what: "content-type",
        nginx: "application/octet-stream; charset=UTF-8",
        cornac: "text/plain; charset=utf-8",
        why: "the text of a return is text",
    },
    Difference {
        on: "order, name",
        what: "content-type",
        nginx: "text/html; charset=UTF-8",
        cornac: "text/plain; charset=utf-8",
        why: "the text of a return is text; a script knows what a file is, not what a return says",
    },
    Difference {
        on: "/types/a.txt",
        what: "content-type",
        nginx: "text/x-other",
        cornac: "text/plain",
        why: "types are beside the usual ones, not in their place",
    },
    Difference {
        on: "charset",
        what: "content-type",
        nginx: "text/html; charset=UTF-8",
        cornac: "text/html; charset=koi8-r",
        why: "nginx follows X-Accel-Charset only if its configuration happens to name that charset",
    },
    Difference {
        on: "order, Accept-Ranges",
        what: "accept-ranges",
        nginx: "none | bytes",
        cornac: "bytes",
        why: "one that is true rather than two that contradict each other",
    },
    Difference {
        on: "order, missing",
        what: "content-disposition",
        nginx: "attachment",
        cornac: "-",
        why: "the page of an error is not a file to save",
    },
    Difference {
        on: "order, doubled in front",
        what: "*",
        nginx: "…",
        cornac: "…",
        why: "slashes are merged, so that a location sees the path that the disk sees",
    },
    Difference {
        on: "order, open route",
        what: "*",
        nginx: "…",
        cornac: "…",
        why: "an order leads to internal and named routes only",
    },
    Difference {
        on: "order, script",
        what: "*",
        nginx: "…",
        cornac: "…",
        why: "an order leads to internal and named routes only",
    },
    Difference {
        on: "order, page of the target",
        what: "body",
        nginx: "named /in/named/missing x=y",
        cornac: "named /say.php …",
        why: "$uri of a named page is what the client asked for",
    },
    Difference {
        on: "fail 418",
        what: "body",
        nginx: "named /say.php *",
        cornac: "named /fail/ *",
        why: "$uri of a named page is what the client asked for",
    },
];

/// What a client sees; headers that either of the two may send of its own accord are left out.
fn seen(server: SocketAddr, asked: &Asked) -> BTreeMap<&'static str, String> {
    let mut connection = Connection::open(server);
    connection.send(&asked.bytes);
    let method = if asked.bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let response =
        connection.try_response(method).unwrap_or_else(|broken| panic!("{}: {broken:?}", asked.name));
    let mut seen = BTreeMap::from([("status", response.status.to_string())]);
    let text = String::from_utf8_lossy(&response.body);
    let standard = text.contains("<center>nginx") || text.contains("Request <code>");
    let body = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(json) => json["entry"].as_str().map_or_else(|| json.to_string(), |script| format!("by {script}")),
        Err(_) if standard => "the standard page".to_owned(),
        Err(_) => text.into_owned(),
    };
    seen.insert("body", body);
    for name in HEADERS {
        let value =
            response.header_all(name).join(" | ").replace(&format!(":{}/", server.port()), ":<port>/");
        let of_page = standard && matches!(*name, "content-type" | "cache-control");
        if !value.is_empty() && !of_page {
            seen.insert(name, value);
        }
    }
    // So long until the file's own date.
    if seen.get("cache-control").is_some_and(|control| control.starts_with("max-age=") && control.len() > 15)
    {
        seen.insert("cache-control", "max-age=<until then>".to_owned());
    }
    // What a clock makes differs by a second now and then.
    if seen.get("expires").is_some_and(|date| date.contains(" 20") && !date.contains("2037")) {
        seen.insert("expires", "a date of today".to_owned());
    }
    seen
}

const HEADERS: &[&str] = &[
    "content-type",
    "content-disposition",
    "set-cookie",
    "cache-control",
    "expires",
    "accept-ranges",
    "content-range",
    "location",
    "last-modified",
    "etag",
    "www-authenticate",
    "x-own",
    "x-always",
    "link",
    "content-language",
];

#[test]
fn redirects_pages_and_listings_are_those_of_nginx_but_for_what_is_listed() {
    let mut root = Root::new().script("index.php").file("say.php", SAY).file("404.html", "<h1>page</h1>\n");
    for file in [
        "both/index.html",
        "both/index.php",
        "d/index.html",
        "d e/index.html",
        "php-only/index.php",
        "none/a.txt",
        "pages/x.txt",
        "headers/404.html",
        "list/json/b.txt",
        "list/json/a.txt",
        "list/json/z/x",
        "list/json/.hidden",
        "list/json/sub/.only",
        "list/a.txt",
        "exp/a/a.txt",
        "exp/b/a.txt",
        "exp/c/a.txt",
        "exp/d/a.txt",
        "exp/m/a.txt",
        "exp/n/a.txt",
        "exp/cc/a.txt",
        "exp/t/a.html",
        "exp/t/a.css",
        "exp/t/a.jpg",
        "exp/t/a.txt",
        "types/a.own",
        "types/a.other",
        "types/a",
        "types/a.txt",
    ] {
        root = root.file(file, format!("{file}\n"));
    }
    root = root.file("exp/say.php", SAY);
    for file in ["a.txt", "b c.txt", "a?b.txt", "sub/s.txt", "indexed/index.html"] {
        root = root.outside(&format!("store/{file}"), format!("{file}\n"));
    }
    let future = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 31);
    let dated = File::options().write(true).open(root.join("exp/m/a.txt")).expect("written above");
    dated.set_modified(future).expect("a file of our own");
    let path = root.path().display().to_string();
    let fpm = Fpm::start("a");
    let run = format!(
        "include fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass {};",
        fpm.server()
    );
    let conf = NGINX.replace("RUNNABLE", "").replace("RUN", &run).replace("ROOT", &path);
    let nginx = Nginx::start_with(NGINX_HTTP, &format!("server_name {HOST};\n{conf}"));
    let cornac = Cornac::serving(|listen| {
        let site = CORNAC.replace("ROOT", &path);
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nnames = [{HOST:?}]\nroot = {path:?}\n{site}",
            fpm.server()
        )
    });

    let (mut report, mut unseen) = (String::new(), BTreeSet::from_iter(0..MEANT.len()));
    for (name, request) in asked() {
        let (theirs, ours) = (seen(nginx.address(), &request), seen(cornac.address(), &request));
        for what in theirs.keys().chain(ours.keys()).copied().collect::<BTreeSet<_>>() {
            let value =
                |seen: &BTreeMap<&str, String>| seen.get(what).cloned().unwrap_or_else(|| "-".to_owned());
            let (nginx, cornac) = (value(&theirs), value(&ours));
            if nginx == cornac {
                continue;
            }
            match MEANT.iter().position(|row| row.allows(&name, what, &nginx, &cornac)) {
                Some(row) => drop(unseen.remove(&row)),
                None => writeln!(report, "{name}\n  {what}\n    nginx  {nginx}\n    cornac {cornac}")
                    .expect("text"),
            }
        }
    }
    for row in unseen {
        writeln!(report, "listed, but not seen: {:?}", MEANT[row]).expect("text");
    }
    assert!(report.is_empty(), "\n{report}");
}
