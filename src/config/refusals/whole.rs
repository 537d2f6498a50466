//! What more than one table is needed for, and texts that are no TOML.

use super::{Case, WHOLE};

#[rustfmt::skip] // one case a paragraph
pub(super) const CASES: &[Case] = &[
    (WHOLE, r#"[pools.php]
servers = [{ address = "a:1", max_conns = "unlimited" }]
[[sites]]
listen = [":80"]
root = "public"
routes = [{ match = "/", fastcgi = true, max_share = "10%" }]"#, &[
        r#"6:42: max_share is a part of nothing: the pool 'php' has an unlimited server [give each of its servers a number or "auto" as max_conns]"#,
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
];
