//! Locations, rewrites, try_files, alias, index, return, internal, deny and error pages: the same words in an nginx.conf and in a
//! cornac.toml do the same, on the same files, with the same php-fpm.

mod support;

use support::compare::{Asked, Difference, HOST, compare};
use support::paths::root;
use support::{Cornac, Fpm, Nginx};

/// A location in nginx's words, and the same one in cornac's (`match` and what follows).
struct Location {
    nginx: &'static str,
    cornac: &'static str,
    /// Targets that show what it does.
    targets: &'static [&'static str],
}

/// `ROOT` is the document root, `RUN` nginx's FastCGI directives.
const LOCATIONS: &[Location] = &[
    Location {
        nginx: "location / { }",
        cornac: "match = '/'",
        targets: &["/hello.txt", "/missing", "/dir", "/dir/", "/deep/", "/html/", "/both/", "/"],
    },
    Location {
        nginx: r"location ~ \.php(/|$) { fastcgi_split_path_info ^(.+?\.php)(/.*)?$; RUN }",
        cornac: r"
            match = '~ \.php(/|$)'
            fastcgi = true
            split_path_info = '^(.+?\.php)(/.*)?$'",
        targets: &["/info.php", "/info.php/a/b?c=d", "/missing.php", "/dir/page.php/x"],
    },
    // Which location wins.
    Location {
        nginx: "location = /exact { return 201 'exact'; }",
        cornac: "match = '= /exact'\nreturn = { status = 201, body = 'exact' }",
        targets: &["/exact", "/exact?x", "/exact/", "//exact", "/%65xact", "/exactly"],
    },
    Location {
        nginx: "location /p { return 201 'prefix'; }",
        cornac: "match = '/p'\nreturn = { status = 201, body = 'prefix' }",
        targets: &["/p", "/p/", "/pq", "/p/x.regex", "/x/../p"],
    },
    Location {
        nginx: "location /p/longer { return 201 'longer'; }",
        cornac: "match = '/p/longer'\nreturn = { status = 201, body = 'longer' }",
        targets: &["/p/longer", "/p/longer/x", "/p/longe", "/p//longer"],
    },
    Location {
        nginx: "location ^~ /p/stop/ { return 201 'stops regexes'; }",
        cornac: "match = '^~ /p/stop/'\nreturn = { status = 201, body = 'stops regexes' }",
        targets: &["/p/stop/a.regex", "/p/stop", "/p/stop/"],
    },
    Location {
        nginx: "location ^~ /p/st { return 201 'shorter'; }",
        cornac: "match = '^~ /p/st'\nreturn = { status = 201, body = 'shorter' }",
        targets: &["/p/st.regex", "/p/stop.regex"],
    },
    Location {
        nginx: r"location ~ \.regex$ { return 201 'regex'; }",
        cornac: "match = '~ \\.regex$'\nreturn = { status = 201, body = 'regex' }",
        targets: &["/a.regex", "/p/a.regex", "/a.REGEX", "/a.regex/"],
    },
    Location {
        nginx: r"location ~* \.Case$ { return 201 'any case'; }",
        cornac: "match = '~* \\.Case$'\nreturn = { status = 201, body = 'any case' }",
        targets: &["/a.case", "/a.CASE"],
    },
    Location {
        nginx: r"location ~ ^/(first|second)/ { return 201 'one: $1'; }",
        cornac: "match = '~ ^/(first|second)/'\nreturn = { status = 201, body = 'one: $1' }",
        targets: &["/first/x", "/second/", "/first"],
    },
    Location {
        nginx: r"location ~ ^/second/ { return 201 'never'; }",
        cornac: "match = '~ ^/second/'\nreturn = { status = 201, body = 'never' }",
        targets: &["/second/x"],
    },
    // Rewrites.
    Location {
        nginx: r"location /last/ { rewrite ^/last/(.*)$ /info.php/$1 last; }",
        cornac: "match = '/last/'\nrewrite = [{ from = '^/last/(.*)$', to = '/info.php/$1', flag = 'last' }]",
        targets: &["/last/a/b", "/last/a%20b?x=1", "/last/", "/last/%E4%B8%AD", "/last//a"],
    },
    Location {
        nginx: r"location /query/ { rewrite ^/query/(.*)$ /info.php?q=$1 last; }",
        cornac: "match = '/query/'\nrewrite = [{ from = '^/query/(.*)$', to = '/info.php?q=$1', flag = 'last' }]",
        targets: &[
            "/query/a",
            "/query/a?b=c",
            "/query/a%26b=c",
            "/query/a+b",
            "/query/a%2Bb",
            "/query/a%20b",
            "/query/%E4%B8%AD",
            "/query/中",
            "/query/a%25b",
            "/query/a%23b%3F",
            "/query/a%2Fb/c",
            "/query/$uri",
            "/query/",
            "/query/?",
        ],
    },
    Location {
        nginx: r"location /noargs/ { rewrite ^/noargs/(.*)$ /info.php?q=$1? last; }",
        cornac: "match = '/noargs/'\nrewrite = [{ from = '^/noargs/(.*)$', to = '/info.php?q=$1?', flag = 'last' }]",
        targets: &["/noargs/a?b=c", "/noargs/a"],
    },
    Location {
        nginx: r"location /vars/ { rewrite ^/vars/(\w+)/(.*)$ /info.php?c=$1&p=$2&u=$uri&a=$arg_a&m=$request_method&h=$http_x_test last; }",
        cornac: "match = '/vars/'\nrewrite = [{ from = '^/vars/(\\w+)/(.*)$', to = '/info.php?c=$1&p=$2&u=$uri&a=$arg_a&m=$request_method&h=$http_x_test', flag = 'last' }]",
        targets: &["/vars/news/5", "/vars/news/5/6?a=7&b=8", "/vars/%6Eews/a%26b?a=%26", "/vars/none"],
    },
    Location {
        nginx: r"location /break/ { rewrite ^/break/(.*)$ /dir/$1 break; }",
        cornac: "match = '/break/'\nrewrite = [{ from = '^/break/(.*)$', to = '/dir/$1', flag = 'break' }]",
        targets: &["/break/../hello.txt", "/break/none"],
    },
    Location {
        nginx: r"location /text/ { rewrite ^/text/(.*)$ /$1.txt break; }",
        cornac: "match = '/text/'\nrewrite = [{ from = '^/text/(.*)$', to = '/$1.txt', flag = 'break' }]",
        targets: &["/text/hello", "/text/none", "/text/a%20b", "/text/a+b"],
    },
    Location {
        nginx: r"location /next/ { rewrite ^/next/(.*)$ /mid/$1; rewrite ^/mid/(.*)$ /info.php/m/$1 last; }",
        cornac: "match = '/next/'\nrewrite = [{ from = '^/next/(.*)$', to = '/mid/$1' }, { from = '^/mid/(.*)$', to = '/info.php/m/$1', flag = 'last' }]",
        targets: &["/next/a?b", "/mid/a"],
    },
    Location {
        nginx: r"location /loop/ { rewrite ^/loop/(.*)$ /loop/$1x last; }",
        cornac: "match = '/loop/'\nrewrite = [{ from = '^/loop/(.*)$', to = '/loop/$1x', flag = 'last' }]",
        targets: &["/loop/a"],
    },
    Location {
        nginx: r"location /moved/ { rewrite ^/moved/(.*)$ /new/$1 permanent; }",
        cornac: "match = '/moved/'\nrewrite = [{ from = '^/moved/(.*)$', to = '/new/$1', flag = 'permanent' }]",
        targets: &[
            "/moved/a",
            "/moved/a?b=c",
            "/moved/a%20b",
            "/moved/%E4%B8%AD",
            "/moved/a%2Fb",
            "/moved/a%3Fb",
            "/moved/a%25b",
            "/moved/",
        ],
    },
    Location {
        nginx: r"location /found/ { rewrite ^/found/(.*)$ /new/$1? redirect; }",
        cornac: "match = '/found/'\nrewrite = [{ from = '^/found/(.*)$', to = '/new/$1?', flag = 'redirect' }]",
        targets: &["/found/a?b=c", "/found/a"],
    },
    Location {
        nginx: r"location /away/ { rewrite ^/away/(.*)$ http://other.example/$1?from=$host redirect; }",
        cornac: "match = '/away/'\nrewrite = [{ from = '^/away/(.*)$', to = 'http://other.example/$1?from=$host', flag = 'redirect' }]",
        targets: &["/away/a", "/away/a?b=c"],
    },
    // try_files.
    Location {
        nginx: r"location /try { try_files $uri $uri/ /info.php?tried=$uri&$args; }",
        cornac: "match = '/try'\ntry_files = ['$uri', '$uri/', '/info.php?tried=$uri&$args']",
        targets: &["/try", "/try/a?b=c", "/try/a%20b"],
    },
    Location {
        nginx: r"location /html { try_files $uri/none.html $uri.html $uri/index.html =404; }",
        cornac: "match = '/html'\ntry_files = ['$uri/none.html', '$uri.html', '$uri/index.html', '=404']",
        targets: &["/html", "/html/", "/html/none"],
    },
    Location {
        nginx: r"location /code/ { try_files $uri =410; }",
        cornac: "match = '/code/'\ntry_files = ['$uri', '=410']",
        targets: &["/code/a", "/code/"],
    },
    Location {
        nginx: r"location /named/ { try_files $uri @app; } location @app { rewrite ^ /info.php/named last; }",
        cornac: "match = '/named/'\ntry_files = ['$uri', '@app']\n[[sites.routes]]\nmatch = '@app'\nrewrite = [{ from = '^', to = '/info.php/named', flag = 'last' }]",
        targets: &["/named/a", "/named/a?b"],
    },
    // Other folders.
    Location {
        nginx: r"location /al/ { alias ROOT/dir/; }",
        cornac: "match = '/al/'\nalias = 'ROOT/dir/'",
        targets: &["/al/none", "/al/../hello.txt"],
    },
    Location {
        nginx: r"location /alias-of-html/ { alias ROOT/html/; }",
        cornac: "match = '/alias-of-html/'\nalias = 'ROOT/html/'",
        targets: &["/alias-of-html/", "/alias-of-html/index.html", "/alias-of-html/none", "/alias-of-html"],
    },
    Location {
        nginx: r"location = /alias-of-a-file { alias ROOT/hello.txt; }",
        cornac: "match = '= /alias-of-a-file'\nalias = 'ROOT/hello.txt'",
        targets: &["/alias-of-a-file", "/alias-of-a-file?x"],
    },
    Location {
        nginx: r"location /empty/ { root ROOT; index none.html /info.php; }",
        cornac: "match = '/empty/'\nroot = 'ROOT'\nindex = ['none.html', '/info.php']",
        targets: &["/empty/", "/empty/?a=b", "/empty/note.txt"],
    },
    Location {
        nginx: r"location /script.php.d/ { root ROOT; index file.txt; }",
        cornac: "match = '/script.php.d/'\nroot = 'ROOT'\nindex = ['file.txt']",
        targets: &["/script.php.d/", "/script.php.d/file.txt", "/script.php.d"],
    },
    // Access.
    Location {
        nginx: r"location /denied/ { deny all; }",
        cornac: "match = '/denied/'\ndeny = ['all']",
        targets: &["/denied/", "/denied/a", "/x/../denied/a", "/denied"],
    },
    Location {
        nginx: r"location /inside/ { internal; alias ROOT/html/; }",
        cornac: "match = '/inside/'\ninternal = true\nalias = 'ROOT/html/'",
        targets: &["/inside/", "/inside/index.html"],
    },
    Location {
        nginx: r"location /to-inside/ { rewrite ^ /inside/index.html last; }",
        cornac: "match = '/to-inside/'\nrewrite = [{ from = '^', to = '/inside/index.html', flag = 'last' }]",
        targets: &["/to-inside/a"],
    },
    // Answers without anything behind them.
    Location {
        nginx: r"location /ret/302 { return 302 /to?x=$arg_x&u=$uri; }",
        cornac: "match = '/ret/302'\nreturn = { status = 302, url = '/to?x=$arg_x&u=$uri' }",
        targets: &["/ret/302", "/ret/302/a?x=1", "/ret/302?x=%26"],
    },
    Location {
        nginx: r"location /ret/308 { return 308 https://$host$request_uri; }",
        cornac: "match = '/ret/308'\nreturn = { status = 308, url = 'https://$host$request_uri' }",
        targets: &["/ret/308", "/ret/308/a%20b//c?d=e"],
    },
    Location {
        nginx: r"location /ret/204 { return 204; }",
        cornac: "match = '/ret/204'\nreturn = { status = 204 }",
        targets: &["/ret/204"],
    },
    Location {
        nginx: r"location /ret/410 { return 410; }",
        cornac: "match = '/ret/410'\nreturn = { status = 410 }",
        targets: &["/ret/410"],
    },
    Location {
        nginx: r"location /ret/vars { return 200 '$request_method $scheme $host $server_name $uri $args $is_args $query_string $document_uri $remote_addr $cookie_a $http_x_test $server_protocol $arg_none.'; }",
        cornac: "match = '/ret/vars'\nreturn = { status = 200, body = '$request_method $scheme $host $server_name $uri $args $is_args $query_string $document_uri $remote_addr $cookie_a $http_x_test $server_protocol $arg_none.' }",
        targets: &["/ret/vars", "/ret/vars/a%20b?c=d", "/ret/vars?"],
    },
    // Headers of one's own.
    Location {
        nginx: r"location = /hello.txt { add_header X-Own '$uri $arg_a'; add_header X-More one; }",
        cornac: "match = '= /hello.txt'\nheaders = { X-Own = '$uri $arg_a', X-More = 'one' }",
        targets: &["/hello.txt", "/hello.txt?a=b"],
    },
    Location {
        nginx: r"location = /style.css { expires max; }",
        cornac: "match = '= /style.css'\nexpires = 'max'",
        targets: &["/style.css"],
    },
    Location {
        nginx: r"location = /a+b.txt { expires epoch; add_header Cache-Control private; }",
        cornac: "match = '= /a+b.txt'\nexpires = 'epoch'\nheaders = { Cache-Control = 'private' }",
        targets: &["/a+b.txt", "/a%2Bb.txt"],
    },
    Location {
        nginx: r"location = /moved-with-headers { add_header X-Own yes; return 301 /hello.txt; }",
        cornac: "match = '= /moved-with-headers'\nheaders = { X-Own = 'yes' }\nreturn = { status = 301, url = '/hello.txt' }",
        targets: &["/moved-with-headers"],
    },
    Location {
        nginx: r"location ^~ /headers-of-php/ { add_header X-Own '$fastcgi_script_name'; include fastcgi_params; fastcgi_param SCRIPT_FILENAME ROOT/info.php; fastcgi_param SCRIPT_NAME /info.php; fastcgi_param PATH_INFO ''; fastcgi_pass SERVER; }",
        cornac: "match = '^~ /headers-of-php/'\nheaders = { X-Own = '/headers-of-php/' }\nfastcgi = 'php'\nscript = '/info.php'\nparams = { SCRIPT_NAME = '/info.php', PATH_INFO = '' }",
        targets: &["/headers-of-php/"],
    },
    // A script of one's own, params of one's own.
    Location {
        nginx: r"location /script/ { include fastcgi_params; fastcgi_param SCRIPT_FILENAME ROOT/info.php; fastcgi_param SCRIPT_NAME /info.php; fastcgi_param PATH_INFO $uri; fastcgi_param X_OWN own-$arg_a; fastcgi_pass SERVER; }",
        cornac: "match = '/script/'\nfastcgi = 'php'\nscript = '/info.php'\nparams = { PATH_INFO = '$uri', X_OWN = 'own-$arg_a', SCRIPT_NAME = '/info.php' }",
        targets: &["/script/a?a=1", "/script/", "/script/x.php/y"],
    },
];

const RUN: &str = "include fastcgi_params;
    fastcgi_param PATH_INFO $fastcgi_path_info;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    fastcgi_pass SERVER;";

/// What is meant to differ.
const DIFFERENCES: &[Difference] = &[
    Difference {
        on: "*",
        what: "SERVER_SOFTWARE",
        nginx: "nginx/…",
        cornac: "cornac/…",
        why: "each says its own name",
    },
    Difference {
        on: "*",
        what: "HTTP_X_REQUEST_ID",
        nginx: "-",
        cornac: "…",
        why: "php's log can name the request that the access log names",
    },
    Difference {
        on: "/moved/a%3Fb",
        what: "answer",
        nginx: "301 to /new/a?b",
        cornac: "301 to /new/a%3Fb",
        why: "what was part of the path stays part of it: nginx makes a query of it",
    },
];

#[test]
fn the_same_words_do_the_same() {
    let root = root();
    let fpm = Fpm::builder("a").ini("cgi.fix_pathinfo", 0).start();
    let folder = root.path().display().to_string();
    let place =
        |text: &str| text.replace("RUN", RUN).replace("ROOT", &folder).replace("SERVER", &fpm.server());

    let locations: String = LOCATIONS.iter().map(|location| place(location.nginx) + "\n").collect();
    // cornac's redirects are relative anyway.
    let nginx = Nginx::start(&format!(
        "server_name {HOST}; absolute_redirect off; root {folder}; index index.php index.html; {locations}"
    ));
    let routes: String =
        LOCATIONS.iter().map(|location| format!("[[sites.routes]]\n{}\n", place(location.cornac))).collect();
    let cornac = Cornac::serving(|listen| {
        format!(
            "[pools.php]\nservers = [{:?}]\n[[sites]]\nlisten = [{listen:?}]\nnames = [{HOST:?}]\nroot = {folder:?}\n\
             index = ['index.php', 'index.html']\n{routes}",
            fpm.server()
        )
    });

    let lines = ["X-Test: test", "Cookie: a=cookie"];
    let asked = LOCATIONS.iter().flat_map(|location| location.targets);
    let asked: Vec<_> = asked
        .map(|target| Asked { name: (*target).to_owned(), ..Asked::with("GET", target, &lines) })
        .collect();
    compare(nginx.address(), cornac.address(), &asked, DIFFERENCES);
}
