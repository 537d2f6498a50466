//! `[[sites]]`: addresses, names, roots, TLS and what routes inherit.

use super::{Case, SITE};

#[rustfmt::skip] // one case a paragraph
pub(super) const CASES: &[Case] = &[
    (SITE, r#"listen = [{ address = "unix:/run/a.sock", mode = "rw" }, { address = ":80", mode = "660" }]
root = "public""#, &[
        r#"4:50: mode: 'rw' is no mode ["660" for its user and group, "666" for everybody on this machine]"#,
        r#"4:84: mode: a port has none [allow and deny say who may come]"#,
    ]),
    (SITE, r#"listen = { address = "unix:/run/a.sock", reuseport = true }
root = "public""#, &[
        r#"4:54: reuseport: a unix socket has no port [remove it: one socket serves all threads]"#,
    ]),
    (SITE, r#"listen = ":80"
root = "public"
symlinks = "off""#, &[
        r#"6:12: symlinks: unknown value 'off' [allowed: follow, beneath]"#,
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
        r#"6:11: expires: not a duration ["30d", "-1", "modified +1h", "@15h30m", "epoch", "max" or "off"]"#,
    ]),
    (SITE, r#"listen = [":8080"]
root = "public"
expires = { css = "max", "image/*" = "soon", "*/*" = "1d", default = 1.5 }"#, &[
        r#"6:13: 'css' is not a media type [expires = { "text/css" = "max", "image/*" = "30d", default = "off" }]"#,
        r#"6:38: image/*: not a duration ["30d", "-1", "modified +1h", "@15h30m", "epoch", "max" or "off"]"#,
        r#"6:46: '*/*' is not a media type [expires = { "text/css" = "max", "image/*" = "30d", default = "off" }]"#,
        r#"6:70: default: expected a string such as "30d", found a fraction"#,
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
];
