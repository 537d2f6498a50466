//! What is refused, and in which words: one table of small mistakes with the line and the remedy that a user reads.

use super::testing::{mistakes_in, project};

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

#[test]
fn every_mistake_is_told_with_its_place_and_its_remedy() {
    let project = project();
    for ((before, after), wrong, expected) in cases() {
        let text = [before, wrong, after].concat();
        assert_eq!(mistakes_in(project.path(), &text), *expected, "\n{text}");
    }
}

#[rustfmt::skip] // one case a paragraph
fn cases() -> Vec<Case> {
    vec![
        (SERVER, r#"threads = 0"#, &[
            r#"2:11: threads: expected a number from 1 to 1024, found 0"#,
        ]),
        (SERVER, r#"threads = "all""#, &[
            r#"2:11: threads: expected a number from 1 to 1024, found a string"#,
        ]),
        (SERVER, r#"threds = 2"#, &[
            r#"2:1: unknown key 'threds' [did you mean 'threads'?]"#,
        ]),
        (SERVER, r#"user = "no such user""#, &[
            r#"2:8: user: there is no user 'no such user' here [`getent passwd` lists them]"#,
        ]),
        (SERVER, r#"user = "nobody"
group = "no such group""#, &[
            r#"3:9: group: there is no group 'no such group' here [`getent group` lists them]"#,
        ]),
        (SITE, r#"listen = [{ address = "unix:/run/a.sock", mode = "rw" }, { address = ":80", mode = "660" }]
root = "public""#, &[
            r#"4:50: mode: 'rw' is no mode ["660" for its user and group, "666" for everybody on this machine]"#,
            r#"4:89: mode: a port has none [allow and deny say who may come]"#,
        ]),
        (SITE, r#"listen = ":80"
root = "public"
symlinks = "off""#, &[
            r#"6:12: symlinks: unknown value 'off' [allowed: follow, beneath]"#,
        ]),
        (SERVER, r#"group = "root""#, &[
            r#"2:9: group: it goes with a user [user = "www-data"]"#,
        ]),
        (SERVER, r#"shutdown_timeout = "30 s""#, &[
            r#"2:20: shutdown_timeout: not a duration [write a number and a unit: "500ms", "3s", "5m", "1h", "1d"]"#,
        ]),
        (SERVER, r#"shutdown_timeout = -1"#, &[
            r#"2:20: shutdown_timeout: expected a duration such as "30s", found a negative number"#,
        ]),
        (SERVER, r#"access_log = 1"#, &[
            r#"2:14: access_log: expected a string or a table, found an integer"#,
        ]),
        (SERVER, r#"access_log = { path = "a.log", format = "xml" }"#, &[
            r#"2:41: format: unknown value 'xml' [allowed: combined, json, logfmt, short]"#,
        ]),
        (SERVER, r#"access_log = "logs/a.log""#, &[
            r#"2:14: access_log: the folder of BASE/logs/a.log does not exist [create it first]"#,
        ]),
        (SERVER, r#"log = "cornac=loud""#, &[
            r#"2:7: log: 'cornac=loud' is not a filter ["error", "warn", "info", "debug", "trace", or "info,cornac=debug"]"#,
        ]),
        (SERVER, r#"access_log = "syslog:nowhere""#, &[
            r#"2:14: access_log: 'nowhere' is not where a syslog listens ["syslog:" (the machine's own), "syslog:10.0.0.5:514" or "syslog:unix:/path"]"#,
        ]),
        (SERVER, r#"slow_log = { path = "slow.log" }"#, &[
            r#"2:12: 'threshold' is missing [{ threshold = "1s" }]"#,
        ]),
        (SERVER, r#"slow_log = { threshold = 0 }"#, &[
            r#"2:26: threshold: must be more than 0"#,
        ]),
        (SERVER, r#"log = { filter = "cornac=loud", file = "e.log" }"#, &[
            r#"2:18: filter: 'cornac=loud' is not a filter ["error", "warn", "info", "debug", "trace", or "info,cornac=debug"]"#,
            r#"2:33: unknown key 'file' [did you mean 'filter'?]"#,
        ]),
        (SERVER, r#"reload_on_change = 1"#, &[
            r#"2:20: reload_on_change: expected true or false, found an integer"#,
        ]),
        (SERVER, r#"temp_dir = "missing""#, &[
            r#"2:12: temp_dir: BASE/missing does not exist [it must exist and be writable]"#,
        ]),
        (SERVER, r#"pid_file = "public""#, &[
            r#"2:12: pid_file: BASE/public is a folder [name a file in it]"#,
        ]),
        (POOL, r#"servers = []"#, &[
            r#"2:11: servers: the list is empty [name at least one server: servers = ["127.0.0.1:9000"]]"#,
        ]),
        (POOL, r#"servers = "fpm:9000""#, &[
            r#"2:11: servers: expected a list of addresses, found a string [put it in brackets: ["…"]]"#,
        ]),
        (POOL, r#"servers = 9000"#, &[
            r#"2:11: servers: expected a list of addresses, found an integer"#,
        ]),
        (POOL, r#"policy = "round_robin""#, &[
            r#"1:1: 'servers' is missing [name at least one server: servers = ["127.0.0.1:9000"]]"#,
        ]),
        (POOL, r#"servers = ["fpm:99999"]"#, &[
            r#"2:17: servers: '99999' is not a port [a port is a number from 1 to 65535]"#,
        ]),
        (POOL, r#"servers = ["fpm:0"]"#, &[
            r#"2:17: servers: '0' is not a port [a port is a number from 1 to 65535]"#,
        ]),
        (POOL, r#"servers = ["fpm"]"#, &[
            r#"2:12: servers: the port is missing [write "fpm:9000"]"#,
        ]),
        (POOL, r#"servers = ["::1"]"#, &[
            r#"2:12: servers: the port is missing [write "[::1]:9000"]"#,
        ]),
        (POOL, r#"servers = ["/run/fpm.sock"]"#, &[
            r#"2:12: servers: a path is not an address [write "unix:/run/fpm.sock"]"#,
        ]),
        (POOL, r#"servers = ["tcp://fpm:9000"]"#, &[
            r#"2:13: servers: an address has no scheme here [write host:port or unix:/path; the protocol is the pool's `protocol`]"#,
        ]),
        (POOL, r#"servers = ["f pm:9000"]"#, &[
            r#"2:14: servers: ' ' cannot be in a host name [write host:port]"#,
        ]),
        (POOL, r#"servers = [":9000"]"#, &[
            r#"2:12: servers: the host is missing [write "127.0.0.1:9000"]"#,
        ]),
        (POOL, r#"servers = ["unix:"]"#, &[
            r#"2:12: servers: the path of the socket is missing [write "unix:/run/php-fpm.sock"]"#,
        ]),
        (POOL, r#"servers = ["a:1", "A:1"]"#, &[
            r#"2:19: servers: this server is in the list already [to give it more requests, raise its weight]"#,
        ]),
        (POOL, r#"servers = [{ address = "a:1", weight = 0 }]"#, &[
            r#"2:40: weight: 0 would get no requests [to take a server out, say down = true]"#,
        ]),
        (POOL, r#"servers = [{ address = "a:1", max_conns = -1 }]"#, &[
            r#"2:43: max_conns: expected a number from 0 to 1000000, found -1"#,
        ]),
        (POOL, r#"servers = [{ address = "a:1", max_conns = "atuo" }]"#, &[
            r#"2:43: max_conns: unknown value 'atuo' [did you mean 'auto'?]"#,
        ]),
        (POOL, r#"servers = [{ weight = 2 }]"#, &[
            r#"2:12: 'address' is missing [{ address = "127.0.0.1:9000" }]"#,
        ]),
        (POOL, r#"servers = [{ address = "a:1", wieght = 2 }]"#, &[
            r#"2:31: unknown key 'wieght' [did you mean 'weight'?]"#,
        ]),
        (POOL, r#"servers = [{ address = "a:1", slow_start = "10s" }]
policy = "ip_hash""#, &[
            r#"3:10: policy: a policy that goes by a key has no slow_start: its keys would move twice [remove slow_start from the servers, or choose another policy]"#,
        ]),
        (POOL, r#"servers = [{ address = "a:1", max_fails = -1 }]"#, &[
            r#"2:43: max_fails: expected a number from 0 to 1000000, found -1"#,
        ]),
        (POOL, r#"servers = ["a:1"]
retry = { idempotency_key = "Idempotency Key", budget = "all" }"#, &[
            r#"3:29: idempotency_key: 'Idempotency Key' is not a header's name [true is Idempotency-Key; or write the name that your clients send]"#,
            r#"3:57: budget: expected a number from 0 to 1000, found a string"#,
        ]),
        (POOL, r#"servers = ["a:1", { address = "b:1", zone = "rack2" }]
prefer_zone = "rack1""#, &[
            r#"3:15: prefer_zone: no server is in zone 'rack1' [give the servers of that zone a zone: { address = "10.0.0.1:9000", zone = "…" }]"#,
        ]),
        (POOL, r#"servers = [7]"#, &[
            r#"2:12: servers: expected a string or a table, found an integer"#,
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "leastconn""#, &[
            r#"3:10: policy: unknown value 'leastconn' [did you mean 'least_conn'?]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "hash""#, &[
            r#"3:10: policy: "hash" needs a hash_key [hash_key = "$request_uri"]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
hash_key = "$uri""#, &[
            r#"3:1: hash_key is for policy = "hash" only [set policy = "hash", or remove it]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "hash"
hash_key = "$request_urii""#, &[
            r#"4:13: hash_key: unknown variable $request_urii [did you mean '$request_uri'?]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
protocol = "http""#, &[
            r#"3:12: protocol: not supported yet: "http" [only "fastcgi" is built by now]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
health = { interval = "0s", fails = 0, pases = 1 }"#, &[
            r#"3:23: interval: must be more than 0"#,
            r#"3:37: fails: expected a number from 1 to 1000, found 0"#,
            r#"3:40: unknown key 'pases' [did you mean 'passes'?]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
health = { status_path = "/s", status_listen = ":90o1" }"#, &[
            r#"3:50: status_listen: '90o1' is not a port [a port is a number from 1 to 65535]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
health = { status_path = "status", ping_path = "/ping?x" }"#, &[
            r#"3:26: status_path: php-fpm's pages begin with a slash [write it as in php-fpm's pool: "/status"]"#,
            r#"3:54: ping_path: '?' cannot be in php-fpm's path [php-fpm allows letters, digits and / - _ . ~]"#,
        ]),
        (POOL, r#"servers = ["a:1", "b:1"]
health = { status_listen = "b:9001" }"#, &[
            r#"3:12: status_listen needs a page to ask for [set status_path to php-fpm's pm.status_path]"#,
            r#"3:28: status_listen: this is one php-fpm's, and the pool has several servers [write ":9001": that port on each server's host]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
health = { status_path = "/status", status_listen = "a:9001" }"#, &[
            r#"3:53: status_listen: a name is not looked up here [write ":9001" for the server's own host, or an address]"#,
        ]),
        (POOL, r#"servers = ["unix:/run/a.sock", "unix:/run/b.sock"]
health = { status_path = "/status", status_listen = "unix:/run/s.sock" }"#, &[
            r#"3:53: status_listen: this is one php-fpm's, and the pool has several servers [leave it out, and each server's own address is asked]"#,
        ]),
        (POOL, r#"servers = ["unix:/run/a.sock"]
health = { status_path = "/status", status_listen = ":9001" }"#, &[
            r#"3:53: status_listen: a unix socket has no host [write "127.0.0.1:9001" or "unix:/path"]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
discover = [{ port = 9000 }, { dns = "10.0.0.1:9000" }, { dns = "fpm" }]"#, &[
            r#"3:13: discover: which source is meant? [begin with one of dns, srv, file, docker, consul, etcd: { dns = "fpm:9000" }]"#,
            r#"3:38: dns: there is nothing to discover: this is an address [put it into `servers`]"#,
            r#"3:65: dns: the port is missing [write "fpm:9000"]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
discover = [{ srv = "_fpm._tcp.example:9000" }, { file = "members.yaml" }, { dns = "a:1", file = "m.json" }]"#, &[
            r#"3:39: srv: a port has no place here [SRV records tell the port: write the name alone]"#,
            r#"3:58: file: JSON or TOML? [let its name end in .json or .toml]"#,
            r#"3:91: file beside another source [write a table for each source: discover = [{ … }, { … }]]"#,
        ]),
        (POOL, r#"discover = [{ file = "m.json", wait = 1 }, { file = "m.json", down = true }]"#, &[
            r#"2:32: unknown key 'wait' [known keys: dns, srv, file, docker, consul, etcd, zone, backup, weight, max_conns, max_fails, fail_timeout, slow_start]"#,
            r#"2:44: discover: this source is in the list already [remove one of the two]"#,
            r#"2:63: unknown key 'down' [known keys: dns, srv, file, docker, consul, etcd, zone, backup, weight, max_conns, max_fails, fail_timeout, slow_start]"#,
        ]),
        (POOL, r#"discover = [{ docker = "/var/run/docker.sock" }, { consul = "https://consul:8501", service = "php" }]"#, &[
            r#"2:13: 'label' is missing [{ docker = "unix:/var/run/docker.sock", label = "cornac.pool=php" }]"#,
            r#"2:24: docker: '/var/run/docker.sock' is not the address of an HTTP interface [write "http://host:port" or "unix:/path"]"#,
            r#"2:62: consul: not supported yet: TLS to a source [use http:// on this machine, such as an agent or a tunnel that speaks TLS to the others]"#,
        ]),
        (POOL, r#"discover = [{ etcd = ["http://etcd/v3"], prefix = "" }, { consul = "http://c:8500", service = "php", token = "x" }]"#, &[
            r#"2:23: etcd: 'http://etcd/v3' has no host and port, or more than that [write "http://host:port" or "unix:/path"]"#,
            r#"2:51: prefix: there is nothing in it"#,
            r#"2:110: token: the token itself does not belong into this file [token = { env = "CONSUL_HTTP_TOKEN" } or { file = "consul.token" }]"#,
        ]),
        (POOL, r#"discover = []"#, &[
            r#"2:12: discover: the list is empty [name who tells of the members: discover = [{ dns = "fpm:9000" }]]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
policy = "ip_hash"
discover = [{ dns = "fpm:9000", slow_start = "5s" }]"#, &[
            r#"3:10: policy: a policy that goes by a key has no slow_start: its keys would move twice [remove slow_start from the servers, or choose another policy]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
keepalive = { idle = 4 }"#, &[
            r#"3:15: idle is for mode = "on" [auto decides how many lie idle; to set it yourself, say mode = "on"]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
keepalive = { mode = "off", timeout = "1s" }"#, &[
            r#"3:29: mode = "off" keeps nothing [remove this key]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
keepalive = "on""#, &[
            r#"3:13: keepalive: expected a table, found a string"#,
        ]),
        (POOL, r#"servers = ["a:1"]
retry = { tries = 0 }"#, &[
            r#"3:19: tries: expected a number from 1 to 100, found 0"#,
        ]),
        (POOL, r#"servers = ["a:1"]
timeouts = { connect = "0s" }"#, &[
            r#"3:24: connect: must be more than 0"#,
        ]),
        (POOL, r#"servers = ["a:1"]
timeouts = { read = "5s" }"#, &[
            r#"3:14: unknown key 'read' [known keys: connect, first_byte, between_reads, total]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
queue = { size = 5_000_000_000 }"#, &[
            r#"3:18: size: expected a number from 0 to 10000000, found 5_000_000_000"#,
        ]),
        (POOL, r#"servers = ["a:1"]
params = { "A B" = "x" }"#, &[
            r#"3:12: 'A B' is not a name of a parameter [letters, digits and _ only]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
params = { A = "$nope" }"#, &[
            r#"3:17: A: unknown variable $nope"#,
        ]),
        (POOL, r#"servers = ["a:1"]
resolve = "400d""#, &[
            r#"3:11: resolve: longer than a year [write a number and a unit: "500ms", "3s", "5m", "1h", "1d"]"#,
        ]),
        (WHOLE, r#"[pools.php]
servers = [{ address = "a:1", max_conns = "unlimited" }]
[[sites]]
listen = [":80"]
root = "public"
routes = [{ match = "/", fastcgi = true, max_share = "10%" }]"#, &[
            r#"6:42: max_share is a part of nothing: the pool 'php' has an unlimited server [give each of its servers a number or "auto" as max_conns]"#,
        ]),
        (POOL, r#"servers = ["a:1"]
queue = { header = "yes" }"#, &[
            r#"3:20: header: expected true or false, found a string"#,
        ]),
        (SITE, r#"root = "public"
"#, &[
            r#"3:1: 'listen' is missing [listen = ["0.0.0.0:8080"]]"#,
        ]),
        (SITE, r#"listen = []
root = "public"
"#, &[
            r#"4:10: listen: the list is empty [listen = ["0.0.0.0:8080"]]"#,
        ]),
        (SITE, r#"listen = ["8080", ":8080"]
root = "public"
"#, &[
            r#"4:19: listen: this address is in the list already [remove one of the two]"#,
        ]),
        (SITE, r#"listen = ["example.com:80"]
root = "public"
"#, &[
            r#"4:12: listen: 'example.com' is not an address of this machine [0.0.0.0 is every IPv4 address, [::] every IPv6 one; host names belong into `names`]"#,
        ]),
        (SITE, r#"listen = ["1.2.3.4"]
root = "public"
"#, &[
            r#"4:11: listen: the port is missing [write "0.0.0.0:8080", ":8080" or "unix:/run/cornac.sock"]"#,
        ]),
        (SITE, r#"listen = ["1.2.3.4:http"]
root = "public"
"#, &[
            r#"4:20: listen: 'http' is not a port [a port is a number from 1 to 65535]"#,
        ]),
        (SITE, r#"listen = [{ address = ":443", tls = true, http2 = false }]
root = "public"
"#, &[
            r#"4:37: tls: the site has no certificate [add tls = { cert = "…", key = "…" } to the site, or tls = "self-signed" for development]"#,
        ]),
        (SITE, r#"listen = [":8080"]
"#, &[
            r#"3:1: 'root' is missing [root = "public": the folder with the site's files]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "nowhere""#, &[
            r#"5:8: root: BASE/nowhere does not exist [a path here is relative to the folder of this file; if the files lie only in php-fpm's image, say scripts = "remote"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "file.txt""#, &[
            r#"5:8: root: BASE/file.txt is not a folder [a path here is relative to the folder of this file; if the files lie only in php-fpm's image, say scripts = "remote"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "/srv/$host""#, &[
            r#"5:14: root: not supported yet: variables in root"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
backend_root = "app""#, &[
            r#"6:16: backend_root: must be an absolute path, as php-fpm sees it [backend_root = "/var/www/html"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
preset = "think""#, &[
            r#"6:10: preset: unknown value 'think' [did you mean 'thinkphp'?]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
pool = "phq""#, &[
            r#"6:8: pool: there is no pool 'phq' [did you mean 'php'?]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["a b"]"#, &[
            r#"6:10: names: ' ' cannot be in a host name ["example.com"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["www.*.com"]"#, &[
            r#"6:10: names: a '*' stands for whole labels at one end ["*.example.com" or "www.*"; anything else is a regex: "~^…$"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["a:80", "http://b", "bücher.de", "*", ""]"#, &[
            r#"6:10: names: a name has no port [ports belong into `listen`]"#,
            r#"6:18: names: a name has no scheme and no path ["example.com"]"#,
            r#"6:30: names: a name is sent in ASCII [write its punycode form: "xn--…"]"#,
            r#"6:43: names: '*' alone is any host [leave `names` out: the first site of a listener takes any]"#,
            r#"6:48: names: an empty name matches nothing [leave `names` out to take any host]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
names = ["~^(?!www)"]"#, &[
            r#"6:13: names: cornac's regexes are linear-time and cannot do look-around [say the exception on its own, before this: the first regex that matches wins]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
max_body = "8x""#, &[
            r#"6:12: max_body: not a unit of size [write a number and a unit: "64k", "8m", "1g"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
compression = { algorithms = ["deflate"] }"#, &[
            r#"6:31: algorithms: unknown value 'deflate' [allowed: br, zstd, gzip]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
trusted_proxies = ["10.0.0.0/33", "proxy.local"]"#, &[
            r#"6:20: trusted_proxies: '10.0.0.0/33' is neither an address nor a network ["all", an address ("192.0.2.1"), a network ("10.0.0.0/8", "2001:db8::/32") or "unix:"]"#,
            r#"6:35: trusted_proxies: 'proxy.local' is neither an address nor a network ["all", an address ("192.0.2.1"), a network ("10.0.0.0/8", "2001:db8::/32") or "unix:"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
real_ip_header = "X-Real-IP""#, &[
            r#"6:1: real_ip_header is believed from nobody without trusted_proxies [trusted_proxies = ["10.0.0.0/8"]: the addresses of your proxies]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
trusted_proxies = ["10.0.0.1"]
real_ip_header = "X Real IP""#, &[
            r#"7:18: real_ip_header: 'X Real IP' is not a header's name ["X-Forwarded-For", "Forwarded", "proxy_protocol", or another header's name]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
script_extensions = ["php"]"#, &[
            r#"6:22: script_extensions: 'php' is not an extension [write ".php": a dot, then letters and digits]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
scripts = "here""#, &[
            r#"6:11: scripts: unknown value 'here' [allowed: local, remote]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
deny = ["10.0.0.0/33"]"#, &[
            r#"6:9: deny: '10.0.0.0/33' is neither an address nor a network ["all", an address ("192.0.2.1"), a network ("10.0.0.0/8", "2001:db8::/32") or "unix:"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
headers = { "X Y" = "a" }"#, &[
            r#"6:13: 'X Y' is not a header's name [X-Name = "value", "!X-Name" to replace]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
headers = { Content-Length = "1" }"#, &[
            r#"6:13: Content-Length is the server's own header [remove it]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
headers = { X = "a\nb" }"#, &[
            r#"6:17: X: a header's value is one line without control characters"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
charset = "utf 8""#, &[
            r#"6:11: charset: 'utf 8' is not a charset ["utf-8", or "off"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
expires = "soon""#, &[
            r#"6:11: expires: not a duration ["30d", "-1", "modified +1h", "epoch", "max" or "off"]"#,
        ]),
        (ROUTE, r#"try_files = ["$uri", "=404"]"#, &[
            r#"6:1: 'match' is missing [match = "/path", "= /path", "^~ /path", "~ regex", "~* regex" or "@name"]"#,
        ]),
        (ROUTE, r#"match = "x""#, &[
            r#"7:9: match: 'x' is neither a path, a regex nor a name [a path begins with '/': "/x"; a regex with '~': "~ x"]"#,
        ]),
        (ROUTE, r#"match = "~""#, &[
            r#"7:9: match: the regex is missing ['~ \.php$']"#,
        ]),
        (ROUTE, r#"match = "= x""#, &[
            r#"7:9: match: '= x' is neither a path, a regex nor a name [a path begins with '/': "= /x"]"#,
        ]),
        (ROUTE, r#"match = "~ ^/(?!a)b""#, &[
            r#"7:14: match: cornac's regexes are linear-time and cannot do look-around [say the exception on its own, before this: the first regex that matches wins]"#,
        ]),
        (ROUTE, r#"match = '~ (a'"#, &[
            r#"7:12: match: bad regex: unclosed group [a parenthesis that stands for itself is written \(]"#,
        ]),
        (ROUTE, r#"match = "~* \\.(jpg|png""#, &[
            r#"7:16: match: bad regex: unclosed group [a parenthesis that stands for itself is written \(]"#,
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri"]"#, &[
            r#"8:13: try_files: at least two are needed [the last one is where the request goes otherwise: ["$uri", "/index.php$is_args$args"] or ["$uri", "=404"]]"#,
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri", "@ap"]
[[sites.routes]]
match = "@app"
fastcgi = true"#, &[
            r#"8:22: try_files: there is no route '@ap' [did you mean '@app'?]"#,
        ]),
        (ROUTE, r#"match = "/"
try_files = ["=404", "/x"]"#, &[
            r#"8:14: try_files: '=404' can only be the last one [the last one is where the request goes otherwise: ["$uri", "/index.php$is_args$args"] or ["$uri", "=404"]]"#,
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri", "=4040"]"#, &[
            r#"8:22: try_files: '=4040' is not a status ["=404"; statuses are 200 to 599]"#,
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$uri", "index.php"]"#, &[
            r#"8:22: try_files: the last one is a URI, a status or a name [it begins with '/', '=' or '@']"#,
        ]),
        (ROUTE, r#"match = "/"
try_files = ["$urii", "/x"]"#, &[
            r#"8:15: try_files: unknown variable $urii [did you mean '$uri'?]"#,
        ]),
        (ROUTE, r#"match = "/"
[[sites.routes]]
match = "^~ /""#, &[
            r#"9:9: match: '^~ /' is matched by an earlier route (line 7) [this one would never be reached: merge the two]"#,
        ]),
        (ROUTE, r#"match = "= /a"
[[sites.routes]]
match = "=/a""#, &[
            r#"9:9: match: '=/a' is matched by an earlier route (line 7) [this one would never be reached: merge the two]"#,
        ]),
        (ROUTE, r#"match = "/"
rewrite = { from = "^/(.*)$", to = "/$2" }"#, &[
            r#"8:38: to: $2 is always empty [groups in parentheses that `from` has: 1]"#,
        ]),
        (ROUTE, r#"match = "/"
rewrite = [{ from = "^/", to = "/x", flag = "lst" }]"#, &[
            r#"8:45: flag: unknown value 'lst' [did you mean 'last'?]"#,
        ]),
        (ROUTE, r#"match = "/"
rewrite = "^/ /x""#, &[
            r#"8:11: rewrite: expected a table or a list of tables, found a string [rewrite = { from = '^/(.*)$', to = '/index.php/$1', flag = "last" }]"#,
        ]),
        (ROUTE, r#"match = "/"
rewrite = { from = '^/(a)\1', to = "/" }"#, &[
            r#"8:26: from: cornac's regexes are linear-time and cannot do back-references [write the alternatives out]"#,
        ]),
        (ROUTE, r#"match = "/"
fastcgi = "phq""#, &[
            r#"8:11: fastcgi: there is no pool 'phq' [did you mean 'php'?]"#,
        ]),
        (ROUTE, r#"match = "/"
script = "/index.php""#, &[
            r#"8:1: script needs fastcgi [say which pool runs the script: fastcgi = "NAME", or true for the site's]"#,
        ]),
        (ROUTE, r#"match = "/"
max_share = "25%""#, &[
            r#"8:1: max_share needs fastcgi [say which pool runs the script: fastcgi = "NAME", or true for the site's]"#,
        ]),
        (ROUTE, r#"match = "/"
fastcgi = true
max_share = 0.25"#, &[
            r#"9:13: max_share: expected a part in percent, found a fraction [write the part of the pool's workers that it may have at once: max_share = "25%"]"#,
        ]),
        (ROUTE, r#"match = "/"
fastcgi = true
max_share = "0%""#, &[
            r#"9:13: max_share: '0%' is not a part from 1% to 100% [write the part of the pool's workers that it may have at once: max_share = "25%"]"#,
        ]),
        (ROUTE, r#"match = "/"
fastcgi = true
script = "index.php""#, &[
            r#"9:10: script: a script is a path below the root [write "/index.php"]"#,
        ]),
        (ROUTE, r#"match = "/"
fastcgi = true
split_path_info = "^(.+)$""#, &[
            r#"9:19: split_path_info: needs two groups: the script, and what follows it ['^(.+?\.php)(/.*)?$']"#,
        ]),
        (ROUTE, r#"match = "/"
proxy = "node""#, &[
            r#"8:1: not supported yet: proxy [remove it, or wait for a later version]"#,
        ]),
        (ROUTE, r#"match = "/"
return = { status = 700 }"#, &[
            r#"8:21: status: expected a status from 200 to 599 [404, 403, 410, 301 with a url; 444 closes the connection]"#,
        ]),
        (ROUTE, r#"match = "/"
return = { status = 301 }"#, &[
            r#"8:10: return: a redirect (301) needs a url [return = { status = 301, url = "/new" }]"#,
        ]),
        (ROUTE, r#"match = "/"
return = { status = 404, url = "/x" }"#, &[
            r#"8:26: 404 is not a redirect: it takes no url [301, 302, 303, 307 or 308; or say body]"#,
        ]),
        (ROUTE, r#"match = "/"
return = {}"#, &[
            r#"8:10: return: needs a status or a url [return = { status = 404 }]"#,
        ]),
        (ROUTE, r#"match = "/"
return = { status = 404 }
fastcgi = true"#, &[
            r#"9:1: fastcgi is never reached: return answers before [remove one of the two]"#,
        ]),
        (ROUTE, r#"match = "/"
return = 404"#, &[
            r#"8:10: return: expected a table, found an integer"#,
        ]),
        (ROUTE, r#"match = "~ ^/a/"
alias = "public""#, &[
            r#"8:9: alias: an alias in a regex route needs its captures, which is not supported yet [say "/prefix/" in match, or use root and rewrite]"#,
        ]),
        (ROUTE, r#"match = "/a/"
alias = "nowhere""#, &[
            r#"8:9: alias: BASE/nowhere does not exist [it must exist]"#,
        ]),
        (ROUTE, r#"match = "/a/"
alias = "public"
root = "public""#, &[
            r#"8:1: root and alias exclude each other [remove one of the two]"#,
        ]),
        (ROUTE, r#"match = "/"
internal = "yes""#, &[
            r#"8:12: internal: expected true or false, found a string"#,
        ]),
        (ROUTE, r#"match = "/"
timeouts = { connect = "1s" }"#, &[
            r#"8:14: unknown key 'connect' [known keys: first_byte, between_reads]"#,
        ]),
        (ROUTE, r#"match = "/"
proxy = "x""#, &[
            r#"8:1: not supported yet: proxy [remove it, or wait for a later version]"#,
        ]),
        (ROUTE, r#"match = "/"
fastcgi = 1"#, &[
            r#"8:11: fastcgi: expected a string or true, found an integer"#,
        ]),
        (ROUTE, r#"match = "/"
unknown = 1
[[sites.routes]]
match = 1"#, &[
            r#"8:1: unknown key 'unknown' [known keys: match, rewrite, return, index, allow, deny, headers, expires, charset, compression, max_body, buffering, symlinks, types, default_type, autoindex, error_pages, intercept_errors, absolute_redirect, serve_source, backend_root, root, x_sendfile, auth, auth_request, satisfy, limits, internal, alias, timeouts, try_files, fastcgi, split_path_info, script, params, max_share]"#,
            r#"10:9: match: expected a string, found an integer"#,
        ]),
        (ROUTE, r#"match = "/"
expires = "@15h""#, &[
            r#"8:11: expires: not supported yet: "@15h" ["30d", "-1", "modified +1h", "epoch", "max" or "off"]"#,
        ]),
        (ROUTE, r#"match = "@a"
alias = "public""#, &[
            r#"8:9: alias: a named route has no path that an alias could replace [say "/prefix/" in match, or use root and rewrite]"#,
        ]),
        (ROUTE, r#"match = "/"
index = "index.php""#, &[
            r#"8:9: index: expected a list of strings, found a string [put it in brackets: ["…"]]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
error_pages = { 200 = "/200.html", 404 = "missing.html", 500 = "@nobody" }"#, &[
            r#"6:17: '200' names no statuses [404 or "502 503 504"; statuses are 300 to 599]"#,
            r#"6:42: 404: 'missing.html' is not a page ["/404.html", "@name", "https://example.com/", or with a status for the reply: "=200 /page"; "= @name" leaves the status to the page]"#,
            r#"6:64: 500: there is no route '@nobody' [add a route with match = "@nobody"]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
tls = { cert = "a", key = "b" }"#, &[
            r#"6:16: cert: BASE/a does not exist [PEM: the server's certificate first, then its chain (certbot's fullchain.pem)]"#,
        ]),
        (SITE, r#"listen = [":8080"]
root = "public"
routes = "x""#, &[
            r#"6:10: routes: expected a list of tables, found a string"#,
        ]),
        (WHOLE, r#"[pools.a]
servers = ["a:1"]
[pools.b]
servers = ["b:1"]
[[sites]]
listen = [":80"]
root = "public"
[[sites.routes]]
match = "/"
fastcgi = true
"#, &[
            r#"10:11: fastcgi: there are several pools, and the site names none [name one here, or give the site a pool]"#,
        ]),
        (WHOLE, r#""#, &[
            r#"1:1: 'sites' is missing [add one: [[sites]] with listen and root]"#,
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
            r#"8:10: preset: it runs scripts, but the site does not say in which of the pools [pool = "a"]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
preset = "plain"
"#, &[
            r#"4:10: preset: it runs scripts, but there is no pool [add one: [pools.php] with servers = ["127.0.0.1:9000"]]"#,
        ]),
        (WHOLE, r#"[sites]
listen = [":80"]
"#, &[
            r#"1:2: expected [[sites]], found [sites] [sites are a list: write [[sites]]]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[[sites]]
listen = [":80"]
root = "public"
"#, &[
            r#"4:1: two sites without names on one listener (the other is on line 1) [give this site names, or another address]"#,
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
            r#"8:10: names: 'a.de' is taken on the same listener (line 4) [a name may belong to one site of a listener]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = ["127.0.0.1:80"]
root = "public"
[[sites]]
listen = ["0.0.0.0:80"]
root = "public"
"#, &[
            r#"2:11: listen: 127.0.0.1:80 is covered by 0.0.0.0:80: they cannot both be opened [use 0.0.0.0:80 for both, and tell the sites apart by `names`]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[admin]
listen = ":9180"
"#, &[
            r#"5:10: listen: whoever reaches this address could take servers out: it needs a token [add token = { env = "CORNAC_ADMIN_TOKEN" } or { file = "admin.token" }, or listen on 127.0.0.1 only]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[serverr]
"#, &[
            r#"4:2: unknown key 'serverr' [did you mean 'server'?]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
names = [a.de]
"#, &[
            r#"4:10: string values must be quoted, expected literal string [write it in quotes: "…"]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
index = "a\p"
"#, &[
            r#"4:12: missing escaped value, expected 'b', 'e', 'f', 'n', 'r', '\', '"', 'x', 'u', 'U' [in double quotes a backslash is written \\; in single quotes it stands for itself: '\.php$']"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
names = ["a.de"
index = 3
"#, &[
            r#"5:1: missing comma between array elements, expected ',' [a bracket, brace or quote that is opened here or above is never closed]"#,
        ]),
        (WHOLE, r#"[[sites]]
listen = [":80"]
root = "public"
[[sites]]
listen = [":81"]
listen = [":82"]
root = "public"
"#, &[
            r#"6:1: duplicate key [each key and each table may be given once]"#,
        ]),
    ]
}
