//! What is refused, and in which words: one table of small mistakes with the line and the remedy that a user reads.

use std::path::Path;

use super::parse;

const SERVER: (&str, &str) = ("[server]\n", "\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n");
const POOL: (&str, &str) = ("[pools.php]\n", "\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n");
const SITE: (&str, &str) = ("[pools.php]\nservers = [\"a:1\"]\n[[sites]]\n", "\n");
const ROUTE: (&str, &str) = (
    "[pools.php]\nservers = [\"a:1\"]\n[[sites]]\nlisten = [\":80\"]\nroot = \"public\"\n[[sites.routes]]\n",
    "\n",
);
const WHOLE: (&str, &str) = ("", "");

/// What stands around the wrong lines, the wrong lines, and every `line:column: message [hint]`.
type Case = ((&'static str, &'static str), &'static str, &'static [&'static str]);

/// A folder with a file and a folder in it.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("public")).unwrap();
    std::fs::write(folder.path().join("file.txt"), "").unwrap();
    folder
}

fn shown(text: &str, base: &Path) -> Vec<String> {
    let Err(mistakes) = parse(text, "c.toml", base) else { return Vec::new() };
    let one = |mistake: &super::Diagnostic| {
        let (line, column) = mistakes.place(mistake).unwrap();
        let hint = mistake.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        let shown = format!("{line}:{column}: {}{hint}", mistake.message);
        shown.replace(&*base.to_string_lossy(), "BASE")
    };
    mistakes.iter().map(one).collect()
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_remedy() {
    let project = project();
    for ((before, after), wrong, expected) in cases() {
        let text = [before, wrong, after].concat();
        let _ = expected;
        println!("@@{}", serde_json::to_string(&(wrong, shown(&text, project.path()))).unwrap());
    }
}

#[rustfmt::skip] // one case a paragraph
fn cases() -> Vec<Case> {
    vec![
        (SERVER, r#"threads = 0"#, &[
        ]),
        (SERVER, r#"threads = "all""#, &[
        ]),
        (SERVER, r#"threds = 2"#, &[
        ]),
        (SERVER, r#"user = "www-data""#, &[
        ]),
        (SERVER, r#"shutdown_timeout = "30 s""#, &[
        ]),
        (SERVER, r#"shutdown_timeout = -1"#, &[
        ]),
        (SERVER, r#"access_log = 1"#, &[
        ]),
        (SERVER, r#"access_log = { path = "a.log", format = "xml" }"#, &[
        ]),
        (SERVER, r#"access_log = "logs/a.log""#, &[
        ]),
        (SERVER, r#"log = "loud=""#, &[
        ]),
        (SERVER, r#"temp_dir = "missing""#, &[
        ]),
        (SERVER, r#"pid_file = "public""#, &[
        ]),
        (POOL, r#"servers = []"#, &[
        ]),
        (POOL, r#"servers = "fpm:9000""#, &[
        ]),
        (POOL, r#"servers = 9000"#, &[
        ]),
        (POOL, r#"policy = "round_robin""#, &[
        ]),
        (POOL, r#"servers = ["fpm:99999"]"#, &[
        ]),
        (POOL, r#"servers = ["fpm:0"]"#, &[
        ]),
        (POOL, r#"servers = ["fpm"]"#, &[
        ]),
        (POOL, r#"servers = ["::1"]"#, &[
        ]),
        (POOL, r#"servers = ["/run/fpm.sock"]"#, &[
        ]),
        (POOL, r#"servers = ["tcp://fpm:9000"]"#, &[
        ]),
        (POOL, r#"servers = ["f pm:9000"]"#, &[
        ]),
        (POOL, r#"servers = [":9000"]"#, &[
        ]),
        (POOL, r#"servers = ["unix:"]"#, &[
        ]),
        (POOL, r#"servers = ["a:1", "A:1"]"#, &[
        ]),
        (POOL, r#"servers = [{ address = "a:1", weight = 0 }]"#, &[
        ]),
        (POOL, r#"servers = [{ weight = 2 }]"#, &[
        ]),
        (POOL, r#"servers = [{ address = "a:1", wieght = 2 }]"#, &[
        ]),
        (POOL, r#"servers = [{ address = "a:1", slow_start = "10s" }]"#, &[
        ]),
        (POOL, r#"servers = [{ address = "a:1", max_fails = -1 }]"#, &[
        ]),
        (POOL, r#"servers = [7]"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "least_time""#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "leastconn""#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "hash""#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
hash_key = "$uri""#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "hash"
hash_key = "$request_urii""#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
protocol = "http""#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
health = { interval = "1s" }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
discover = [{ dns = "fpm:9000" }]"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
keepalive = { idle = 4 }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
keepalive = { mode = "off", timeout = "1s" }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
keepalive = "on""#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
retry = { tries = 0 }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
timeouts = { connect = "0s" }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
timeouts = { read = "5s" }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
queue = { size = 5_000_000_000 }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
params = { "A B" = "x" }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
params = { A = "$nope" }"#, &[
        ]),
        (POOL, r#"servers = ["a:1"]
resolve = "400d""#, &[
        ]),
        (SITE, r#"root = "public"
"#, &[
        ]),
        (SITE, r#"listen = []
root = "public"
"#, &[
        ]),
        (SITE, r#"listen = ["8080", ":8080"]
root = "public"
"#, &[
        ]),
        (SITE, r#"listen = ["example.com:80"]
root = "public"
"#, &[
        ]),
        (SITE, r#"listen = ["1.2.3.4"]
root = "public"
"#, &[
        ]),
        (SITE, r#"listen = ["1.2.3.4:http"]
root = "public"
"#, &[
        ]),
        (SITE, r#"listen = [{ address = ":443", tls = true, http2 = false }]
root = "public"
"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "nowhere""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "file.txt""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "/srv/$host""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
backend_root = "app""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
preset = "think""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
pool = "phq""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["a b"]"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["www.*.com"]"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["a:80", "http://b", "bücher.de", "*", ""]"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["~^(?!www)"]"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
max_body = "8x""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
compression = true"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
trusted_proxies = ["10.0.0.0/8"]"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
script_extensions = ["php"]"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
scripts = "here""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
deny = ["10.0.0.0/33"]"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
headers = { "X Y" = "a" }"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
headers = { Content-Length = "1" }"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
headers = { X = "a\nb" }"#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
charset = "utf 8""#, &[
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
expires = "soon""#, &[
        ]),
        (ROUTE, r#"try_files = ["$uri", "=404"]"#, &[
        ]),
        (ROUTE, r#"match = "x""#, &[
        ]),
        (ROUTE, r#"match = "~""#, &[
        ]),
        (ROUTE, r#"match = "= x""#, &[
        ]),
        (ROUTE, r#"match = "~ ^/(?!a)b""#, &[
        ]),
        (ROUTE, r#"match = '~ (a'"#, &[
        ]),
        (ROUTE, r#"match = "~* \\.(jpg|png""#, &[
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri"]"#, &[
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri", "@ap"]
[[sites.routes]]
match = "@app"
fastcgi = true"#, &[
        ]),
        (ROUTE, r#"match = "/"
try_files = ["=404", "/x"]"#, &[
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri", "=4040"]"#, &[
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri", "index.php"]"#, &[
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$urii", "/x"]"#, &[
        ]),
        (ROUTE, r#"match = "/"
[[sites.routes]]
match = "^~ /""#, &[
        ]),
        (ROUTE, r#"match = "= /a"
[[sites.routes]]
match = "=/a""#, &[
        ]),
        (ROUTE, r#"match = "/"
rewrite = { from = "^/(.*)$", to = "/$2" }"#, &[
        ]),
        (ROUTE, r#"match = "/"
rewrite = [{ from = "^/", to = "/x", flag = "lst" }]"#, &[
        ]),
        (ROUTE, r#"match = "/"
rewrite = "^/ /x""#, &[
        ]),
        (ROUTE, r#"match = "/"
rewrite = { from = '^/(a)\1', to = "/" }"#, &[
        ]),
        (ROUTE, r#"match = "/"
fastcgi = "phq""#, &[
        ]),
        (ROUTE, r#"match = "/"
script = "/index.php""#, &[
        ]),
        (ROUTE, r#"match = "/"
fastcgi = true
script = "index.php""#, &[
        ]),
        (ROUTE, r#"match = "/"
fastcgi = true
split_path_info = "^(.+)$""#, &[
        ]),
        (ROUTE, r#"match = "/"
proxy = "node""#, &[
        ]),
        (ROUTE, r#"match = "/"
return = { status = 700 }"#, &[
        ]),
        (ROUTE, r#"match = "/"
return = { status = 301 }"#, &[
        ]),
        (ROUTE, r#"match = "/"
return = { status = 404, url = "/x" }"#, &[
        ]),
        (ROUTE, r#"match = "/"
return = {}"#, &[
        ]),
        (ROUTE, r#"match = "/"
return = { status = 404 }
fastcgi = true"#, &[
        ]),
        (ROUTE, r#"match = "/"
return = 404"#, &[
        ]),
        (ROUTE, r#"match = "~ ^/a/"
alias = "public""#, &[
        ]),
        (ROUTE, r#"match = "/a/"
alias = "nowhere""#, &[
        ]),
        (ROUTE, r#"match = "/a/"
alias = "public"
root = "public""#, &[
        ]),
        (ROUTE, r#"match = "/"
internal = "yes""#, &[
        ]),
        (ROUTE, r#"match = "/"
timeouts = { connect = "1s" }"#, &[
        ]),
        (ROUTE, r#"match = "/"
auth = { basic = "x" }"#, &[
        ]),
        (WHOLE, r#""#, &[
        ]),
        (WHOLE, r#"[pools.a]
servers = ["a:1"]
[pools.b]
servers = ["b:1"]
[[sites]]
listen = [":80"]
root = "public"
preset = "plain"
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
preset = "plain"
"#, &[
        ]),
        (WHOLE, r#"[sites]
listen = [":80"]
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[[sites]]
listen = [":80"]
root = "public"
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
names = ["a.de"]
[[sites]]
listen = [":80"]
root = "public"
names = [".A.de"]
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = ["127.0.0.1:80"]
root = "public"
[[sites]]
listen = ["0.0.0.0:80"]
root = "public"
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[admin]
listen = "127.0.0.1:9180"
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[serverr]
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
names = [a.de]
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
index = "a\p"
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
names = ["a.de"
index = 3
"#, &[
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[[sites]]
listen = [":81"]
listen = [":82"]
root = "public"
"#, &[
        ]),
    ]
}
