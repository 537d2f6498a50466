//! Requests for files, folders and fixed answers: methods, conditions, parts, places, codings.

use crate::support::compare::Asked;

/// Each set of lines with GET, to this target.
pub fn each(target: &str, lines: &[&[&str]]) -> Vec<Asked> {
    lines.iter().map(|lines| Asked::with("GET", target, lines)).collect()
}

pub fn methods() -> Vec<Asked> {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "TRACE"];
    let targets =
        ["/ten.txt", "/info.php", "/html/", "/html", "/missing.txt", "/missing.php", "/text", "/moved"];
    methods.iter().flat_map(|method| targets.map(|target| Asked::with(method, target, &[]))).collect()
}

const CONDITIONS: &[&[&str]] = &[
    &["If-None-Match: \"65937d25-a\""],
    &["If-None-Match: W/\"65937d25-a\""],
    &["If-None-Match: \"other\""],
    &["If-None-Match: \"other\", \"65937d25-a\""],
    &["If-None-Match: \"other\",W/\"65937d25-a\" , \"more\""],
    &["If-None-Match: *"],
    &["If-None-Match: 65937d25-a"],
    &["If-None-Match:"],
    &["If-None-Match: \"other\"", "If-None-Match: \"65937d25-a\""],
    &["If-Match: \"65937d25-a\""],
    &["If-Match: W/\"65937d25-a\""],
    &["If-Match: \"other\""],
    &["If-Match: \"other\", \"65937d25-a\""],
    &["If-Match: *"],
    &["If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
    &["If-Modified-Since: Mon, 01 Jan 2024 03:04:05 GMT"],
    &["If-Modified-Since: Wed, 03 Jan 2024 03:04:05 GMT"],
    &["If-Modified-Since: Tuesday, 02-Jan-24 03:04:05 GMT"],
    &["If-Modified-Since: Tue Jan  2 03:04:05 2024"],
    &["If-Modified-Since: yesterday"],
    &["If-Modified-Since: 0"],
    &["If-Unmodified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
    &["If-Unmodified-Since: Mon, 01 Jan 2024 03:04:05 GMT"],
    &["If-Unmodified-Since: Wed, 03 Jan 2024 03:04:05 GMT"],
    &["If-Unmodified-Since: yesterday"],
    &["If-None-Match: \"other\"", "If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
    &["If-None-Match: \"65937d25-a\"", "If-Modified-Since: Mon, 01 Jan 2024 03:04:05 GMT"],
    &["If-Match: \"65937d25-a\"", "If-None-Match: \"65937d25-a\""],
    &["If-Match: \"other\"", "If-None-Match: \"65937d25-a\""],
    &["If-None-Match: \"65937d25-a\"", "Range: bytes=0-1"],
    &["If-None-Match: \"other\"", "Range: bytes=0-1"],
    &["If-Match: \"other\"", "Range: bytes=0-1"],
];

pub fn conditions() -> Vec<Asked> {
    let head = Asked::with("HEAD", "/ten.txt", CONDITIONS[0]);
    let post = Asked::with("POST", "/ten.txt", CONDITIONS[0]);
    each("/ten.txt", CONDITIONS)
        .into_iter()
        .chain([head, post])
        .chain(each("/info.php", &CONDITIONS[..2]))
        .collect()
}

const RANGES: &[&str] = &[
    "bytes=0-0",
    "bytes=2-4",
    "bytes=7-",
    "bytes=-3",
    "bytes=0-",
    "bytes=-0",
    "bytes=-10",
    "bytes=-1000",
    "bytes=5-1000",
    "bytes=9-9",
    "bytes=10-",
    "bytes=10-20",
    "bytes=4-2",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "bytes=1",
    "bytes 0-1",
    "BYTES=0-1",
    "bytes = 0-1",
    "bytes= 0 - 1",
    "lines=1-2",
    "bytes=0-1,5-6",
    "bytes=0-1, 3-4 , 8-",
    "bytes=5-6,0-1",
    "bytes=0-1,20-30",
    "bytes=20-30,40-50",
    "bytes=0-5,3-7",
    "bytes=0-9,0-9",
    "bytes=0-0,-1",
    "bytes=,0-1",
    "bytes=0-1,",
    "bytes=0-1,x",
    "bytes=0-18446744073709551615",
    "bytes=-18446744073709551616",
    "bytes=18446744073709551616-",
];

/// Method, target and header lines.
const PARTS: &[(&str, &str, &[&str])] = &[
    ("HEAD", "/ten.txt", &["Range: bytes=2-4"]),
    ("HEAD", "/ten.txt", &["Range: bytes=0-1,5-6"]),
    ("HEAD", "/ten.txt", &["Range: bytes=10-"]),
    ("POST", "/ten.txt", &["Range: bytes=0-1"]),
    ("GET", "/ten.txt", &["Range: bytes=0-1", "Range: bytes=5-6"]),
    ("GET", "/empty.txt", &["Range: bytes=0-0"]),
    ("GET", "/empty.txt", &["Range: bytes=0-"]),
    ("GET", "/empty.txt", &["Range: bytes=-1"]),
    ("GET", "/big.bin", &["Range: bytes=100000-299998"]),
    ("GET", "/big.bin", &["Range: bytes=0-70000,100000-170000"]),
    ("GET", "/missing.txt", &["Range: bytes=0-1"]),
    ("GET", "/info.php", &["Range: bytes=0-1"]),
    ("GET", "/text", &["Range: bytes=0-1"]),
    ("GET", "/app.js", &["Range: bytes=0-3", "Accept-Encoding: gzip"]),
    ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: \"65937d25-a\""]),
    ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: W/\"65937d25-a\""]),
    ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: \"other\""]),
    ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: Tue, 02 Jan 2024 03:04:05 GMT"]),
    ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: Mon, 01 Jan 2024 03:04:05 GMT"]),
    ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: Wed, 03 Jan 2024 03:04:05 GMT"]),
    ("GET", "/ten.txt", &["Range: bytes=1-2", "If-Range: nonsense"]),
    ("GET", "/ten.txt", &["Range: bytes=20-", "If-Range: \"other\""]),
    ("GET", "/ten.txt", &["If-Range: \"65937d25-a\""]),
];

pub fn ranges() -> Vec<Asked> {
    let small = RANGES.iter().map(|value| Asked::with("GET", "/ten.txt", &[&format!("Range: {value}")]));
    let more = PARTS.iter().map(|(method, target, lines)| Asked::with(method, target, lines));
    small.chain(more).collect()
}

const PLACES: &[&str] = &[
    "/style.css",
    "/logo.svg",
    "/page.html",
    "/no-extension",
    "/empty.txt",
    "/big.bin",
    "/app.js",
    "/html/",
    "/html",
    "/html?a=b",
    "/html/?a=b",
    "//html",
    "/h%74ml",
    "/./html",
    "/a%20b",
    "/a%20b?x=%20",
    "/100%25",
    "/q%3Fa",
    "/x%23y",
    "/%E4%B8%AD%E6%96%87",
    "/中文",
    "/empty",
    "/empty/",
    "/dir",
    "/dir/",
    "/dir/?x",
    "/dir/index.php/a",
    "/info.php/a%20b/c?d=e",
    "/info.php/",
    "/info.phpx",
    "/ten.txt/",
    "/ten.txt/a",
    "/ten.txt%20",
    "/TEN.txt",
    "/missing",
    "/missing/",
    "/assets/a.css",
    "/assets/none.css",
    "/assets/",
    "/assets",
    "/denied/",
    "/denied/a",
    "/denied/../ten.txt",
    "/html/../denied/a",
    "/text",
    "/text?x",
    "/teapot",
    "/gone",
    "/nothing",
    "/moved",
    "/see",
    "/kept?a=b",
    "/hang-up",
    "/../ten.txt",
    "/%zz",
    "/%00",
    "/a%00b",
];

pub fn places() -> Vec<Asked> {
    PLACES.iter().copied().map(Asked::get).chain([Asked::with("HEAD", "/assets/a.css", &[])]).collect()
}

pub fn codings() -> Vec<Asked> {
    let accepted = [
        "gzip",
        "GZIP",
        "gzip, deflate",
        "deflate",
        "gzip;q=0",
        "gzip;q=0.5",
        "gzip;q=0.001",
        "gzip; q=1.000",
        "*",
        "*;q=0",
        "identity",
        "x-gzip",
        "",
    ];
    let accepted =
        accepted.map(|accept| Asked::with("GET", "/app.js", &[&format!("Accept-Encoding: {accept}")]));
    let others = [
        Asked::with("HEAD", "/app.js", &["Accept-Encoding: gzip"]),
        Asked::with("GET", "/ten.txt", &["Accept-Encoding: gzip"]),
        Asked::with("GET", "/app.js", &["Accept-Encoding: gzip", "If-None-Match: *"]),
        Asked::with("GET", "/info.php", &["Accept: application/json"]),
        Asked::with("GET", "/missing.txt", &["Accept: application/json"]),
    ];
    accepted.into_iter().chain(others).collect()
}
