//! `[[sites.routes]]`: matches, rewrites, handlers and their settings.

use super::{Case, ROUTE};

#[rustfmt::skip] // one case a paragraph
pub(super) const CASES: &[Case] = &[
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
        r#"8:1: unknown key 'unknown' [known keys: match, rewrite, return, index, allow, deny, headers, expires, charset, compression, max_body, buffering, symlinks, types, default_type, autoindex, error_pages, intercept_errors, absolute_redirect, serve_source, sendfile, backend_root, root, x_sendfile, auth, auth_request, satisfy, limits, internal, alias, timeouts, try_files, fastcgi, split_path_info, script, params, max_share]"#,
        r#"10:9: match: expected a string, found an integer"#,
    ]),
    (ROUTE, r#"match = "/"
expires = "@24h""#, &[
        r#"8:11: expires: '@24h' is no time of a day ["30d", "-1", "modified +1h", "@15h30m", "epoch", "max" or "off"]"#,
    ]),
    (ROUTE, r#"match = "@a"
alias = "public""#, &[
        r#"8:9: alias: a named route has no path that an alias could replace [say "/prefix/" in match, or use root and rewrite]"#,
    ]),
    (ROUTE, r#"match = "/"
index = "index.php""#, &[
        r#"8:9: index: expected a list of strings, found a string [put it in brackets: ["…"]]"#,
    ]),
];
