//! `[pools.NAME]`: servers, queues, health, retries.

use super::{Case, POOL};

#[rustfmt::skip] // one case a paragraph
pub(super) const CASES: &[Case] = &[
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
    (POOL, r#"servers = ["a:1"]
queue = { header = "yes" }"#, &[
        r#"3:20: header: expected true or false, found a string"#,
    ]),
];
